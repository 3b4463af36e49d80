import { z } from 'zod'
import type { Event } from './event.ts'

/** How many operations of an agent are known before a new one is worth a word: to a newcomer everything is new. */
const knownOperationsMin = 20
/** Kinds of operation remembered of one agent; with more it has no habit. */
const actionsMax = 500
/** Minutes with reads before a busy one is compared with them. */
const knownMinutesMin = 5
/** Reads of a minute that are out of the habit: so many at least, and so many times the busiest minute before. */
const readsMin = 1_000
const timesBusiest = 5
/** Agents remembered at once; past it the one heard of longest ago is forgotten. */
const agentsMax = 2_000
const minuteMs = 60_000

/** An entry that stands for those left out names no action. */
const intentShape = z.object({ operations: z.array(z.object({ action: z.string().optional() })) })
const readsShape = z.object({ reads: z.array(z.object({ agent: z.string(), count: z.number(), firstAtMs: z.number() })) })

export interface OutOfHabit {
  readonly kind: 'first_time' | 'read_volume'
  readonly who: string
  readonly events: readonly number[]
  readonly why: string
}

interface Habit {
  readonly actions: Set<string>
  operations: number
  minute: number
  reads: number
  readEvents: number[]
  minutes: number
  busiest: number
  /** Said of this minute already. */
  isTold: boolean
}

/** Events named of one busy minute. */
const eventsMax = 50

/** What each agent usually does, as the log tells it. Pure: the same events give the same. */
export class Habits {
  readonly #habits = new Map<string, Habit>()

  see(index: number, event: Event): OutOfHabit | null {
    if (event.type === 'intent') return this.#seeOperations(index, event)
    if (event.type === 'reads') return this.#seeReads(index, event)
    return null
  }

  #seeOperations(index: number, { agent, data }: Event): OutOfHabit | null {
    const read = intentShape.safeParse(data)
    if (agent === undefined || agent === '' || !read.success) return null
    const habit = this.#of(agent)
    const actions = new Set(read.data.operations.flatMap(({ action }) => action ?? []))
    const fresh = [...actions].filter((action) => !habit.actions.has(action))
    const isKnown = habit.operations >= knownOperationsMin
    habit.operations += 1
    for (const action of fresh) if (habit.actions.size < actionsMax) habit.actions.add(action)
    if (!isKnown || fresh.length === 0 || habit.actions.size >= actionsMax) return null
    const what = fresh.slice(0, 5).join(', ')
    return { kind: 'first_time', who: agent, events: [index], why: `${agent} never did this before: ${what}` }
  }

  #seeReads(index: number, { data }: Event): OutOfHabit | null {
    const read = readsShape.safeParse(data)
    if (!read.success) return null
    let found: OutOfHabit | null = null
    for (const { agent, count, firstAtMs } of read.data.reads) found = this.#countReads(index, agent, count, firstAtMs) ?? found
    return found
  }

  #countReads(index: number, agent: string, count: number, atMs: number): OutOfHabit | null {
    const habit = this.#of(agent)
    const minute = Math.floor(atMs / minuteMs)
    if (minute > habit.minute) {
      if (habit.reads > 0) habit.minutes += 1
      // A minute that was told of does not become the habit at once.
      if (!habit.isTold) habit.busiest = Math.max(habit.busiest, habit.reads)
      else habit.busiest *= 2
      Object.assign(habit, { minute, reads: 0, readEvents: [], isTold: false })
    }
    habit.reads += count
    if (habit.readEvents.at(-1) !== index && habit.readEvents.length < eventsMax) habit.readEvents.push(index)
    const isOut = habit.minutes >= knownMinutesMin && habit.reads >= readsMin && habit.reads > timesBusiest * habit.busiest
    if (!isOut || habit.isTold) return null
    habit.isTold = true
    const why = `${agent} read ${habit.reads} times within a minute; its busiest minute before had ${habit.busiest}`
    return { kind: 'read_volume', who: agent, events: [...habit.readEvents], why }
  }

  #of(agent: string): Habit {
    const known = this.#habits.get(agent)
    const habit = known ?? {
      actions: new Set<string>(),
      operations: 0,
      minute: 0,
      reads: 0,
      readEvents: [],
      minutes: 0,
      busiest: 0,
      isTold: false,
    }
    // Heard of last, forgotten last.
    this.#habits.delete(agent)
    this.#habits.set(agent, habit)
    const oldest = this.#habits.size > agentsMax ? this.#habits.keys().next().value : undefined
    if (oldest !== undefined) this.#habits.delete(oldest)
    return habit
  }
}
