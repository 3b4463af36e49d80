import * as z from 'zod/mini'
import { impactShape, list, shownLineShape } from './now.ts'

const text = z.string()
const count = z.number()
const momentMs = z.number()

export const scopeLineShape = z.object({
  /** As it stands in sallyport.yaml. */
  line: text,
  sentence: text,
  uses: count,
  lastAtMs: z.nullable(momentMs),
})

export const agentsShape = z.object({
  nowMs: momentMs,
  /** Use is counted from here on. */
  countedFromMs: z.nullable(momentMs),
  agents: list(
    z.object({
      name: text,
      owner: text,
      handleMs: count,
      sessions: count,
      scopes: list(scopeLineShape),
      used: list(
        z.object({ action: text, kind: impactShape, upstream: z.nullable(text), ran: count, asked: count, lastAtMs: momentMs }),
      ),
      usedInAll: count,
      handles: list(
        z.object({
          id: text,
          parent: z.nullable(text),
          issuedAtMs: momentMs,
          expiresAtMs: momentMs,
          narrowedTo: z.nullable(text),
        }),
      ),
    }),
  ),
})
export type AgentsView = z.infer<typeof agentsShape>

export const controlShape = z.object({
  name: text,
  state: z.enum(['holds', 'partly', 'missing']),
  sentence: text,
})

export const targetShape = z.object({
  name: text,
  kind: text,
  newestAtMs: z.nullable(momentMs),
  wouldLoseMs: z.nullable(count),
  restoreTookMs: z.nullable(count),
  drill: z.nullable(z.object({ passed: z.boolean(), atMs: momentMs, why: text })),
  copyEveryMs: z.nullable(count),
  drillEveryMs: z.nullable(count),
})

export const upstreamsShape = z.object({
  nowMs: momentMs,
  upstreams: list(
    z.object({
      name: text,
      protocol: text,
      connector: text,
      environment: text,
      hosts: list(text),
      sessions: count,
      controls: list(controlShape),
      target: z.nullable(targetShape),
      /** What continuous protection says, name and value. */
      continuous: list(z.object({ name: text, value: text })),
    }),
  ),
  /** Kept whole, and no upstream. */
  others: list(targetShape),
})
export type UpstreamsView = z.infer<typeof upstreamsShape>

export const logPageShape = z.object({
  nowMs: momentMs,
  size: count,
  lines: list(shownLineShape),
  /** Where to search on, towards older ones; null: the beginning was reached. */
  nextBefore: z.nullable(count),
  scanned: count,
})
export type LogPage = z.infer<typeof logPageShape>

export const entryShape = z.object({
  nowMs: momentMs,
  line: shownLineShape,
  /** The whole event, as JSON, laid out. */
  event: text,
  /** Events of the same operation, oldest first. */
  story: list(shownLineShape),
})
export type EntryView = z.infer<typeof entryShape>

export const provenShape = z.nullable(
  z.object({ index: count, entry: text, size: count, proof: list(text), checkpoint: text, key: text }),
)

export const peopleShape = z.object({
  nowMs: momentMs,
  mode: z.enum(['solo', 'team']),
  me: text,
  people: list(
    z.object({
      name: text,
      passkeys: count,
      enrolledAtMs: momentMs,
      admission: text,
      agents: list(text),
      approved: count,
      rejected: count,
      /** Half of the verdicts took longer; null: none was given. */
      medianWaitMs: z.nullable(count),
    }),
  ),
  removed: list(z.object({ name: text, by: text, atMs: momentMs })),
  invitations: count,
  /** Who is rung first, by rotation. */
  onCall: list(
    z.object({ name: text, zone: text, person: z.nullable(text), untilMs: z.nullable(momentMs), next: z.nullable(text) }),
  ),
  unknownOwners: list(z.object({ owner: text, agents: list(text) })),
})
export type PeopleView = z.infer<typeof peopleShape>
