import type { Snapshot } from '@sallyport/core'
import { toFailure, VaultFailure } from './failure.ts'
import type { VaultKey } from './key.ts'
import { openManifest, signManifest, toSnapshot, type About, type Manifest, type Part } from './manifest.ts'
import {
  expiryRecord,
  holdRecord,
  readExpiries,
  readHolds,
  readRetained,
  retainMsMax,
  retentionRecord,
  type Expiry,
  type Hold,
} from './retention.ts'
import { signRecord } from './signed-record.ts'
import { forecastStorage, type StorageForecast } from './storage-forecast.ts'
import { StoredChunks } from './stored-chunks.ts'
import type { Store } from './store.ts'
import { manifestName, type ManifestName } from './thing-name.ts'
import type { TrustedClock } from './trusted-clock.ts'

/** When a snapshot was made and until when it is kept, as its manifest says. */
export interface Times {
  readonly madeAtMs: number
  /** The vault's age then. */
  readonly agedMs: number
  readonly retainUntilMs: number
}

interface Entry {
  readonly name: ManifestName
  readonly snapshot: Snapshot
  /** The vault's age when it was sealed; 0 where the manifest does not say, which only makes it be kept for longer. */
  readonly agedMs: number
  readonly addedBytes: number
}

/** What the vault found when it read its stores. */
export interface Loaded {
  readonly catalogue: Catalogue
  readonly damaged: readonly { readonly file: string; readonly what: string }[]
  readonly newestMs: number
  /** What was let go: whatever is left of it is removed. */
  readonly leftover: readonly ManifestName[]
}

interface Found {
  readonly entries: readonly Entry[]
  readonly holds: ReadonlyMap<string, Hold>
  readonly chunks: StoredChunks
  readonly hasDamage: boolean
  readonly expiries: readonly Expiry[]
  readonly last: ManifestName | null
}

/** Records of holds and of what was let go are locked for this long. They are never removed. */
const recordMs = 10 * 366 * 86_400_000

/** The sealed snapshots, oldest first. Rebuilt from the manifests at every start: there is no index that could disagree with them. */
export class Catalogue {
  readonly #store: Store
  readonly #key: VaultKey
  /** The content key for the recovery recipients, as it goes into every manifest. */
  readonly #recovery: string | null
  readonly chunks: StoredChunks
  /** Whether there are manifests that cannot be read, and nobody knows what they need. */
  readonly hasDamage: boolean
  readonly #entries: Map<string, Entry>
  readonly #newest: Map<string, Entry>
  readonly #holds: Map<string, Hold>
  /** What was let go, oldest first. */
  readonly expiries: Expiry[]
  #last: ManifestName | null
  #turn: Promise<unknown> = Promise.resolve()

  constructor(store: Store, key: VaultKey, recovery: string | null, found: Found) {
    this.#store = store
    this.#recovery = recovery
    this.#key = key
    this.chunks = found.chunks
    this.hasDamage = found.hasDamage
    this.#entries = new Map(found.entries.map((entry) => [entry.snapshot.id, entry]))
    this.#newest = new Map(found.entries.map((entry) => [entry.snapshot.upstream, entry]))
    this.#holds = new Map(found.holds)
    this.expiries = [...found.expiries]
    this.#last = found.last
  }

  get size(): number {
    return this.#entries.size
  }

  get newestId(): string | null {
    return this.#last?.id ?? null
  }

  /** Newest first, at most `limit`, only those before a sequence number where one is given. */
  list(limit: number, before: number): { readonly snapshots: readonly Snapshot[]; readonly next: number | null } {
    const older = [...this.#entries.values()].filter((entry) => entry.name.sequence < before).reverse()
    const page = older.slice(0, limit)
    return {
      snapshots: page.map((entry) => entry.snapshot),
      next: older.length > limit ? (page.at(-1)?.name.sequence ?? null) : null,
    }
  }

  newest(upstream: string): Snapshot | null {
    return this.#newest.get(upstream)?.snapshot ?? null
  }

  /** Where the manifest of a snapshot lies in every store. */
  nameOf(id: string): string {
    return manifestName(this.#find(id).name)
  }

  /** The signed manifest itself: by it anyone can show, with no vault at hand, what was sealed. @throws VaultFailure `not_found`, `damaged` */
  async receipt(id: string): Promise<Buffer> {
    return await this.#store.readManifest(this.#find(id).name)
  }

  /** Reads a manifest from disk anew and proves it. @throws VaultFailure `not_found`, `damaged` */
  async open(id: string): Promise<{ readonly manifest: Manifest; readonly snapshot: Snapshot }> {
    const { name, snapshot } = this.#find(id)
    const manifest = await openManifest(this.#key, await this.#store.readManifest(name))
    if (manifest.id !== id) throw new VaultFailure('damaged', 'A manifest does not have the bytes that its name is the hash of.')
    return { manifest, snapshot }
  }

  /** Signs and keeps the manifest of a snapshot whose chunks all read back. One at a time: each names the one before. */
  async add(about: About, times: Times, parts: readonly Part[], inside: string): Promise<Snapshot> {
    return await this.#inTurn(async () => {
      const sequence = (this.#last?.sequence ?? 0) + 1
      const place = { sequence, previous: this.#last?.id ?? null, recovery: this.#recovery, ...times }
      const { id, bytes } = signManifest(this.#key, about, place, parts, inside)
      const manifest = await openManifest(this.#key, bytes)
      const name = { sequence, id }
      await this.#store.keepManifest(about.seal, name, bytes, times.retainUntilMs)
      const addedBytes = this.chunks.add(parts.flatMap((part) => part.chunks))
      const entry = { name, snapshot: toSnapshot(manifest, 0), agedMs: times.agedMs, addedBytes }
      this.#last = name
      this.#entries.set(id, entry)
      this.#newest.set(about.upstream, entry)
      return entry.snapshot
    })
  }

  /** Keeps a snapshot for longer; never for less. */
  async extend(id: string, retainUntilMs: number, clock: TrustedClock): Promise<Snapshot> {
    const atMs = clock.nowMs()
    this.#checkLonger(id, retainUntilMs, atMs)
    const { manifest } = await this.open(id)
    // Not in turn: of a large copy this takes long, and seals need not wait for it. A longer lock than promised does no harm.
    const chunks = manifest.parts.flatMap((part) => part.chunks)
    await this.#store.extend(this.#find(id).name, chunks, retainUntilMs)
    return await this.#inTurn(async () => {
      this.#checkLonger(id, retainUntilMs, atMs)
      const record = signRecord(this.#key, retentionRecord, { v: 1, snapshot: id, retainUntilMs, atMs })
      await this.#store.keepRecord(record.name, record.bytes, retainUntilMs)
      const entry = this.#find(id)
      const extended = { ...entry, snapshot: { ...entry.snapshot, retainUntilMs } }
      this.#entries.set(id, extended)
      const { upstream } = entry.snapshot
      if (this.#newest.get(upstream)?.snapshot.id === id) this.#newest.set(upstream, extended)
      return extended.snapshot
    })
  }

  #checkLonger(id: string, retainUntilMs: number, atMs: number): void {
    if (retainUntilMs <= this.#find(id).snapshot.retainUntilMs)
      throw new VaultFailure('retention_shorter', 'Retention can only be made longer; it stays as it was.')
    if (retainUntilMs > atMs + retainMsMax)
      throw new VaultFailure('bad_request', 'Retention is limited to 100 years; it stays as it was.')
  }

  /** Keeps a snapshot until somebody who has the vault itself ends the hold. */
  async hold(id: string, reason: string, atMs: number): Promise<Snapshot> {
    return await this.#inTurn(async () => {
      const { snapshot } = this.#find(id)
      const held = this.#holds.get(id)
      if (held) return snapshot
      const hold = { v: 1, snapshot: id, held: true, atMs, reason } as const
      const record = signRecord(this.#key, holdRecord, hold)
      await this.#store.keepRecord(record.name, record.bytes, atMs + recordMs)
      this.#holds.set(id, hold)
      return snapshot
    })
  }

  /** Snapshots that are held, with why. */
  held(): readonly (Snapshot & { readonly reason: string })[] {
    return [...this.#holds.values()].flatMap(({ snapshot, reason }) => {
      const entry = this.#entries.get(snapshot)
      return entry ? [{ ...entry.snapshot, reason }] : []
    })
  }

  /** Ids of those that need not be kept any longer, oldest first: by the clock, by the vault's age, and by nobody's hold. */
  ended(nowMs: number, agedMs: number): readonly string[] {
    const over = [...this.#entries.values()].filter(({ snapshot, agedMs: sealedMs }) => {
      const retainMs = snapshot.retainUntilMs - snapshot.madeAtMs
      return snapshot.retainUntilMs <= nowMs && agedMs - sealedMs >= retainMs && !this.#holds.has(snapshot.id)
    })
    return over.map(({ snapshot }) => snapshot.id)
  }

  /** Copies into every store what one of them lacks, the newest first, `max` snapshots at most. How many were copied. */
  async complete(max: number): Promise<number> {
    if (this.#store.stores.length < 2) return 0
    let copied = 0
    for (const { name, snapshot } of [...this.#entries.values()].reverse()) {
      if (copied >= max) return copied
      // It may have been let go meanwhile.
      if (!this.#entries.has(snapshot.id)) continue
      const { manifest } = await this.open(snapshot.id)
      const chunks = manifest.parts.flatMap((part) => part.chunks)
      if (await this.#store.complete(name, chunks, snapshot.retainUntilMs)) copied++
    }
    return copied
  }

  /** Lets a snapshot go whose retention has ended: first what says so, then its manifest. Its chunks go when nobody needs them. */
  async expire(id: string, nowMs: number, agedMs: number): Promise<void> {
    await this.#inTurn(async () => {
      const isOver = this.ended(nowMs, agedMs).includes(id) && (await this.#store.isManifestFree(this.#find(id).name, nowMs))
      if (!isOver) throw new VaultFailure('retention_in_force', 'This snapshot is kept for longer; it was not removed.')
      const { name, snapshot } = this.#find(id)
      const { manifest } = await this.open(id)
      const { sequence, previous, upstream, madeAtMs } = manifest.outside
      const retainUntilMs = snapshot.retainUntilMs
      const expiry = { v: 1, snapshot: id, sequence, previous, upstream, madeAtMs, retainUntilMs, atMs: nowMs, agedMs } as const
      const record = signRecord(this.#key, expiryRecord, expiry)
      await this.#store.keepRecord(record.name, record.bytes, nowMs + recordMs)
      await this.#store.removeManifest(name, nowMs)
      this.#entries.delete(id)
      this.expiries.push(expiry)
      this.chunks.drop(manifest.parts.flatMap((part) => part.chunks))
      if (this.#newest.get(upstream)?.snapshot.id !== id) return
      const rest = [...this.#entries.values()].filter((entry) => entry.snapshot.upstream === upstream)
      const newest = rest.at(-1)
      if (newest) this.#newest.set(upstream, newest)
      else this.#newest.delete(upstream)
    })
  }

  forecast(nowMs: number): StorageForecast {
    const weights = [...this.#entries.values()].map(({ snapshot, addedBytes }) => ({ ...snapshot, addedBytes }))
    return forecastStorage(this.chunks.bytes, weights, nowMs)
  }

  #find(id: string): Entry {
    const entry = this.#entries.get(id)
    if (!entry) throw new VaultFailure('not_found', 'The vault has no sealed snapshot of this id.')
    return entry
  }

  #inTurn<Result>(job: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(job)
    this.#turn = result.catch(() => undefined)
    return result
  }
}

/** Reads every manifest and record. A damaged one is reported and left alone; the others stay usable, and the sequence goes on. */
export async function loadCatalogue(store: Store, key: VaultKey, recovery: string | null): Promise<Loaded> {
  const damaged: { file: string; what: string }[] = []
  const report = (file: string, error: unknown): void => void damaged.push({ file, what: toFailure(error).message })
  const retained = await readRetained(store.stores, key.publicKey, report)
  const holds = await readHolds(store.stores, key.publicKey, report)
  const expiries = await readExpiries(store.stores, key.publicKey, report)
  const gone = new Set(expiries.map(({ snapshot }) => snapshot))
  const chunks = new StoredChunks()
  const entries: Entry[] = []
  for (const name of await store.manifestNames()) {
    // Let go, and the vault was stopped before its manifest was removed: the next look removes it.
    if (gone.has(name.id)) continue
    try {
      const manifest = await openManifest(key, await store.readManifest(name))
      const { outside } = manifest
      if (outside.sequence !== name.sequence) throw new VaultFailure('damaged', 'A manifest lies under the name of another.')
      const snapshot = toSnapshot(manifest, retained.get(manifest.id) ?? 0)
      const addedBytes = chunks.add(manifest.parts.flatMap((part) => part.chunks))
      entries.push({ name, snapshot, agedMs: outside.v === 2 ? outside.agedMs : 0, addedBytes })
      for (const part of manifest.parts) store.similar.learn(part.chunks, part.marks)
    } catch (error) {
      report(manifestName(name), error)
    }
  }
  const newestMs = entries.reduce((latest, entry) => Math.max(latest, entry.snapshot.madeAtMs), 0)
  // Only what this vault signed counts: a stranger's file could bear any number.
  const names = [...entries.map(({ name }) => name), ...expiries.map(({ sequence, snapshot }) => ({ sequence, id: snapshot }))]
  const last = names.reduce<ManifestName | null>((late, name) => (late && late.sequence > name.sequence ? late : name), null)
  const hasDamage = damaged.some(({ file }) => file.startsWith('manifests/'))
  const catalogue = new Catalogue(store, key, recovery, { entries, holds, chunks, hasDamage, expiries, last })
  return { catalogue, damaged, newestMs, leftover: expiries.map(({ sequence, snapshot }) => ({ sequence, id: snapshot })) }
}
