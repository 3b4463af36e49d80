import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { CommandFailure, describeFailure, exitCodes, toFailure } from './failure.ts'

interface Entry {
  readonly name: string
  readonly group: string
  readonly summary: string
  readonly load: () => Promise<{ makeCommand(): Command }>
}

const start = 'Start and set up:'
const give = 'Give access:'
const watch = 'Watch and stop:'
const prove = 'Undo and prove:'

/** Every command. A command's module is loaded only when it is the one that was asked for, so that help and a typo cost nothing. */
export const commandTable: readonly Entry[] = [
  {
    name: 'up',
    group: start,
    summary: 'start the gate, the vault and the people’s pages',
    load: () => import('./commands/up.ts'),
  },
  {
    name: 'init',
    group: start,
    summary: 'write sallyport.yaml from a database URL on standard input',
    load: () => import('./commands/init.ts'),
  },
  {
    name: 'upstream',
    group: start,
    summary: 'add a database or a cloud API behind the gate',
    load: () => import('./commands/upstream.ts'),
  },
  { name: 'agent', group: start, summary: 'add an agent and what it may do', load: () => import('./commands/agent.ts') },
  {
    name: 'access',
    group: give,
    summary: 'ask for more scope, for a time; see and end what stands',
    load: () => import('./commands/access.ts'),
  },
  {
    name: 'plan',
    group: give,
    summary: 'ask people about several requests at once',
    load: () => import('./commands/plan.ts'),
  },
  {
    name: 'propose',
    group: start,
    summary: 'put what sallyport.yaml gives beyond what is in force to the people',
    load: () => import('./commands/propose.ts'),
  },
  {
    name: 'doctor',
    group: start,
    summary: 'what holds here, what does not, and how to mend it',
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'health',
    group: watch,
    summary: 'whether a gate answers, and with --ready whether it can work',
    load: () => import('./commands/health.ts'),
  },
  {
    name: 'enrol',
    group: start,
    summary: 'a one-time link for the first person, from a gate that runs as a service',
    load: () => import('./commands/enrol.ts'),
  },
  {
    name: 'scan',
    group: start,
    summary: 'find credentials that lie in a workspace, or plant a canary',
    load: () => import('./commands/scan.ts'),
  },
  {
    name: 'run',
    group: give,
    summary: 'run a command with a handle of its own instead of a credential',
    load: () => import('./commands/run.ts'),
  },
  { name: 'handle', group: give, summary: 'issue a short-lived handle to an agent', load: () => import('./commands/handle.ts') },
  { name: 'requests', group: watch, summary: 'what waits for people', load: () => import('./commands/requests.ts') },
  { name: 'tail', group: watch, summary: 'operations as they happen', load: () => import('./commands/tail.ts') },
  { name: 'kill', group: watch, summary: 'stop a session, an agent or everything', load: () => import('./commands/kill.ts') },
  {
    name: 'quarantine',
    group: prove,
    summary: 'what was dropped and can still be taken back at once',
    load: () => import('./commands/quarantine.ts'),
  },
  { name: 'copy', group: prove, summary: 'make a proven copy of a volume now', load: () => import('./commands/copy.ts') },
  { name: 'undo', group: prove, summary: 'put back what a snapshot holds', load: () => import('./commands/undo.ts') },
  { name: 'vault', group: prove, summary: 'list, verify and restore sealed copies', load: () => import('./commands/vault.ts') },
  {
    name: 'verify',
    group: prove,
    summary: 'check a file with proofs, offline',
    load: () => import('./commands/verify.ts'),
  },
  { name: 'log', group: prove, summary: 'verify the log, with no gate running', load: () => import('./commands/log.ts') },
  {
    name: 'explain',
    group: prove,
    summary: 'what an operation would do, with no gate and no database',
    load: () => import('./commands/explain.ts'),
  },
  {
    name: 'drill',
    group: prove,
    summary: 'try the safety devices for real, in a gate of its own',
    load: () => import('./commands/drill.ts'),
  },
]

const exitCodeHelp = `
Exit codes:
  0  done, nothing wrong
  1  done and found something, or failed
  2  the command line, the configuration or the input was wrong; nothing was started
  3  no gate is running, or it does not answer
  4  the gate heard and refused`

/** Runs one command line (without node and script) and returns its exit code. */
export async function runCli(words: readonly string[]): Promise<number> {
  const json = asksForJson(words)
  try {
    const program = await makeProgram(words)
    if (words.length === 0) {
      process.stdout.write(program.helpInformation())
      return exitCodes.ok
    }
    await program.parseAsync([...words], { from: 'user' })
    // `run` passes on any code of its command's, so this one is not only ours.
    return Number(process.exitCode ?? exitCodes.ok)
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok
    const failure = error instanceof CommanderError ? toUsageFailure(error, words) : toFailure(error)
    process.stderr.write(describeFailure(failure, json))
    return failure.exitCode
  }
}

/** A program in which only the chosen command is real; the others are a name and a line of help. */
export async function makeProgram(words: readonly string[]): Promise<Command> {
  const named = words.filter((word) => !word.startsWith('-'))
  const chosen = named[0] === 'help' ? named[1] : named[0]
  const program = new Command('sallyport')
    .description(
      'A gate between AI agents and production: narrow access, people for what destroys, a proven copy first, a log that cannot be rewritten.',
    )
    .version(readVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .addHelpText('after', `\nStart with \`sallyport up\`; \`sallyport <command> --help\` says more.\n${exitCodeHelp}`)
    .enablePositionalOptions()
  for (const entry of commandTable) {
    const command = entry.name === chosen ? (await entry.load()).makeCommand() : new Command(entry.name)
    if (entry.name === chosen) addExitCodeHelp(command)
    program.addCommand(command.name(entry.name).summary(entry.summary).helpGroup(entry.group))
  }
  throwInsteadOfExit(program)
  return program
}

/** commander ends the process by itself; then errors would not get the form ours have. Settings are not inherited by added commands. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => undefined, writeErr: () => undefined })
  for (const child of command.commands) throwInsteadOfExit(child)
}

function addExitCodeHelp(command: Command): void {
  if (command.commands.length === 0) command.addHelpText('after', exitCodeHelp)
  for (const child of command.commands) addExitCodeHelp(child)
}

function toUsageFailure(error: CommanderError, words: readonly string[]): CommandFailure {
  const command = commandTable.find((entry) => entry.name === words[0])
  const help = command ? `sallyport ${command.name} --help` : 'sallyport --help'
  const text = error.message.replace(/^error: /, '').replaceAll('\n', ' ')
  const what = text === '(outputHelp)' ? 'A subcommand is missing.' : text
  return new CommandFailure(exitCodes.usage, 'usage', what, 'Nothing was started or changed.', `See \`${help}\`.`)
}

function asksForJson(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  return (end === -1 ? words : words.slice(0, end)).includes('--json')
}

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) return String(manifest.version)
  return 'unknown'
}

if (import.meta.main) {
  // A reader that went away (`| head`) is the end of output, not an error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? exitCodes.ok : exitCodes.failed),
  )
  process.exitCode = await runCli(process.argv.slice(2))
}
