import type { Connector } from '@sallyport/core'
import { railwayHosts } from './endpoint.ts'
import { losing } from './losing.ts'

/** The parser and the tables are loaded by the first request that needs them. */
export const railway: Connector = {
  id: 'railway',
  protocol: 'http',
  describe: async (decoded, ask) => (await import('./describe.ts')).describe(decoded, ask),
  resolve: async (operations, upstream) => (await import('./resolve.ts')).resolve(operations, upstream),
  snapshot: async (operations, upstream, seal) => (await import('./snapshot.ts')).snapshot(operations, upstream, seal),
  losing: (type, id) => losing(type, id),
  restore: async (snapshot, upstream, report) => (await import('./restore.ts')).restore(snapshot, upstream, report),
}

/** The hosts this connector reads. */
export const hosts = railwayHosts

/** Loads parser and tables, so that the first request does not wait for them. */
export async function warm(): Promise<void> {
  await import('./describe.ts')
}
