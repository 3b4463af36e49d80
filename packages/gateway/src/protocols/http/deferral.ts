import type { Clock, Handle } from '@sallyport/core'
import type { Origin } from './origin.ts'
import type { Message } from './upstreams.ts'

/** A request that waits for people, as it would be forwarded: what the gate sends itself once a delay that people gave it is over (DESIGN §3). */
export interface Deferral {
  /** Id of the access request. */
  readonly request: string
  /** Id of the handle it came with. */
  readonly handle: string
  readonly upstream: string
  readonly origin: Origin
  readonly message: Message
  readonly contentType: string
  readonly contentCodings: readonly string[]
}

/** One whose delay is over. */
export interface Due {
  readonly deferral: Deferral
  readonly agent: string
  /** The session that asked: what was killed meanwhile stays stopped. */
  readonly session: string
  /** Null: it expired or was revoked meanwhile. What nobody may send any more, the gate sends for nobody. */
  readonly handle: Handle | null
}

/** Deferrals, durable. */
export interface Deferrals {
  /** False when its request carries no delay, or has ended: then nothing is kept, and its agent sends it again. */
  keep(deferral: Deferral): Promise<boolean>
  /** Approved, not cancelled, their one use unused, and their delay over at `nowMs`. */
  due(nowMs: number): Promise<readonly Due[]>
  drop(request: string): Promise<void>
}

export interface DeferralSettings {
  readonly store: Deferrals
  readonly clock: Clock
  /** How often the gate looks for what is due. */
  readonly everyMs: number
}

/** Larger requests are not kept; their agents send them again. */
export const deferralBytesMax = 256 * 1024
