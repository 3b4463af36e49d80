import type { Json } from './canonical.ts'

/** Every kind of fact on the log. Closed. */
export const eventTypes = [
  'gate.started',
  'gate.stopped',
  'configuration.applied',
  'person.enrolled',
  'handle.issued',
  'handle.revoked',
  'door.refused',
  'session.opened',
  'session.closed',
  'statement',
  'reads',
  'decision',
  'request.opened',
  'request.approved',
  'request.rejected',
  'request.cancelled',
  'request.expired',
  'verdict',
  'verdict.refused',
  'grant.made',
  'grant.returned',
  'grant.void',
  'snapshot.sealed',
  'snapshot.failed',
  'snapshot.expired',
  'intent',
  'outcome',
  'undo',
  'quarantine.purge',
  'quarantine.purged',
  'quarantine.kept',
  'kill',
  'release',
  'alarm',
  'checkpoint.witnessed',
  'drill',
] as const
export type EventType = (typeof eventTypes)[number]

/** One fact on the log. `data` never carries a secret. */
export interface Event {
  readonly type: EventType
  readonly atMs: number
  readonly session?: string
  readonly agent?: string
  readonly data: { readonly [key: string]: Json }
}

export function eventJson(event: Event): Json {
  return {
    type: event.type,
    atMs: event.atMs,
    ...(event.session === undefined ? {} : { session: event.session }),
    ...(event.agent === undefined ? {} : { agent: event.agent }),
    data: event.data,
  }
}
