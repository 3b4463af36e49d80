import {
  parseLsn,
  SallyportError,
  showLsn,
  walPieceBytesMax,
  type Clock,
  type WalFeed,
  type WalStream,
  type WalVault,
} from '@sallyport/core'
import { WalBuffer } from './wal-buffer.ts'

/** Bytes received and not yet durable; past it nothing more is read, and the server keeps the rest. */
const bufferedBytesMax = 8 << 20
const retryMs = 1_000

export interface ReceiverPorts {
  readonly vault: Pick<WalVault, 'append'>
  readonly clock: Clock
  /** How long WAL may wait for more of it before it becomes a piece. */
  readonly pieceEveryMs: number
  readonly retainMs: number
  /** Each time more is durable. */
  readonly advanced: (stream: WalStream) => void
  /** The vault does not take WAL, or takes it again (null). */
  readonly stalled: (why: string | null) => void
}

interface Waiter {
  readonly lsn: bigint
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Receives one feed into one stream: WAL is read as it comes, becomes a piece when there is enough of it, or it waited long enough, or somebody waits
 * for it; and is confirmed to the server only once the vault has it.
 */
export class WalReceiver {
  readonly #ports: ReceiverPorts
  readonly #feed: WalFeed
  readonly #stream: string
  readonly #buffer: WalBuffer
  readonly #waiters = new Set<Waiter>()
  readonly #ended = new AbortController()
  #oldestMs = 0
  #changed = Promise.withResolvers<void>()

  constructor(ports: ReceiverPorts, feed: WalFeed, stream: string, from: bigint) {
    this.#ports = ports
    this.#feed = feed
    this.#stream = stream
    this.#buffer = new WalBuffer(from)
  }

  get durable(): bigint {
    return this.#buffer.from
  }

  get received(): bigint {
    return this.#buffer.end
  }

  /** Until the feed breaks or `close` is called. @throws what broke it */
  async run(): Promise<void> {
    const reading = this.#read()
    const writing = this.#write()
    try {
      await Promise.race([reading, writing])
    } finally {
      this.close()
      await Promise.allSettled([reading, writing])
      const gone = brokenOff()
      for (const waiter of this.#waiters) waiter.reject(gone)
      this.#waiters.clear()
    }
  }

  close(): void {
    this.#ended.abort()
    this.#feed.close()
    this.#tell()
  }

  /** Resolves once everything before a position is durable. Sends at once what is there, without waiting for more. */
  async waitFor(lsn: bigint, timeoutMs: number): Promise<void> {
    if (lsn <= this.durable) return
    if (this.#ended.signal.aborted) throw brokenOff()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter = { lsn, resolve, reject }
    this.#waiters.add(waiter)
    this.#tell()
    const timer = setTimeout(() => reject(tooLate(timeoutMs)), timeoutMs)
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#waiters.delete(waiter)
    }
  }

  async #read(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      const { bytes } = await this.#feed.next()
      if (this.#buffer.bytes === 0) this.#oldestMs = this.#ports.clock.nowMs()
      this.#buffer.add(bytes)
      this.#tell()
      while (this.#buffer.bytes > bufferedBytesMax && !this.#ended.signal.aborted) await this.#changed.promise
    }
  }

  async #write(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      await this.#untilDue()
      if (this.#ended.signal.aborted) return
      await this.#keep(this.#buffer.peek(walPieceBytesMax))
    }
  }

  async #untilDue(): Promise<void> {
    const { clock, pieceEveryMs } = this.#ports
    const { signal } = this.#ended
    while (!signal.aborted) {
      const { bytes } = this.#buffer
      const { promise } = this.#changed
      const leftMs = this.#oldestMs + pieceEveryMs - clock.nowMs()
      if (bytes >= walPieceBytesMax || (bytes > 0 && (this.#isAwaited() || leftMs <= 0))) return
      if (bytes === 0) {
        await promise
        continue
      }
      const wake = new AbortController()
      await Promise.race([promise, clock.sleep(Math.max(1, leftMs), AbortSignal.any([wake.signal, signal]))])
      wake.abort()
    }
  }

  /** Somebody waits for what is here. What he waits for may still be on its way: a piece without it would only make the next one wait. */
  #isAwaited(): boolean {
    const { end } = this.#buffer
    return [...this.#waiters].some(({ lsn }) => lsn <= end)
  }

  /** Tries until the vault took it: nothing behind it may be confirmed. */
  async #keep(bytes: Buffer): Promise<void> {
    const { vault, clock, retainMs, advanced, stalled } = this.#ports
    let failures = 0
    while (!this.#ended.signal.aborted) {
      try {
        const stream = await vault.append(this.#stream, { fromLsn: showLsn(this.#buffer.from), bytes, retainMs })
        if (failures > 0) stalled(null)
        this.#buffer.drop(parseLsn(stream.toLsn))
        this.#oldestMs = clock.nowMs()
        this.#feed.confirm(this.received, this.durable)
        for (const waiter of this.#waiters) if (waiter.lsn <= this.durable) waiter.resolve()
        advanced(stream)
        this.#tell()
        return
      } catch (error) {
        // A stream that the vault will never take up again is begun anew by whoever runs this.
        if (error instanceof SallyportError && error.code === 'copy_failed' && isBroken(error)) throw error
        failures += 1
        if (failures === 1) stalled(error instanceof Error ? error.message.slice(0, 300) : 'the vault failed')
        await clock.sleep(retryMs, this.#ended.signal)
      }
    }
  }

  #tell(): void {
    const { resolve } = this.#changed
    this.#changed = Promise.withResolvers<void>()
    resolve()
  }
}

function isBroken({ message }: SallyportError): boolean {
  return /broken|no such stream|gap/.test(message)
}

function brokenOff(): SallyportError {
  return new SallyportError(
    'copy_failed',
    'WAL is not being received just now.',
    'No restore point was made; nothing was run.',
    'The gate connects again by itself: send the same request in a moment.',
  )
}

function tooLate(timeoutMs: number): SallyportError {
  return new SallyportError(
    'copy_failed',
    `The vault did not have the restore point within ${timeoutMs} ms.`,
    'Nothing was run.',
    'Look at `sallyport doctor`: the vault may be full, or the server far ahead of it.',
  )
}
