import { SallyportError, type SqlChannel } from '@sallyport/core'
import { GateChannel, type Conversable, type Place } from '../../protocols/postgres/gate-channel.ts'
import { ServerFlow, type Taker } from '../../protocols/postgres/server-flow.ts'
import type { ProtectConnection } from '../../protocols/postgres/upstreams.ts'
import type { Connected } from './connect.ts'

/** A connection of the gate's alone. */
export class OwnLine implements Conversable {
  #socket: Connected['socket']
  #flow: ServerFlow
  #closed = false
  #onData = (chunk: Buffer): void => void this.#flow.receive(chunk)
  #onClose = (): void => this.close()

  constructor({ socket }: Connected) {
    this.#socket = socket
    this.#flow = new ServerFlow({
      toClient: () => undefined,
      toServer: () => undefined,
      batchFailed: () => undefined,
      transactionEnded: () => undefined,
      broken: () => this.close(),
    })
    socket.on('data', this.#onData)
    socket.once('close', this.#onClose)
    socket.resume()
  }

  get closed(): boolean {
    return this.#closed
  }

  async enter(): Promise<Place> {
    if (this.#closed) throw gone()
    await this.#flow.quiet()
    return 'between'
  }

  async write(bytes: Buffer, readies: number): Promise<void> {
    if (this.#closed) throw gone()
    this.#flow.outstanding += readies
    if (this.#socket.write(bytes)) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done)
        this.#socket.off('close', done)
        resolve()
      }
      this.#socket.on('drain', done)
      this.#socket.on('close', done)
    })
  }

  take(taker: Taker | null): void {
    this.#flow.taker = taker
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Hands the connection on, idle, as it was handed in. Only when nothing is outstanding. */
  leave(): void {
    if (this.#closed) throw gone()
    this.#closed = true
    this.#socket.pause()
    this.#socket.off('data', this.#onData)
    this.#socket.off('close', this.#onClose)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    // Without a goodbye: after a kill is acknowledged not a byte may arrive, and a server needs none to roll back.
    this.#socket.destroy()
    this.#flow.end()
  }
}

function gone(): SallyportError {
  return new SallyportError(
    'upstream_unavailable',
    "The gate's own connection to the upstream is closed.",
    'Nothing was done by it.',
    'Try again.',
  )
}

/** Opens when first used; each request has one transaction on it. */
export class LazyProtect implements ProtectConnection {
  readonly channel: SqlChannel
  #open: () => Promise<OwnLine>
  #line: Promise<OwnLine> | null = null
  #begun: Promise<GateChannel> | null = null
  #closed = false

  constructor(open: () => Promise<OwnLine>) {
    this.#open = open
    const begin = (): Promise<GateChannel> => (this.#begun ??= this.#begin())
    this.channel = {
      query: async (sql, values) => (await begin()).query(sql, values),
      copyOut: (sql) => copyLater(begin, sql),
      copyIn: async (sql, chunks) => (await begin()).copyIn(sql, chunks),
    }
  }

  async #begin(): Promise<GateChannel> {
    if (this.#closed) throw gone()
    const kept = this.#line === null ? null : await this.#line.catch(() => null)
    this.#line = kept === null || kept.closed ? this.#open() : Promise.resolve(kept)
    const line = await this.#line
    if (this.#isClosed()) {
      line.close()
      throw gone()
    }
    const channel = new GateChannel(line)
    await channel.query('BEGIN')
    return channel
  }

  #isClosed(): boolean {
    return this.#closed
  }

  async end(commit: boolean): Promise<void> {
    const begun = this.#begun
    this.#begun = null
    if (begun === null) return
    const channel = await begun.catch(() => null)
    await channel?.attempt(commit ? 'COMMIT' : 'ROLLBACK')
  }

  close(): void {
    this.#closed = true
    this.#line?.then(
      (line) => line.close(),
      () => undefined,
    )
  }
}

async function* copyLater(begin: () => Promise<GateChannel>, sql: string): AsyncIterable<Uint8Array> {
  yield* (await begin()).copyOut(sql)
}
