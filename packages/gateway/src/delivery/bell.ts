import type { Clock, Log, Requests } from '@sallyport/core'
import type { LogSource } from './delivery.ts'
import {
  findDue,
  foldQuestion,
  type Due,
  type OpenQuestion,
  type OpenQuestions,
  type Ring,
  type RingPlan,
} from './open-question.ts'

export interface BellPorts {
  readonly clock: Clock
  readonly log: Pick<Log, 'append'>
  readonly source: LogSource
  /** Where on the log the oldest question stands that was open. */
  readonly memory: { get(name: string): string | null; set(name: string, value: string): void }
  readonly requests: Pick<Requests, 'get' | 'end'>
}

const placeName = 'bell'
const readMax = 500
/** How often what waits is looked at besides: a kill at another gate ends a question there, and is on no log here. */
const lookEveryMs = 60_000
/** A start reads so many events again at most, where nothing waits. */
const placesUnsaved = 1_000
const retryMs = 1_000
const idleMs = 3_600_000
/** How soon a question is looked for again that is on the log and not in the store yet, and for how long. */
const openingMs = 50
const openedWithinMs = 60_000

/**
 * Rings one after the other while nobody answers, holds back what can wait until the morning, and says when a question ran out. What it did is on the
 * log and nowhere else: a gate that starts again reads it there, so that nobody is rung twice and nobody is forgotten.
 */
export class Bell {
  readonly #ports: BellPorts
  readonly #plan: RingPlan
  readonly #open: OpenQuestions = new Map()
  readonly #stopped = new AbortController()
  #poked = new AbortController()
  #place: number
  #savedPlace = -1
  #lookedMs = 0
  #unsubscribe: (() => void) | null = null
  #running: Promise<void> = Promise.resolve()

  constructor(ports: BellPorts, plan: RingPlan | null) {
    this.#ports = ports
    this.#plan = plan ?? { steps: [], quiet: [] }
    const { memory, source } = ports
    const known = Number(memory.get(placeName) ?? Number.NaN)
    this.#place = Number.isSafeInteger(known) && known <= source.size() ? known : source.size()
    this.#remember()
  }

  start(): void {
    this.#unsubscribe = this.#ports.source.subscribe(() => this.#poked.abort())
    this.#running = this.#run()
  }

  async close(): Promise<void> {
    this.#unsubscribe?.()
    this.#stopped.abort()
    this.#poked.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock } = this.#ports
    while (!this.#stopped.signal.aborted) {
      this.#poked = new AbortController()
      const waitMs = await this.#step().catch(() => retryMs)
      const signal = AbortSignal.any([this.#poked.signal, this.#stopped.signal])
      if (waitMs > 0) await clock.sleep(waitMs, signal)
    }
  }

  /** All that is to be done now. Resolves with how long nothing is. */
  async #step(): Promise<number> {
    const { clock, source } = this.#ports
    await this.#catchUp()
    const nowMs = clock.nowMs()
    const isLook = nowMs - this.#lookedMs >= lookEveryMs
    if (isLook) this.#lookedMs = nowMs
    let wakeAtMs = this.#open.size === 0 ? Number.POSITIVE_INFINITY : this.#lookedMs + lookEveryMs
    for (const question of this.#open.values()) {
      const { rings, held, wakeAtMs: next } = findDue(this.#plan, question, nowMs)
      const isOver = question.expiresAtMs <= nowMs
      if (isOver || rings.length > 0 || held !== null || isLook) {
        const standing = await this.#look(question, isOver)
        if (standing === 'over') continue
        if (standing === 'waiting') await this.#tell(question, rings, held)
        else wakeAtMs = Math.min(wakeAtMs, nowMs + openingMs)
      }
      wakeAtMs = Math.min(wakeAtMs, question.expiresAtMs, next ?? Number.POSITIVE_INFINITY)
    }
    if (source.size() > this.#place) return 0
    // With nothing open only the log can wake it.
    return wakeAtMs === Number.POSITIVE_INFINITY ? idleMs : Math.max(1, wakeAtMs - nowMs)
  }

  async #catchUp(): Promise<void> {
    const { source } = this.#ports
    while (this.#place < source.size() && !this.#stopped.signal.aborted) {
      const read = await source.read(this.#place, readMax)
      if (read.length === 0) return
      for (const one of read) {
        foldQuestion(this.#open, one)
        if (one.event.type === 'kill') this.#lookedMs = 0
        this.#place = one.index + 1
      }
      this.#remember()
    }
  }

  /** Whether people may still answer. What ended without a word on this log is said there: whoever was rung hears of it. */
  async #look({ request, agent, openedAtMs }: OpenQuestion, isOver: boolean): Promise<'waiting' | 'not_yet' | 'over'> {
    const { requests, log, clock } = this.#ports
    if (isOver) await requests.end(request, ['pending'], 'expired', 'time')
    const current = await requests.get(request)
    if (current?.state === 'pending') return 'waiting'
    // On the log first, then in the store: it is there in a moment, or the gate stopped in between.
    if (current === null && clock.nowMs() - openedAtMs < openedWithinMs) return 'not_yet'
    const about = { atMs: clock.nowMs(), ...(agent !== null && { agent }) }
    if (current?.state === 'expired') await log.append({ type: 'request.expired', ...about, data: { request } })
    if (current?.state === 'cancelled')
      await log.append({ type: 'request.cancelled', ...about, data: { request, by: current.endedBy ?? 'the gate' } })
    this.#open.delete(request)
    return 'over'
  }

  async #tell({ request, agent, index, openedAtMs }: OpenQuestion, rings: readonly Ring[], held: Due['held']): Promise<void> {
    const { log, clock } = this.#ports
    const about = { atMs: clock.nowMs(), ...(agent !== null && { agent }) }
    if (held !== null) {
      const data = { request, receivers: [...held.receivers], untilMs: held.untilMs }
      await log.append({ type: 'request.held', ...about, data })
    }
    for (const { step, steps, receivers, why } of rings) {
      const data = { request, opened: index, step, steps, receivers: [...receivers], why, waitedMs: about.atMs - openedAtMs }
      await log.append({ type: 'request.rung', ...about, data })
    }
  }

  #remember(): void {
    const oldest = Math.min(this.#place, ...[...this.#open.values()].map(({ index }) => index))
    // Read again, the same comes of it: only how much is read is at stake.
    if (oldest - this.#savedPlace < placesUnsaved && oldest >= this.#savedPlace && this.#savedPlace >= 0) return
    this.#ports.memory.set(placeName, String(oldest))
    this.#savedPlace = oldest
  }
}
