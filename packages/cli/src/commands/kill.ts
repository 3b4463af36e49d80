import { visibleLine } from '@sallyport/core'
import { Command } from 'commander'
import { z } from 'zod'
import { connectControl } from '../control-client.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { stateOption } from '../state-directory.ts'

const optionsShape = z.object({
  session: z.string().min(1).optional(),
  agent: z.string().min(1).optional(),
  owner: z.string().min(1).optional(),
  upstream: z.string().min(1).optional(),
  all: z.boolean().default(false),
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
    .option('--reason <text>', 'kept on the log')
    .addOption(stateOption())
    .option('--json', 'one JSON object: kill, acknowledgedMs, sessionsEnded')
    .addHelpText('after', '\nReleasing takes a passkey: on the Live page.')
    .action(async (given: unknown) => kill(optionsShape.parse(given)))
}

async function kill(options: Options): Promise<void> {
  const scope = chooseScope(options)
  const control = await connectControl(options.state)
  const killed = await control.post('/api/v1/kill', { ...scope, reason: options.reason }, killedShape)
  if (options.json) {
    process.stdout.write(`${JSON.stringify(killed)}\n`)
    return
  }
  const what = scope.kind === 'all' ? 'Everything' : `${scope.kind} ${visibleLine(scope.id)}`
  process.stdout.write(
    `${what} is stopped: acknowledged in ${killed.acknowledgedMs.toFixed(1)} ms, ${killed.sessionsEnded} sessions ended.\nTo release it: ${new URL('/live', control.run.controlUrl).href}\n`,
  )
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
