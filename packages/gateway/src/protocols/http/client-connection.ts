import type { Socket } from 'node:net'
import type { ErrorCode, Gate, Handle, OpenSession } from '@sallyport/core'
import { refuse } from './refusal.ts'

/** Upstreams that one client connection may use; a tunnel has one, a plain proxy connection may have several. */
const sessionsMax = 8
/** Requests sent ahead of their answers. */
const aheadMax = 16

/** One client's connection: its sessions, its order, its end. */
export class ClientConnection {
  readonly peer: string
  readonly address: string
  /** The client's own socket, under any TLS. */
  readonly socket: Socket
  readonly #gate: Gate
  readonly #gone = new AbortController()
  readonly #sessions = new Map<string, Promise<OpenSession>>()
  readonly #closing: Promise<void>[] = []
  #turn: Promise<void> = Promise.resolve()
  #ahead = 0
  #reason = 'The client closed the connection.'

  constructor(socket: Socket, gate: Gate) {
    this.socket = socket
    this.#gate = gate
    this.address = socket.remoteAddress ?? 'unknown'
    this.peer = `${this.address}:${socket.remotePort ?? 0}`
    socket.once('close', () => this.#end())
  }

  /** Aborts when the client went away or was killed: nothing more is worth asking for. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  /** Resolves when all that this connection opened is closed and on the log. */
  get closed(): Promise<void> {
    return Promise.allSettled(this.#closing).then(() => undefined)
  }

  /** The session of this handle on this upstream, opened when first asked for. */
  session(handle: Handle, upstream: string): Promise<OpenSession> {
    const key = `${handle.id} ${upstream}`
    const known = this.#sessions.get(key)
    if (known !== undefined) return known
    if (this.#sessions.size >= sessionsMax)
      return Promise.reject(
        refuse('limit_exceeded', `${sessionsMax} sessions are open on this connection.`, 'Open another connection.'),
      )
    const opening = this.#open(handle, upstream)
    this.#sessions.set(key, opening)
    opening.catch(() => this.#sessions.delete(key))
    return opening
  }

  async #open(handle: Handle, upstream: string): Promise<OpenSession> {
    const open = await this.#gate.sessions.open(handle, 'http', upstream, this.peer)
    if (this.#gone.signal.aborted) {
      await this.#gate.sessions.close(open.session.id, this.#reason)
      throw refuse('killed', 'The connection has ended.', 'Connect again.')
    }
    const end = (): void => this.end(`The session was ended: ${String(open.signal.reason)}`)
    if (open.signal.aborted) end()
    else open.signal.addEventListener('abort', end, { once: true })
    open.attendDrain?.(
      () => false,
      () => this.#ahead > 0,
    )
    return open
  }

  /** Runs the requests of one connection one after the other, as they came: a client that sends ahead relies on the order. */
  inTurn(work: () => Promise<void>): void {
    this.#ahead += 1
    if (this.#ahead > aheadMax) return this.end(`More than ${aheadMax} requests were sent ahead.`)
    const next = this.#turn.then(async () => {
      if (!this.#gone.signal.aborted) await work()
    })
    this.#turn = next.catch(() => undefined).finally(() => (this.#ahead -= 1))
  }

  refused(agent: string, code: ErrorCode, why: string): void {
    this.#gate.refusedAtDoor('http', this.peer, agent, `${code}: ${why}`)
  }

  /** At once: what is not written yet is not written. */
  end(reason: string): void {
    this.#reason = reason
    this.socket.destroy()
    this.#end()
  }

  #end(): void {
    if (this.#gone.signal.aborted) return
    this.#gone.abort(this.#reason)
    for (const opening of this.#sessions.values()) {
      this.#closing.push(
        opening.then(
          ({ session }) => this.#gate.sessions.close(session.id, this.#reason),
          () => undefined,
        ),
      )
    }
  }
}
