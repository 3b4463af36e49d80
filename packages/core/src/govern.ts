import type { Clearance } from './clearance.ts'
import type { ErrorCode } from './error.ts'
import type { Json } from './canonical.ts'
import type { Upstream } from './connector.ts'
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
  readonly clearance: Clearance
  readonly operations: readonly ResolvedOperation[]
  /** True when the statement must run inside a transaction the gate can still roll back, because rows are counted before commit. */
  readonly counted: boolean
}

/** What came of a cleared request. */
export type Outcome =
  | { readonly result: 'succeeded'; readonly rows?: number; readonly detail?: string }
  | { readonly result: 'failed'; readonly detail: string }
  | { readonly result: 'unknown'; readonly detail: string }

/** A remembered read verdict. */
export interface RecalledRead {
  readonly key: string
}

/** THE pipeline, as a protocol sees it. */
export interface Govern {
  /** decode is done; describe → resolve → decide → protect → clear. Never throws: what goes wrong is a refusal. */
  ask(asked: Asked, attendance: Attendance): Promise<Cleared | Refusal>
  /**
   * The only fast path: true when exactly this key was decided to be a read and nothing it depended on has changed.
   * Synchronous; counts the read on the log. Throws SallyportError when the log or the kill switch says stop.
   */
  recall(session: Session, key: string): boolean
  /** Describes and decides once for a key that can be remembered; true when it is a permitted pure read. */
  remember(asked: Asked, key: string): Promise<boolean>
  /** Durable before it resolves. Every cleared request gets exactly one. */
  conclude(clearance: Clearance, outcome: Outcome): Promise<void>
}

