import { randomBytes } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { isOwnHost, SallyportError, type Clock } from '@sallyport/core'
import type { Config } from '../config.ts'
import { resolveReference } from '../reference.ts'
import { openEmbeddedStore } from '../store/embedded.ts'
import { openMeta } from '../store/meta.ts'
import { openPeople } from '../store/people.ts'
import type { Store } from '../store/store.ts'
import { resolvePostgres } from '../upstream-settings.ts'
import { readTarget, type Target } from '../upstreams/postgres/target.ts'

/** Which store this gate was used with last, in its own state, and the store's own name for itself. */
const identityName = 'store identity'

/** This machine's own store, or the one that the configuration names: always the one that this gate was used with before. */
export async function openStore(
  config: Config,
  database: DatabaseSync,
  gate: string,
  clock: Clock,
  report: (problem: string) => void,
): Promise<Store> {
  const known = openMeta(database).get(identityName)
  if (config.store === null) {
    if (known !== null) throw otherStore('it shared one before, and now sallyport.yaml names none')
    return openEmbeddedStore(database, clock)
  }
  const own = await openPeople(database).people.list()
  if (known === null && own.length > 0) throw otherStore('people are enrolled in its own')
  const url = await resolveReference(config.store, config.directory)
  await refuseGoverned(url, config)
  // Loaded only where it is used: a start is to be quick.
  const { openSharedStore } = await import('../store/postgres/index.ts')
  const store = await openSharedStore({ url, gate, report })
  try {
    await pin(store, database, known)
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

/** Who can write sallyport.yaml could otherwise name an empty store, in which nobody is enrolled and nothing was ever accepted. */
async function pin(store: Store, database: DatabaseSync, known: string | null): Promise<void> {
  const view = await store.view([identityName])
  await view.swap(identityName, null, randomBytes(16).toString('hex'))
  const identity = await store.facts.get(identityName)
  if (identity === null || (known !== null && known !== identity)) throw otherStore('this is another one than before')
  openMeta(database).set(identityName, identity)
}

function otherStore(why: string): SallyportError {
  return new SallyportError(
    'refused_by_guard',
    `This gate would use another store than before: ${why}.`,
    'The gate did not start: people, approvals and kills of before would not be in it.',
    'Put `store` in sallyport.yaml back. To move on purpose, start a gate with a new state folder; what the old one decided ends with it.',
  )
}

/**
 * What agents reach must not be where their grants are kept. Compared as written: a database under two addresses is not seen here.
 * @throws SallyportError when the store lies in the database of an upstream, or would be reached over a network without TLS
 */
async function refuseGoverned(url: string, config: Config): Promise<void> {
  const store = readStoreTarget(url)
  for (const { name, useUrl, protectUrl, asUrls } of await resolvePostgres(config)) {
    const targets = [useUrl, protectUrl, ...asUrls.values()].map((one) => readTarget(name, one))
    if (!targets.some((target) => isSamePlace(target, store))) continue
    throw new SallyportError(
      'refused_by_guard',
      `The store lies in the database of upstream ${name}, which agents reach.`,
      'The gate did not start: an agent could give itself a grant there.',
      'Give the store a database of its own, best on a server of its own, under a role that no upstream uses.',
    )
  }
}

function readStoreTarget(url: string): Target {
  try {
    return readTarget('store', url)
  } catch {
    throw new SallyportError(
      'store_unavailable',
      'What `store` refers to is no connection URL that can be used.',
      'The gate did not start.',
      'It is postgres://USER:PASSWORD@HOST:PORT/DATABASE; for another machine with ?sslmode=verify-full, since grants cross the network.',
    )
  }
}

function isSamePlace(left: Target, right: Target): boolean {
  const isSameHost = left.host === right.host || (isOwnHost(left.host) && isOwnHost(right.host))
  return isSameHost && left.port === right.port && left.database === right.database
}
