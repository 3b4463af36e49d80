import { addressOf } from './chunk.ts'
import { getUnlessDamaged, type CopyStore } from './copy-store.ts'
import { toFailure, VaultFailure } from './failure.ts'
import { manifestBytesMax, openManifest, readOutside } from './manifest.ts'
import { readExpiries, readHolds, readRetained, type Expiry } from './retention.ts'
import { manifestName, parseManifestName, type ManifestName } from './thing-name.ts'
import type { VaultFolder } from './vault-folder.ts'
import { verifyChunks } from './verify-chunks.ts'
import type { Progress, Report, Sealed, VerifySettings } from './verify-report.ts'
import { verifyWal } from './verify-wal.ts'
import { verifyState } from './verify-state.ts'

const everything: VerifySettings = { sample: 1, random: () => 0 }

/** Reads everything in a vault's stores and says what is not as it was sealed. Changes nothing. */
export async function verifyFolder(folder: VaultFolder, settings: VerifySettings = everything): Promise<Report> {
  const progress: Progress = { damage: [], traces: [], lost: new Set(), known: new Set(), parts: 0, bytes: 0 }
  const report = (file: string, error: unknown): void =>
    void progress.damage.push({ kind: 'damaged_state', file, what: toFailure(error).message })
  if (folder.keyDamage !== null) progress.damage.push({ kind: 'damaged_state', file: 'key', what: folder.keyDamage })
  const retained = await readRetained(folder.stores, folder.identity.publicKey, report)
  await readHolds(folder.stores, folder.identity.publicKey, report)
  const expiries = await readExpiries(folder.stores, folder.identity.publicKey, report)
  const gone = new Set(expiries.map(({ snapshot }) => snapshot))
  const sealed = (await verifyManifests(folder, retained, progress)).filter(({ name }) => !gone.has(name.id))
  verifyChain(sealed, expiries, progress)
  const unreferenced = await verifyChunks(folder, sealed, settings, progress)
  const wal = await verifyWal(folder, progress)
  const ids = new Set(sealed.map((one) => one.name.id))
  for (const id of retained.keys()) {
    if (!ids.has(id))
      report('retention', new VaultFailure('damaged', `A retention record names snapshot ${id}, which is not there.`))
  }
  for (const store of folder.stores) {
    for await (const name of store.hidden())
      progress.traces.push({
        file: `${store.place}: ${name}`,
        what: 'Somebody tried to delete this: it is hidden, and still there.',
      })
  }
  await verifyState(folder, report)
  const last = sealed.at(-1)
  return {
    ok: progress.damage.length === 0,
    vault: folder.identity.publicKey,
    decrypted: folder.key !== null,
    sample: settings.sample,
    snapshots: sealed.length,
    expired: expiries.length,
    parts: progress.parts,
    chunks: progress.known.size,
    bytes: progress.bytes,
    newest: last ? { sequence: last.name.sequence, id: last.name.id } : null,
    unreferenced,
    wal,
    damage: progress.damage,
    traces: progress.traces,
    lost: [...progress.lost],
  }
}

/** Every manifest that some store has whole, oldest first. */
async function verifyManifests(
  folder: VaultFolder,
  retained: ReadonlyMap<string, number>,
  progress: Progress,
): Promise<readonly Sealed[]> {
  const found = new Map<string, Sealed>()
  const here = new Map<CopyStore, ReadonlySet<string>>()
  for (const store of folder.stores) {
    const whole = await verifyManifestsIn(store, folder, retained, progress)
    for (const sealed of whole) if (!found.has(sealed.name.id)) found.set(sealed.name.id, sealed)
    here.set(store, new Set(whole.map(({ name }) => name.id)))
  }
  for (const [store, ids] of here) {
    for (const sealed of found.values()) if (!ids.has(sealed.name.id)) tellMissing(store, sealed, progress)
  }
  return [...found.values()].sort(
    (left, right) => left.name.sequence - right.name.sequence || (left.name.id < right.name.id ? -1 : 1),
  )
}

function tellMissing(store: CopyStore, { name }: Sealed, progress: Progress): void {
  const what = `This manifest is not in ${store.place}, but elsewhere.`
  progress.damage.push({ kind: 'missing_manifest', file: manifestName(name), what, snapshot: name.id })
}

async function verifyManifestsIn(
  store: CopyStore,
  folder: VaultFolder,
  retained: ReadonlyMap<string, number>,
  progress: Progress,
): Promise<readonly Sealed[]> {
  const whole = new Map<string, Sealed>()
  const names = new Set<string>()
  const refused: { readonly id: string; readonly under: string; readonly file: string; readonly what: string }[] = []
  for await (const version of store.list('manifests/')) {
    const [file, name] = [store.describe(version), parseManifestName(version.name)]
    if (!name) {
      progress.damage.push({ kind: 'foreign_file', file, what: 'This is not the name of a manifest.' })
      continue
    }
    try {
      const held = await getUnlessDamaged(store, version, manifestBytesMax)
      progress.bytes += held?.bytes.length ?? 0
      if (!held || addressOf(held.bytes) !== name.id)
        throw new VaultFailure('damaged', 'Its bytes do not have the hash that it is named after.')
      const sealed = await readSealed(folder, name, held.bytes, retained, progress)
      if (store.locks && held.retainUntilMs < sealed.retainUntilMs) tellUnlocked(file, name, progress)
      whole.set(name.id, sealed)
      names.add(version.name)
    } catch (error) {
      refused.push({ id: name.id, under: version.name, file, what: toFailure(error).message })
    }
  }
  for (const { id, under, file, what } of refused) {
    const forged = /not signed by this vault|no signature|of another vault/.test(what)
    if (names.has(under))
      progress.traces.push({ file, what: 'Somebody put other bytes under this name; what was sealed is whole.' })
    else progress.damage.push({ kind: forged ? 'forged_manifest' : 'damaged_manifest', file, what, snapshot: id })
  }
  return [...whole.values()]
}

function tellUnlocked(file: string, name: ManifestName, progress: Progress): void {
  const what = 'The store would let this manifest go before its retention ends.'
  progress.damage.push({ kind: 'not_retained', file, what, snapshot: name.id })
}

async function readSealed(
  folder: VaultFolder,
  name: ManifestName,
  bytes: Buffer,
  retained: ReadonlyMap<string, number>,
  progress: Progress,
): Promise<Sealed> {
  const outside = readOutside(folder.identity.publicKey, bytes)
  if (outside.sequence !== name.sequence) throw new VaultFailure('damaged', 'It lies under the sequence number of another.')
  const unnamed = outside.parts.map((part, index) => ({ name: `part ${index + 1}`, sha256: null, chunks: part.chunks }))
  const retainUntilMs = Math.max(outside.retainUntilMs, retained.get(name.id) ?? 0)
  const known = { name, outside, retainUntilMs }
  if (!folder.key) return { ...known, parts: unnamed }
  try {
    return { ...known, parts: (await openManifest(folder.key, bytes)).parts }
  } catch (error) {
    // Its signature holds, so its chunks can still be judged.
    const what = toFailure(error).message
    progress.damage.push({ kind: 'damaged_manifest', file: manifestName(name), what, snapshot: name.id })
    progress.lost.add(name.id)
    return { ...known, parts: unnamed }
  }
}

/** Each manifest names the one before, so one that was taken away from the middle or the beginning shows. What was let go has left its record. */
function verifyChain(sealed: readonly Sealed[], expiries: readonly Expiry[], progress: Progress): void {
  const links = [
    ...sealed.map(({ name, outside }) => ({ ...name, previous: outside.previous })),
    ...expiries.map(({ sequence, snapshot, previous }) => ({ sequence, id: snapshot, previous })),
  ].sort((left, right) => left.sequence - right.sequence || (left.id < right.id ? -1 : 1))
  let before: ManifestName | null = null
  for (const link of links) {
    const fits = link.sequence === (before?.sequence ?? 0) + 1 && link.previous === (before?.id ?? null)
    const what = `Number ${link.sequence} follows ${before ? `number ${before.sequence}` : 'nothing'}, but was sealed after ${link.previous ?? 'nothing'}.`
    if (!fits) progress.damage.push({ kind: 'missing_manifest', file: 'manifests', what, snapshot: link.id })
    before = link
  }
}
