import { type CountedAs, type Counts, type Minute } from '@sallyport/console'
import { type Clock, type Event, impactKinds, type ImpactKind, worstKind } from '@sallyport/core'
import { z } from 'zod'
import type { Overview } from './overview.ts'
import { Acting } from './acting.ts'
import { MinuteCounts, noCounts } from './minute-counts.ts'
import type { Feed } from './ports.ts'
import { Usage } from './usage.ts'

/** Events that are read again when somebody first looks, so that the plot does not begin empty. */
const seedEvents = 8_000
/** Read at once: between two readings others have their turn. */
const seedBatch = 500

const readsShape = z.object({
  reads: z.array(z.object({ agent: z.optional(z.string()), session: z.optional(z.string()), count: z.number() })),
})
const operationsShape = z.object({ operations: z.array(z.object({ kind: z.enum(impactKinds) })) })
const deniedShape = z.object({ outcome: z.literal('deny') })

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
  readonly acting = new Acting()
  readonly #totals = noCounts()
  readonly #minutes = new MinuteCounts()
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
    if (event.type === 'alarm') this.acting.noteRefused(index, event)
    const counted = countEvent(event)
    if (counted === null) return
    this.#totals[counted.as] += counted.count
    this.#minutes.add(event.atMs, counted.as, counted.count)
    if (counted.as === 'refused') this.acting.noteRefused(index, event)
    this.#noteWho(event, counted)
  }

  #noteWho(event: Event, { as, count }: { readonly as: CountedAs; readonly count: number }): void {
    const note = (agent: string | undefined, session: string | undefined, some: number): void => {
      if (agent !== undefined) this.acting.count(agent, this.usage.upstreamOf(session), event.atMs, as, some)
    }
    if (event.type !== 'reads') return note(event.agent, event.session, count)
    // Those of many agents are counted in one event.
    for (const read of readsShape.parse(event.data).reads) note(read.agent, read.session, read.count)
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
    return this.#minutes.minutes(this.#clock.nowMs())
  }

  minute(): Minute {
    return this.#minutes.minute(this.#clock.nowMs())
  }
}
