/** Ages are measured on this machine alone: by the clock that nobody can set, and by the one that goes on while the machine sleeps. */
export interface Stopwatch {
  readonly monotonicMs: () => number
  readonly wallMs: () => number
}

export const machineStopwatch: Stopwatch = { monotonicMs: () => performance.now(), wallMs: () => Date.now() }

/** A moment on this machine. */
export interface Moment {
  readonly monotonicMs: number
  readonly wallMs: number
}

/** For how long this gate may go on by what it heard last (DESIGN §9: a gate that cannot hear the switch stops by itself). */
export class Lease {
  readonly #lengthMs: number
  readonly #stopwatch: Stopwatch
  #from: Moment | null = null

  constructor(lengthMs: number, stopwatch: Stopwatch = machineStopwatch) {
    this.#lengthMs = lengthMs
    this.#stopwatch = stopwatch
  }

  now(): Moment {
    return { monotonicMs: this.#stopwatch.monotonicMs(), wallMs: this.#stopwatch.wallMs() }
  }

  /** @param asked when the store was asked, not when it answered: what it answered may have been old on arrival */
  renew(asked: Moment): void {
    this.#from = asked
  }

  end(): void {
    this.#from = null
  }

  /** A clock that was set, in either direction, ends it too: the next renewal is a moment away, and a sleep of the machine looks just so. */
  isOver(): boolean {
    if (this.#from === null) return true
    const { monotonicMs, wallMs } = this.now()
    const asleepMs = wallMs - this.#from.wallMs
    return monotonicMs - this.#from.monotonicMs >= this.#lengthMs || asleepMs >= this.#lengthMs || asleepMs < -this.#lengthMs
  }
}
