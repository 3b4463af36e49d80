import { visibleLine } from '@sallyport/core'
import { Command } from 'commander'
import { z } from 'zod'
import { connectControl } from '../control-client.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { readRun, stateOption } from '../state-directory.ts'
import { findSwitch, pullSwitch } from '../switch-client.ts'

const optionsShape = z.object({
  session: z.string().min(1).optional(),
  agent: z.string().min(1).optional(),
  owner: z.string().min(1).optional(),
  upstream: z.string().min(1).optional(),
  all: z.boolean().default(false),
  drain: z.boolean().default(false),
  reason: z.string().max(1000).default(''),
  state: z.string(),
  json: z.boolean().default(false),
})
type Options = z.infer<typeof optionsShape>

const killedShape = z.object({
  kill: z.object({ id: z.string(), scope: z.object({ kind: z.string(), id: z.string() }), atMs: z.number() }),
  acknowledgedMs: z.number(),
  sessionsEnded: z.number(),
})

/** Stops at once and asks nobody. Only a person with a passkey releases again, on the page. */
export function makeCommand(): Command {
  return new Command('kill')
    .description(
      'Stops a session, an agent, an owner’s agents, everything on an upstream, or everything. When it returns, nothing more is written upstream.',
    )
    .option('--session <id>', 'one session, as `sallyport tail` shows it')
    .option('--agent <name>', 'an agent: its sessions, handles and grants')
    .option('--owner <name>', 'all agents of a person or team')
    .option('--upstream <name>', 'everything on one upstream')
    .option('--all', 'everything')
    .option('--drain', 'reads that run already may end, for at most 30 s; everything else stops at once')
    .option('--reason <text>', 'kept on the log')
    .addOption(stateOption())
    .option('--json', 'one JSON object: kill, acknowledgedMs, sessionsEnded, durable, everywhere, processEnded')
    .addHelpText('after', killHelp)
    .action(async (given: unknown) => kill(optionsShape.parse(given)))
}

const killHelp = `
The switch has a listener and a thread of its own, and works while the gate is overloaded or stuck: a gate that does not confirm within 5 s is
ended. Without this command: an empty file \`kill\` in the state directory stops everything, and is gone when that is acknowledged; so does the
signal SIGUSR2 to the gate's process.

Releasing takes a passkey: on the page Now.`

async function kill(options: Options): Promise<void> {
  const scope = chooseScope(options)
  const killed = findSwitch(options.state) === null ? await killByApi(options, scope) : await killBySwitch(options, scope)
  if (!killed.everywhere) process.exitCode = exitCodes.failed
  if (options.json) {
    process.stdout.write(`${JSON.stringify(killed)}\n`)
    return
  }
  const what = scope.kind === 'all' ? 'Everything' : `${scope.kind} ${visibleLine(scope.id)}`
  const how = killed.processEnded
    ? 'the gate did not confirm within its lease, and its process was ended'
    : `acknowledged in ${killed.acknowledgedMs.toFixed(1)} ms, ${killed.sessionsEnded} sessions ended`
  const live = readRun(options.state)?.controlUrl
  const release = live === undefined ? '' : `\nTo release it: ${new URL('/live', live).href}`
  const kept = killed.durable ? '' : '\nIt could not be written down: a restart of the gate would not remember it.'
  const elsewhere = killed.everywhere
    ? ''
    : '\nThe store that the gates share did not confirm it: another gate may go on. Kill it there too; a gate that cannot reach the store stops by itself.'
  process.stdout.write(`${what} is stopped${killed.everywhere ? '' : ' at this gate'}: ${how}.${kept}${elsewhere}${release}\n`)
}

interface Killed extends z.infer<typeof killedShape> {
  /** Whether a restart remembers it. */
  readonly durable: boolean
  /** Whether every gate that shares the store has stopped it. */
  readonly everywhere: boolean
  readonly processEnded: boolean
}

type Scope = ReturnType<typeof chooseScope>

async function killBySwitch({ state, reason, drain }: Options, scope: Scope): Promise<Killed> {
  const startedMs = performance.now()
  const name = scope.kind === 'all' ? '' : scope.id
  const said = await pullSwitch(state, { kind: scope.kind, name, reason, drain })
  if (said.state === 'process ended') {
    const kill = { id: '', scope, atMs: Date.now() }
    return {
      kill,
      acknowledgedMs: performance.now() - startedMs,
      sessionsEnded: 0,
      durable: said.durable,
      everywhere: said.everywhere,
      processEnded: true,
    }
  }
  const kill = { id: said.id === null ? '' : String(said.id), scope, atMs: said.atMs }
  const { haltMs: acknowledgedMs, sessions: sessionsEnded, durable, everywhere } = said
  return { kill, acknowledgedMs, sessionsEnded, durable, everywhere, processEnded: false }
}

/** A gate of before it had a switch of its own. */
async function killByApi({ state, reason, drain }: Options, scope: Scope): Promise<Killed> {
  if (drain)
    throw new CommandFailure(
      exitCodes.unreachable,
      'switch_unreachable',
      'No gate with a kill switch of its own runs here.',
      'Nothing was stopped.',
      'Kill without --drain, or start the gate.',
    )
  const control = await connectControl(state)
  const killed = await control.post('/api/v1/kill', { ...scope, reason }, killedShape)
  return { ...killed, durable: true, everywhere: true, processEnded: false }
}

/** Exactly one scope: a slip must not stop more, or less, than was meant. */
export function chooseScope(options: Pick<Options, 'session' | 'agent' | 'owner' | 'upstream' | 'all'>): {
  readonly kind: string
  readonly id: string
} {
  const named = (['session', 'agent', 'owner', 'upstream'] as const).flatMap((kind) => {
    const id = options[kind]
    return id === undefined ? [] : [{ kind, id }]
  })
  const chosen = [...named, ...(options.all ? [{ kind: 'all', id: '*' }] : [])]
  const [scope] = chosen
  if (scope && chosen.length === 1) return scope
  const what = chosen.length === 0 ? 'What to stop was not said.' : 'More than one thing to stop was named.'
  throw new CommandFailure(
    exitCodes.usage,
    'usage',
    what,
    'Nothing was stopped.',
    'Name one of --session, --agent, --owner, --upstream, or --all.',
  )
}
