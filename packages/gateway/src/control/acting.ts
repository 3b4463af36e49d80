import { type CountedAs, type Counts, type ShownLine, shownLineOf } from '@sallyport/console'
import type { Event } from '@sallyport/core'
import { MinuteCounts } from './minute-counts.ts'

/** What one agent did on one upstream within the last hour. */
export interface Acted {
  readonly agent: string
  /** Null: its session was opened before the counting began. */
  readonly upstream: string | null
  readonly counts: Counts
  readonly lastAtMs: number
}

interface Pair {
  readonly agent: string
  readonly upstream: string | null
  readonly counts: MinuteCounts
  lastAtMs: number
}

/** The pair that was quiet for longest makes room. */
const pairsMax = 500
const refusedKept = 12
const hourMs = 3_600_000

/** Which agent acts on which upstream, and what the gate refused or rang about: the last hour of it. */
export class Acting {
  readonly #pairs = new Map<string, Pair>()
  #refused: ShownLine[] = []

  count(agent: string, upstream: string | null, atMs: number, as: CountedAs, count: number): void {
    const key = JSON.stringify([agent, upstream])
    const pair = this.#pairs.get(key) ?? { agent, upstream, counts: new MinuteCounts(), lastAtMs: atMs }
    // Put in anew, so that the first one is always the one that was quiet for longest.
    this.#pairs.delete(key)
    this.#pairs.set(key, pair)
    pair.lastAtMs = Math.max(pair.lastAtMs, atMs)
    pair.counts.add(atMs, as, count)
    if (this.#pairs.size > pairsMax) this.#pairs.delete(this.#pairs.keys().next().value ?? '')
  }

  noteRefused(index: number, event: Event): void {
    this.#refused = [shownLineOf(index, event), ...this.#refused].slice(0, refusedKept)
  }

  /** Newest first. */
  refused(): readonly ShownLine[] {
    return this.#refused
  }

  /** Latest first, so many at most; who did nothing for an hour is not among them. */
  latest(nowMs: number, most: number): readonly Acted[] {
    return [...this.#pairs.values()]
      .toReversed()
      .filter(({ lastAtMs }) => nowMs - lastAtMs < hourMs)
      .slice(0, most)
      .map(({ agent, upstream, counts, lastAtMs }) => ({ agent, upstream, counts: counts.sum(nowMs), lastAtMs }))
  }
}
