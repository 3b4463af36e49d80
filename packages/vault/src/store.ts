import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  addressOf,
  boxOverheadBytes,
  chunkBytesMax,
  decryptBox,
  encryptBox,
  encryptDelta,
  type ChunkKeys,
  type FindBase,
} from './chunk.ts'
import {
  extendProven,
  getUnlessDamaged,
  keepWhole,
  putMissing,
  putSmallWhole,
  readWholeVersion,
  type CopyStore,
  type Version,
} from './copy-store.ts'
import { forEachWide, readWhole, syncFolder, writeOnce, writeSoon } from './disk.ts'
import { VaultFailure } from './failure.ts'
import { inOrder } from './in-order.ts'
import { manifestBytesMax, type ChunkReference, type Part } from './manifest.ts'
import { markOf, SimilarChunks } from './similar-chunks.ts'
import { addressesOf, chunkName, listManifests, manifestName, type ManifestName } from './thing-name.ts'

const boxBytesMax = chunkBytesMax + boxOverheadBytes
const widthMax = 8

/** What one seal has in staging. */
export interface StagedSeal {
  readonly seal: string
  /** One write per address, however often the chunk comes. */
  readonly writes: Map<string, Promise<void>>
  /** Written, but not yet durable. */
  readonly unsynced: Set<string>
}

/** Chunks up to this size are made durable together when the seal is finished; larger ones as they come, at the pace of the disk. */
const smallBytesMax = 64 << 10

/** Smaller chunks are stored whole: telling them by others saves too little. */
const toldBytesMin = 4 << 10
/** A chunk is told by another when that takes at most this share of the room it would take itself. */
const toldShareMax = 0.5
/** Chunks of a part that are read ahead of whoever takes them, at most 512 KiB each. */
const chunksReadAhead = 4
/** Plaintexts of bases that are kept at hand. */
const basesHeldMax = 16

/** A chunk on its way into staging. */
export interface MarkedChunk {
  readonly plain: Buffer
  /** By what a later copy finds it again. */
  readonly mark: Buffer
  /** Address of a chunk of an earlier copy that was in about the same place. */
  readonly near: string | null
  /** Addresses of the chunks that it is to be told by, if that saves enough. */
  readonly bases: readonly string[]
}

/** Where copies lie: staging in the vault's folder, and every store that each copy goes to. A copy counts once all of them hold it. */
export class Store {
  readonly #folder: string
  readonly #keys: ChunkKeys
  readonly #bases = new Map<string, Buffer>()
  readonly #seals = new Map<string, StagedSeal>()
  /** Chunks that are being removed right now. */
  readonly #leaving = new Map<string, Promise<void>>()
  readonly stores: readonly CopyStore[]
  readonly similar = new SimilarChunks()
  constructor(folder: string, keys: ChunkKeys, stores: readonly CopyStore[]) {
    this.#folder = folder
    this.#keys = keys
    this.stores = stores
  }

  /** Makes the folders that are missing and clears what unfinished seals left behind. */
  async prepare(): Promise<void> {
    await rm(this.#staging(), { recursive: true, force: true })
    for (const name of ['staging', 'witness']) await mkdir(join(this.#folder, name), { recursive: true, mode: 0o700 })
    await syncFolder(this.#folder)
    for (const store of this.stores) await store.prepare()
  }

  async beginSeal(seal: string): Promise<StagedSeal> {
    const staged = { seal, writes: new Map<string, Promise<void>>(), unsynced: new Set<string>() }
    this.#seals.set(seal, staged)
    await mkdir(this.#staging(seal), { mode: 0o700 })
    return staged
  }

  /** Removes the staging folder of one seal; what was put out of it stays. */
  async clearSeal(seal: string): Promise<void> {
    this.#seals.delete(seal)
    await rm(this.#staging(seal), { recursive: true, force: true })
  }

  /** By what a chunk is found again, and which ones it may be told by. `before` is what the chunk before it in its part was near to. */
  mark(plain: Buffer, before: string | null): MarkedChunk {
    const mark = markOf(this.#keys, plain)
    const same = this.similar.findSame(mark)
    const similar = same ? [] : this.similar.findSimilar(mark, plain.length, before).map(({ address }) => address)
    // One that is here whole is stored whole again, which costs nothing; small ones save too little.
    const bases = plain.length < toldBytesMin ? [] : same ? (same.bases ?? []) : similar
    return { plain, mark, near: bases.at(-1) ?? same?.address ?? null, bases }
  }

  /** Encrypts a chunk and writes it to the staging of its seal: whole, or told by others that lie here already. */
  async stageChunk(staged: StagedSeal, { plain, bases }: MarkedChunk): Promise<ChunkReference> {
    const told = bases.length === 0 ? null : await this.#tell(staged, plain, bases)
    if (told) return told
    const box = await encryptBox(this.#keys, 'chunk', plain)
    const address = await this.#stageBox(staged, box)
    return { address, bytes: plain.length, stored: box.length }
  }

  /** A chunk by others that are like it, where that saves room; null where it does not. */
  async #tell(staged: StagedSeal, plain: Buffer, addresses: readonly string[]): Promise<ChunkReference | null> {
    const boxes = (await Promise.all(addresses.map((address) => this.#readBox(address)))).filter((box) => box !== null)
    // A base that has rotted is no base.
    if (boxes.length < addresses.length) return null
    const plains = await Promise.all(boxes.map((box) => decryptBox(this.#keys, 'chunk', box)))
    const delta = await encryptDelta(
      this.#keys,
      plain,
      addresses.map((address, index) => ({ address, plain: plains[index] ?? Buffer.alloc(0) })),
    )
    // Told only where that is much smaller than it would be whole, to judge by its bases: each chunk told is more to lose by one that rots.
    const density = sumOf(boxes) / sumOf(plains)
    if (delta.length > toldShareMax * density * plain.length) return null
    // Staged as well, so that they can be put again into a store that has lost them.
    for (const box of boxes) await this.#stageBox(staged, box)
    const address = await this.#stageBox(staged, delta)
    return { address, bytes: plain.length, stored: delta.length, bases: [...addresses] }
  }

  async #stageBox(staged: StagedSeal, box: Buffer): Promise<string> {
    const address = addressOf(box)
    const path = join(this.#staging(staged.seal), address)
    const soon = box.length <= smallBytesMax
    const writing = staged.writes.get(address) ?? (soon ? writeSoon(path, box) : writeOnce(path, box))
    staged.writes.set(address, writing)
    try {
      await writing
      if (soon) staged.unsynced.add(address)
      return address
    } catch (error) {
      // A half-written file must not stand in the way of another try.
      staged.writes.delete(address)
      await rm(path, { force: true })
      throw error
    }
  }

  /** Plaintext of a chunk that is still in staging, as it now lies there. */
  async readStaged(seal: string, chunk: ChunkReference): Promise<Buffer> {
    const box = await readWhole(join(this.#staging(seal), chunk.address), boxBytesMax)
    if (addressOf(box) !== chunk.address)
      throw new VaultFailure('read_back_failed', `Chunk ${chunk.address} did not read back as written.`)
    return await this.#open(box, chunk)
  }

  /** Gives staged chunks their place for good, where it is not theirs already. They count once `readBack` read them from there. */
  async keepChunks(staged: StagedSeal, chunks: readonly ChunkReference[], retainUntilMs: number): Promise<void> {
    const all = addressesOf(chunks).map((address) => this.#stagedChunk(staged, address))
    await Promise.all(this.stores.map((store) => putMissing(store, all, retainUntilMs)))
  }

  /** A chunk as every store holds it, kept until then in all of them; what was there before and has rotted is put again. Its plaintext. */
  async readBack(staged: StagedSeal, chunk: ChunkReference, retainUntilMs: number): Promise<Buffer> {
    const [box] = await Promise.all([
      this.#keepBox(staged, chunk.address, retainUntilMs),
      ...(chunk.bases ?? []).map((base) => this.#keepBox(staged, base, retainUntilMs)),
    ])
    return await this.#open(box, chunk)
  }

  async #keepBox(staged: StagedSeal, address: string, retainUntilMs: number): Promise<Buffer> {
    // It was staged, so no removal begins any more; one that has begun must have ended, or it would take away what was read back.
    await this.#leaving.get(address)
    const thing = this.#stagedChunk(staged, address)
    const isWhole = (box: Buffer): boolean => addressOf(box) === address
    const boxes = await Promise.all(this.stores.map((store) => keepWhole(store, thing, retainUntilMs, boxBytesMax, isWhole)))
    const [box] = boxes
    if (!box) throw new VaultFailure('storage_failed', 'The vault has no store.')
    return box
  }

  /** Plaintext of a sealed chunk. @throws VaultFailure `damaged` when no whole copy of it is left */
  async readChunk(chunk: ChunkReference): Promise<Buffer> {
    const box = await this.#readBox(chunk.address)
    if (!box) throw new VaultFailure('damaged', `Chunk ${chunk.address} is missing or damaged.`)
    return await this.#open(box, chunk)
  }

  async #readBox(address: string): Promise<Buffer | null> {
    return await readWholeVersion(this.stores, chunkName(address), boxBytesMax, (bytes) => addressOf(bytes) === address)
  }

  /** Plaintext of a chunk that others are told by. Bases of one part come one after the other, and often again. */
  readonly findBase: FindBase = async (address) => {
    const known = this.#bases.get(address)
    if (known) return known
    const box = await this.#readBox(address)
    if (!box) throw new VaultFailure('damaged', `Chunk ${address}, by which another is told, is missing or damaged.`)
    const plain = await decryptBox(this.#keys, 'chunk', box)
    const [oldest] = this.#bases.keys()
    if (this.#bases.size >= basesHeldMax && oldest !== undefined) this.#bases.delete(oldest)
    this.#bases.set(address, plain)
    return plain
  }

  /** A part of a sealed snapshot, chunk after chunk. */
  async *readPart(part: Part): AsyncGenerator<Buffer, void, undefined> {
    yield* inOrder(part.chunks, chunksReadAhead, (chunk) => this.readChunk(chunk))
  }

  /** Puts a manifest in its place. Durable when it resolves; from then on the snapshot exists. */
  async keepManifest(seal: string, name: ManifestName, bytes: Uint8Array, retainUntilMs: number): Promise<void> {
    await this.#keepDocument(join(seal, 'manifest'), manifestName(name), bytes, retainUntilMs)
  }

  /** Puts a small signed document in its place. Durable when it resolves. */
  async keepRecord(name: string, bytes: Uint8Array, retainUntilMs: number): Promise<void> {
    const staging = name.replaceAll('/', '-')
    const stagingPath = this.#staging(staging)
    const rest = await putSmallWhole(this.stores, { name, bytes, stagingPath }, retainUntilMs)
    if (rest.length > 0) {
      await rm(stagingPath, { force: true })
      await this.#keepDocument(staging, name, bytes, retainUntilMs, rest)
      await rm(stagingPath, { force: true })
    }
    await this.fasten([name])
  }

  get fastens(): boolean {
    return this.stores.some(({ fastens }) => fastens)
  }

  /** Fastens things that no name in staging belongs to any more: a file that is fastened cannot lose one. */
  async fasten(names: readonly string[]): Promise<void> {
    for (const store of this.stores) await store.fasten(names)
  }

  /**
   * Copies a snapshot into the stores that lack its manifest: a crash may have come between two stores, or one was added later. The manifest
   * last: where it lies, everything it needs lies too. False when none lacked it.
   */
  async complete(name: ManifestName, chunks: readonly ChunkReference[], retainUntilMs: number): Promise<boolean> {
    const lacking: CopyStore[] = []
    for (const store of this.stores) if ((await store.versions(manifestName(name))).length === 0) lacking.push(store)
    for (const store of lacking) {
      await forEachWide(addressesOf(chunks), widthMax, async (address) => {
        const box = await this.#readBox(address)
        if (!box) throw new VaultFailure('damaged', `Chunk ${address} is missing or damaged, so ${store.place} cannot get it.`)
        await this.#copyThing(store, chunkName(address), box, retainUntilMs)
      })
      await this.#copyThing(store, manifestName(name), await this.readManifest(name), retainUntilMs)
    }
    return lacking.length > 0
  }

  async #copyThing(store: CopyStore, name: string, bytes: Buffer, retainUntilMs: number): Promise<void> {
    const path = this.#staging(`copy-${name.replaceAll('/', '-')}`)
    await rm(path, { force: true })
    await writeOnce(path, bytes)
    const hash = addressOf(bytes)
    const isWhole = (found: Buffer): boolean => addressOf(found) === hash
    await keepWhole(store, { name, path, durable: true }, retainUntilMs, manifestBytesMax, isWhole)
    await rm(path, { force: true })
    await store.fasten([name])
  }

  /** Keeps chunks and a manifest for longer, in every store. */
  async extend(name: ManifestName, chunks: readonly ChunkReference[], retainUntilMs: number): Promise<void> {
    const addresses = new Map(addressesOf(chunks).map((address) => [chunkName(address), address]))
    addresses.set(manifestName(name), name.id)
    for (const store of this.stores) {
      await forEachWide(addresses, widthMax, async ([thing, hash]) => await extendThing(store, thing, hash, retainUntilMs))
    }
  }

  /** @throws VaultFailure `damaged` when no store has a whole one */
  async readManifest(name: ManifestName): Promise<Buffer> {
    const bytes = await readWholeVersion(
      this.stores,
      manifestName(name),
      manifestBytesMax,
      (found) => addressOf(found) === name.id,
    )
    if (!bytes) throw new VaultFailure('damaged', 'Its bytes do not have the hash that it is named after.')
    return bytes
  }

  /** Names of all manifests, oldest first. */
  async manifestNames(): Promise<readonly ManifestName[]> {
    return await listManifests(this.stores)
  }

  /** Whether every store would now let a manifest go. */
  async isManifestFree(name: ManifestName, nowMs: number): Promise<boolean> {
    for (const store of this.stores) {
      for (const version of await store.versions(manifestName(name))) if ((await store.head(version)) > nowMs) return false
    }
    return true
  }

  /** Removes a manifest whose retention has ended, from every store. What a store still keeps stays there for now. */
  async removeManifest(name: ManifestName, nowMs: number): Promise<void> {
    for (const store of this.stores) {
      for (const version of await store.versions(manifestName(name))) {
        if ((await store.head(version)) <= nowMs) await store.remove(version, nowMs)
      }
    }
  }

  /** Removes chunks that nobody needs, where the store's own retention of them has ended. How many there were. */
  async removeChunks(isNeeded: (address: string) => boolean, nowMs: number): Promise<number> {
    const isClaimed = (address: string): boolean =>
      isNeeded(address) || [...this.#seals.values()].some(({ writes }) => writes.has(address))
    const gone = new Set<string>()
    for (const store of this.stores) {
      for await (const version of store.list('chunks/')) {
        const address = version.name.split('/').at(-1) ?? ''
        if (isClaimed(address)) continue
        const leaving = this.#remove(store, version, address, nowMs, gone)
        this.#leaving.set(address, leaving)
        await leaving
        this.#leaving.delete(address)
      }
    }
    this.similar.forget((address) => gone.has(address))
    return gone.size
  }

  async #remove(store: CopyStore, version: Version, address: string, nowMs: number, gone: Set<string>): Promise<void> {
    try {
      await store.remove(version, nowMs)
      gone.add(address)
      this.#bases.delete(address)
    } catch (error) {
      // Left by a seal that was never finished: it goes when its own time has come.
      if (!(error instanceof VaultFailure && error.code === 'retention_in_force')) throw error
    }
  }

  async #keepDocument(
    staging: string,
    name: string,
    bytes: Uint8Array,
    retainUntilMs: number,
    stores: readonly CopyStore[] = this.stores,
  ): Promise<void> {
    const path = join(this.#staging(), staging)
    await writeOnce(path, bytes)
    const hash = addressOf(bytes)
    for (const store of stores) {
      await keepWhole(store, { name, path, durable: true }, retainUntilMs, manifestBytesMax, (found) => addressOf(found) === hash)
    }
  }

  #stagedChunk(staged: StagedSeal, address: string): { readonly name: string; readonly path: string; readonly durable: boolean } {
    const path = join(this.#staging(staged.seal), address)
    return { name: chunkName(address), path, durable: !staged.unsynced.has(address) }
  }

  async #open(box: Buffer, chunk: ChunkReference): Promise<Buffer> {
    const plain = await decryptBox(this.#keys, 'chunk', box, this.findBase)
    if (plain.length !== chunk.bytes)
      throw new VaultFailure('damaged', `Chunk ${chunk.address} has another size than its manifest says.`)
    return plain
  }

  #staging(...rest: readonly string[]): string {
    return join(this.#folder, 'staging', ...rest)
  }
}

function sumOf(all: readonly Buffer[]): number {
  return all.reduce((sum, one) => sum + one.length, 0)
}

async function extendThing(store: CopyStore, name: string, hash: string, retainUntilMs: number): Promise<void> {
  const versions = await store.versions(name)
  for (const version of versions) {
    // Where there is one version only, it was proven when it was sealed; among several, somebody else's may be.
    if (versions.length > 1) {
      const held = await getUnlessDamaged(store, version, manifestBytesMax)
      if (!held || addressOf(held.bytes) !== hash) continue
    }
    if ((await store.head(version)) >= retainUntilMs) return
    return await extendProven(store, version, retainUntilMs)
  }
  throw new VaultFailure('damaged', `${name} is missing or damaged in ${store.place}, so it cannot be kept for longer.`)
}
