import type { Connector } from '@sallyport/core'
import { describe, warm as warmParser } from './describe.ts'

/** The steps that need a server are loaded when one is there: `explain` has none, and shall not wait for them. */
export const postgres: Connector = {
  id: 'postgres',
  protocol: 'postgres',
  describe,
  resolve: async (operations, upstream) => (await import('./reach-resolve.ts')).resolveReached(operations, upstream),
  snapshot: async (operations, upstream, seal) => (await import('./snapshot.ts')).snapshot(operations, upstream, seal),
  count: async (upstream) => (await import('./count.ts')).count(upstream),
  confirm: async (operations, upstream) => (await import('./confirm.ts')).confirm(operations, upstream),
  quarantined: async (upstream, known) => (await import('./quarantine-room.ts')).quarantined(upstream, known),
  moveAway: async (operations, upstream, quarantine) =>
    (await import('./quarantine-room.ts')).moveAway(operations, upstream, quarantine),
  purge: async (upstream, quarantine) => (await import('./quarantine-room.ts')).purge(upstream, quarantine),
  restore: async (snapshot, upstream, report) => (await import('./restore.ts')).restore(snapshot, upstream, report),
}

/** Starts the parser and loads every step, so that the first request does not wait for them. */
export async function warm(): Promise<void> {
  await Promise.all([
    warmParser(),
    import('./reach-resolve.ts'),
    import('./snapshot.ts'),
    import('./count.ts'),
    import('./confirm.ts'),
    import('./restore.ts'),
  ])
}
