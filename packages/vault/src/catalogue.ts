import type { Snapshot } from '@sallyport/core'
import { toFailure, VaultFailure } from './failure.ts'
import type { VaultKey } from './key.ts'
import { openManifest, signManifest, toSnapshot, type About, type Manifest, type Part } from './manifest.ts'
import { readRetained, retainMsMax, signRetention } from './retention.ts'
import { manifestName, type ManifestName, type Store } from './store.ts'
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
}

/** What the vault found when it read its stores. */
export interface Loaded {
  readonly catalogue: Catalogue
  readonly damaged: readonly { readonly file: string; readonly what: string }[]
  readonly newestMs: number
}

/** The sealed snapshots, oldest first. Rebuilt from the manifests at every start: there is no index that could disagree with them. */
export class Catalogue {
  readonly #store: Store
  readonly #key: VaultKey
  /** The content key for the recovery recipients, as it goes into every manifest. */
  readonly #recovery: string | null
  readonly #entries: Map<string, Entry>
  readonly #newest: Map<string, Entry>
  #last: ManifestName | null
  #turn: Promise<unknown> = Promise.resolve()

  constructor(store: Store, key: VaultKey, recovery: string | null, entries: readonly Entry[], last: ManifestName | null) {
    this.#store = store
    this.#recovery = recovery
    this.#key = key
    this.#entries = new Map(entries.map((entry) => [entry.snapshot.id, entry]))
    this.#newest = new Map(entries.map((entry) => [entry.snapshot.upstream, entry]))
    this.#last = last
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
      const entry = { name, snapshot: toSnapshot(manifest, 0) }
      this.#last = name
      this.#entries.set(id, entry)
      this.#newest.set(about.upstream, entry)
      return entry.snapshot
    })
  }

  /** Keeps a snapshot for longer; never for less. */
  async extend(id: string, retainUntilMs: number, clock: TrustedClock): Promise<Snapshot> {
    return await this.#inTurn(async () => {
      const { name, snapshot } = this.#find(id)
      const atMs = clock.nowMs()
      if (retainUntilMs <= snapshot.retainUntilMs)
        throw new VaultFailure('retention_shorter', 'Retention can only be made longer; it stays as it was.')
      if (retainUntilMs > atMs + retainMsMax)
        throw new VaultFailure('bad_request', 'Retention is limited to 100 years; it stays as it was.')
      const { manifest } = await this.open(id)
      const chunks = manifest.parts.flatMap((part) => part.chunks)
      await this.#store.extend(name, chunks, retainUntilMs)
      const record = signRetention(this.#key, { v: 1, snapshot: id, retainUntilMs, atMs })
      await this.#store.keepRecord(record.name, record.bytes, retainUntilMs)
      const extended = { name, snapshot: { ...snapshot, retainUntilMs } }
      this.#entries.set(id, extended)
      if (this.#newest.get(snapshot.upstream)?.snapshot.id === id) this.#newest.set(snapshot.upstream, extended)
      return extended.snapshot
    })
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

/** Reads every manifest and retention record. A damaged one is reported and left alone; the others stay usable, and the sequence goes on. */
export async function loadCatalogue(store: Store, key: VaultKey, recovery: string | null): Promise<Loaded> {
  const damaged: { file: string; what: string }[] = []
  const report = (file: string, error: unknown): void => void damaged.push({ file, what: toFailure(error).message })
  const retained = await readRetained(store.stores, key.publicKey, report)
  const entries: Entry[] = []
  for (const name of await store.manifestNames()) {
    try {
      const manifest = await openManifest(key, await store.readManifest(name))
      if (manifest.outside.sequence !== name.sequence)
        throw new VaultFailure('damaged', 'A manifest lies under the name of another.')
      entries.push({ name, snapshot: toSnapshot(manifest, retained.get(manifest.id) ?? 0) })
      for (const part of manifest.parts) store.similar.learn(part.chunks, part.marks)
    } catch (error) {
      report(manifestName(name), error)
    }
  }
  const newestMs = entries.reduce((latest, entry) => Math.max(latest, entry.snapshot.madeAtMs), 0)
  // Only what this vault signed counts: a stranger's file could bear any number.
  return { catalogue: new Catalogue(store, key, recovery, entries, entries.at(-1)?.name ?? null), damaged, newestMs }
}
