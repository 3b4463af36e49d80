import type { CountedAs, Counts, Minute } from '@sallyport/console'

/** How far back minutes are kept. */
const minutesKept = 60
const minuteMs = 60_000

export function noCounts(): Record<CountedAs, number> {
  return { read: 0, write: 0, disrupt: 0, escalate: 0, destroy: 0, unknown: 0, refused: 0 }
}

/** Operations of the last hour, a minute each. */
export class MinuteCounts {
  #minutes: { readonly startMs: number; readonly counts: Record<CountedAs, number> }[] = []

  add(atMs: number, as: CountedAs, count: number): void {
    const startMs = Math.floor(atMs / minuteMs) * minuteMs
    const known = this.#minutes.findLast((minute) => minute.startMs === startMs)
    if (known !== undefined) {
      known.counts[as] += count
      return
    }
    const made = { startMs, counts: noCounts() }
    made.counts[as] = count
    this.#minutes = [...this.#minutes, made].toSorted((left, right) => left.startMs - right.startMs).slice(-minutesKept)
  }

  /** Oldest first, those without any operation too. */
  minutes(nowMs: number): readonly Minute[] {
    const end = Math.floor(nowMs / minuteMs) * minuteMs
    return Array.from({ length: minutesKept }, (_, back) => this.#minute(end - (minutesKept - 1 - back) * minuteMs))
  }

  /** The one that goes on. */
  minute(nowMs: number): Minute {
    return this.#minute(Math.floor(nowMs / minuteMs) * minuteMs)
  }

  #minute(startMs: number): Minute {
    const known = this.#minutes.find((minute) => minute.startMs === startMs)
    return { startMs, counts: { ...(known?.counts ?? noCounts()) } }
  }

  /** Of the whole hour. */
  sum(nowMs: number): Counts {
    const fromMs = Math.floor(nowMs / minuteMs) * minuteMs - (minutesKept - 1) * minuteMs
    const sum = noCounts()
    for (const { startMs, counts } of this.#minutes) {
      if (startMs < fromMs) continue
      for (const as of ['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown', 'refused'] as const) sum[as] += counts[as]
    }
    return sum
  }
}
