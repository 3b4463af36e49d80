import * as z from 'zod/mini'
import { impactShape, list, shownRequestShape } from './now.ts'

const text = z.string()
const count = z.number()
const momentMs = z.number()

/** How people answered on one day. */
export const dayShape = z.object({ startMs: momentMs, approved: count, rejected: count, unanswered: count })
export type Day = z.infer<typeof dayShape>

const inboxRequestShape = z.extend(shownRequestShape, {
  /** The same for requests that ask the same of the same things. */
  like: text,
  /** Scope for a time, instead of something that runs. */
  isAccess: z.boolean(),
})
export type InboxRequest = z.infer<typeof inboxRequestShape>

/** One agent asking the same again and again, and what would make it ask less. */
const routineShape = z.object({
  key: text,
  agent: text,
  owner: text,
  upstream: text,
  kind: impactShape,
  actions: list(text),
  resources: list(text),
  asked: count,
  approved: count,
  firstAtMs: momentMs,
  lastAtMs: momentMs,
  relief: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('scope'), lines: list(text) }),
    z.object({ kind: z.literal('rows'), rows: count }),
    z.object({ kind: z.literal('ahead'), request: text, uses: count, forMs: count }),
    z.object({ kind: z.literal('none'), why: text }),
  ]),
})
export type RoutineView = z.infer<typeof routineShape>

/** Scope that people gave for a time and that stands now. */
const standingShape = z.object({
  request: text,
  agent: text,
  upstream: text,
  lines: list(text),
  reason: text,
  approvers: list(text),
  fromMs: momentMs,
  untilMs: momentMs,
})

const reviewShape = z.object({ request: text, person: text, agent: text, atMs: momentMs })

export const requestsShape = z.object({
  nowMs: momentMs,
  requests: list(inboxRequestShape),
  /** More than are listed. */
  inAll: count,
  routines: list(routineShape),
  standing: list(standingShape),
  /** One person broke glass, and nobody else has looked at it yet. */
  reviews: list(reviewShape),
  days: list(dayShape),
  /** From the question to the first verdict, ms, newest last. */
  waitsMs: list(z.object({ atMs: momentMs, waitMs: count })),
  verdicts: count,
  verdictsUnderThreeSeconds: count,
})
export type RequestsView = z.infer<typeof requestsShape>

const approvalShape = z.object({
  person: text,
  verdict: z.enum(['approve', 'reject']),
  atMs: momentMs,
  reason: text,
  conditions: z.nullable(z.object({ rowsMax: z.nullable(count), notBeforeMs: z.nullable(momentMs) })),
  brokeGlass: z.boolean(),
  /** By a one-time code: nothing was signed. */
  byCode: z.boolean(),
  /** Whether it is among those that are needed: of the group, and not the owner's where owners do not count. */
  counts: z.boolean(),
})

/** Null: there is no such request any more. */
const stateShape = z.nullable(shownRequestShape.shape.state)

export const requestDetailShape = z.object({
  nowMs: momentMs,
  request: inboxRequestShape,
  text,
  bindValues: list(text),
  protocol: text,
  session: text,
  operations: list(
    z.object({
      action: text,
      kind: impactShape,
      reversible: z.boolean(),
      why: text,
      resources: list(text),
      rows: z.nullable(count),
      bytes: z.nullable(count),
      tables: list(text),
      dependants: list(text),
    }),
  ),
  /** Beyond those that are listed. */
  operationsInAll: count,
  /** Of a plan: what it lets run, each once, in this order. */
  steps: list(
    z.object({
      request: text,
      protocol: text,
      text,
      operationsCount: count,
      copySentence: text,
      limitSentence: text,
      state: stateShape,
    }),
  ),
  copySentence: text,
  isCopied: z.boolean(),
  newestCopyAtMs: z.nullable(momentMs),
  limitSentence: text,
  guards: list(z.object({ id: text, why: text })),
  /** Whose people alone count, and who of them is asked. Null: everybody's. */
  quorum: z.nullable(z.object({ group: text, members: list(text) })),
  approvals: list(approvalShape),
  endedBy: z.nullable(text),
  /** Scope that it gave, and until when it stands. */
  standsUntilMs: z.nullable(momentMs),
  reviewDue: z.boolean(),
  /** The same agent asked for the same kind of thing on the same upstream. */
  similar: list(shownRequestShape),
})
export type RequestDetail = z.infer<typeof requestDetailShape>
