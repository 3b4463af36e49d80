import { baseManifestShape, lsnShape, parseLsn, type Json, type WalStream } from '@sallyport/core'
import { VaultFailure } from './failure.ts'
import { openManifest, toSnapshot } from './manifest.ts'
import { findManifest, needKey } from './restore.ts'
import { Store } from './store.ts'
import type { ReadableVault } from './vault-folder.ts'
import { describeChain, listChains, readWal, readWalExpiries } from './wal-reader.ts'

export interface StreamListing {
  readonly streams: readonly WalStream[]
  /** Base copies, newest first: what recovery starts with. */
  readonly bases: readonly {
    readonly snapshot: string
    readonly upstream: string
    readonly bytes: number
    readonly manifest: Json
  }[]
}

/** What can be restored to a moment, with no vault running. */
export async function listStreams(folder: ReadableVault): Promise<StreamListing> {
  const key = needKey(folder)
  const store = new Store(folder.path, key.chunkKeys, folder.stores)
  const expiries = await readWalExpiries(folder.stores, key.publicKey, () => undefined)
  const { chains } = await listChains(folder.stores, expiries)
  const streams: WalStream[] = []
  for (const chain of chains.values()) {
    const stream = await describeChain(folder.stores, key.publicKey, chain).catch(() => null)
    if (stream !== null) streams.push(stream)
  }
  const bases: StreamListing['bases'][number][] = []
  for (const name of (await store.manifestNames()).toReversed()) {
    const opened = await store
      .readManifest(name)
      .then((bytes) => openManifest(key, bytes))
      .catch(() => null)
    if (opened === null || opened.inside.kind !== 'base' || !baseManifestShape.safeParse(opened.inside.manifest).success) continue
    const { id, upstream, bytes } = toSnapshot(opened, 0)
    bases.push({ snapshot: id, upstream, bytes: Math.max(bytes, opened.outside.bytes), manifest: opened.inside.manifest })
  }
  return { streams, bases }
}

/** One part of a snapshot, or WAL of a stream, proven as it is read. */
export async function* readBytes(
  folder: ReadableVault,
  id: string,
  at: { readonly part: string } | { readonly from: string; readonly untilMs: number | null },
): AsyncGenerator<Buffer, void, undefined> {
  const key = needKey(folder)
  const store = new Store(folder.path, key.chunkKeys, folder.stores)
  if ('part' in at) {
    const { parts } = await findManifest(store, key, id)
    const part = parts.find(({ name }) => name === at.part)
    if (!part) throw new VaultFailure('not_found', 'This snapshot has no part of this name.')
    return yield* store.readPart(part)
  }
  const from = lsnShape.safeParse(at.from)
  if (!from.success) throw new VaultFailure('bad_request', '`--from` is a position such as 16/B374D848.')
  const expiries = await readWalExpiries(folder.stores, key.publicKey, () => undefined)
  const chain = (await listChains(folder.stores, expiries)).chains.get(id)
  if (!chain) throw new VaultFailure('not_found', 'There is no stream of this name.')
  yield* readWal(folder.stores, key, chain, parseLsn(from.data), at.untilMs)
}
