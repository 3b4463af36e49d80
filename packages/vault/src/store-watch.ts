import type { Catalogue } from './catalogue.ts'
import type { CopyStore } from './copy-store.ts'
import { toFailure } from './failure.ts'
import type { TraceBook } from './trace-book.ts'

/** Told one by one at each look; of more, how many. */
const findingsMax = 200
/** Snapshots whose locks are looked at each time, in turn. */
const locksMax = 100

/**
 * Looks again and again for what was done to the copies behind the vault's back. What a store refused outside of us changed nothing and left
 * nothing here: only that store's own access log has it.
 */
export class StoreWatch {
  readonly #stores: readonly CopyStore[]
  readonly #catalogue: Catalogue
  readonly #book: TraceBook
  readonly #nowMs: () => number
  /** Sequence number of the snapshot that was looked at last. */
  #lockedTo = Number.MAX_SAFE_INTEGER
  /** Why the last look at a place came to nothing; null: it was looked at. */
  failed: string | null = null

  constructor(stores: readonly CopyStore[], catalogue: Catalogue, book: TraceBook, nowMs: () => number) {
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
    await this.#lookAtLocks().catch((error: unknown) => void (this.failed ??= toFailure(error).message))
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
    for (const { id, retainUntilMs } of snapshots) {
      if (retainUntilMs <= this.#nowMs()) continue
      for (const store of this.#stores) {
        const name = this.#catalogue.nameOf(id)
        const versions = await store.versions(name)
        let untilMs = 0
        for (const version of versions) untilMs = Math.max(untilMs, await store.head(version))
        // Stores keep whole seconds.
        if (versions.length === 0 || untilMs + 1_000 >= retainUntilMs) continue
        const what = `The store would let this go at ${new Date(untilMs).toISOString()}, but it is to be kept until ${new Date(retainUntilMs).toISOString()}.`
        this.#book.add({ kind: 'lock_shortened', place: store.place, name, mark: String(untilMs), what })
      }
    }
  }
}
