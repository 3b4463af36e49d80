import { setTimeout } from 'node:timers/promises'
import type { Clock } from '@sallyport/core'
import type { Moment, Stopwatch } from './lease.ts'

/**
 * The database's time, carried on by this machine's monotonic clock: all gates have the same, whatever their own clocks say. It never goes back.
 */
export class DatabaseClock implements Clock {
  readonly #stopwatch: Stopwatch
  #offsetMs = 0
  #lastMs = 0

  constructor(stopwatch: Stopwatch) {
    this.#stopwatch = stopwatch
  }

  nowMs(): number {
    this.#lastMs = Math.max(this.#lastMs, Math.floor(this.#stopwatch.monotonicMs() + this.#offsetMs))
    return this.#lastMs
  }

  /** @param databaseMs what the database's clock said between these two moments */
  set(databaseMs: number, asked: Moment, answered: Moment): void {
    const between = { from: databaseMs - answered.monotonicMs, to: databaseMs - asked.monotonicMs }
    // Within what the round trip leaves open the clock goes on as it was: a slow answer does not pull it to and fro.
    if (this.#offsetMs >= between.from && this.#offsetMs <= between.to) return
    this.#offsetMs = (between.from + between.to) / 2
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await setTimeout(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
  }
}
