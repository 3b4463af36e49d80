import type { Catalogue } from './catalogue.ts'
import type { CopyStore } from './copy-store.ts'
import { forEachWide } from './disk.ts'
import { toFailure } from './failure.ts'
import { addressesOf, chunkName } from './thing-name.ts'
import type { TraceBook } from './trace-book.ts'

/** Told one by one at each look; of more, how many. */
const findingsMax = 200
/** Snapshots whose locks are looked at each time, in turn. */
const locksMax = 100
/** Chunks of one snapshot that are looked at each time, in turn: each is a request to a bucket. */
const chunksMax = 500
const widthMax = 8

/**
 * Looks again and again for what was done to the copies behind the vault's back. What a store refused outside of us changed nothing and left
 * nothing here: only that store's own access log has it.
 */
export class StoreWatch {
  readonly #stores: readonly CopyStore[]
  readonly #catalogue: Pick<Catalogue, 'list' | 'open' | 'nameOf'>
  readonly #book: TraceBook
  readonly #nowMs: () => number
  /** Sequence number of the snapshot that was looked at last. */
  #lockedTo = Number.MAX_SAFE_INTEGER
  /** As above, of the one whose chunks come next, and how many of them were looked at. */
  #chunksTo = { before: Number.MAX_SAFE_INTEGER, seen: 0 }
  /** Why the last look at a place came to nothing; null: it was looked at. */
  failed: string | null = null

  constructor(
    stores: readonly CopyStore[],
    catalogue: Pick<Catalogue, 'list' | 'open' | 'nameOf'>,
    book: TraceBook,
    nowMs: () => number,
  ) {
    this.#stores = stores
    this.#catalogue = catalogue
    this.#book = book
    this.#nowMs = nowMs
  }

  async look(): Promise<void> {
    let failed: string | null = null
    for (const store of this.#stores) {
      try {
        await this.#lookAt(store)
      } catch (error) {
        failed = `${store.place}: ${toFailure(error).message}`
      }
    }
    this.failed = failed
    for (const look of [() => this.#lookAtLocks(), () => this.#lookAtChunks()])
      await look().catch((error: unknown) => void (this.failed ??= toFailure(error).message))
    await this.#book.flush()
  }

  async #lookAt(store: CopyStore): Promise<void> {
    await this.#lookAtSetup(store)
    let told = 0
    for await (const finding of store.inspect()) {
      told++
      if (told <= findingsMax) this.#book.add({ ...finding, place: store.place })
    }
    if (told <= findingsMax) return
    const what = `${told - findingsMax} more things here are not as the vault left them.`
    this.#book.add({ kind: 'more', place: store.place, name: '', mark: String(told), what })
  }

  async #lookAtSetup(store: CopyStore): Promise<void> {
    const setup = await store.setup()
    const before = this.#book.setupOf(store.place)
    for (const [name, value] of Object.entries(setup)) {
      const old = before?.[name] ?? null
      if (old === null || old === value) continue
      const mark = `${value} ${this.#book.last}`
      this.#book.add({ kind: 'setup_changed', place: store.place, name, mark, what: `It was ${old}, and is ${value} now.` })
    }
    if (JSON.stringify(before) !== JSON.stringify(setup)) this.#book.keepSetup(store.place, setup)
  }

  async #lookAtLocks(): Promise<void> {
    const { snapshots, next } = this.#catalogue.list(locksMax, this.#lockedTo)
    this.#lockedTo = next ?? Number.MAX_SAFE_INTEGER
    for (const { id, retainUntilMs } of snapshots)
      if (retainUntilMs > this.#nowMs()) await this.#lookAtThing(this.#catalogue.nameOf(id), retainUntilMs)
  }

  /**
   * What a snapshot needs is there, and kept for as long as it is. `inspect` goes by what lay there when the vault was started: what vanished or lost its lock
   * while it was stopped shows here alone.
   */
  async #lookAtChunks(): Promise<void> {
    const { before, seen } = this.#chunksTo
    const { snapshots, next } = this.#catalogue.list(1, before)
    // One that cannot be read must not keep the others from being looked at.
    this.#chunksTo = { before: next ?? Number.MAX_SAFE_INTEGER, seen: 0 }
    const [snapshot] = snapshots
    if (snapshot === undefined || snapshot.retainUntilMs <= this.#nowMs()) return
    const { manifest } = await this.#catalogue.open(snapshot.id)
    const addresses = addressesOf(manifest.parts.flatMap(({ chunks }) => chunks))
    if (addresses.length > seen + chunksMax) this.#chunksTo = { before, seen: seen + chunksMax }
    await forEachWide(addresses.slice(seen, seen + chunksMax), widthMax, (address) =>
      this.#lookAtThing(chunkName(address), snapshot.retainUntilMs),
    )
  }

  async #lookAtThing(name: string, retainUntilMs: number): Promise<void> {
    for (const store of this.#stores) {
      const versions = await store.versions(name)
      let untilMs = 0
      for (const version of versions) untilMs = Math.max(untilMs, await store.head(version))
      // Stores keep whole seconds. What has come to its end meanwhile may have been let go.
      if (untilMs + 1_000 >= retainUntilMs || retainUntilMs <= this.#nowMs()) continue
      const until = new Date(retainUntilMs).toISOString()
      if (versions.length === 0) {
        const what = `This is to be kept until ${until}, and is not here.`
        this.#book.add({ kind: 'gone', place: store.place, name, mark: '', what })
        continue
      }
      const end = untilMs === 0 ? 'now, or has lost it' : `at ${new Date(untilMs).toISOString()}`
      const what = `The store would let this go ${end}, but it is to be kept until ${until}.`
      this.#book.add({ kind: 'lock_shortened', place: store.place, name, mark: String(untilMs), what })
    }
  }
}
