import { type CountedAs, type Counts, type Minute } from '@sallyport/console'
import { type Clock, type Event, impactKinds, type ImpactKind, worstKind } from '@sallyport/core'
import { z } from 'zod'
import type { Overview } from './overview.ts'
import type { Feed } from './ports.ts'
import { Usage } from './usage.ts'

/** How far back minutes are kept. */
const minutesKept = 60
/** Events that are read again when somebody first looks, so that the plot does not begin empty. */
const seedEvents = 8_000
/** Read at once: between two readings others have their turn. */
const seedBatch = 500
const minuteMs = 60_000

const readsShape = z.object({ reads: z.array(z.object({ count: z.number() })) })
const operationsShape = z.object({ operations: z.array(z.object({ kind: z.enum(impactKinds) })) })
const deniedShape = z.object({ outcome: z.literal('deny') })

function noCounts(): Record<CountedAs, number> {
  return { read: 0, write: 0, disrupt: 0, escalate: 0, destroy: 0, unknown: 0, refused: 0 }
}

/** What an event adds to the count of operations: reads are counted together, others by their intent, refusals by the decision. Null: nothing. */
export function countEvent({ type, data }: Event): { readonly as: CountedAs; readonly count: number } | null {
  if (type === 'reads') {
    const reads = readsShape.safeParse(data)
    return reads.success ? { as: 'read', count: reads.data.reads.reduce((sum, { count }) => sum + count, 0) } : null
  }
  if (type === 'intent') return { as: worstOf(data), count: 1 }
  if (type === 'decision') return deniedShape.safeParse(data).success ? { as: 'refused', count: 1 } : null
  return null
}

function worstOf(data: Event['data']): ImpactKind {
  const read = operationsShape.safeParse(data)
  return read.success && read.data.operations.length > 0 ? worstKind(read.data.operations.map(({ kind }) => kind)) : 'unknown'
}

/** Counts operations as they come on the log, by what they do. Absolute: whoever misses a message misses nothing. */
export class Tally {
  readonly #clock: Clock
  readonly usage = new Usage()
  readonly #totals = noCounts()
  #minutes: { readonly startMs: number; readonly counts: Record<CountedAs, number> }[] = []
  #size = 0
  /** Counted up to here: what the log says twice counts once. */
  #last = -1

  /** Listens from now on, and reads the end of what was there before. */
  static async begin(feed: Feed, record: Overview['record'], clock: Clock): Promise<Tally> {
    const tally = new Tally(clock)
    const early: Parameters<Parameters<Feed['subscribe']>[0]>[0][] = []
    let ready = false
    feed.subscribe((recorded) => {
      if (ready) tally.#add(recorded.index, recorded.event)
      else early.push(recorded)
    })
    const size = record.size()
    for (let from = Math.max(0, size - seedEvents); from < size; from += seedBatch)
      for (const { index, event } of await record.read(from, Math.min(seedBatch, size - from))) tally.#add(index, event)
    for (const { index, event } of early) tally.#add(index, event)
    ready = true
    return tally
  }

  private constructor(clock: Clock) {
    this.#clock = clock
  }

  #add(index: number, event: Event): void {
    if (index <= this.#last) return
    this.#last = index
    this.#size = index + 1
    this.usage.add(event)
    const counted = countEvent(event)
    if (counted === null) return
    this.#totals[counted.as] += counted.count
    this.#minuteOf(event.atMs)[counted.as] += counted.count
  }

  #minuteOf(atMs: number): Record<CountedAs, number> {
    const startMs = Math.floor(atMs / minuteMs) * minuteMs
    const known = this.#minutes.findLast((minute) => minute.startMs === startMs)
    if (known !== undefined) return known.counts
    const made = { startMs, counts: noCounts() }
    this.#minutes = [...this.#minutes, made].toSorted((left, right) => left.startMs - right.startMs).slice(-minutesKept)
    return made.counts
  }

  /** How many events it has seen. */
  get size(): number {
    return this.#size
  }

  totals(): Counts {
    return { ...this.#totals }
  }

  /** The last hour, oldest first, a minute each, those without any operation too. */
  minutes(): readonly Minute[] {
    const end = Math.floor(this.#clock.nowMs() / minuteMs) * minuteMs
    return Array.from({ length: minutesKept }, (_, back) => this.#minute(end - (minutesKept - 1 - back) * minuteMs))
  }

  minute(): Minute {
    return this.#minute(Math.floor(this.#clock.nowMs() / minuteMs) * minuteMs)
  }

  #minute(startMs: number): Minute {
    const known = this.#minutes.find((minute) => minute.startMs === startMs)
    return { startMs, counts: { ...(known?.counts ?? noCounts()) } }
  }
}
