import type { Event } from '../event.ts'
import { countedReads, readOpening, type Opening } from './session-facts.ts'

/** A session in a list. */
export interface SessionBrief extends Opening {
  readonly id: string
  readonly agent: string
  readonly openedAtMs: number
  readonly closedAtMs: number | null
  readonly closedWhy: string | null
  /** First and last entry on the log in which it is named. */
  readonly firstIndex: number
  readonly lastIndex: number
  readonly reads: number
  readonly ran: number
  readonly troubles: number
  readonly refused: number
  readonly asked: number
}

type Growing = { -readonly [Key in keyof SessionBrief]: SessionBrief[Key] }

/** Sessions as the log grows, the newest so many of them. */
export class SessionList {
  readonly #sessions = new Map<string, Growing>()
  readonly #max: number
  #dropped = 0

  constructor(max = 5_000) {
    this.#max = max
  }

  /** Older sessions that are no longer in it. */
  get dropped(): number {
    return this.#dropped
  }

  find(id: string): SessionBrief | null {
    return this.#sessions.get(id) ?? null
  }

  /** Newest first. */
  list(agent: string | null = null): readonly SessionBrief[] {
    return [...this.#sessions.values()].filter((one) => agent === null || one.agent === agent).toReversed()
  }

  add(index: number, event: Event): void {
    for (const { session, count } of countedReads(event)) {
      const counted = this.#sessions.get(session)
      if (counted === undefined) continue
      counted.reads += count
      counted.lastIndex = index
    }
    if (event.session === undefined) return
    const known = this.#sessions.get(event.session) ?? this.#open(event.session, index, event)
    known.lastIndex = index
    this.#note(known, event)
  }

  #open(id: string, index: number, event: Event): Growing {
    const made: Growing = {
      id,
      agent: event.agent ?? '',
      ...readOpening(event),
      openedAtMs: event.atMs,
      closedAtMs: null,
      closedWhy: null,
      firstIndex: index,
      lastIndex: index,
      reads: 0,
      ran: 0,
      troubles: 0,
      refused: 0,
      asked: 0,
    }
    this.#sessions.set(id, made)
    const [oldest] = this.#sessions.keys()
    if (this.#sessions.size > this.#max && oldest !== undefined) {
      this.#sessions.delete(oldest)
      this.#dropped += 1
    }
    return made
  }

  #note(known: Growing, { type, data, atMs }: Event): void {
    if (type === 'intent') known.ran += 1
    if (type === 'outcome' && data['result'] !== 'succeeded') known.troubles += 1
    if (type === 'alarm') known.troubles += 1
    if (type === 'decision' && data['outcome'] === 'deny') known.refused += 1
    if (type === 'request.opened') known.asked += 1
    if (type !== 'session.closed') return
    known.closedAtMs = atMs
    known.closedWhy = typeof data['reason'] === 'string' ? data['reason'] : ''
  }
}
