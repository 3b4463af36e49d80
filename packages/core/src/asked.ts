import type { Json } from './canonical.ts'
import type { Clearance } from './clearance.ts'
import type { Upstream } from './connector.ts'
import type { ErrorCode } from './error.ts'
import type { ImpactKind } from './impact.ts'
import type { Payload, ResolvedOperation } from './operation.ts'
import type { Session } from './session.ts'

/** What a protocol hands in: one bounded, complete, decoded request. */
export interface Asked {
  readonly session: Session
  readonly upstream: Upstream
  /** The connector that describes it. */
  readonly connector: string
  /** The connector's own input. */
  readonly decoded: Json
  readonly payload: Payload
  /** What a person is shown of it, whole. */
  readonly text: string
  /** The trace that the agent says it belongs to, `traceparent` of W3C Trace Context. Kept on the log, and no part of the digest. */
  readonly trace?: string
  /** Bind values as people and the log get them, where some must not be shown. Absent: those of the payload. */
  readonly shownBindValues?: readonly Json[]
  /**
   * What a verdict on this may be remembered by: upstream, agent, settings that change meaning, and the folded text. Null: never remembered.
   * The protocol promises that two requests with one key differ in nothing but digits of numbers (DESIGN §13).
   */
  readonly key: string | null
  /**
   * True when the key also names the upstream's catalog as it was found to be within the last 2 s, so that it changes when what names mean
   * does: what is remembered under it then lasts longer, and serves every session of the same agent. Absent: seconds, and this session.
   */
  readonly keyNamesCatalog?: boolean
  /**
   * Whether what was just looked up was looked up in the catalog that the key names. An open transaction may see an older one, or what it
   * made itself and nobody else sees: that is not remembered. Absent: the key names none.
   */
  confirmCatalog?(): Promise<boolean>
}

/** How a protocol takes part while govern works. */
export interface Attendance {
  /** Called once, at once, when an access request was opened or found: tell the client where to look. */
  pending(request: { readonly id: string; readonly url: string; readonly summary: string; readonly expiresAtMs: number }): void
  /** How long to wait for people before refusing with the request's id. */
  readonly waitMs: number
  /** Aborts when the client went away or was killed. */
  readonly signal: AbortSignal
}

export interface Refusal {
  readonly outcome: 'refused'
  readonly code: ErrorCode
  /** What happened, in a sentence. */
  readonly message: string
  readonly notDone: string
  readonly next: string
  readonly requestId?: string
  readonly requestUrl?: string
  readonly guards: readonly string[]
}

export interface Cleared {
  readonly outcome: 'cleared'
  /** `read`: a pure read, already counted on the log; the next one with the same key can be recalled. It needs no conclude. */
  readonly kind: ImpactKind
  readonly clearance: Clearance
  readonly operations: readonly ResolvedOperation[]
  /**
   * True when the statement must run inside the transaction that `hold` made and `settle` must be asked before that transaction commits,
   * because changed rows are counted, or what names meant is looked at once more.
   */
  readonly counted: boolean
}

/** What is said of a text that is to be shown to the upstream and not run (Parse, Describe). */
export interface Considered {
  readonly outcome: 'considered'
  /**
   * `now`: it would run as it stands, and that is on the log. `not_yet`: people, or a copy, come first; until it was asked about and cleared,
   * no byte of it may reach the upstream.
   */
  readonly may: 'now' | 'not_yet'
  /** It would do nothing but read, and may now. */
  readonly reads: boolean
}

/** What came of a cleared request. */
export type Outcome =
  | { readonly result: 'succeeded'; readonly rows?: number; readonly detail?: string }
  | { readonly result: 'failed'; readonly detail: string }
  | { readonly result: 'unknown'; readonly detail: string }

/** THE pipeline, as a protocol sees it. */
export interface Govern {
  /** decode is done; describe → resolve → decide → protect → clear. Never throws: what goes wrong is a refusal. */
  ask(asked: Asked, attendance: Attendance): Promise<Cleared | Refusal>
  /**
   * The only fast path: true when exactly this key was decided to be a read and nothing it depended on has changed.
   * Synchronous; counts the read on the log. Throws SallyportError when the log or the kill switch says stop.
   */
  recall(session: Session, key: string): boolean
  /**
   * Null unless `recall` said no of this very key for nothing but a log that is, or was, behind: resolves when the log has caught up, so that the
   * protocol recalls it then; rejects when the log has failed. Throws as `recall` does.
   */
  catchUp(session: Session, key: string): Promise<void> | null
  /** What `recall` would say, of a text that is prepared and not run: nothing is counted as read. */
  knows(session: Session, key: string): boolean
  /**
   * describe → resolve → decide, of a text that the upstream is to look at and not to run: opens no request, makes no copy, clears nothing.
   * Never throws: what goes wrong, or may never run, is a refusal.
   */
  consider(asked: Asked): Promise<Considered | Refusal>
  /**
   * After a counted statement ran and before its transaction commits: null when the rows it changed, cascades and triggers included, are within
   * bounds, and it ran on what was decided about; else the refusal, and the protocol must roll back.
   */
  settle(clearance: Clearance, upstream: Upstream): Promise<Refusal | null>
  /** Durable before it resolves. Every cleared request gets exactly one. */
  conclude(clearance: Clearance, outcome: Outcome): Promise<void>
}
