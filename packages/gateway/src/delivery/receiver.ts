import type { Event, EventType } from '@sallyport/core'

/** An event with its place on the log. */
export interface LoggedEvent {
  readonly index: number
  readonly event: Event
}

/** Somewhere outside that is told what happened. Asked again with the same events until it did not throw: each arrives at least once. */
export interface Receiver {
  readonly name: string
  readonly wants: ReadonlySet<EventType>
  /** At once; those that tell people send one message each. */
  readonly batchMax: number
  /** Throws DeliveryError when it can't be sure that it arrived. Never quotes a secret, nor what the other side answered. */
  deliver(batch: readonly LoggedEvent[], signal: AbortSignal): Promise<void>
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
  constructor(why: string, final = false) {
    super(why)
    this.name = 'DeliveryError'
    this.final = final
  }
}
