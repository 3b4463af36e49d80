import type { Json } from './canonical.ts'

/** Every kind of fact on the log. Closed. */
export const eventTypes = [
  'gate.started',
  'gate.stopped',
  'configuration.applied',
  'configuration.proposed',
  'configuration.accepted',
  'configuration.withdrawn',
  'person.enrolled',
  'person.removed',
  'removal.confirmed',
  'person.restored',
  'person.connected',
  'passkey.added',
  'passkey.removed',
  'code.added',
  'code.removed',
  'handle.issued',
  'handle.narrowed',
  'handle.rotated',
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
  'request.rung',
  'request.held',
  'verdict',
  'verdict.refused',
  'glass.reviewed',
  'grant.made',
  'grant.standing',
  'grant.ended',
  'grant.returned',
  'grant.void',
  'snapshot.sealed',
  'snapshot.failed',
  'snapshot.expired',
  'protection.began',
  'protection.broken',
  'restore_point',
  'intent',
  'outcome',
  'undo',
  'quarantine.purge',
  'quarantine.purged',
  'quarantine.kept',
  'delivery.failed',
  'delivery.recovered',
  'kill',
  'release',
  'alarm',
  'checkpoint.witnessed',
  'log.key_rotated',
  'log.archived',
  'log.dropped',
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

/** @param salt of its entry on the log; nowhere else has it one */
export function eventJson(event: Event, salt?: string): Json {
  const { agent, atMs, data, session, type } = event
  // In the order in which they are written: nothing has to be sorted.
  if (agent !== undefined && session !== undefined && salt !== undefined) return { agent, atMs, data, salt, session, type }
  return {
    ...(agent === undefined ? {} : { agent }),
    atMs,
    data,
    ...(salt === undefined ? {} : { salt }),
    ...(session === undefined ? {} : { session }),
    type,
  }
}
