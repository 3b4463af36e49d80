import type { DatabaseSync } from 'node:sqlite'
import type { Clock } from '@sallyport/core'
import type { Config } from '../config.ts'
import { resolveReference } from '../reference.ts'
import { openEmbeddedStore } from '../store/embedded.ts'
import type { Store } from '../store/store.ts'

/** This machine's own store, or the one that the configuration names. */
export async function openStore(
  { store, directory }: Config,
  database: DatabaseSync,
  gate: string,
  clock: Clock,
  report: (problem: string) => void,
): Promise<Store> {
  if (store === null) return openEmbeddedStore(database, clock)
  // Loaded only where it is used: a start is to be quick.
  const { openSharedStore } = await import('../store/postgres/index.ts')
  return openSharedStore({ url: await resolveReference(store, directory), gate, report })
}
