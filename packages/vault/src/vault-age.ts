import { readFileSync } from 'node:fs'

/** Time since the machine was started, and which start that was. Nobody can set it: it only ever passes. */
export interface BootTime {
  readonly id: string
  readonly ms: number
}

export interface AgeSource {
  monotonicMs(): number
  /** Null where the system does not tell. */
  boot(): BootTime | null
}

/** What is kept of a vault's age over a restart. */
export interface AgeRecord {
  readonly agedMs: number
  readonly boot: BootTime | null
}

/**
 * How much time this vault knows to have passed since it was made: what it ran, and what it stood still between two runs while the machine was
 * up. Wall clocks have no say, so setting one forward frees nothing; a machine that is off makes copies be kept for longer.
 */
export class VaultAge {
  readonly #source: AgeSource
  readonly #startMonotonicMs: number
  readonly #startMs: number

  constructor(source: AgeSource, kept: AgeRecord | null) {
    this.#source = source
    this.#startMonotonicMs = source.monotonicMs()
    this.#startMs = (kept?.agedMs ?? 0) + stoodStillMs(kept?.boot ?? null, source.boot())
  }

  nowMs(): number {
    return this.#startMs + Math.max(0, Math.floor(this.#source.monotonicMs() - this.#startMonotonicMs))
  }

  record(): AgeRecord {
    return { agedMs: this.nowMs(), boot: this.#source.boot() }
  }
}

/** Within one start of the machine the time between two runs is known; over a restart of the machine it is not. */
function stoodStillMs(before: BootTime | null, now: BootTime | null): number {
  if (before === null || now === null || before.id !== now.id) return 0
  return Math.max(0, Math.floor(now.ms - before.ms))
}

/** From Linux; null elsewhere. */
export function readBootTime(): BootTime | null {
  try {
    const id = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const ms = Math.floor(Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000)
    return id === '' || !Number.isSafeInteger(ms) ? null : { id, ms }
  } catch {
    return null
  }
}
