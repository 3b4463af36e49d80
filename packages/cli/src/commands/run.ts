import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { Command } from 'commander'
import { z } from 'zod'
import { makeAgentEnvironment } from '../agent-environment.ts'
import { namesUnder, openConfigurationFile, protocolOf, readReferences, type ConfigurationFile } from '../configuration-file.ts'
import { issuedShape, paths, type Issued } from '../control-api.ts'
import { connectControl, type ControlClient } from '../control-client.ts'
import { parseDatabaseUrl } from '../database-url.ts'
import { parseDuration } from '../duration.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { judgeIsolation, readIsolationFacts } from '../isolation.ts'
import { resolveReference } from '../reference.ts'
import { agentAuthorityFile, stateOption } from '../state-directory.ts'
import { makeAgentTrust } from '../trust.ts'

const optionsShape = z.object({
  agent: z.string().optional(),
  upstream: z.string().optional(),
  ttl: z.number().optional(),
  state: z.string(),
  json: z.boolean().default(false),
})
type Options = z.infer<typeof optionsShape>

export function makeCommand(): Command {
  return new Command('run')
    .description(
      'Runs a command as an agent: it gets a handle of its own and the gate’s address (DATABASE_URL, PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE; with an ' +
        'http upstream also HTTPS_PROXY, and files by which its programs trust the gate and what they trusted before), and the handle ends with it. Variables that hold a credential of the gate’s upstreams are taken away; others are left and named. There is no sandbox yet.',
    )
    .argument('<command...>', 'after --, with its arguments')
    .option('--agent <name>', 'which agent it is (default: the only one)')
    .option('--upstream <name>', 'which database DATABASE_URL points to (default: the only one)')
    .option('--ttl <duration>', 'the longest the handle may live', parseDuration)
    .addOption(stateOption())
    .option('--json', 'what is said before the start as one JSON line on standard error')
    .passThroughOptions()
    .addHelpText(
      'after',
      '\nExits with the command’s own code; 128 and the signal’s number when a signal ended it; 126 or 127 when it could not be started.',
    )
    .action(async (words: string[], given: unknown) => {
      process.exitCode = await runAgent(words, optionsShape.parse(given))
    })
}

async function runAgent(words: readonly string[], options: Options): Promise<number> {
  const control = await connectControl(options.state)
  const file = openConfigurationFile(control.run.configuration)
  const agent = chooseName('agent', options.agent, namesUnder(file, 'agents'))
  const databases = namesUnder(file, 'upstreams').filter((name) => protocolOf(file, name) === 'postgres')
  const isWithoutDatabase = databases.length === 0 && options.upstream === undefined
  const upstream = isWithoutDatabase ? null : chooseName('upstream', options.upstream, databases)
  const credentials = await readCredentials(file)
  const { postgresAddress, httpAddress } = control.run
  const trust = httpAddress === undefined ? null : makeAgentTrust(agentAuthorityFile(options.state), process.env)
  const proxy = httpAddress === undefined || trust === null ? null : { address: httpAddress, trust }
  try {
    return await withHandle(control, agent, options.ttl, async (handle) => {
      const { environment, removed, suspicious } = makeAgentEnvironment({
        inherited: process.env,
        agent,
        handle,
        database: upstream === null ? null : { upstream, address: postgresAddress },
        proxy,
        ...credentials,
      })
      sayFirst(options, control, { agent, upstream, removed, suspicious })
      return runCommand(words, environment)
    })
  } finally {
    trust?.remove()
  }
}

async function withHandle(
  control: ControlClient,
  agent: string,
  ttlMs: number | undefined,
  work: (handle: string) => Promise<number>,
): Promise<number> {
  const issued = await control.post(paths.handles, { agent, ...(ttlMs === undefined ? {} : { ttlMs }) }, issuedShape)
  try {
    return await work(issued.handle)
  } finally {
    await endHandle(control, issued)
  }
}

function chooseName(kind: 'agent' | 'upstream', wanted: string | undefined, known: readonly string[]): string {
  const [only] = known
  if (wanted === undefined && only !== undefined && known.length === 1) return only
  if (wanted !== undefined && known.includes(wanted)) return wanted
  const what = wanted === undefined ? `There is more than one ${kind}, or none.` : `No ${kind} is called "${wanted}".`
  throw new CommandFailure(
    exitCodes.usage,
    'usage',
    what,
    'The command was not run.',
    `Name one with --${kind}: ${known.join(', ') || 'none is configured'}.`,
  )
}

/** What must not be in the agent's environment. An `exec:` reference is not run for this: it may ask a person. */
async function readCredentials(file: ConfigurationFile): Promise<{ credentialNames: string[]; credentialValues: string[] }> {
  const credentialNames: string[] = []
  const credentialValues: string[] = []
  for (const { reference } of readReferences(file)) {
    if (reference.startsWith('exec:')) continue
    if (reference.startsWith('env:')) credentialNames.push(reference.slice('env:'.length))
    const url = await resolveReference(reference, dirname(file.path)).catch(() => null)
    if (url === null) continue
    credentialValues.push(url)
    const password = readPassword(url)
    if (password !== '') credentialValues.push(password, encodeURIComponent(password))
  }
  return { credentialNames, credentialValues }
}

function readPassword(url: string): string {
  try {
    return parseDatabaseUrl(url).password
  } catch {
    return ''
  }
}

/** What the command's environment was made of. */
interface Prepared {
  readonly agent: string
  readonly upstream: string | null
  readonly removed: readonly string[]
  readonly suspicious: readonly string[]
}

function sayFirst(options: Options, control: ControlClient, { agent, upstream, removed, suspicious }: Prepared): void {
  const isolation = judgeIsolation(
    readIsolationFacts({
      stateDirectory: resolve(options.state),
      gatewayPid: control.run.gatewayPid,
      secretFiles: [join(resolve(options.state), 'operator.token')],
    }),
  )
  if (options.json) {
    process.stderr.write(
      `${JSON.stringify({ agent, upstream, proxy: control.run.httpAddress ?? null, isolation, removed, suspicious })}\n`,
    )
    return
  }
  const lines = [`sallyport: isolation level ${isolation.level}: ${isolation.worth}.`]
  const [way] = isolation.waysAround
  if (way !== undefined) lines.push(`sallyport: this agent can walk around Sallyport: ${way}. How to mend it: sallyport doctor`)
  if (control.run.httpAddress !== undefined)
    lines.push('sallyport: its HTTPS goes through the gate, which refuses hosts that no upstream governs; loopback goes straight')
  if (removed.length > 0) lines.push(`sallyport: taken from its environment: ${removed.join(', ')}`)
  if (suspicious.length > 0)
    lines.push(
      `sallyport: left in its environment, not governed here: ${suspicious.slice(0, 10).join(', ')}${suspicious.length > 10 ? ', …' : ''}`,
    )
  process.stderr.write(`${lines.join('\n')}\n`)
}

function runCommand(words: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const [command, ...args] = words
  return new Promise((resolve) => {
    const child = spawn(command ?? '', args, { env: environment, stdio: 'inherit' })
    // At a terminal Ctrl-C reaches the whole foreground group, the command included; sent twice it would mean something else to it.
    const forwarded: NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2']
    const forward = (signal: NodeJS.Signals): void => void child.kill(signal)
    const onInterrupt = (): void => {
      if (!process.stdin.isTTY) child.kill('SIGINT')
    }
    for (const signal of forwarded) process.on(signal, forward)
    process.on('SIGINT', onInterrupt)
    const finish = (code: number): void => {
      for (const signal of forwarded) process.off(signal, forward)
      process.off('SIGINT', onInterrupt)
      resolve(code)
    }
    child.once('error', (error: NodeJS.ErrnoException) => {
      process.stderr.write(`sallyport: ${command ?? ''} could not be started (${error.code ?? 'unknown'})\n`)
      finish(error.code === 'ENOENT' ? 127 : 126)
    })
    child.once('exit', (code, signal) => finish(signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0)))
  })
}

/** The command's own exit code is what counts; a handle that could not be ended is said, and ends by itself. */
async function endHandle(control: ControlClient, issued: Issued): Promise<void> {
  try {
    await control.post(paths.revokeHandle(issued.id), {}, z.unknown())
  } catch {
    process.stderr.write(
      `sallyport: handle ${issued.id} could not be ended; it ends by itself at ${new Date(issued.expiresAtMs).toISOString()}\n`,
    )
  }
}
