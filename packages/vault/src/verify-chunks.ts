import { createHash } from 'node:crypto'
import { addressOf, boxOverheadBytes, chunkBytesMax, decryptBox, deriveChunkKeys, type FindBase } from './chunk.ts'
import { getUnlessDamaged, type CopyStore, type Version } from './copy-store.ts'
import { toFailure } from './failure.ts'
import { inOrder } from './in-order.ts'
import type { ChunkReference } from './manifest.ts'
import { Store } from './store.ts'
import { addressesOf, chunkName } from './thing-name.ts'
import type { VaultFolder } from './vault-folder.ts'
import type { Progress, Sealed, VerifySettings } from './verify-report.ts'

const boxBytesMax = chunkBytesMax + boxOverheadBytes
/** Chunks read at the same time. */
const widthMax = 8

/** One chunk of one part, as a manifest wants it. */
interface Wanted {
  readonly chunk: ChunkReference
  readonly snapshot: string
  readonly part: string
  readonly from: number
  /** It is there for others to be told by: its own bytes are not of this part. */
  readonly isBase: boolean
}

/** Versions that were read once need not be read again for another part. */
interface Judged {
  readonly whole: Set<string>
  readonly read: Set<string>
}

/** Reads the chunks that manifests name, and all others, in every store. How many whole ones nobody needs. */
export async function verifyChunks(
  folder: VaultFolder,
  sealed: readonly Sealed[],
  settings: VerifySettings,
  progress: Progress,
): Promise<number> {
  const until = new Map<string, number>()
  for (const { parts, retainUntilMs } of sealed) {
    for (const address of addressesOf(parts.flatMap(({ chunks }) => chunks)))
      until.set(address, Math.max(retainUntilMs, until.get(address) ?? 0))
  }
  const sampled = new Set([...until.keys()].filter(() => settings.sample >= 1 || settings.random() < settings.sample))
  for (const address of until.keys()) progress.known.add(address)
  const judged = folder.stores.map((): Judged => ({ whole: new Set(), read: new Set() }))
  const { findBase } = new Store(folder.path, folder.key?.chunkKeys ?? deriveChunkKeys(Buffer.alloc(0)), folder.stores)
  for (const one of sealed) await verifyParts(folder, one, { until, sampled, judged, findBase }, progress)
  let unreferenced = 0
  for (const [index, store] of folder.stores.entries())
    unreferenced += await verifyOthers(store, judged[index] ?? { whole: new Set(), read: new Set() }, until, settings, progress)
  return unreferenced
}

interface Survey {
  /** Address → until when it must be kept. */
  readonly until: ReadonlyMap<string, number>
  readonly sampled: ReadonlySet<string>
  /** For each store. */
  readonly judged: readonly Judged[]
  readonly findBase: FindBase
}

async function verifyParts(folder: VaultFolder, sealed: Sealed, survey: Survey, progress: Progress): Promise<void> {
  const snapshot = sealed.name.id
  for (const part of sealed.parts) {
    progress.parts++
    const hash = createHash('sha256')
    let [whole, had] = [true, true]
    let from = 0
    const wanted = part.chunks.flatMap((chunk): readonly Wanted[] => {
      const at = { snapshot, part: part.name, from }
      from += chunk.bytes
      const itself = { ...at, chunk, isBase: false }
      return [...(chunk.bases ?? []).map((address) => ({ ...at, chunk: { ...chunk, address }, isBase: true })), itself]
    })
    const verified = inOrder(wanted, widthMax, async (one) => ({ one, found: await verifyChunk(folder, one, survey, progress) }))
    for await (const { one, found } of verified) {
      if (found === 'not read') whole = false
      else if (found === null) had = false
      else if (!one.isBase) hash.update(found)
    }
    if (!had) progress.lost.add(snapshot)
    if (!folder.key || part.sha256 === null || !whole || !had) continue
    if (hash.digest('hex') === part.sha256) continue
    const what = 'Its chunks do not add up to the part that was sealed.'
    progress.damage.push({ kind: 'damaged_part', file: 'manifests', what, snapshot, part: part.name })
    progress.lost.add(snapshot)
  }
}

/** Judges a chunk in every store; its plaintext, null when no store has it whole (empty when there is no key). */
async function verifyChunk(
  folder: VaultFolder,
  wanted: Wanted,
  survey: Survey,
  progress: Progress,
): Promise<Buffer | 'not read' | null> {
  if (!survey.sampled.has(wanted.chunk.address)) return 'not read'
  let plain: Buffer | null = null
  for (const [index, store] of folder.stores.entries()) {
    const judged = survey.judged[index]
    if (!judged) continue
    // Without a key there is nothing more to learn from reading it again; with one, its plaintext belongs to this part as well.
    if (judged.whole.has(wanted.chunk.address) && (!folder.key || plain)) plain ??= Buffer.alloc(0)
    else plain = (await verifyIn(store, folder, wanted, survey, judged, progress)) ?? plain
  }
  return plain
}

async function verifyIn(
  store: CopyStore,
  folder: VaultFolder,
  { chunk, snapshot, part, from }: Wanted,
  survey: Survey,
  judged: Judged,
  progress: Progress,
): Promise<Buffer | null> {
  const where = { snapshot, part, range: { from, bytes: chunk.bytes } }
  const versions = await store.versions(chunkName(chunk.address))
  const first = chunkName(chunk.address)
  // In a folder the first file is missing even when a second one, made when it had rotted, is there.
  const isMissing = store.locks ? versions.length === 0 : !versions.some(({ version }) => version === first)
  if (isMissing) {
    const file = store.locks ? `${store.place}: ${first}` : first
    progress.damage.push({ kind: 'missing_chunk', file, what: 'A chunk of this part is not there.', ...where })
  }
  const rotten: Version[] = []
  let plain: Buffer | null = null
  for (const version of versions) {
    const held = await getUnlessDamaged(store, version, boxBytesMax)
    const key = `${version.name}\0${version.version}`
    if (!judged.read.has(key)) progress.bytes += held?.bytes.length ?? 0
    const isNew = !judged.read.has(key)
    judged.read.add(key)
    if (!held || addressOf(held.bytes) !== chunk.address) {
      rotten.push(version)
      continue
    }
    judged.whole.add(chunk.address)
    if (isNew && store.locks && held.retainUntilMs < (survey.until.get(chunk.address) ?? 0)) {
      const what = 'The store would let this chunk go before its retention ends.'
      progress.damage.push({ kind: 'not_retained', file: store.describe(version), what, ...where })
    }
    plain = await decrypt(folder, survey.findBase, held.bytes, store.describe(version), where, progress)
    break
  }
  for (const version of rotten) tellRotten(store, version, plain !== null, where, progress)
  return plain
}

type Where = Pick<Wanted, 'snapshot' | 'part'> & { readonly range: { readonly from: number; readonly bytes: number } }

async function decrypt(
  folder: VaultFolder,
  findBase: FindBase,
  box: Buffer,
  file: string,
  where: Where,
  progress: Progress,
): Promise<Buffer | null> {
  if (!folder.key) return Buffer.alloc(0)
  try {
    return await decryptBox(folder.key.chunkKeys, 'chunk', box, findBase)
  } catch (error) {
    progress.damage.push({ kind: 'damaged_chunk', file, what: toFailure(error).message, ...where })
    return null
  }
}

/** In a locked store bytes do not rot under their version: what differs beside a whole version is somebody else's. */
function tellRotten(store: CopyStore, version: Version, isHadElsewhere: boolean, where: Where, progress: Progress): void {
  const file = store.describe(version)
  if (store.locks && isHadElsewhere) {
    progress.traces.push({ file, what: 'Somebody put other bytes under this name; what was sealed is whole.' })
    return
  }
  const what = 'A chunk of this part does not have the bytes that it is named after.'
  progress.damage.push({ kind: 'damaged_chunk', file, what, ...where })
}

/** Chunks that no manifest led to: whole ones are harmless, anything else is told. */
async function verifyOthers(
  store: CopyStore,
  judged: Judged,
  known: ReadonlyMap<string, number>,
  settings: VerifySettings,
  progress: Progress,
): Promise<number> {
  let unreferenced = 0
  for await (const version of store.list('chunks/')) {
    if (judged.read.has(`${version.name}\0${version.version}`)) continue
    const file = store.describe(version)
    const [, fan, address] = /^chunks\/([0-9a-f]{2})\/([0-9a-f]{64})$/.exec(version.name) ?? []
    if (fan === undefined || address === undefined || !address.startsWith(fan)) {
      progress.damage.push({ kind: 'foreign_file', file, what: 'This is not the name of a chunk.' })
      continue
    }
    if (settings.sample < 1 && !judged.whole.has(address) && (known.has(address) || settings.random() >= settings.sample))
      continue
    const held = await getUnlessDamaged(store, version, boxBytesMax)
    progress.bytes += held?.bytes.length ?? 0
    const isWhole = held !== null && addressOf(held.bytes) === address
    if (!isWhole && store.locks && judged.whole.has(address))
      progress.traces.push({ file, what: 'Somebody put other bytes under this name; what was sealed is whole.' })
    else if (!isWhole)
      progress.damage.push({ kind: 'damaged_chunk', file, what: 'A chunk does not have the bytes that it is named after.' })
    else if (!known.has(address)) unreferenced++
  }
  return unreferenced
}
