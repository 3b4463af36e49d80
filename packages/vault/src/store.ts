import { constants } from 'node:fs'
import { access, lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { addressOf, boxOverheadBytes, chunkBytesMax, decryptBox, encryptBox, type ChunkKeys } from './chunk.ts'
import { forEachWide, linkOnce, readIfThere, readWhole, syncFile, syncFolder, writeOnce, writeSoon } from './disk.ts'
import { VaultFailure } from './failure.ts'
import { manifestBytesMax, type ChunkReference, type Part } from './manifest.ts'

/** A chunk may lie in the vault in up to this many files: more than one only when an earlier one has rotted. */
const copiesMax = 4
const widthMax = 8

/** What one seal has in staging. */
export interface Staged {
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

/**
 * The folder of a vault. Nothing in this file (or elsewhere in the vault) removes or overwrites anything under `chunks`, `manifests` or
 * `retention`: new files come to lie there by hard link, which fails when the name is taken. Only `staging` is ever cleared.
 */
export class Store {
  readonly #folder: string
  readonly #keys: ChunkKeys
  constructor(folder: string, keys: ChunkKeys) {
    this.#folder = folder
    this.#keys = keys
  }

  /** Makes the folders that are missing and clears what unfinished seals left behind. */
  async prepare(): Promise<void> {
    await rm(this.#staging(), { recursive: true, force: true })
    for (const name of ['staging', 'manifests', 'retention', 'witness', 'chunks']) await makeFolder(join(this.#folder, name))
    const fans = Array.from({ length: 256 }, (_, index) => join(this.#folder, 'chunks', index.toString(16).padStart(2, '0')))
    await forEachWide(fans, widthMax, makeFolder)
    await syncFolder(join(this.#folder, 'chunks'))
    await syncFolder(this.#folder)
  }

  async beginSeal(seal: string): Promise<void> {
    await mkdir(this.#staging(seal), { mode: 0o700 })
  }

  /** Removes the staging folder of one seal; what was linked out of it stays. */
  async clearSeal(seal: string): Promise<void> {
    await rm(this.#staging(seal), { recursive: true, force: true })
  }

  /** Encrypts a chunk and writes it to the staging of its seal. */
  async stageChunk(staged: Staged, plain: Buffer): Promise<ChunkReference> {
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
    return await this.#open(await readWhole(join(this.#staging(seal), chunk.address), chunkBytesMax + boxOverheadBytes), chunk)
  }

  /**
   * Gives staged chunks their place for good, each only once its bytes are durable. The places are durable when `syncChunks` of what this
   * returns resolves.
   */
  async keepChunks(staged: Staged, addresses: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const unsynced = [...staged.unsynced].filter((address) => addresses.has(address))
    await forEachWide(unsynced, widthMax, (address) => syncFile(join(this.#staging(staged.seal), address)))
    await forEachWide(addresses, widthMax, (address) => this.#keepChunk(join(this.#staging(staged.seal), address), address))
    return new Set([...addresses].map((address) => address.slice(0, 2)))
  }

  async syncChunks(fans: ReadonlySet<string>): Promise<void> {
    await forEachWide(fans, widthMax, (fan) => syncFolder(join(this.#folder, 'chunks', fan)))
  }

  /** Plaintext of a sealed chunk. @throws VaultFailure `damaged` when no whole copy of it is left */
  async readChunk(chunk: ChunkReference): Promise<Buffer> {
    for (let copy = 0; copy < copiesMax; copy++) {
      const box = await readIfThere(chunkPath(this.#folder, chunk.address, copy), chunkBytesMax + boxOverheadBytes)
      if (box && addressOf(box) === chunk.address) return await this.#open(box, chunk)
    }
    throw new VaultFailure('damaged', `Chunk ${chunk.address} is missing or damaged.`)
  }

  /** A part of a sealed snapshot, chunk after chunk. */
  async *readPart(part: Part): AsyncGenerator<Buffer, void, undefined> {
    for (const chunk of part.chunks) yield await this.readChunk(chunk)
  }

  /** Puts a manifest in its place. Durable when it resolves; from then on the snapshot exists. */
  async keepManifest(seal: string, name: ManifestName, bytes: Uint8Array): Promise<void> {
    const staged = join(this.#staging(seal), 'manifest')
    await writeOnce(staged, bytes)
    if (addressOf(await readWhole(staged, manifestBytesMax)) !== name.id)
      throw new VaultFailure('read_back_failed', 'The manifest did not read back as written.')
    if (!(await linkOnce(staged, manifestPath(this.#folder, name))))
      throw new VaultFailure('storage_failed', 'A manifest of this name exists already.')
    await syncFolder(join(this.#folder, 'manifests'))
  }

  /** Puts a retention record in its place. Durable when it resolves. */
  async keepRetention(name: string, bytes: Uint8Array): Promise<void> {
    const staged = this.#staging(`retention-${name}`)
    await rm(staged, { force: true })
    await writeOnce(staged, bytes)
    await linkOnce(staged, join(this.#folder, 'retention', name))
    await syncFolder(join(this.#folder, 'retention'))
    await rm(staged, { force: true })
  }

  async readManifest(name: ManifestName): Promise<Buffer> {
    return await readWhole(manifestPath(this.#folder, name), manifestBytesMax)
  }

  /** Names of all manifests, oldest first. */
  async manifestNames(): Promise<readonly ManifestName[]> {
    return await listManifests(this.#folder)
  }

  async #keepChunk(staged: string, address: string): Promise<void> {
    for (let copy = 0; copy < copiesMax; copy++) {
      const path = chunkPath(this.#folder, address, copy)
      if (await linkOnce(staged, path)) return
      const there = await readIfThere(path, chunkBytesMax + boxOverheadBytes).catch(() => null)
      if (there && addressOf(there) === address) return
    }
    throw new VaultFailure('read_back_failed', `Chunk ${address} has rotted in all its ${copiesMax} files.`)
  }

  async #open(box: Buffer, chunk: ChunkReference): Promise<Buffer> {
    if (addressOf(box) !== chunk.address)
      throw new VaultFailure('read_back_failed', `Chunk ${chunk.address} did not read back as written.`)
    const plain = await decryptBox(this.#keys, 'chunk', box)
    if (plain.length !== chunk.bytes)
      throw new VaultFailure('damaged', `Chunk ${chunk.address} has another size than its manifest says.`)
    return plain
  }

  #staging(...rest: readonly string[]): string {
    return join(this.#folder, 'staging', ...rest)
  }
}

/** File of a chunk; `copy` 0 is the usual one. */
export function chunkPath(folder: string, address: string, copy: number): string {
  return join(folder, 'chunks', address.slice(0, 2), copy === 0 ? address : `${address}.${copy}`)
}

export function manifestPath(folder: string, name: ManifestName): string {
  return join(folder, 'manifests', `${String(name.sequence).padStart(12, '0')}-${name.id}`)
}

/** Null for what is not a manifest's name. */
export function parseManifestName(file: string): ManifestName | null {
  const [, sequence, id] = /^(\d{12})-([0-9a-f]{64})$/.exec(file) ?? []
  return sequence === undefined || id === undefined ? null : { sequence: Number(sequence), id }
}

export async function listManifests(folder: string): Promise<readonly ManifestName[]> {
  const files = await readdir(join(folder, 'manifests'))
  const names = files.map(parseManifestName).filter((name) => name !== null)
  return names.sort((left, right) => left.sequence - right.sequence || (left.id < right.id ? -1 : 1))
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

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
}
