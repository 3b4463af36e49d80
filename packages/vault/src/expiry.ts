import type { Catalogue } from './catalogue.ts'
import { toFailure } from './failure.ts'
import type { Store } from './store.ts'
import type { TrustedClock } from './trusted-clock.ts'
import type { VaultAge } from './vault-age.ts'
import type { WalStreams } from './wal-streams.ts'

/** What one look at the copies came to. */
export interface ExpiryReport {
  /** Why nothing was let go; null when nothing stood in the way. */
  readonly frozen: string | null
  readonly expired: readonly string[]
  readonly chunksRemoved: number
  /** Pieces of WAL. */
  readonly walRemoved: number
  readonly failed: readonly string[]
}

const dayMs = 86_400_000
/** A hold has no end, but a lock must have one: it is kept this far ahead. */
const holdAheadMs = 30 * dayMs

/**
 * Lets go what need not be kept any longer, and nobody else does. A snapshot goes when its retention has ended by the vault's clock *and* by its
 * age, so that setting the host's clock forward frees nothing; while that clock is not believed, nothing goes at all.
 */
export class ExpiryKeeper {
  readonly #store: Store
  readonly #catalogue: Catalogue
  readonly #streams: WalStreams
  readonly #clock: TrustedClock
  readonly #age: VaultAge
  #last: ExpiryReport | null = null

  constructor(store: Store, catalogue: Catalogue, streams: WalStreams, clock: TrustedClock, age: VaultAge) {
    this.#store = store
    this.#catalogue = catalogue
    this.#streams = streams
    this.#clock = clock
    this.#age = age
  }

  get last(): ExpiryReport | null {
    return this.#last
  }

  async look(): Promise<ExpiryReport> {
    const failed: string[] = []
    await this.#renewHolds(failed)
    await attempt(failed, async () => void (await this.#catalogue.complete(Number.POSITIVE_INFINITY)))
    await attempt(failed, () => this.#streams.complete())
    const jump = this.#clock.jump()
    const expired: string[] = []
    let chunksRemoved = 0
    let walRemoved = 0
    if (jump === null) {
      for (const id of this.#catalogue.ended(this.#clock.nowMs(), this.#age.nowMs())) {
        await attempt(failed, async () => {
          await this.#catalogue.expire(id, this.#clock.nowMs(), this.#age.nowMs())
          expired.push(id)
        })
      }
      await attempt(failed, async () => {
        walRemoved = await this.#streams.expire()
      })
      await attempt(failed, async () => {
        chunksRemoved = await this.#sweep()
      })
    }
    this.#last = { frozen: jump === null ? null : `Nothing expires: ${jump}.`, expired, chunksRemoved, walRemoved, failed }
    return this.#last
  }

  async #renewHolds(failed: string[]): Promise<void> {
    const nowMs = this.#clock.nowMs()
    for (const { id, retainUntilMs } of this.#catalogue.held()) {
      if (retainUntilMs > nowMs + holdAheadMs / 2) continue
      await attempt(failed, async () => void (await this.#catalogue.extend(id, nowMs + holdAheadMs, this.#clock)))
    }
  }

  /** Removes chunks that no snapshot and no open seal needs, once the store's own retention of them has ended too. */
  async #sweep(): Promise<number> {
    // A manifest that can't be read may need any of them.
    if (this.#catalogue.hasDamage) return 0
    const nowMs = this.#clock.nowMs()
    const isNeeded = (address: string): boolean => this.#catalogue.chunks.isNeeded(address)
    return await this.#store.removeChunks(isNeeded, nowMs)
  }
}

async function attempt(failed: string[], job: () => Promise<void>): Promise<void> {
  try {
    await job()
  } catch (error) {
    failed.push(toFailure(error).message)
  }
}
