import { visibleLine, visibleText } from '@sallyport/core'
import { Command } from 'commander'
import { z } from 'zod'
import { connectControl } from '../control-client.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { stateOption } from '../state-directory.ts'

const optionsShape = z.object({ all: z.boolean().default(false), state: z.string(), json: z.boolean().default(false) })

const briefShape = z.object({
  id: z.string(),
  url: z.string(),
  state: z.string(),
  summary: z.string(),
  agent: z.string(),
  owner: z.string(),
  upstream: z.string(),
  environment: z.string(),
  approvalsGiven: z.number(),
  approvalsNeeded: z.number(),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
  notBeforeMs: z.number().nullable(),
  endedBy: z.string().nullable(),
})
type Brief = z.infer<typeof briefShape>
const listShape = z.object({ requests: z.array(briefShape) })
const wholeShape = briefShape.extend({
  question: z.looseObject({ text: z.string(), digest: z.string() }),
  approvals: z.array(
    z.object({
      person: z.string(),
      verdict: z.string(),
      atMs: z.number(),
      reason: z.string(),
      method: z.literal('totp').exactOptional(),
    }),
  ),
})
type Whole = z.infer<typeof wholeShape>

/** Looks at what waits for people. It gives no verdict: that takes a passkey, on the page it names. */
export function makeCommand(): Command {
  const command = new Command('requests').description(
    'What waits for people, and what they decided. A verdict is given on the page, with a passkey.',
  )
  command
    .command('list', { isDefault: true })
    .description('Lists what waits; with --all, what was decided too.')
    .option('--all', 'also what was approved and has run out, rejected, expired or cancelled')
    .addOption(stateOption())
    .option('--json', 'one JSON object: requests')
    .action(async (given: unknown) => list(optionsShape.parse(given)))
  command
    .command('show')
    .description('Shows one request, whole.')
    .argument('<id>', 'its id, or the beginning of one')
    .addOption(stateOption())
    .option('--json', 'one JSON object: the request with its question and approvals')
    .action(async (id: string, given: unknown) => show(id, optionsShape.parse(given)))
  command
    .command('on-call')
    .description('Who is on call now, and who is next: of each rotation that sallyport.yaml names under onCall.')
    .addOption(stateOption())
    .option('--json', 'one JSON object: onCall')
    .action(async (given: unknown) => listOnCall(optionsShape.parse(given)))
  command
    .command('cancel')
    .description('Cancels what waits or cools off. It needs no passkey: it only takes away.')
    .argument('<id>', 'its id, or the beginning of one')
    .addOption(stateOption())
    .option('--json', 'one JSON object: id, cancelled')
    .action(async (id: string, given: unknown) => cancel(id, optionsShape.parse(given)))
  return command
}

async function list(options: z.infer<typeof optionsShape>): Promise<void> {
  const control = await connectControl(options.state)
  const { requests } = await control.get('/api/v1/requests', listShape)
  const chosen = options.all ? requests : requests.filter(({ state }) => state === 'pending' || state === 'approved')
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ requests: chosen })}\n`)
    return
  }
  process.stdout.write(
    chosen.length === 0
      ? 'Nothing waits for people.\n'
      : `${chosen.map((request) => describeBrief(request, Date.now())).join('\n\n')}\n`,
  )
}

/** Three lines a request. What an agent wrote can't move the cursor or reorder the line. */
export function describeBrief(request: Brief, nowMs: number): string {
  const until = request.state === 'pending' ? `, expires in ${minutes(request.expiresAtMs - nowMs)}` : ''
  const cooling =
    request.state === 'approved' && request.notBeforeMs !== null && request.notBeforeMs > nowMs
      ? `, may run in ${minutes(request.notBeforeMs - nowMs)}`
      : ''
  return [
    `${request.id}  ${request.state} (${request.approvalsGiven} of ${request.approvalsNeeded})${until}${cooling}`,
    `  ${visibleLine(request.agent)} for ${visibleLine(request.owner)} on ${visibleLine(request.upstream)} (${request.environment}): ${visibleLine(request.summary)}`,
    `  ${request.url}`,
  ].join('\n')
}

function minutes(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

async function show(id: string, options: z.infer<typeof optionsShape>): Promise<void> {
  const control = await connectControl(options.state)
  const whole = await control.get(`/api/v1/requests/${encodeURIComponent(await findId(control, id))}`, wholeShape)
  process.stdout.write(options.json ? `${JSON.stringify(whole)}\n` : describeWhole(whole, Date.now()))
}

export function describeWhole(whole: Whole, nowMs: number): string {
  const verdicts = whole.approvals.map(
    ({ person, verdict, atMs, reason, method }) =>
      `  ${visibleLine(person)}: ${verdict}${method === 'totp' ? ' by a one-time code (signs nothing)' : ''}, ${new Date(atMs).toISOString()}${reason === '' ? '' : `, ${visibleLine(reason)}`}`,
  )
  const text = visibleText(whole.question.text)
    .split('\n')
    .map((line) => `  | ${line}`)
  return [describeBrief(whole, nowMs), `  digest ${whole.question.digest}`, ...verdicts, ...text, ''].join('\n')
}

const onCallShape = z.object({
  onCall: z.array(
    z.object({
      name: z.string(),
      zone: z.string(),
      person: z.string().nullable(),
      untilMs: z.number().nullable(),
      next: z.string().nullable(),
    }),
  ),
})
type OnCallLine = z.infer<typeof onCallShape>['onCall'][number]

async function listOnCall(options: z.infer<typeof optionsShape>): Promise<void> {
  const { onCall } = await (await connectControl(options.state)).get('/api/v1/status', onCallShape)
  const lines =
    onCall.length === 0 ? ['Nobody is on call: sallyport.yaml names no rotation under onCall.'] : onCall.map(sayOnCall)
  process.stdout.write(options.json ? `${JSON.stringify({ onCall })}\n` : `${lines.join('\n')}\n`)
}

export function sayOnCall({ name, zone, person, untilMs, next }: OnCallLine): string {
  const who = person === null ? 'nobody yet, so everybody of it' : visibleLine(person)
  const then = untilMs === null ? '' : ` until ${sayWall(untilMs, zone)}, then ${visibleLine(next ?? 'nobody')}`
  return `${visibleLine(name)}: ${who}${then}`
}

/** As the wall clock of the rotation shows it. */
function sayWall(atMs: number, zone: string): string {
  return `${new Date(atMs).toLocaleString('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'short' })} ${zone}`
}

async function cancel(id: string, options: z.infer<typeof optionsShape>): Promise<void> {
  const control = await connectControl(options.state)
  const found = await findId(control, id)
  const { cancelled } = await control.post(
    `/api/v1/requests/${encodeURIComponent(found)}/cancel`,
    {},
    z.object({ cancelled: z.boolean() }),
  )
  if (!cancelled)
    throw new CommandFailure(
      exitCodes.refused,
      'ended_already',
      'It had ended already, or ran.',
      'Nothing was cancelled.',
      `See \`sallyport requests show ${found}\`.`,
    )
  process.stdout.write(
    options.json ? `${JSON.stringify({ id: found, cancelled })}\n` : `Request ${found} is cancelled. It will not run.\n`,
  )
}

async function findId(control: Awaited<ReturnType<typeof connectControl>>, wanted: string): Promise<string> {
  const { requests } = await control.get('/api/v1/requests', listShape)
  const matching = requests.filter(({ id }) => id === wanted || (wanted.length >= 4 && id.startsWith(wanted)))
  const [request] = matching
  if (request && matching.length === 1) return request.id
  const what = matching.length > 1 ? `${matching.length} requests begin with that.` : 'There is no request of that id.'
  throw new CommandFailure(
    exitCodes.failed,
    'no_request',
    what,
    'Nothing was done.',
    'See what there is: sallyport requests list --all',
  )
}
