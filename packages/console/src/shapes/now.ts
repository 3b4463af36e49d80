import * as z from 'zod/mini'

/** What the control listener says to the app in the browser: one shape for both ends. Lists are bounded by whoever fills them. */
export const impactShape = z.enum(['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown'])

export const list = <Shape extends z.core.SomeType>(shape: Shape): z.ZodMiniReadonly<z.ZodMiniArray<Shape>> =>
  z.readonly(z.array(shape))

/** Operations by what they do, and those that were refused. */
export const countsShape = z.object({
  read: z.number(),
  write: z.number(),
  disrupt: z.number(),
  escalate: z.number(),
  destroy: z.number(),
  unknown: z.number(),
  refused: z.number(),
})
export type Counts = z.infer<typeof countsShape>
export type CountedAs = keyof Counts

/** Mildest first; the order in which plots stack and lists name them. */
export const countedKinds: readonly CountedAs[] = ['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown', 'refused']

export const shownLineShape = z.object({
  index: z.number(),
  atMs: z.number(),
  type: z.string(),
  what: z.string(),
  tone: z.enum(['calm', 'warn', 'danger']),
  detail: z.string(),
  agent: z.nullable(z.string()),
  session: z.nullable(z.string()),
})
export type ShownLine = z.infer<typeof shownLineShape>

export const shownSessionShape = z.object({
  id: z.string(),
  agent: z.string(),
  owner: z.string(),
  upstream: z.string(),
  protocol: z.string(),
  peer: z.string(),
  openedAtMs: z.number(),
})
export type ShownSession = z.infer<typeof shownSessionShape>

export const shownKillShape = z.object({
  id: z.string(),
  scope: z.object({ kind: z.enum(['session', 'agent', 'owner', 'upstream', 'all']), id: z.string() }),
  sentence: z.string(),
  reason: z.string(),
  by: z.string(),
  atMs: z.number(),
})
export type ShownKill = z.infer<typeof shownKillShape>

export const shownRequestShape = z.object({
  id: z.string(),
  state: z.enum(['pending', 'cooling', 'approved', 'rejected', 'expired', 'cancelled']),
  kind: impactShape,
  headline: z.string(),
  further: list(z.string()),
  glance: z.string(),
  agent: z.string(),
  owner: z.string(),
  upstream: z.string(),
  environment: z.string(),
  approvals: z.number(),
  approvalsNeeded: z.number(),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
  notBeforeMs: z.nullable(z.number()),
})
export type ShownRequest = z.infer<typeof shownRequestShape>

/** What one agent did on one upstream within the last hour. */
export const actedShape = z.object({
  agent: z.string(),
  /** Null: its session was opened before the counting began. */
  upstream: z.nullable(z.string()),
  counts: countsShape,
  lastAtMs: z.number(),
})
export type Acted = z.infer<typeof actedShape>

/** What every page says beside its own matter: how many wait, and what is stopped, as text that is ready to be shown. */
export const signsShape = z.object({ waiting: z.number(), stopped: list(z.string()), isProposed: z.boolean() })
export type SignsView = z.infer<typeof signsShape>

/** Operations of one minute. */
export const minuteShape = z.object({ startMs: z.number(), counts: countsShape })
export type Minute = z.infer<typeof minuteShape>

export const nowShape = z.object({
  nowMs: z.number(),
  person: z.string(),
  mode: z.enum(['solo', 'team']),
  isolationLevel: z.number(),
  warnings: list(z.string()),
  isProposed: z.boolean(),
  sessions: list(shownSessionShape),
  /** More than are listed. */
  sessionsInAll: z.number(),
  kills: list(shownKillShape),
  agents: list(z.object({ name: z.string(), owner: z.string() })),
  waiting: list(shownRequestShape),
  waitingInAll: z.number(),
  acting: list(actedShape),
  /** By name. */
  environments: z.record(z.string(), z.string()),
  /** What the gate refused or rang about, newest first. */
  refused: list(shownLineShape),
  lines: list(shownLineShape),
  minutes: list(minuteShape),
  totals: countsShape,
  logSize: z.number(),
})
export type NowView = z.infer<typeof nowShape>

/** What the stream says, at most four times a second. Totals are absolute, so that a message that is lost loses nothing. */
export const liveShape = z.object({
  nowMs: z.number(),
  logSize: z.number(),
  totals: countsShape,
  minute: minuteShape,
  lines: list(shownLineShape),
  /** Who acted last; whoever is not among them did nothing since. */
  acting: list(actedShape),
  /** Events that are on the log and not among the lines. */
  skipped: z.number(),
  /** Sessions, kills, requests or the configuration are no longer what they were. */
  changed: z.boolean(),
})
export type LiveMessage = z.infer<typeof liveShape>
