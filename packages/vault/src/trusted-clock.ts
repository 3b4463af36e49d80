/** Where time comes from, injected. */
export interface TimeSource {
  wallMs(): number
  /** Never goes back; its origin means nothing. */
  monotonicMs(): number
}

/** A wall clock that differs from what the monotonic clock says by more than this was set by someone. */
const jumpMs = 5 * 60_000

/**
 * The vault's time. It never goes back, not even over a restart (`highWaterMs` is the latest time the vault knows of), and once the wall clock
 * jumps it goes on by the monotonic clock alone until the next start.
 */
export class TrustedClock {
  readonly #source: TimeSource
  readonly #startMonotonicMs: number
  readonly #startMs: number
  #lastMs: number
  #jump: string | null

  constructor(source: TimeSource, highWaterMs: number) {
    const wallMs = Math.floor(source.wallMs())
    this.#source = source
    this.#startMonotonicMs = source.monotonicMs()
    this.#startMs = Math.max(wallMs, highWaterMs)
    this.#lastMs = this.#startMs
    const behindMs = highWaterMs - wallMs
    this.#jump =
      behindMs > jumpMs
        ? `at start the wall clock was ${Math.round(behindMs / 1000)} s behind the last time this vault knew`
        : null
  }

  nowMs(): number {
    const expectedMs = this.#startMs + Math.floor(this.#source.monotonicMs() - this.#startMonotonicMs)
    const driftMs = Math.floor(this.#source.wallMs()) - expectedMs
    if (this.#jump === null && Math.abs(driftMs) > jumpMs) {
      this.#jump = `the wall clock jumped by ${Math.round(driftMs / 1000)} s while the vault ran`
    }
    const nowMs = this.#jump === null ? expectedMs + driftMs : expectedMs
    this.#lastMs = Math.max(this.#lastMs, nowMs)
    return this.#lastMs
  }

  /** Why the wall clock is not believed, or null. Whatever frees something early by time must stand still while this is set. */
  jump(): string | null {
    this.nowMs()
    return this.#jump
  }
}
