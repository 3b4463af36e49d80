import type { Clock, Log } from '@sallyport/core'
import { DeliveryError, type LoggedEvent, type Receiver } from './receiver.ts'

/** The log as it grows: what is in it is durable. */
export interface LogSource {
  size(): number
  read(from: number, count: number): Promise<readonly LoggedEvent[]>
  subscribe(listener: () => void): () => void
}

export interface DeliveryPorts {
  readonly clock: Clock
  readonly log: Pick<Log, 'append'>
  readonly source: LogSource
  /** How far each receiver was told, so that nothing is lost over a restart. */
  readonly memory: { get(name: string): string | null; set(name: string, value: string): void }
}

/** One receiver as it stands. */
export interface DeliveryHealth {
  readonly name: string
  /** Events on the log that it has not been asked about yet. */
  readonly behind: number
  readonly failures: number
  readonly why: string | null
}

/** Read from the log at once. */
const readMax = 500
const deliverTimeoutMs = 15_000
const retryMsMin = 1_000
const retryMsMax = 60_000
/** So many in a row, and the log says so, once: whoever is told by another way hears of it. */
const failuresTold = 3

/**
 * Tells each receiver what it wants to hear, in order, and each by itself: one that is slow or dead holds up neither the gate, which never waits
 * for any of this, nor the others. It goes by the log and a place in it, so there is no queue that could run over or be lost.
 */
export class Delivery {
  readonly #ports: DeliveryPorts
  readonly #lines: readonly Line[]
  #unsubscribe: (() => void) | null = null

  constructor(ports: DeliveryPorts, receivers: readonly Receiver[]) {
    this.#ports = ports
    this.#lines = receivers.map((receiver) => new Line(ports, receiver))
  }

  start(): void {
    if (this.#lines.length === 0) return
    this.#unsubscribe = this.#ports.source.subscribe(() => this.#lines.forEach((line) => line.poke()))
    for (const line of this.#lines) line.start()
  }

  health(): readonly DeliveryHealth[] {
    return this.#lines.map((line) => line.health())
  }

  async close(): Promise<void> {
    this.#unsubscribe?.()
    await Promise.all(this.#lines.map((line) => line.close()))
  }
}

class Line {
  readonly #ports: DeliveryPorts
  readonly #receiver: Receiver
  readonly #stopped = new AbortController()
  #place: number
  #failures = 0
  #why: string | null = null
  #poked = Promise.withResolvers<void>()
  #running: Promise<void> = Promise.resolve()

  constructor(ports: DeliveryPorts, receiver: Receiver) {
    this.#ports = ports
    this.#receiver = receiver
    const known = Number(ports.memory.get(this.#key) ?? Number.NaN)
    // A receiver that is new hears of what happens from now on.
    this.#place = Number.isSafeInteger(known) && known <= ports.source.size() ? known : ports.source.size()
    if (this.#place !== known) this.#remember(this.#place)
  }

  get #key(): string {
    return `delivered:${this.#receiver.name}`
  }

  poke(): void {
    this.#poked.resolve()
  }

  start(): void {
    this.#receiver.attachment?.start()
    this.#running = this.#run()
  }

  health(): DeliveryHealth {
    const behind = Math.max(0, this.#ports.source.size() - this.#place)
    const fault = this.#receiver.attachment?.fault() ?? null
    const detached = fault === null ? 0 : 1
    return { name: this.#receiver.name, behind, failures: Math.max(this.#failures, detached), why: this.#why ?? fault }
  }

  async close(): Promise<void> {
    this.#stopped.abort()
    this.#poked.resolve()
    await Promise.all([this.#running, this.#receiver.attachment?.close()])
  }

  async #run(): Promise<void> {
    const { source } = this.#ports
    const { signal } = this.#stopped
    while (!signal.aborted) {
      if (this.#place >= source.size()) {
        await this.#poked.promise
        this.#poked = Promise.withResolvers<void>()
        continue
      }
      await this.#step().catch((error: unknown) => this.#failed(error))
    }
  }

  async #step(): Promise<void> {
    const { wants, batchMax } = this.#receiver
    const read = await this.#ports.source.read(this.#place, readMax)
    let batch: LoggedEvent[] = []
    for (const [at, one] of read.entries()) {
      if (wants.has(one.event.type)) batch.push(one)
      const isLast = at === read.length - 1
      if (batch.length < batchMax && !isLast) continue
      if (batch.length > 0) await this.#deliver(batch)
      batch = []
      this.#remember(one.index + 1)
      if (this.#stopped.signal.aborted) return
    }
  }

  async #deliver(batch: readonly LoggedEvent[]): Promise<void> {
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(deliverTimeoutMs)])
    try {
      await this.#receiver.deliver(batch, signal)
    } catch (error) {
      if (!(error instanceof DeliveryError && error.final)) throw error
      await this.#tell('delivery.failed', { why: error.message, lost: batch.map(({ index }) => index) })
    }
    const failed = this.#failures
    this.#failures = 0
    this.#why = null
    if (failed >= failuresTold) await this.#tell('delivery.recovered', { failures: failed })
  }

  async #failed(error: unknown): Promise<void> {
    const { clock } = this.#ports
    if (this.#stopped.signal.aborted) return
    this.#failures += 1
    this.#why = error instanceof DeliveryError ? error.message : 'it did not answer in time, or failed'
    if (this.#failures === failuresTold) await this.#tell('delivery.failed', { why: this.#why, lost: [] })
    const askedMs = error instanceof DeliveryError ? error.waitMs : 0
    const retryMs = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(this.#failures - 1, 10))
    await clock.sleep(Math.max(askedMs, retryMs), this.#stopped.signal)
  }

  async #tell(
    type: 'delivery.failed' | 'delivery.recovered',
    data: { readonly [key: string]: string | number | number[] },
  ): Promise<void> {
    const { clock, log } = this.#ports
    await log.append({ type, atMs: clock.nowMs(), data: { receiver: this.#receiver.name, ...data } }).catch(() => undefined)
  }

  #remember(place: number): void {
    this.#place = place
    this.#ports.memory.set(this.#key, String(place))
  }
}
