import type { Socket } from 'node:net'
import type { ErrorCode, Gate, OpenSession } from '@sallyport/core'
import { FastPath } from './fast-path.ts'
import { ClientGone, Held } from './held.ts'
import { Line } from './line.ts'
import { Meaning } from './meaning.ts'
import { sqlStateOf } from './refusal.ts'
import type { FullSettings, SessionParts } from './session-parts.ts'
import { StatementDesk } from './statement-desk.ts'
import { Tail } from './tail.ts'
import { UnitRunner } from './unit-runner.ts'
import type { Backend } from './upstreams.ts'
import { client, errorResponse, headerBytes } from './wire.ts'

/** Bytes that may wait behind a held message before the client is read no more. */
const heldBytesMax = 1024 * 1024
const lastWordsMs = 1_000

/** Client to server, after start-up: walks headers, forwards whole chunks, holds from the first message that must be decided. */
export class AgentSession {
  readonly open: OpenSession
  /** Since when a message of the client's lies there half (monotonic ms); null when none does. */
  halfSinceMs: number | null = null
  #socket: Socket
  #line: Line
  #runner: UnitRunner
  #fast: FastPath
  #desk: StatementDesk
  #tail = new Tail()
  #held: Held | null = null
  #ending = new AbortController()
  #pending = new Set<Promise<void>>()
  #stalled = false
  /** Reads run to their end, and nothing more of the client is read. */
  #draining = false
  #messageBytesMax: number
  #gate: Gate
  #onEnd: () => void

  constructor(socket: Socket, gate: Gate, open: OpenSession, backend: Backend, settings: FullSettings, onEnd: () => void) {
    this.open = open
    this.#socket = socket
    this.#gate = gate
    this.#messageBytesMax = settings.messageBytesMax
    this.#onEnd = onEnd
    this.#line = new Line(socket, backend, (why) => this.end(why, 'protocol_violation'))
    const { session } = open
    const meaning = new Meaning(session.upstream, backend.identity, session.subject.agent, session.id, backend.catalog)
    const parts: SessionParts = {
      gate,
      open,
      settings,
      ending: this.#ending.signal,
      pending: this.#pending,
      readOn: () => this.#socket.resume(),
      end: (reason, code) => this.end(reason, code),
    }
    this.#runner = new UnitRunner(parts, this.#line, meaning)
    this.#fast = new FastPath(gate.govern, open.session, this.#line, meaning, this.#runner)
    this.#desk = new StatementDesk(this.#line, meaning, this.#runner, this.#fast)
  }

  /** Learns the server's settings, then serves. The caller has told the client nothing after AuthenticationOk yet. */
  async start(welcome: () => Buffer): Promise<void> {
    const { backend } = this.#line
    backend.attend({
      data: (chunk) => this.#line.flow.receive(chunk) && this.#line.isClientEmpty,
      drained: () => this.#upstreamDrained(),
      closed: (why) => this.end(why, 'upstream_unavailable'),
    })
    await this.#runner.refreshMeaning(backend.told)
    this.#line.toClient(welcome())
    this.open.signal.addEventListener('abort', () => this.#killed())
    if (this.open.signal.aborted) return this.#killed()
    this.open.attendDrain?.(
      () => this.#drain(),
      () => this.#isBusy(),
    )
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.#socket.on('end', () => this.#gone())
    this.#socket.on('close', () => this.#gone())
    this.#socket.resume()
  }

  #receive(chunk: Buffer): void {
    if (this.#line.ended !== null || this.#draining) return
    const held = this.#held
    if (held !== null) {
      held.add(chunk)
      if (held.length > heldBytesMax && !held.waiting) this.#socket.pause()
      return
    }
    if (this.halfSinceMs !== null) this.halfSinceMs = performance.now()
    const bytes = this.#tail.join(chunk)
    if (bytes !== null) this.#walk(bytes)
  }

  #walk(bytes: Buffer): void {
    const end = bytes.length
    let at = 0
    let boundary = 0
    while (at + headerBytes <= end) {
      const type = bytes[at] ?? 0
      const length = bytes.readInt32BE(at + 1)
      if (length < 4 || length > this.#messageBytesMax) return this.#impossible()
      const next = at + 1 + length
      if (next > end) break
      if (!this.#fast.passes(type, bytes, at, next)) return this.#stop(bytes, boundary, at)
      at = next
      if (type === client.sync || type === client.query || type === client.flush) boundary = at
    }
    if (at === end) {
      this.halfSinceMs = null
    } else {
      this.halfSinceMs = performance.now()
      this.#tail.keep(bytes.subarray(at), at + headerBytes <= end ? 1 + bytes.readInt32BE(at + 1) : headerBytes)
    }
    if (at > 0) this.#forward(at === end ? bytes : bytes.subarray(0, at))
  }

  #forward(bytes: Buffer): void {
    if (this.#line.forward(bytes)) return
    this.#stalled = true
    this.#socket.pause()
  }

  #upstreamDrained(): void {
    this.#line.drained()
    if (!this.#stalled) return
    this.#stalled = false
    this.#socket.resume()
  }

  /** Forwards what may pass before the held message; what belongs to its own batch waits to go with it in one write. */
  #stop(bytes: Buffer, boundary: number, at: number): void {
    this.halfSinceMs = null
    if (boundary > 0) this.#forward(bytes.subarray(0, boundary))
    const rest = bytes.subarray(boundary, at)
    if (rest.length > 0) {
      if (this.#line.executes > 0 || (bytes[at] !== client.bind && bytes[at] !== client.parse)) this.#forward(rest)
      else this.#line.deferred = rest
    }
    this.#held = new Held(bytes.subarray(at), this.#messageBytesMax)
    void this.#decide(this.#held)
  }

  async #decide(held: Held): Promise<void> {
    try {
      const end = await held.messageEnd(0, () => this.#socket.resume())
      const goOn = await this.#desk.decide(held, end, () => this.#socket.resume())
      if (!goOn) return this.end('The client said goodbye.', null)
      if (this.#line.ended !== null) return
      this.#line.flushDeferred()
      this.#held = null
      const rest = held.rest()
      if (!this.#stalled) this.#socket.resume()
      if (rest.length > 0) this.#walk(rest)
    } catch (error) {
      if (error instanceof ClientGone || this.#line.ended !== null) return this.#gone()
      if (error instanceof RangeError) return this.#impossible()
      this.end('The gate failed on this session.', 'internal')
    }
  }

  #impossible(): void {
    this.end(`A message is longer than ${this.#messageBytesMax} bytes or has an impossible length.`, 'protocol_violation')
  }

  /** A CancelRequest with this session's key. */
  cancel(): void {
    if (this.#line.ended !== null) return
    if (this.#runner.state === 'asking') return this.#runner.cancelWait()
    if (this.#line.flow.taker === null && this.#line.flow.outstanding + this.#line.executes > 0) this.#line.backend.cancel()
  }

  /** Only reads that the server has whole, up to their Sync, may end: what is watched, held or half sent is none of those. */
  #drain(): boolean {
    const { flow, executes, deferred } = this.#line
    if (this.#line.ended !== null || this.#held !== null || this.#runner.state !== 'none') return false
    if (flow.outstanding === 0 || executes > 0 || deferred !== null) return false
    this.#draining = true
    void flow.quiet().then(() => this.end('Stopped by the kill switch, after what was being read.', 'killed'))
    return true
  }

  #isBusy(): boolean {
    const { ended, flow, executes } = this.#line
    return ended === null && (this.#held !== null || this.#runner.state !== 'none' || flow.outstanding > 0 || executes > 0)
  }

  #killed(): void {
    const reason: unknown = this.open.signal.reason
    const why = reason instanceof Error ? reason.message : typeof reason === 'string' ? reason : 'This session was killed.'
    this.end(why, 'killed')
  }

  #gone(): void {
    this.end('The client closed the connection.', null)
  }

  /** Synchronously the last byte in either direction; a code is told to the client as FATAL. */
  end(reason: string, code: ErrorCode | null): void {
    if (this.#line.ended !== null) return
    const boundary = !this.#line.flow.midMessage
    this.#line.ended = reason
    if (this.#line.flow.outstanding + this.#line.executes > 0) this.#line.backend.cancel()
    this.#line.backend.destroy()
    this.#line.backend.protect.close()
    if (code !== null && boundary) {
      this.#socket.end(
        errorResponse({
          severity: 'FATAL',
          code: sqlStateOf(code),
          message: reason,
          hint: 'Connect again when this is settled.',
        }),
      )
      this.#socket.destroySoon()
      // A client that does not read its last words is not waited for.
      setTimeout(() => this.#socket.destroy(), lastWordsMs).unref()
    } else this.#socket.destroy()
    this.#held?.end()
    this.#line.flow.end()
    this.#line.drained()
    this.#ending.abort(reason)
    void this.#close(reason)
  }

  async #close(reason: string): Promise<void> {
    // Outcomes go to the log before the end of the session does.
    await this.#desk.idle()
    await Promise.allSettled(this.#pending)
    await this.#gate.sessions.close(this.open.session.id, reason).catch(() => undefined)
    this.#onEnd()
  }
}
