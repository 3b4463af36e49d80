import { Command } from 'commander'
import { z } from 'zod'
import { answerShape, readCredentials, sayAnswer } from '../agent-answer.ts'
import { askAgentGate, findAgentGate, refusedByGate } from '../agent-gate.ts'
import { stateOption } from '../state-directory.ts'

const optionsShape = z.object({
  agent: z.string(),
  gate: z.string().optional(),
  state: z.string(),
  json: z.boolean().default(false),
  reason: z.string(),
})

export function makeCommand(): Command {
  return new Command('plan')
    .description(
      'Asks people about several requests at once, with the handle on standard input. Send each operation first: it is refused with the id of its request. Once people approved the plan, send them again in this order: each runs once, after the one before it succeeded. Anything else is asked about by itself.',
    )
    .argument('<requests...>', 'ids as the refusals named them, in the order in which they are to run')
    .requiredOption('--agent <name>', 'whose handle it is')
    .requiredOption('--reason <text>', 'what it is for: people read it')
    .option('--gate <url>', 'where agents’ HTTP goes; that of the gate on this machine, if not said')
    .addOption(stateOption())
    .option('--json', 'one JSON object: id, state, summary, url, next; `access look` shows the same later')
    .action(async (requests: readonly string[], given: unknown) => declare(requests, optionsShape.parse(given)))
}

async function declare(requests: readonly string[], options: z.infer<typeof optionsShape>): Promise<void> {
  const gate = findAgentGate(options)
  const body = JSON.stringify({ requests, reason: options.reason })
  const headers = { 'content-type': 'application/json', authorization: await readCredentials(options.agent) }
  const unknown = 'Whether people were asked is not known; the same again asks them once.'
  const answer = await askAgentGate(new URL('/plans', gate), { method: 'POST', headers, body }, unknown)
  if (!answer.ok) throw await refusedByGate(answer, 'Nothing was asked of people.')
  const said = answerShape.parse(await answer.json())
  process.stdout.write(options.json ? `${JSON.stringify(said)}\n` : sayAnswer(said))
}
