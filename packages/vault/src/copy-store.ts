import { rmSync } from 'node:fs'
import { forEachWide } from './disk.ts'
import { toFailure, VaultFailure } from './failure.ts'
import type { Finding } from './trace-book.ts'

/** Bytes as a store holds them under one name. A name can have several: an overwrite that the store let happen, or a repair, adds one. */
export interface Version {
  readonly name: string
  /** How this store tells them apart. Means nothing elsewhere. */
  readonly version: string
  readonly bytes: number
}

/** A file in staging and the name it is to have for good. */
export interface Staged {
  readonly name: string
  readonly path: string
  /** False: its bytes may still be on their way to the disk. */
  readonly durable: boolean
}

/** A small document, and where the store may stage it: nothing lies there. */
export interface SmallDocument {
  readonly name: string
  readonly bytes: Uint8Array
  readonly stagingPath: string
}

export interface Held {
  readonly bytes: Buffer
  /** Until when the store itself refuses to remove this version; 0 when it would remove it now. */
  readonly retainUntilMs: number
}

/**
 * A place that copies lie in. What is put stays, as it was put, until its retention ends: nothing here shortens or overwrites. Names are
 * relative paths that the vault makes (`chunks/…`, `manifests/…`, …). Every method throws VaultFailure `storage_failed` when the store fails.
 */
export interface CopyStore {
  /** For people, and to tell two stores apart. */
  readonly place: string
  /** Who could still remove a copy before its time, in one sentence. */
  readonly worth: string
  /** Whether the store itself enforces retention, so that a lock that ends too soon is damage. */
  readonly locks: boolean
  /** Makes what is missing and checks that this store can keep what it promises. Nothing may be put before. @throws VaultFailure when it cannot */
  prepare(): Promise<void>
  /** Puts each file as a new version under its name. Durable, and locked until then, when it resolves; the lock counts once `get` or `head` told it. */
  put(staged: readonly Staged[], retainUntilMs: number): Promise<void>
  /**
   * As `put` of one small document, by the shortest way that this store has, and what of it then lies there: somebody waits for it. Null when the name
   * is taken, and nothing was put. Absent: there is no shorter way.
   */
  putSmall?(document: SmallDocument, retainUntilMs: number): Promise<Held | null>
  /** Whether `fasten` does anything here. */
  readonly fastens: boolean
  /** Makes what lies under these names unremovable as far as this store can besides its lock, once nothing else has to be done with it. */
  fasten(names: readonly string[]): Promise<void>
  /** What lies under a name, oldest first: what came later can't hide what was sealed. */
  versions(name: string): Promise<readonly Version[]>
  /** Null when it is not there. @throws VaultFailure `damaged` when it is larger than `bytesMax` or no plain bytes */
  get(version: Version, bytesMax: number): Promise<Held | null>
  /** Until when this version is kept, as the store now says. */
  head(version: Version): Promise<number>
  /** Keeps a version for longer. What it comes to is for `head` to say. */
  extend(version: Version, retainUntilMs: number): Promise<void>
  /** Every version whose name begins with this, in no order that counts. */
  list(prefix: string): AsyncIterable<Version>
  /** Where a person finds this version. */
  describe(version: Version): string
  /** Names under which something was put in order to hide what lies there: delete markers. */
  hidden(): AsyncIterable<string>
  /** What lies here, lacks or is hidden though this process did not do it, against what it opened and has put since. Reads only. */
  inspect(): AsyncIterable<Omit<Finding, 'place'>>
  /** How this place is set up, as far as somebody else could change that: what, and its value as a person reads it. */
  setup(): Promise<Readonly<Record<string, string>>>
  /** Removes a version whose retention has ended. @throws VaultFailure `retention_in_force` */
  remove(version: Version, nowMs: number): Promise<void>
}

/** Stores keep time in whole seconds, and never less than was asked. */
export function wholeSeconds(timeMs: number): number {
  return Math.ceil(timeMs / 1000) * 1000
}

/** The oldest version of a name that `isWhole` takes, wherever it lies; null when there is none. */
export async function readWholeVersion(
  stores: readonly CopyStore[],
  name: string,
  bytesMax: number,
  isWhole: (bytes: Buffer) => boolean,
): Promise<Buffer | null> {
  let failure: VaultFailure | null = null
  for (const store of stores) {
    try {
      for (const version of await store.versions(name)) {
        const held = await getUnlessDamaged(store, version, bytesMax)
        if (held && isWhole(held.bytes)) return held.bytes
      }
    } catch (error) {
      failure = toFailure(error)
    }
  }
  if (failure) throw failure
  return null
}

/** Names under a prefix, each once, sorted, from all stores. */
export async function listNames(stores: readonly CopyStore[], prefix: string): Promise<readonly string[]> {
  const names = new Set<string>()
  for (const store of stores) for await (const { name } of store.list(prefix)) names.add(name)
  return [...names].sort()
}

/**
 * Makes sure that a store holds these bytes whole until then: reads back what is there and its retention, extends what ends sooner, and puts
 * what is missing or rotted. Only what was read back counts.
 */
export async function keepWhole(
  store: CopyStore,
  staged: Staged,
  retainUntilMs: number,
  bytesMax: number,
  isWhole: (bytes: Buffer) => boolean,
): Promise<Buffer> {
  for (const attempt of ['there', 'put'] as const) {
    if (attempt === 'put') await store.put([staged], retainUntilMs)
    for (const version of await store.versions(staged.name)) {
      const held = await getUnlessDamaged(store, version, bytesMax)
      if (!held || !isWhole(held.bytes)) continue
      if (held.retainUntilMs < retainUntilMs) await extendProven(store, version, retainUntilMs)
      return held.bytes
    }
  }
  throw new VaultFailure('read_back_failed', `${staged.name} did not read back as written from ${store.place}.`)
}

/** Extends, and believes only what the store says afterwards. */
export async function extendProven(store: CopyStore, version: Version, retainUntilMs: number): Promise<void> {
  await store.extend(version, retainUntilMs)
  if ((await store.head(version)) < retainUntilMs)
    throw new VaultFailure('read_back_failed', `${store.place} did not keep ${version.name} for as long as it was told to.`)
}

/** Puts those of the files that a store has no version of, together: that is how it is fastest. Others are judged by reading them. */
export async function putMissing(store: CopyStore, staged: readonly Staged[], retainUntilMs: number): Promise<void> {
  const missing: Staged[] = []
  await forEachWide(staged, 16, async (one) => {
    if ((await store.versions(one.name)).length === 0) missing.push(one)
  })
  if (missing.length > 0) await store.put(missing, retainUntilMs)
}

/** Puts a small document into each store by the shortest way that it has, and reads it back. The stores that do not hold it whole by that. */
export async function putSmallWhole(
  stores: readonly CopyStore[],
  document: SmallDocument,
  retainUntilMs: number,
): Promise<readonly CopyStore[]> {
  const rest: CopyStore[] = []
  for (const store of stores) {
    rmSync(document.stagingPath, { force: true })
    const held = await store.putSmall?.(document, retainUntilMs)
    if (!held || held.retainUntilMs < retainUntilMs || !held.bytes.equals(document.bytes)) rest.push(store)
  }
  return rest
}

/** What cannot be read as bytes at all is damage of that version, not of the store. */
export async function getUnlessDamaged(store: Pick<CopyStore, 'get'>, version: Version, bytesMax: number): Promise<Held | null> {
  try {
    return await store.get(version, bytesMax)
  } catch (error) {
    if (error instanceof VaultFailure && error.code === 'damaged') return null
    throw error
  }
}
