import { z } from 'zod'
import type { Event, EventType } from '../event.ts'
import type { GrowingStep, StepKind, StoryOperation } from './story-step.ts'
import type { TextAllowance } from './story-text.ts'

const saidMax = 500
const operationsMax = 50

const operationShape = z.object({
  action: z.string(),
  kind: z.string(),
  resources: z.array(z.object({ name: z.string() })).default([]),
})
const factsShape = z.object({
  text: z.string().nullish().catch(null),
  operations: z.array(z.unknown()).catch([]),
  question: z
    .object({ text: z.string(), operations: z.array(z.unknown()).default([]) })
    .nullish()
    .catch(null),
  approval: z
    .object({ person: z.string(), verdict: z.string(), reason: z.string().default(''), method: z.string().optional() })
    .nullish()
    .catch(null),
  approvers: z.array(z.string()).catch([]),
  signed: z.object({ person: z.string() }).nullish().catch(null),
  by: z.string().nullish().catch(null),
  person: z.string().nullish().catch(null),
  request: z.string().nullish().catch(null),
  snapshot: z.string().nullish().catch(null),
  rows: z.number().nullish().catch(null),
  why: z.string().nullish().catch(null),
  reason: z.string().nullish().catch(null),
  detail: z.string().nullish().catch(null),
  code: z.string().nullish().catch(null),
  kind: z.string().nullish().catch(null),
  name: z.string().nullish().catch(null),
})
type Facts = z.infer<typeof factsShape>

/** A step with nothing told of it yet but where it stands and what the event says of itself. */
export function readStep(index: number, event: Event, texts: TextAllowance): GrowingStep {
  const facts = factsShape.parse(event.data)
  const text = facts.question?.text ?? facts.text
  return {
    index,
    atMs: event.atMs,
    kind: kindOf(event),
    text: text === null || text === undefined ? null : texts.take(text),
    operations: readOperations(facts.question?.operations ?? facts.operations),
    result: event.type === 'intent' ? 'open' : null,
    rows: event.type === 'intent' ? null : (facts.rows ?? null),
    times: 0,
    lastAtMs: event.atMs,
    durationMs: null,
    people: peopleOf(facts),
    request: facts.request ?? null,
    snapshot: facts.snapshot ?? null,
    said: say(event, facts).slice(0, saidMax).toWellFormed(),
  }
}

function readOperations(list: readonly unknown[]): readonly StoryOperation[] {
  return list.slice(0, operationsMax).flatMap((one) => {
    const parsed = operationShape.safeParse(one)
    if (!parsed.success) return []
    const { action, kind, resources } = parsed.data
    return [{ action, kind, resources: resources.map(({ name }) => name) }]
  })
}

function peopleOf({ approval, approvers, by, signed, person }: Facts): readonly string[] {
  if (approvers.length > 0) return approvers
  const one = approval?.person ?? signed?.person ?? by ?? person
  return one === null || one === undefined ? [] : [one]
}

/** What is in none of these is told as it is. */
const kinds: ReadonlyMap<EventType, StepKind> = new Map<EventType, StepKind>([
  ['session.opened', 'opened'],
  ['session.closed', 'closed'],
  ['statement', 'read'],
  ['intent', 'ran'],
  ['decision', 'prepared'],
  ['request.opened', 'asked'],
  ['verdict', 'verdict'],
  ['verdict.refused', 'verdict'],
  ['request.approved', 'settled'],
  ['request.rejected', 'settled'],
  ['request.cancelled', 'settled'],
  ['request.expired', 'settled'],
  ['grant.void', 'settled'],
  ['grant.returned', 'settled'],
  ['snapshot.sealed', 'copied'],
  ['snapshot.failed', 'copied'],
  ['snapshot.expired', 'copied'],
  ['undo', 'undone'],
  ['alarm', 'alarm'],
  ['kill', 'stopped'],
  ['release', 'released'],
])

function kindOf({ type, data }: Event): StepKind {
  if (type === 'decision' && data['outcome'] === 'deny') return 'refused'
  return kinds.get(type) ?? 'other'
}

type Writer = (facts: Facts, data: Event['data']) => string

const writers: ReadonlyMap<EventType, Writer> = new Map<EventType, Writer>([
  ['session.opened', (_, data) => ['protocol', 'upstream', 'peer'].flatMap((key) => wordOf(data[key])).join(' ')],
  [
    'verdict',
    ({ approval }) =>
      `${approval?.verdict === 'approve' ? 'approved' : 'rejected'}${approval?.method === 'totp' ? ' by a one-time code, not signed' : ''}${approval?.reason ? `: ${approval.reason}` : ''}`,
  ],
  ['verdict.refused', ({ why }) => `not accepted: ${why ?? ''}`],
  ['request.approved', () => 'may run'],
  ['request.rejected', () => 'will not run'],
  ['request.cancelled', () => 'cancelled: will not run'],
  ['request.expired', () => 'nobody answered in time: will not run'],
  ['grant.void', ({ why }) => `what was approved no longer counts: ${why ?? ''}`],
  ['grant.returned', ({ why }) => `the approval was given back: ${why ?? ''}`],
  ['snapshot.sealed', () => 'sealed, read back and compared'],
  ['snapshot.failed', ({ code }) => `no copy could be made (${code ?? 'no reason given'}): nothing ran`],
  ['snapshot.expired', () => 'its retention had ended, and the vault let it go'],
  ['alarm', ({ kind, why }) => [kind, why].flatMap(wordOf).join(': ')],
  ['kill', ({ kind, name, reason }) => `${kind ?? ''} ${name ?? ''}: ${reason ?? ''}`],
  ['release', ({ kind, name }) => `${kind ?? ''} ${name ?? ''}`],
])

function say(event: Event, facts: Facts): string {
  const write = writers.get(event.type)
  if (write !== undefined) return write(facts, event.data)
  const { why, reason, detail } = facts
  return [kindOf(event) === 'other' ? event.type : '', why ?? reason ?? detail ?? ''].filter((word) => word !== '').join(': ')
}

function wordOf(value: unknown): readonly string[] {
  return typeof value === 'string' ? [value] : []
}
