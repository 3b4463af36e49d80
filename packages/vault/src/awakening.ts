import { toFailure, type VaultFailure } from './failure.ts'

/** How often a place that cannot be reached is tried again. */
const againMs = 10_000
/** Longer than this nobody is kept waiting at a start: until then a vault that answers at all says more. */
const startWaitMs = 8_000

/**
 * The part of a start that needs the places where copies lie. While one cannot be reached it is tried again and again; what is wrong otherwise
 * fails the start, or, later, is said until somebody mends it.
 */
export class Awakening<Awake> {
  readonly #wake: () => Promise<Awake>
  readonly #againMs: number
  #reason: string | null = 'It has not looked at its places yet.'
  #awake: Awake | null = null
  #timer: NodeJS.Timeout | null = null
  #ended = false
  #turn: Promise<void> = Promise.resolve()

  constructor(wake: () => Promise<Awake>, retryMs = againMs) {
    this.#wake = wake
    this.#againMs = retryMs
  }

  /** Why it is not awake; null once it is. */
  get reason(): string | null {
    return this.#reason
  }

  get awake(): Awake | null {
    return this.#awake
  }

  /** Resolves when it is awake, or when it is clear that this will take a while. @throws VaultFailure for what trying again does not mend */
  async begin(): Promise<void> {
    const first = this.#try()
    this.#turn = first.catch(() => undefined)
    const waited = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      this.#reason = 'The places where copies lie have not answered yet.'
      waited.resolve()
    }, startWaitMs)
    try {
      await Promise.race([first, waited.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  async end(): Promise<void> {
    this.#ended = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#turn
  }

  async #try(): Promise<void> {
    try {
      this.#awake = await this.#wake()
      this.#reason = null
    } catch (error) {
      const failure = toFailure(error)
      this.#reason = failure.message
      this.#later()
      if (!isUnreachable(failure)) throw failure
    }
  }

  #later(): void {
    if (this.#ended) return
    this.#timer = setTimeout(() => void (this.#turn = this.#try().catch(() => undefined)), this.#againMs)
  }
}

function isUnreachable({ code }: VaultFailure): boolean {
  return code === 'store_unreachable'
}
