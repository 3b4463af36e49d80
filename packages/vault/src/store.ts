import { constants } from 'node:fs'
import { access, lstat, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { addressOf, boxOverheadBytes, chunkBytesMax, decryptBox, encryptBox, type ChunkKeys } from './chunk.ts'
import {
  extendProven,
  getUnlessDamaged,
  keepWhole,
  listNames,
  putMissing,
  readWholeVersion,
  type CopyStore,
} from './copy-store.ts'
import { forEachWide, readWhole, syncFolder, writeOnce, writeSoon } from './disk.ts'
import { VaultFailure } from './failure.ts'
import { manifestBytesMax, type ChunkReference, type Part } from './manifest.ts'

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

/** A manifest file's name: its place in the sequence and its id. */
export interface ManifestName {
  readonly sequence: number
  readonly id: string
}

/** Where copies lie: staging in the vault's folder, and every store that each copy goes to. A copy counts once all of them hold it. */
export class Store {
  readonly #folder: string
  readonly #keys: ChunkKeys
  readonly stores: readonly CopyStore[]
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

  async beginSeal(seal: string): Promise<void> {
    await mkdir(this.#staging(seal), { mode: 0o700 })
  }

  /** Removes the staging folder of one seal; what was put out of it stays. */
  async clearSeal(seal: string): Promise<void> {
    await rm(this.#staging(seal), { recursive: true, force: true })
  }

  /** Encrypts a chunk and writes it to the staging of its seal. */
  async stageChunk(staged: StagedSeal, plain: Buffer): Promise<ChunkReference> {
    const box = await encryptBox(this.#keys, 'chunk', plain)
    const address = addressOf(box)
    const path = join(this.#staging(staged.seal), address)
    const soon = box.length <= smallBytesMax
    const writing = staged.writes.get(address) ?? (soon ? writeSoon(path, box) : writeOnce(path, box))
    staged.writes.set(address, writing)
    try {
      await writing
      if (soon) staged.unsynced.add(address)
    } catch (error) {
      // A half-written file must not stand in the way of another try.
      staged.writes.delete(address)
      await rm(path, { force: true })
      throw error
    }
    return { address, bytes: plain.length, stored: box.length }
  }

  /** Plaintext of a chunk that is still in staging, as it now lies there. */
  async readStaged(seal: string, chunk: ChunkReference): Promise<Buffer> {
    const box = await readWhole(join(this.#staging(seal), chunk.address), boxBytesMax)
    if (addressOf(box) !== chunk.address)
      throw new VaultFailure('read_back_failed', `Chunk ${chunk.address} did not read back as written.`)
    return await this.#open(box, chunk)
  }

  /** Gives staged chunks their place for good, where it is not theirs already. They count once `readBack` read them from there. */
  async keepChunks(staged: StagedSeal, addresses: ReadonlySet<string>, retainUntilMs: number): Promise<void> {
    const all = [...addresses].map((address) => this.#stagedChunk(staged, address))
    await Promise.all(this.stores.map((store) => putMissing(store, all, retainUntilMs)))
  }

  /** A chunk as every store holds it, kept until then in all of them; what was there before and has rotted is put again. Its plaintext. */
  async readBack(staged: StagedSeal, chunk: ChunkReference, retainUntilMs: number): Promise<Buffer> {
    const thing = this.#stagedChunk(staged, chunk.address)
    const isWhole = (box: Buffer): boolean => addressOf(box) === chunk.address
    const boxes = await Promise.all(this.stores.map((store) => keepWhole(store, thing, retainUntilMs, boxBytesMax, isWhole)))
    const [box] = boxes
    if (!box) throw new VaultFailure('storage_failed', 'The vault has no store.')
    return await this.#open(box, chunk)
  }

  /** Plaintext of a sealed chunk. @throws VaultFailure `damaged` when no whole copy of it is left */
  async readChunk(chunk: ChunkReference): Promise<Buffer> {
    const box = await readWholeVersion(
      this.stores,
      chunkName(chunk.address),
      boxBytesMax,
      (bytes) => addressOf(bytes) === chunk.address,
    )
    if (!box) throw new VaultFailure('damaged', `Chunk ${chunk.address} is missing or damaged.`)
    return await this.#open(box, chunk)
  }

  /** A part of a sealed snapshot, chunk after chunk. */
  async *readPart(part: Part): AsyncGenerator<Buffer, void, undefined> {
    for (const chunk of part.chunks) yield await this.readChunk(chunk)
  }

  /** Puts a manifest in its place. Durable when it resolves; from then on the snapshot exists. */
  async keepManifest(seal: string, name: ManifestName, bytes: Uint8Array, retainUntilMs: number): Promise<void> {
    await this.#keepDocument(join(seal, 'manifest'), manifestName(name), bytes, retainUntilMs)
  }

  /** Puts a small signed document in its place. Durable when it resolves. */
  async keepRecord(name: string, bytes: Uint8Array, retainUntilMs: number): Promise<void> {
    const staging = name.replaceAll('/', '-')
    await rm(this.#staging(staging), { force: true })
    await this.#keepDocument(staging, name, bytes, retainUntilMs)
    await rm(this.#staging(staging), { force: true })
  }

  /** Keeps chunks and a manifest for longer, in every store. */
  async extend(name: ManifestName, chunks: readonly ChunkReference[], retainUntilMs: number): Promise<void> {
    const addresses = new Map(chunks.map((chunk) => [chunkName(chunk.address), chunk.address]))
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

  async #keepDocument(staging: string, name: string, bytes: Uint8Array, retainUntilMs: number): Promise<void> {
    const path = join(this.#staging(), staging)
    await writeOnce(path, bytes)
    const hash = addressOf(bytes)
    for (const store of this.stores) {
      await keepWhole(store, { name, path, durable: true }, retainUntilMs, manifestBytesMax, (found) => addressOf(found) === hash)
    }
  }

  #stagedChunk(staged: StagedSeal, address: string): { readonly name: string; readonly path: string; readonly durable: boolean } {
    const path = join(this.#staging(staged.seal), address)
    return { name: chunkName(address), path, durable: !staged.unsynced.has(address) }
  }

  async #open(box: Buffer, chunk: ChunkReference): Promise<Buffer> {
    const plain = await decryptBox(this.#keys, 'chunk', box)
    if (plain.length !== chunk.bytes)
      throw new VaultFailure('damaged', `Chunk ${chunk.address} has another size than its manifest says.`)
    return plain
  }

  #staging(...rest: readonly string[]): string {
    return join(this.#folder, 'staging', ...rest)
  }
}

/** Where a chunk lies in every store. */
export function chunkName(address: string): string {
  return `chunks/${address.slice(0, 2)}/${address}`
}

export function manifestName(name: ManifestName): string {
  return `manifests/${String(name.sequence).padStart(12, '0')}-${name.id}`
}

/** Null for what is not a manifest's name. */
export function parseManifestName(path: string): ManifestName | null {
  const [, sequence, id] = /^manifests\/(\d{12})-([0-9a-f]{64})$/.exec(path) ?? []
  return sequence === undefined || id === undefined ? null : { sequence: Number(sequence), id }
}

export async function listManifests(stores: readonly CopyStore[]): Promise<readonly ManifestName[]> {
  return (await listNames(stores, 'manifests/')).map(parseManifestName).filter((name) => name !== null)
}

/** Refuses a folder that others can read or that is somebody else's. */
export async function checkPrivateFolder(folder: string): Promise<void> {
  const status = await lstat(folder)
  if (!status.isDirectory()) throw new VaultFailure('bad_request', "The vault's folder is not a folder.")
  if ((status.mode & 0o077) !== 0)
    throw new VaultFailure('bad_request', "Others can enter the vault's folder: chmod 0700 it. Nothing was started.")
  if (status.uid !== process.getuid?.())
    throw new VaultFailure('bad_request', "The vault's folder belongs to another user. Nothing was started.")
  await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
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
