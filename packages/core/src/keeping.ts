import type { SnapshotKind } from './snapshot.ts'
import type { CheckedAnswer, PutBack } from './producer.ts'
import type { ErrorCode } from './error.ts'

/** What came of one restore drill. It passed only when a copy was really restored, compared, and every question of the operator's answered. */
export interface DrillRecord {
  readonly passed: boolean
  readonly atMs: number
  /** Null: there was none. */
  readonly snapshot: string | null
  readonly snapshotMadeAtMs: number | null
  readonly retainUntilMs: number | null
  /** From the first byte read to the last table compared. */
  readonly restoreMs: number
  readonly rows: number
  readonly compared: number
  readonly answers: readonly CheckedAnswer[]
  /** What it was restored to, or why it failed. */
  readonly why: string
}

/** How one kept thing stands: what would be lost right now, and how long bringing it back took. */
export interface RecoveryTarget {
  readonly name: string
  readonly kind: SnapshotKind
  readonly newestCopy: {
    readonly snapshot: string
    readonly madeAtMs: number
    readonly rows: number
    readonly bytes: number
  } | null
  /** Age of the newest proven copy (RPO). Null: everything would be lost. */
  readonly wouldLoseMs: number | null
  /** How long the last restore that passed took (RTO). Null: none has. */
  readonly restoreTookMs: number | null
  readonly lastDrill: DrillRecord | null
  readonly copyEveryMs: number | null
  readonly drillEveryMs: number | null
  /** Within how long before something is destroyed a drill must have passed. Null: that is not demanded. */
  readonly demandMs: number | null
  /** False: a demand is not met, and nothing may be destroyed. */
  readonly drilled: boolean
}

export interface KeepingOrder {
  readonly what: 'copy' | 'drill' | 'extract' | 'restore'
  readonly name: string
  /** For `extract`: out of which snapshot (null: the newest), and which thing. */
  readonly snapshot: string | null
  readonly thing: string | null
  /** For `restore`: before every name; null: where it was. */
  readonly beside?: string | null
}

/** Work that takes as long as it takes; whoever ordered it asks for it. */
export interface KeepingJob {
  readonly id: string
  readonly order: KeepingOrder
  readonly state: 'waiting' | 'running' | 'done' | 'failed'
  readonly startedAtMs: number
  readonly endedAtMs: number | null
  readonly step: string
  readonly done: number
  readonly total: number
  readonly result: KeepingResult | null
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly notDone: string; readonly next: string } | null
}

export type KeepingResult =
  | { readonly what: 'copy'; readonly snapshot: string; readonly rows: number; readonly bytes: number; readonly things: number }
  | { readonly what: 'drill'; readonly drill: DrillRecord }
  | ({ readonly what: 'restore' } & PutBack)
  | { readonly what: 'extract'; readonly file: string; readonly rows: number; readonly sha256: string }

/** The gate's keeping of whole things, as people may ask it. */
export interface Keeping {
  targets(): Promise<readonly RecoveryTarget[]>
  /** Begins it, behind what was begun before. @throws SallyportError for a name that is not kept */
  begin(order: KeepingOrder, by: string): KeepingJob
  job(id: string): KeepingJob | null
}

/** One protected thing, and what it would take to have it back: from its whole copies, or from its stream, whichever loses less. */
export interface VaultTarget {
  readonly name: string
  readonly kind: SnapshotKind
  /** What brings it back closest to now. Null: nothing does. */
  readonly by: 'copy' | 'stream' | null
  /** Made and proven; of a stream, the base copy that it goes on from. */
  readonly newestCopy: { readonly snapshot: string; readonly madeAtMs: number; readonly retainUntilMs: number } | null
  /** What would be lost right now (RPO). Null: all of it. Of a stream whose last byte is in the vault: nothing. */
  readonly wouldLoseMs: number | null
  /** How long the last restore that passed took (RTO). Null: none has. */
  readonly restoreTookMs: number | null
  readonly lastDrill: { readonly passed: boolean; readonly atMs: number; readonly why: string } | null
  /** False: a drill is demanded before anything may be destroyed, and none passed in time. */
  readonly drilled: boolean
  /** Null: not protected continuously. */
  readonly stream: {
    readonly state: string
    readonly why: string | null
    readonly behindBytes: number | null
    readonly durableAtMs: number | null
    readonly provenAtMs: number | null
  } | null
  /** Sealed snapshots of it, of any kind. */
  readonly copies: number
  /** Snapshots of it that somebody holds. */
  readonly held: number
}

/** What is protected, what it would cost to lose it, and what keeping it costs. */
export interface VaultTargets {
  readonly atMs: number
  readonly targets: readonly VaultTarget[]
  /** Null: the vault does not answer, and `problem` says why. */
  readonly storage: {
    readonly bytes: number
    readonly walBytes: number
    readonly addedBytesPerDay: number
    readonly bytesIn30Days: number
    readonly quotaBytes: number | null
    readonly freeBytes: number
  } | null
  readonly holds: readonly { readonly snapshot: string; readonly upstream: string | null; readonly reason: string }[]
  /** What the places of the copies are worth. */
  readonly worth: string
  readonly problem: string | null
}
