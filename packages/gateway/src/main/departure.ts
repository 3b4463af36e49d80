import type { Asked, Attendance, Clearance, Clock, Gate, Govern, Refusal, Sessions } from '@sallyport/core'
import { SallyportError } from '@sallyport/core'

/** How often it is looked whether anything still runs. */
const lookEveryMs = 20

const what = 'This gate is stopping.'
const next = 'Connect again: to another gate, or to this one when it is back.'

export interface DepartingParts {
  readonly clock: Clock
  /** Sessions in which something runs. */
  readonly busy: () => number
  /** Peer of the gate's own sessions: what is due was begun before, and is not tried twice. */
  readonly ownPeer: string
}

/**
 * The end of a gate that was asked to stop: nothing new is let in or cleared, nobody is waited for any more, and what runs may end. Everybody else
 * is told to go elsewhere.
 */
export class Departure {
  readonly #parts: DepartingParts
  readonly #leaving = new AbortController()
  readonly #cleared = new Set<Clearance>()

  constructor(parts: DepartingParts) {
    this.#parts = parts
  }

  get isLeaving(): boolean {
    return this.#leaving.signal.aborted
  }

  /** The gate as protocols see it, which refuses from then on. */
  attend(gate: Gate): Gate {
    return { ...gate, govern: this.#govern(gate.govern), sessions: this.#sessions(gate.sessions) }
  }

  #govern(govern: Govern): Govern {
    return {
      ask: (asked, attendance) => this.#ask(govern, asked, attendance),
      recall: (session, key) => !this.isLeaving && govern.recall(session, key),
      catchUp: (session, key) => (this.isLeaving ? null : govern.catchUp(session, key)),
      knows: (session, key) => !this.isLeaving && govern.knows(session, key),
      consider: async (asked) => (this.#refuses(asked.session.peer) ? refusal : govern.consider(asked)),
      settle: (clearance, upstream) => govern.settle(clearance, upstream),
      conclude: async (clearance, outcome) => {
        try {
          await govern.conclude(clearance, outcome)
        } finally {
          this.#cleared.delete(clearance)
        }
      },
    }
  }

  async #ask(govern: Govern, asked: Asked, attendance: Attendance): ReturnType<Govern['ask']> {
    if (this.#refuses(asked.session.peer)) return refusal
    const verdict = await govern.ask(asked, new Shortened(attendance, this.#leaving.signal))
    if (verdict.outcome === 'cleared' && verdict.clearance.intent !== '') this.#cleared.add(verdict.clearance)
    return verdict
  }

  #sessions(sessions: Sessions): Sessions {
    return {
      open: async (handle, protocol, upstream, peer, meanwhile) => {
        if (this.#refuses(peer)) throw new SallyportError('upstream_unavailable', what, 'No session was opened.', next)
        return sessions.open(handle, protocol, upstream, peer, meanwhile)
      },
      close: (session, reason) => sessions.close(session, reason),
    }
  }

  #refuses(peer: string): boolean {
    return this.isLeaving && peer !== this.#parts.ownPeer
  }

  /** Resolves when nothing runs any more, or after so long. */
  async leave(withinMs: number): Promise<void> {
    const { clock, busy } = this.#parts
    const deadlineMs = clock.nowMs() + withinMs
    this.#leaving.abort()
    while ((this.#cleared.size > 0 || busy() > 0) && clock.nowMs() < deadlineMs) await clock.sleep(lookEveryMs)
  }
}

/** Nobody is waited for any more. Joined only where somebody looks: most requests wait for nobody. */
class Shortened implements Attendance {
  readonly waitMs: number
  readonly #attendance: Attendance
  readonly #leaving: AbortSignal
  #joined: AbortSignal | null = null

  constructor(attendance: Attendance, leaving: AbortSignal) {
    this.waitMs = attendance.waitMs
    this.#attendance = attendance
    this.#leaving = leaving
  }

  get signal(): AbortSignal {
    this.#joined ??= AbortSignal.any([this.#attendance.signal, this.#leaving])
    return this.#joined
  }

  pending(request: Parameters<Attendance['pending']>[0]): void {
    this.#attendance.pending(request)
  }
}

const refusal: Refusal = {
  outcome: 'refused',
  code: 'upstream_unavailable',
  message: what,
  notDone: 'Nothing was run.',
  next,
  guards: [],
}
