import type { Event, EventType } from '@sallyport/core'

/** An event with its place on the log. */
export interface LoggedEvent {
  readonly index: number
  readonly event: Event
  /** Why somebody is told of it now, where that is not at once; a sentence of ours. */
  readonly rung?: string
}

/** Somewhere outside that is told what happened. Asked again with the same events until it did not throw: each arrives at least once. */
export interface Receiver {
  readonly name: string
  readonly wants: ReadonlySet<EventType>
  /** At once; those that tell people send one message each. */
  readonly batchMax: number
  /** Throws DeliveryError when it can't be sure that it arrived. Never quotes a secret, nor what the other side answered. */
  deliver(batch: readonly LoggedEvent[], signal: AbortSignal): Promise<void>
  /** What it keeps open besides; absent: nothing. */
  readonly attachment?: Attachment
}

/** A connection that a receiver keeps open by itself, for as long as the gate runs. */
export interface Attachment {
  start(): void
  close(): Promise<void>
  /** Why it is not open now; null: it is. */
  fault(): string | null
}

/** What people who are to answer have to hear of. */
export const questionTypes: readonly EventType[] = [
  'request.opened',
  'request.approved',
  'request.rejected',
  'request.cancelled',
  'request.expired',
  'alarm',
  'kill',
  'release',
  'person.removed',
  'person.restored',
  'quarantine.kept',
  'delivery.failed',
]

/** `final`: the same again would be refused again, so that what cannot be told does not hold up everything after it. */
export class DeliveryError extends Error {
  readonly final: boolean
  /** The other side asked not to be tried before this time is over. */
  readonly waitMs: number
  constructor(why: string, final = false, waitMs = 0) {
    super(why)
    this.name = 'DeliveryError'
    this.final = final
    this.waitMs = waitMs
  }
}
