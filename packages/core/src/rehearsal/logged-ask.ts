import { z } from 'zod'
import type { Event } from '../event.ts'
import { impactKinds } from '../impact.ts'
import type { CopyPlan, ResolvedOperation } from '../operation.ts'
import type { Tried, Treatment } from './rules.ts'

/** A request as the log tells it, with what became of it when nobody had approved it yet. */
export interface LoggedAsk extends Tried {
  readonly index: number
  readonly atMs: number
  readonly happened: Treatment['outcome']
}

/** An event that says what an agent asked, and could not be made into a request again. */
export interface UnreadAsk {
  readonly index: number
  readonly why: 'session' | 'cut'
}

const resource = z.object({
  type: z.string(),
  name: z.string(),
  identity: z.string().nullish(),
  schemaHash: z.string().nullish(),
})
const operation = z.object({
  action: z.string(),
  kind: z.enum(impactKinds),
  reversible: z.boolean(),
  rows: z.number().nullable(),
  resources: z.array(resource),
})
const copyKinds = z.enum(['none', 'rows', 'tables', 'moved', 'impossible'])
const done = z.object({ grant: z.string().nullish(), operations: z.array(operation.extend({ copy: copyKinds })) })
const denied = z.object({ outcome: z.literal('deny'), code: z.enum(['not_in_scope', 'refused_by_guard', 'no_copy_possible']) })
const opened = z.object({
  question: z.object({
    protocol: z.string(),
    upstream: z.string(),
    copy: copyKinds.or(z.literal('restore_point')),
    guards: z.array(z.string()),
    operations: z.array(operation),
    steps: z.array(z.unknown()).optional(),
  }),
})
const sessionOpened = z.object({ upstream: z.string() })

type Logged = z.infer<typeof operation>
type LoggedCopy = z.infer<typeof opened>['question']['copy']

/** Sessions remembered while the log is read. */
const sessionsMax = 20_000
/** Copied, and asked about all the same: the guard that says so is the only thing on the log that does. */
const irreversibleGuard = 'irreversible-needs-people'

/** Reads requests off the log again, in its order. What was approved counts when it was asked, and not once more when it ran. */
export class AskReader {
  readonly #upstreams = new Map<string, string>()

  /** Sessions that were opened before what is read. */
  know(session: string, upstream: string): void {
    if (this.#upstreams.size < sessionsMax) this.#upstreams.set(session, upstream)
  }

  /** Null: it says nothing of what an agent asked. */
  read(index: number, event: Event): LoggedAsk | UnreadAsk | null {
    if (event.type === 'session.opened') {
      const said = sessionOpened.safeParse(event.data)
      if (said.success && event.session !== undefined) this.know(event.session, said.data.upstream)
      return null
    }
    if (event.type === 'request.opened') return readOpened(index, event)
    const happened = happenedOf(event)
    if (happened === null) return null
    const upstream = this.#upstreams.get(event.session ?? '')
    if (upstream === undefined || event.agent === undefined) return { index, why: 'session' }
    const said = done.safeParse(event.data)
    if (!said.success) return { index, why: 'cut' }
    if (said.data.grant) return null
    const operations = said.data.operations.map((one) => rebuild(one, one.copy, false))
    return { index, atMs: event.atMs, agent: event.agent, upstream, operations, happened }
  }
}

function happenedOf({ type, data }: Event): LoggedAsk['happened'] | null {
  if (type === 'intent' || type === 'statement') return 'runs'
  return type === 'decision' && denied.safeParse(data).success ? 'refused' : null
}

function readOpened(index: number, { agent, atMs, data }: Event): LoggedAsk | UnreadAsk | null {
  const said = opened.safeParse(data)
  if (!said.success || agent === undefined) return { index, why: 'cut' }
  const { protocol, upstream, copy, guards, operations, steps } = said.data.question
  // Scope for a time is asked of people whatever the rules are; each step of a plan was asked for by itself before.
  if (protocol === 'sallyport' || steps !== undefined) return null
  const isFinal = guards.includes(irreversibleGuard)
  const loses = ({ kind }: Logged): boolean => kind === 'destroy' || kind === 'unknown'
  const rebuilt = operations.map((one) => rebuild(one, loses(one) ? copy : 'none', isFinal))
  return { index, atMs, agent, upstream, operations: rebuilt, happened: 'asks' }
}

function rebuild({ action, kind, reversible, rows, resources }: Logged, copy: LoggedCopy, isFinal: boolean): ResolvedOperation {
  return {
    action,
    resources: resources.map(({ type, name }) => ({ type, name })),
    impact: { kind, reversible, ...(rows === null ? {} : { scope: { rows, exact: true } }) },
    why: '',
    context: isFinal && !reversible ? { irreversibleDespiteCopy: true } : {},
    copy: planOf(copy, rows, resources),
  }
}

function planOf(copy: LoggedCopy, rows: number | null, resources: Logged['resources']): CopyPlan {
  switch (copy) {
    case 'none':
      return { kind: 'none' }
    case 'rows':
      // Not counted is more than any limit.
      return { kind: 'rows', rowsEstimate: rows ?? Number.MAX_SAFE_INTEGER }
    case 'tables':
      return { kind: 'tables', tables: resources.map(({ name }) => name), bytesEstimate: 0 }
    case 'moved':
      return { kind: 'moved', bytesEstimate: 0 }
    case 'impossible':
    case 'restore_point':
      return { kind: 'impossible', reason: 'so it was then', remedy: 'none', inWal: copy === 'restore_point' }
  }
}
