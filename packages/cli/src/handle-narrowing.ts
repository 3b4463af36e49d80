import { Command } from 'commander'
import { z } from 'zod'
import { findAgentGate } from './agent-gate.ts'
import { parseDuration } from './duration.ts'
import { readStandardInput } from './reference.ts'
import { stateOption } from './state-directory.ts'
import { askToken } from './token-endpoint.ts'

const narrowShape = z.object({
  agent: z.string(),
  for: z.string(),
  may: z.array(z.string()).min(1),
  ttl: z.number().optional(),
  uses: z.string().optional(),
  gate: z.string().optional(),
  state: z.string(),
  json: z.boolean().default(false),
})
type Options = z.infer<typeof narrowShape>

/** Asks where agents do, with the handle alone: whoever holds one needs no access to the gate's state, and gets no more than a part of it. */
export function makeNarrowCommand(): Command {
  return new Command('narrow')
    .description(
      'Makes a handle out of the one on standard input that may do less, for a part of an agent. It ends with the one it was made of, at the latest.',
    )
    .requiredOption('--agent <name>', 'whose handle it is')
    .requiredOption('--for <name>', 'who will hold the new one: a name that you choose, on the log with all that it does')
    .requiredOption('--may <scope...>', 'as in sallyport.yaml, such as "read orders-db"; again for more')
    .option('--ttl <duration>', 'how long it lives, such as 10m; as long as the other, if not said', parseDuration)
    .option('--uses <number>', 'how many sessions it may open in all')
    .option('--gate <url>', 'where agents’ HTTP goes; that of the gate on this machine, if not said')
    .addOption(stateOption())
    .option('--json', 'one JSON object: id, agent, handle, expiresAt, act, scope')
    .action(async (given: unknown) => narrow(narrowShape.parse(given)))
}

async function narrow(options: Options): Promise<void> {
  const gate = findAgentGate(options)
  const handle = await readStandardInput('handle')
  const made = await askToken(gate, {
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    client_id: options.agent,
    subject_token: handle,
    actor: options.for,
    scope: options.may.map((scope) => scope.trim().replace(/\s+/, ':')).join(' '),
    ...(options.ttl === undefined ? {} : { expires_in: String(Math.max(1, Math.floor(options.ttl / 1_000))) }),
    ...(options.uses === undefined ? {} : { uses: options.uses }),
  })
  const expiresAt = new Date(Date.now() + made.expires_in * 1_000).toISOString()
  if (options.json) {
    const { agent } = options
    const shown = { id: made.handle, agent, handle: made.access_token, expiresAt, act: made.act, scope: made.scope }
    process.stdout.write(`${JSON.stringify(shown)}\n`)
    return
  }
  process.stdout.write(
    [
      `Handle ${made.handle} of ${made.act.join(' → ')}, until ${expiresAt}: ${made.scope}. It is shown only here:`,
      '',
      `  ${made.access_token}`,
      '',
      `It is used as any handle of ${options.agent} is, with that name.`,
      '',
    ].join('\n'),
  )
}
