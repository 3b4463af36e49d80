import { z } from 'zod'
import type { Event } from './event.ts'
import { Habits } from './habit.ts'

const countedKinds = ['probing', 'burst', 'knocking'] as const
export const watchedKinds = [...countedKinds, 'first_time', 'read_volume'] as const
export type WatchedKind = (typeof watchedKinds)[number]

/** Something that single events do not show. Names the events it rests on. */
export interface Spotted {
  readonly kind: WatchedKind
  /** An agent; of `knocking` the address that it came from. */
  readonly who: string
  readonly session: string | null
  readonly events: readonly number[]
  readonly why: string
}

interface Rule {
  readonly kind: (typeof countedKinds)[number]
  /** So many within `windowMs`, and it is spotted; then counting begins anew. */
  readonly count: number
  readonly windowMs: number
  readonly why: (who: string, count: number, seconds: number) => string
}

const rules: Readonly<Record<Rule['kind'], Rule>> = {
  probing: {
    kind: 'probing',
    count: 10,
    windowMs: 60_000,
    why: (who, count, seconds) => `${who} was refused ${count} times within ${seconds} s: it tries what it may not do`,
  },
  burst: {
    kind: 'burst',
    count: 30,
    windowMs: 60_000,
    why: (who, count, seconds) => `${who} destroyed something ${count} times within ${seconds} s`,
  },
  knocking: {
    kind: 'knocking',
    count: 20,
    windowMs: 60_000,
    why: (who, count, seconds) => `${who} was turned away at the door ${count} times within ${seconds} s`,
  },
}

/** Counted at once. Past it the one counted longest ago is forgotten. */
const countedMax = 2_000

const denial = z.object({ outcome: z.literal('deny') })
const destroying = z.object({ operations: z.array(z.object({ kind: z.string().optional() })) })
const turnedAway = z.object({ peer: z.string() })

interface Seen {
  readonly index: number
  readonly atMs: number
}

/** Looks at the log as it grows. Pure: the same events spot the same. */
export class Watch {
  readonly #seen = new Map<string, Seen[]>()
  readonly #habits = new Habits()

  see(index: number, event: Event): Spotted | null {
    const { type, agent } = event
    if (type === 'decision' && denial.safeParse(event.data).success) return this.#count(rules.probing, agent, index, event)
    const unusual = this.#habits.see(index, event)
    const burst = type === 'intent' && destroys(event) ? this.#count(rules.burst, agent, index, event) : null
    if (burst !== null) return burst
    if (unusual !== null) return { ...unusual, session: event.session ?? null }
    if (type === 'door.refused') return this.#count(rules.knocking, peerOf(event), index, event)
    return null
  }

  #count(rule: Rule, who: string | undefined, index: number, { atMs, session }: Event): Spotted | null {
    if (who === undefined || who === '') return null
    const key = `${rule.kind} ${who}`
    const known = this.#seen.get(key) ?? []
    const recent = [...known.filter((one) => Math.abs(atMs - one.atMs) <= rule.windowMs), { index, atMs }]
    this.#seen.delete(key)
    if (recent.length < rule.count) {
      this.#keep(key, recent)
      return null
    }
    const why = rule.why(who, recent.length, rule.windowMs / 1_000)
    return { kind: rule.kind, who, session: session ?? null, events: recent.map((one) => one.index), why }
  }

  #keep(key: string, seen: Seen[]): void {
    this.#seen.set(key, seen)
    const oldest = this.#seen.size > countedMax ? this.#seen.keys().next().value : undefined
    if (oldest !== undefined) this.#seen.delete(oldest)
  }
}

function destroys({ data }: Event): boolean {
  const read = destroying.safeParse(data)
  return read.success && read.data.operations.some(({ kind }) => kind === 'destroy')
}

/** Without its port, which is another for each connection. */
function peerOf({ data }: Event): string {
  const read = turnedAway.safeParse(data)
  return read.success ? read.data.peer.replace(/:\d{1,5}$/, '') : ''
}
