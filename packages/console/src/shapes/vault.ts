import * as z from 'zod/mini'
import { list } from './now.ts'

const text = z.string()
const count = z.number()
const momentMs = z.number()

/** One protected thing, and what it would take to have it back. */
const vaultTargetShape = z.object({
  name: text,
  kind: text,
  by: z.nullable(z.enum(['copy', 'stream'])),
  newestCopy: z.nullable(z.object({ snapshot: text, madeAtMs: momentMs, retainUntilMs: momentMs })),
  wouldLoseMs: z.nullable(count),
  restoreTookMs: z.nullable(count),
  lastDrill: z.nullable(z.object({ passed: z.boolean(), atMs: momentMs, why: text })),
  /** False: a drill is demanded before anything may be destroyed, and none passed in time. */
  drilled: z.boolean(),
  stream: z.nullable(
    z.object({
      state: text,
      why: z.nullable(text),
      behindBytes: z.nullable(count),
      durableAtMs: z.nullable(momentMs),
      provenAtMs: z.nullable(momentMs),
    }),
  ),
  copies: count,
  held: count,
})
export type ShownVaultTarget = z.infer<typeof vaultTargetShape>

export const vaultShape = z.object({
  nowMs: momentMs,
  copies: list(
    z.object({
      id: text,
      kind: text,
      upstream: text,
      madeAtMs: momentMs,
      rows: count,
      bytes: count,
      things: list(text),
      thingsInAll: count,
      retainUntilMs: momentMs,
    }),
  ),
  copiesInAll: count,
  bytesInAll: count,
  targets: list(vaultTargetShape),
  /** What keeping it takes, and will. Null: the vault does not say. */
  storage: z.nullable(
    z.object({
      bytes: count,
      walBytes: count,
      addedBytesPerDay: count,
      bytesIn30Days: count,
      quotaBytes: z.nullable(count),
      freeBytes: count,
    }),
  ),
  holds: list(z.object({ snapshot: text, upstream: z.nullable(text), reason: text })),
  worth: text,
  quarantined: list(z.object({ upstream: text, name: text, untilMs: z.nullable(momentMs) })),
  /** Why a part could not be asked for; empty when all is here. */
  problems: list(text),
})
export type VaultView = z.infer<typeof vaultShape>

/** Work on a kept thing, while it goes on and when it is over. */
export const jobShape = z.object({
  id: text,
  what: text,
  name: text,
  state: z.enum(['waiting', 'running', 'done', 'failed']),
  step: text,
  done: count,
  total: count,
  sentence: text,
})
export type JobView = z.infer<typeof jobShape>
