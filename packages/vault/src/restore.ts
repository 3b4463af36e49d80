import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, mkdir, open, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Snapshot } from '@sallyport/core'
import { linkOnce, readWhole, writeOnce } from './disk.ts'
import { toFailure, VaultFailure } from './failure.ts'
import { openManifest, toSnapshot, type Manifest, type Part } from './manifest.ts'
import { Store } from './store.ts'
import { manifestName } from './thing-name.ts'
import { readRetained } from './retention.ts'
import type { ReadKey } from './key.ts'
import type { ReadableVault } from './vault-folder.ts'

export interface RestoreReport {
  readonly ok: boolean
  readonly snapshot: Snapshot
  readonly restored: readonly { readonly name: string; readonly bytes: number }[]
  /** What could not be had, and why. The others were written whole. */
  readonly lost: readonly { readonly name: string; readonly what: string }[]
}

export interface Listing {
  readonly snapshots: readonly (Snapshot & { readonly sequence: number; readonly parts: number; readonly storedBytes: number })[]
  readonly damaged: readonly { readonly file: string; readonly what: string }[]
}

/** All snapshots in a folder, oldest first, with no vault running. */
export async function listFolder(folder: ReadableVault): Promise<Listing> {
  const key = needKey(folder)
  const damaged: { file: string; what: string }[] = []
  const report = (file: string, error: unknown): void => void damaged.push({ file, what: toFailure(error).message })
  const retained = await readRetained(folder.stores, key.publicKey, report)
  const store = new Store(folder.path, key.chunkKeys, folder.stores)
  const snapshots: Listing['snapshots'][number][] = []
  for (const name of await store.manifestNames()) {
    try {
      const manifest = await openManifest(key, await store.readManifest(name))
      const storedBytes = manifest.outside.parts.flatMap((part) => part.chunks).reduce((sum, chunk) => sum + chunk.stored, 0)
      snapshots.push({
        ...toSnapshot(manifest, retained.get(name.id) ?? 0),
        sequence: name.sequence,
        parts: manifest.parts.length,
        storedBytes,
      })
    } catch (error) {
      report(manifestName(name), error)
    }
  }
  return { snapshots, damaged }
}

/** How far a restore is, in bytes of all parts together. */
export type ReportRestore = (progress: { readonly part: string; readonly done: number; readonly total: number }) => void

/**
 * Writes the parts of a snapshot as files into a new or empty folder, or one in which the same restore was cut short: `parts/…` and, last of all,
 * `snapshot.json`. What lies there whole already is read and not fetched again. A part that is damaged is not written in part: it is named, the
 * others are restored, and the report says that it is not whole.
 */
export async function restoreSnapshot(
  folder: ReadableVault,
  id: string,
  to: string,
  tell: ReportRestore = () => undefined,
): Promise<RestoreReport> {
  const key = needKey(folder)
  const store = new Store(folder.path, key.chunkKeys, folder.stores)
  const manifest = await findManifest(store, key, id)
  await takeFolder(to, manifest.id)
  const restored: { name: string; bytes: number }[] = []
  const lost: { name: string; what: string }[] = []
  const total = manifest.parts.reduce((sum, { bytes }) => sum + bytes, 0)
  let before = 0
  for (const part of manifest.parts) {
    const begun = before
    try {
      const path = join(to, 'parts', ...part.name.split('/'))
      const advance = (bytes: number): void => tell({ part: part.name, done: begun + bytes, total })
      if (!(await isWholeFile(path, part))) await writePart(store, part, path, join(to, 'unfinished'), advance)
      restored.push({ name: part.name, bytes: part.bytes })
    } catch (error) {
      lost.push({ name: part.name, what: toFailure(error).message })
    }
    before += part.bytes
    tell({ part: part.name, done: before, total })
  }
  const snapshot = toSnapshot(manifest, 0)
  const description = {
    snapshot,
    manifest: manifest.inside.manifest,
    parts: manifest.parts.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 })),
  }
  await writeOnce(join(to, 'snapshot.json'), Buffer.from(`${JSON.stringify(description, null, 2)}\n`), 0o600)
  await rm(join(to, unfinishedName), { force: true })
  return { ok: lost.length === 0, snapshot, restored, lost }
}

export async function findManifest(store: Store, key: ReadKey, id: string): Promise<Manifest> {
  if (!/^[0-9a-f]{8,64}$/.test(id))
    throw new VaultFailure('bad_request', 'A snapshot is named by its id, or by the first 8 or more of its hex digits.')
  const names = (await store.manifestNames()).filter((candidate) => candidate.id.startsWith(id))
  if (names.length === 0) throw new VaultFailure('not_found', 'There is no snapshot of this id. Nothing was written.')
  if (new Set(names.map((name) => name.id)).size > 1)
    throw new VaultFailure('bad_request', 'More than one snapshot begins with these digits. Nothing was written.')
  let refusal: unknown
  // Somebody may have put it under another number as well: the one it was signed for is the one that counts.
  for (const name of names) {
    try {
      const manifest = await openManifest(key, await store.readManifest(name))
      if (manifest.outside.sequence === name.sequence) return manifest
      refusal ??= new VaultFailure('damaged', 'This manifest lies under the number of another. Nothing was written.')
    } catch (error) {
      refusal = error
    }
  }
  throw refusal
}

/** Lies in a folder that a restore goes into, with the id of the snapshot, until it is through. */
const unfinishedName = 'restoring'

async function takeFolder(path: string, id: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  const there = await readdir(path)
  if (there.length === 0) return await writeOnce(join(path, unfinishedName), Buffer.from(id), 0o600)
  const begun = there.includes(unfinishedName) ? (await readWhole(join(path, unfinishedName), id.length)).toString('utf8') : null
  if (begun === id && !there.includes('snapshot.json')) return
  throw new VaultFailure(
    'bad_request',
    begun === null || begun === id
      ? 'The folder to restore into is not empty. Nothing was written.'
      : 'Another snapshot was being restored into this folder. Nothing was written.',
  )
}

function bytesOf(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece
  throw new VaultFailure('storage_failed', 'A file could not be read as bytes.')
}

/** Whether a part lies there from a restore that was cut short: it got its name only when it was whole, and is read again all the same. */
async function isWholeFile(path: string, part: Part): Promise<boolean> {
  const status = await lstat(path).catch(() => null)
  if (status === null) return false
  const hash = createHash('sha256')
  if (status.isFile() && status.size === part.bytes) for await (const piece of createReadStream(path)) hash.update(bytesOf(piece))
  return hash.digest('hex') === part.sha256
}

async function writePart(
  store: Store,
  part: Part,
  path: string,
  unfinished: string,
  advance: (bytes: number) => void,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await rm(unfinished, { force: true })
  await using file = await open(unfinished, 'wx', 0o600)
  try {
    const hash = createHash('sha256')
    let done = 0
    for await (const piece of store.readPart(part)) {
      hash.update(piece)
      await file.writeFile(piece)
      done += piece.length
      advance(done)
    }
    if (hash.digest('hex') !== part.sha256)
      throw new VaultFailure('damaged', 'Its chunks do not add up to the part that was sealed.')
    await file.datasync()
    if (!linkOnce(unfinished, path))
      throw new VaultFailure(
        'storage_failed',
        'Another part has the same name on this file system, or something else lies there.',
      )
  } finally {
    await rm(unfinished, { force: true })
  }
}

export function needKey(folder: ReadableVault): ReadKey {
  if (folder.key) return folder.key
  throw new VaultFailure('damaged', folder.keyDamage ?? "The vault's key file is not there, so nothing in it can be read.")
}
