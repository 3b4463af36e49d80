import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { addressOf, boxOverheadBytes, chunkBytesMax, decryptBox } from './chunk.ts'
import { readIfThere, readWhole } from './disk.ts'
import { toFailure, VaultFailure } from './failure.ts'
import { manifestBytesMax, openManifest, readOutside, type ChunkReference, type Outside } from './manifest.ts'
import { readRetentions } from './retention.ts'
import { chunkPath, parseManifestName, type ManifestName } from './store.ts'
import type { VaultFolder } from './vault-folder.ts'
import { verifyState } from './verify-state.ts'

/** One thing that is not as it was sealed. */
export interface Damage {
  readonly kind:
    | 'missing_chunk'
    | 'damaged_chunk'
    | 'missing_manifest'
    | 'damaged_manifest'
    | 'forged_manifest'
    | 'damaged_part'
    | 'damaged_state'
    | 'foreign_file'
  /** Relative to the vault's folder. */
  readonly file: string
  readonly what: string
  readonly snapshot?: string
  /** Name of the part, or its number where the key is not there to read the name. */
  readonly part?: string
}

export interface Report {
  readonly ok: boolean
  readonly vault: string
  /** False: there was no key, so plaintext was not compared. */
  readonly decrypted: boolean
  readonly snapshots: number
  readonly parts: number
  readonly chunks: number
  /** Stored bytes read. */
  readonly bytes: number
  /** The newest snapshot found. That none came after it is for the log to say: compare with its last `snapshot.sealed`. */
  readonly newest: { readonly sequence: number; readonly id: string } | null
  /** Whole chunks that no manifest needs: left by a seal that was never finished. */
  readonly unreferenced: number
  readonly damage: readonly Damage[]
}

interface Progress {
  readonly damage: Damage[]
  /** Files of chunks that were read and judged. */
  readonly judged: Set<string>
  readonly known: Set<string>
  parts: number
  bytes: number
}

interface Sealed {
  readonly name: ManifestName
  readonly outside: Outside
  readonly parts: readonly { readonly name: string; readonly sha256: string | null; readonly chunks: readonly ChunkReference[] }[]
}

/** Reads everything in a vault's folder and says what is not as it was sealed. Changes nothing. */
export async function verifyFolder(folder: VaultFolder): Promise<Report> {
  const progress: Progress = { damage: [], judged: new Set(), known: new Set(), parts: 0, bytes: 0 }
  if (folder.keyDamage !== null) progress.damage.push({ kind: 'damaged_state', file: 'key', what: folder.keyDamage })
  const sealed = await verifyManifests(folder, progress)
  verifyChain(sealed, progress)
  for (const one of sealed) await verifyParts(folder, one, progress)
  const unreferenced = await verifyOtherChunks(folder, progress)
  const ids = new Set(sealed.map((one) => one.name.id))
  const report = (file: string, error: unknown): void =>
    void progress.damage.push({ kind: 'damaged_state', file, what: toFailure(error).message })
  for await (const record of readRetentions(folder.path, folder.identity.publicKey, report)) {
    if (!ids.has(record.snapshot))
      report(
        'retention',
        new VaultFailure('damaged', `A retention record names snapshot ${record.snapshot}, which is not there.`),
      )
  }
  await verifyState(folder, report)
  const last = sealed.at(-1)
  return {
    ok: progress.damage.length === 0,
    vault: folder.identity.publicKey,
    decrypted: folder.key !== null,
    snapshots: sealed.length,
    parts: progress.parts,
    chunks: progress.known.size,
    bytes: progress.bytes,
    newest: last ? { sequence: last.name.sequence, id: last.name.id } : null,
    unreferenced,
    damage: progress.damage,
  }
}

async function verifyManifests(folder: VaultFolder, progress: Progress): Promise<readonly Sealed[]> {
  const sealed: Sealed[] = []
  for (const entry of (await readdir(join(folder.path, 'manifests'))).sort()) {
    const file = join('manifests', entry)
    const name = parseManifestName(entry)
    if (!name) {
      progress.damage.push({ kind: 'foreign_file', file, what: 'This is not the name of a manifest.' })
      continue
    }
    try {
      const bytes = await readWhole(join(folder.path, file), manifestBytesMax)
      progress.bytes += bytes.length
      if (addressOf(bytes) !== name.id)
        throw new VaultFailure('damaged', 'Its bytes do not have the hash that it is named after.')
      sealed.push(await readSealed(folder, name, bytes, progress))
    } catch (error) {
      const what = toFailure(error).message
      const forged = /not signed by this vault|no signature|of another vault/.test(what)
      progress.damage.push({ kind: forged ? 'forged_manifest' : 'damaged_manifest', file, what, snapshot: name.id })
    }
  }
  return sealed
}

async function readSealed(folder: VaultFolder, name: ManifestName, bytes: Buffer, progress: Progress): Promise<Sealed> {
  const outside = readOutside(folder.identity.publicKey, bytes)
  if (outside.sequence !== name.sequence) throw new VaultFailure('damaged', 'It lies under the sequence number of another.')
  const unnamed = outside.parts.map((part, index) => ({ name: `part ${index + 1}`, sha256: null, chunks: part.chunks }))
  if (!folder.key) return { name, outside, parts: unnamed }
  try {
    return { name, outside, parts: (await openManifest(folder.key, bytes)).parts }
  } catch (error) {
    // Its signature holds, so its chunks can still be judged.
    progress.damage.push({
      kind: 'damaged_manifest',
      file: `manifests/${name.id}`,
      what: toFailure(error).message,
      snapshot: name.id,
    })
    return { name, outside, parts: unnamed }
  }
}

/** Each manifest names the one before, so one that was taken away from the middle or the beginning shows. */
function verifyChain(sealed: readonly Sealed[], progress: Progress): void {
  let before: ManifestName | null = null
  for (const { name, outside } of sealed) {
    const expected = (before?.sequence ?? 0) + 1
    const fits = name.sequence === expected && outside.previous === (before?.id ?? null)
    const what = `Number ${name.sequence} follows ${before ? `number ${before.sequence}` : 'nothing'}, but was sealed after ${outside.previous ?? 'nothing'}.`
    if (!fits) progress.damage.push({ kind: 'missing_manifest', file: 'manifests', what, snapshot: name.id })
    before = name
  }
}

async function verifyParts(folder: VaultFolder, sealed: Sealed, progress: Progress): Promise<void> {
  for (const part of sealed.parts) {
    progress.parts++
    const hash = createHash('sha256')
    const where = { snapshot: sealed.name.id, part: part.name }
    let whole = true
    for (const chunk of part.chunks) {
      if (!folder.key && progress.known.has(chunk.address)) continue
      const plain = await verifyChunk(folder, chunk, where, progress)
      if (plain) hash.update(plain)
      else whole = false
    }
    if (!folder.key || part.sha256 === null || !whole) continue
    if (hash.digest('hex') !== part.sha256)
      progress.damage.push({
        kind: 'damaged_part',
        file: 'manifests',
        what: 'Its chunks do not add up to the part that was sealed.',
        ...where,
      })
  }
}

/** Judges every file that a chunk lies in; the plaintext of the first whole one, null when there is none (empty when there is no key). */
async function verifyChunk(
  folder: VaultFolder,
  chunk: ChunkReference,
  where: { readonly snapshot: string; readonly part: string },
  progress: Progress,
): Promise<Buffer | null> {
  progress.known.add(chunk.address)
  for (let copy = 0; copy < 4; copy++) {
    const file = chunkPath('', chunk.address, copy)
    const box = await readIfThere(join(folder.path, file), chunkBytesMax + boxOverheadBytes).catch(() => Buffer.alloc(0))
    if (!box) {
      if (copy === 0) progress.damage.push({ kind: 'missing_chunk', file, what: 'A chunk of this part is not there.', ...where })
      continue
    }
    const first = !progress.judged.has(file)
    progress.judged.add(file)
    progress.bytes += first ? box.length : 0
    if (addressOf(box) !== chunk.address) {
      progress.damage.push({
        kind: 'damaged_chunk',
        file,
        what: 'A chunk of this part does not have the bytes that it is named after.',
        ...where,
      })
      continue
    }
    if (!folder.key) return Buffer.alloc(0)
    try {
      return await decryptBox(folder.key.chunkKeys, 'chunk', box)
    } catch (error) {
      progress.damage.push({ kind: 'damaged_chunk', file, what: toFailure(error).message, ...where })
    }
  }
  return null
}

/** Chunk files that no manifest led to: whole ones are harmless, anything else is told. */
async function verifyOtherChunks(folder: VaultFolder, progress: Progress): Promise<number> {
  let unreferenced = 0
  for (const fan of await readdir(join(folder.path, 'chunks'))) {
    for (const name of await readdir(join(folder.path, 'chunks', fan)).catch(() => [''])) {
      const file = join('chunks', fan, name)
      if (progress.judged.has(file)) continue
      const address = /^([0-9a-f]{64})(\.[1-3])?$/.exec(name)?.[1]
      if (address === undefined || !address.startsWith(fan) || fan.length !== 2) {
        progress.damage.push({ kind: 'foreign_file', file, what: 'This is not the name of a chunk.' })
        continue
      }
      const box = await readWhole(join(folder.path, file), chunkBytesMax + boxOverheadBytes).catch(() => Buffer.alloc(0))
      progress.bytes += box.length
      if (addressOf(box) !== address)
        progress.damage.push({ kind: 'damaged_chunk', file, what: 'A chunk does not have the bytes that it is named after.' })
      else if (!progress.known.has(address)) unreferenced++
    }
  }
  return unreferenced
}
