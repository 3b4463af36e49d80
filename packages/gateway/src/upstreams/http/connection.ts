import type { Socket } from 'node:net'
import type { SallyportError } from '@sallyport/core'
import type { AnswerListener, Flow } from '../../protocols/http/upstreams.ts'
import { AnswerParser } from './answer-parser.ts'
import { AnswerRelay, badAnswer } from './answer-relay.ts'
import type { CredentialFilter } from './credential-filter.ts'

export interface ConnectionOwner {
  /** It may carry another request. */
  idle(connection: Connection): void
  closed(connection: Connection): void
}

export interface Outgoing {
  readonly method: string
  /** The head with its credential and blank line, then the body. */
  readonly head: string
  readonly body: Buffer
  readonly signal: AbortSignal
  readonly answerTimeoutMs: number
}

interface Exchange {
  readonly parser: AnswerParser
  readonly relay: AnswerRelay
  readonly listener: AnswerListener
  readonly signal: AbortSignal
}

/** One connection to an upstream: one request at a time, and nothing unasked in between. */
export class Connection {
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  readonly #filter: CredentialFilter
  #exchange: Exchange | null = null

  constructor(socket: Socket, owner: ConnectionOwner, filter: CredentialFilter) {
    this.#socket = socket
    this.#owner = owner
    this.#filter = filter
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('end', () => this.#ended())
    socket.on('timeout', () => this.#fail('it took too long'))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#fail('the connection broke')
      this.#owner.closed(this)
    })
  }

  get usable(): boolean {
    return !this.#socket.destroyed && this.#socket.writable && this.#exchange === null
  }

  /** Writes a request. Whoever calls has spent its clearance in the same turn. */
  exchange(outgoing: Outgoing, listener: AnswerListener): Flow {
    const { method, head, body, signal, answerTimeoutMs } = outgoing
    const relay: AnswerRelay = new AnswerRelay(method, listener, this.#filter, {
      pause: () => void this.#socket.pause(),
      resume: () => void this.#socket.resume(),
      done: (reusable) => this.#done(reusable),
      fail: (error) => this.#failWith(error),
    })
    this.#exchange = { parser: new AnswerParser(method, relay), relay, listener, signal }
    signal.addEventListener('abort', this.#kill, { once: true })
    this.#socket.setTimeout(answerTimeoutMs)
    const headBytes = Buffer.from(head, 'latin1')
    this.#socket.write(body.length === 0 ? headBytes : Buffer.concat([headBytes, body]))
    return {
      resume: () => {
        relay.resume()
        if (this.#exchange?.relay === relay) this.#socket.resume()
      },
      abandon: () => {
        if (this.#exchange?.relay === relay) this.#socket.destroy()
      },
    }
  }

  #kill = (): void => {
    this.#socket.destroy()
    this.#fail('it was stopped')
  }

  #read(chunk: Buffer): void {
    const exchange = this.#exchange
    // Between two requests an upstream has nothing to say: the connection can't be trusted to be in step any more.
    if (exchange === null) return void this.#socket.destroy()
    try {
      exchange.parser.feed(chunk)
      exchange.listener.turn()
    } catch (error) {
      this.#socket.destroy()
      this.#fail(error instanceof RangeError ? error.message : 'it could not be read')
    }
  }

  #ended(): void {
    if (this.#exchange === null || !this.#exchange.parser.finish()) this.#fail('it broke off')
    this.#socket.destroy()
  }

  #done(reusable: boolean): void {
    this.#leave()
    // An answer before the whole request was taken: the rest of it would be read as the next one.
    if (!reusable || this.#socket.writableLength > 0) return void this.#socket.destroy()
    // Surplus bytes may be on their way in this very turn.
    this.#socket.resume()
    setImmediate(() => {
      if (this.usable) this.#owner.idle(this)
    })
  }

  #fail(why: string): void {
    this.#failWith(badAnswer(why))
  }

  #failWith(error: SallyportError): void {
    const exchange = this.#exchange
    if (exchange === null) return void this.#socket.destroy()
    this.#leave()
    this.#socket.destroy()
    exchange.relay.close()
    exchange.listener.failed(error)
  }

  #leave(): void {
    this.#exchange?.signal.removeEventListener('abort', this.#kill)
    this.#exchange = null
  }

  /** Closes itself when nobody uses it for so long. */
  rest(idleMs: number): void {
    this.#socket.setTimeout(idleMs)
  }

  destroy(): void {
    this.#socket.destroy()
  }
}
