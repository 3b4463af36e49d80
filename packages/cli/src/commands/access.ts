import { visibleLine } from '@sallyport/core'
import { Command } from 'commander'
import { z } from 'zod'
import { answerShape, readCredentials, sayAnswer } from '../agent-answer.ts'
import { answerTimeoutMs, askAgentGate, findAgentGate, refusedByGate } from '../agent-gate.ts'
import { connectControl } from '../control-client.ts'
import { parseDuration } from '../duration.ts'
import { stateOption } from '../state-directory.ts'

const agentOptions = { agent: z.string(), gate: z.string().optional(), state: z.string(), json: z.boolean().default(false) }
const askShape = z.object({ ...agentOptions, may: z.array(z.string()).min(1), for: z.number(), reason: z.string() })
const lookShape = z.object({ ...agentOptions, wait: z.number().default(0) })
const operatorShape = z.object({ state: z.string(), json: z.boolean().default(false) })

const accessShape = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('asked'), request: answerShape }),
  z.object({ outcome: z.literal('granted'), request: z.string(), expiresAtMs: z.number() }),
])
const standingShape = z.object({
  standing: z.array(
    z.object({
      request: z.string(),
      agent: z.string(),
      upstream: z.string(),
      may: z.array(z.string()),
      reason: z.string(),
      approvers: z.array(z.string()),
      expiresAtMs: z.number(),
    }),
  ),
})
const endedShape = z.object({ ended: z.literal(true) })

export function makeCommand(): Command {
  const command = new Command('access').description(
    'Scope for a time: an agent asks, people approve with their passkeys, it ends by itself.',
  )
  command
    .command('ask')
    .description(
      'Asks for more scope, with the handle on standard input. Once people approved, the same command again begins it.',
    )
    .requiredOption('--agent <name>', 'whose handle it is')
    .requiredOption('--may <scope...>', 'as in sallyport.yaml, such as "write orders-db"; again for more, all on one upstream')
    .requiredOption('--for <duration>', 'how long, such as 30m; 24h at most', parseDuration)
    .requiredOption('--reason <text>', 'what it is for: people read it')
    .option('--gate <url>', 'where agents’ HTTP goes; that of the gate on this machine, if not said')
    .addOption(stateOption())
    .option('--json', 'one JSON object: outcome (asked, granted), request, expiresAtMs')
    .action(async (given: unknown) => askForAccess(askShape.parse(given)))
  command
    .command('look')
    .description('How a request of the agent stands, and what to do next, with the handle on standard input.')
    .argument('<id>', 'as the refusal named it')
    .requiredOption('--agent <name>', 'whose handle it is')
    .option('--wait <duration>', 'until people decided, 60s at most', parseDuration)
    .option('--gate <url>', 'where agents’ HTTP goes; that of the gate on this machine, if not said')
    .addOption(stateOption())
    .option('--json', 'one JSON object')
    .action(async (id: string, given: unknown) => look(id, lookShape.parse(given)))
  command
    .command('list')
    .description('What stands now beyond sallyport.yaml.')
    .addOption(stateOption())
    .option('--json', 'one JSON object')
    .action(async (given: unknown) => list(operatorShape.parse(given)))
  command
    .command('end')
    .description('Ends it now, and the sessions that have it.')
    .argument('<request>', 'as `access list` shows it')
    .addOption(stateOption())
    .option('--json', 'one JSON object: request, ended')
    .action(async (request: string, given: unknown) => end(request, operatorShape.parse(given)))
  return command
}

const unknown = 'Whether people were asked is not known; the same again asks them once.'

async function askForAccess(options: z.infer<typeof askShape>): Promise<void> {
  const gate = findAgentGate(options)
  const body = JSON.stringify({ may: options.may, minutes: Math.max(1, Math.ceil(options.for / 60_000)), reason: options.reason })
  const headers = { 'content-type': 'application/json', authorization: await readCredentials(options.agent) }
  const answer = await askAgentGate(new URL('/access', gate), { method: 'POST', headers, body }, unknown)
  if (!answer.ok) throw await refusedByGate(answer, 'Nothing was asked of people.')
  const said = accessShape.parse(await answer.json())
  if (options.json) return print(said)
  process.stdout.write(
    said.outcome === 'granted'
      ? `Granted until ${new Date(said.expiresAtMs).toISOString()}. Open a new connection to use it.\n`
      : sayAnswer(said.request),
  )
}

async function look(id: string, options: z.infer<typeof lookShape>): Promise<void> {
  const gate = findAgentGate(options)
  const headers = { authorization: await readCredentials(options.agent) }
  const seconds = Math.min(60, Math.ceil(options.wait / 1_000))
  const url = new URL(`/requests/${encodeURIComponent(id)}?wait=${seconds}`, gate)
  const answer = await askAgentGate(url, { headers }, 'Nothing was changed.', answerTimeoutMs + seconds * 1_000)
  if (!answer.ok) throw await refusedByGate(answer, 'Nothing was looked up.')
  const said = answerShape.parse(await answer.json())
  if (options.json) print(said)
  else process.stdout.write(sayAnswer(said))
}

async function list(options: z.infer<typeof operatorShape>): Promise<void> {
  const control = await connectControl(options.state)
  const { standing } = await control.get('/api/v1/standing', standingShape)
  if (options.json) return print({ standing })
  if (standing.length === 0) return void process.stdout.write('Nothing stands beyond sallyport.yaml.\n')
  for (const { request, agent, may, approvers, expiresAtMs, reason } of standing)
    process.stdout.write(
      `${request}  ${agent} may ${may.join(', ')} until ${new Date(expiresAtMs).toISOString()}\n  approved by ${approvers.map(visibleLine).join(', ')}: ${visibleLine(reason)}\n`,
    )
}

async function end(request: string, options: z.infer<typeof operatorShape>): Promise<void> {
  const control = await connectControl(options.state)
  await control.post(`/api/v1/standing/${encodeURIComponent(request)}/end`, {}, endedShape)
  if (options.json) return print({ request, ended: true })
  process.stdout.write('Ended, and the sessions that had it.\n')
}

function print(content: object): void {
  process.stdout.write(`${JSON.stringify(content)}\n`)
}
