import { z } from 'zod'
import type { Event } from '../event.ts'
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
    .object({ person: z.string(), verdict: z.string(), reason: z.string().default('') })
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

function kindOf({ type, data }: Pick<Event, 'type' | 'data'>): StepKind {
  switch (type) {
    case 'session.opened':
      return 'opened'
    case 'session.closed':
      return 'closed'
    case 'statement':
      return 'read'
    case 'intent':
      return 'ran'
    case 'decision':
      return data['outcome'] === 'deny' ? 'refused' : 'prepared'
    case 'request.opened':
      return 'asked'
    case 'verdict':
    case 'verdict.refused':
      return 'verdict'
    case 'request.approved':
    case 'request.rejected':
    case 'request.cancelled':
    case 'request.expired':
    case 'grant.void':
    case 'grant.returned':
      return 'settled'
    case 'snapshot.sealed':
    case 'snapshot.failed':
    case 'snapshot.expired':
      return 'copied'
    case 'undo':
      return 'undone'
    case 'alarm':
      return 'alarm'
    case 'kill':
      return 'stopped'
    case 'release':
      return 'released'
    default:
      return 'other'
  }
}

function say({ type, data }: Event, facts: Facts): string {
  const { approval, why, reason, detail, code, kind, name } = facts
  switch (type) {
    case 'session.opened':
      return ['protocol', 'upstream', 'peer'].flatMap((key) => wordOf(data[key])).join(' ')
    case 'verdict':
      return `${approval?.verdict === 'approve' ? 'approved' : 'rejected'}${approval?.reason ? `: ${approval.reason}` : ''}`
    case 'verdict.refused':
      return `not accepted: ${why ?? ''}`
    case 'request.approved':
      return 'may run'
    case 'request.rejected':
      return 'will not run'
    case 'request.cancelled':
      return 'cancelled: will not run'
    case 'request.expired':
      return 'nobody answered in time: will not run'
    case 'grant.void':
      return `what was approved no longer counts: ${why ?? ''}`
    case 'grant.returned':
      return `the approval was given back: ${why ?? ''}`
    case 'snapshot.sealed':
      return 'sealed, read back and compared'
    case 'snapshot.failed':
      return `no copy could be made (${code ?? 'no reason given'}): nothing ran`
    case 'snapshot.expired':
      return 'its retention had ended, and the vault let it go'
    case 'alarm':
      return [kind, why].filter((word) => word !== null && word !== undefined).join(': ')
    case 'kill':
      return `${kind ?? ''} ${name ?? ''}: ${reason ?? ''}`
    case 'release':
      return `${kind ?? ''} ${name ?? ''}`
    case 'outcome':
      return detail ?? ''
    default:
      return [kindOf({ type, data }) === 'other' ? type : '', why ?? reason ?? detail ?? '']
        .filter((word) => word !== '')
        .join(': ')
  }
}

function wordOf(value: unknown): readonly string[] {
  return typeof value === 'string' ? [value] : []
}
