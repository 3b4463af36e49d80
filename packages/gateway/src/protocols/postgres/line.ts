import type { Socket } from 'node:net'
import { SallyportError, type Clearance } from '@sallyport/core'
import type { Conversable, Place } from './gate-channel.ts'
import { ServerFlow, type Taker } from './server-flow.ts'
import { Statements, type Carried, type Statement } from './statements.ts'
import type { Backend, Unit } from './upstreams.ts'
import {
  errorResponse,
  executeMessage,
  failed,
  idle,
  inTransaction,
  makeReservedName,
  noticeResponse,
  readyForQuery,
  server,
  syncMessage,
  type ErrorFields,
} from './wire.ts'

export interface Counters {
  readonly parses: number
  readonly executes: number
  readonly closes: number
}

/** Client and backend joined: what has been written since the last Sync, what is owed, and how the gate gets a word in. */
export class Line implements Conversable {
  readonly flow: ServerFlow
  readonly backend: Backend
  readonly statements = new Statements()
  /** Number of the batch that the client is writing; a batch ends with Sync or Query. */
  batch = 0
  /** Of the batch being written: something was sent; how many Parses; how many Executes. */
  touched = false
  parses = 0
  executes = 0
  /** Closes of this batch, of the client's and of the gate's. */
  closes = 0
  /** The gate failed inside this batch, or the client did before it: the server skips the rest. */
  isSpoiled = false
  /** The batch runs in a transaction that the gate began and ends when the client's Sync comes: no Sync of the gate's ends it. */
  isGathering = false
  /** Messages of this batch that may pass and wait for the held one, to go in the same write. */
  deferred: Buffer | null = null
  /** Why it is over; after that nothing is written to either side. */
  ended: string | null = null
  #client: Socket
  #clientStalled = false
  #drains: (() => void)[] = []

  constructor(client: Socket, backend: Backend, broken: (why: string) => void) {
    this.#client = client
    this.backend = backend
    this.flow = new ServerFlow({
      toClient: (bytes) => this.toClient(bytes),
      toServer: (bytes) => {
        if (this.ended === null) backend.converse(bytes)
      },
      transactionEnded: () => this.statements.forgetWithheld(),
      batchFailed: (batch, parsesDone) => this.statements.undo(batch, parsesDone),
      broken,
    })
  }

  toClient(bytes: Buffer): void {
    if (this.ended !== null) return
    if (this.#client.write(bytes) || this.#clientStalled) return
    this.#clientStalled = true
    this.backend.pause()
    this.#client.once('drain', () => {
      this.#clientStalled = false
      this.backend.resume()
    })
  }

  /** What was written to the client has left this process. */
  get isClientEmpty(): boolean {
    return this.#client.writableLength === 0
  }

  /** False: the upstream is slow; read no more of the client until it drained. */
  forward(bytes: Buffer): boolean {
    if (this.ended !== null) return true
    return this.backend.forwardRead(bytes)
  }

  flushDeferred(): void {
    const bytes = this.deferred
    this.deferred = null
    if (bytes !== null) this.forward(bytes)
  }

  /** `carried` goes first, in the same write; what it parses is known from then on. `isBound`: the client has the answer to Bind. */
  send(
    clearance: Clearance,
    unit: Unit,
    { carried, isBound }: { readonly carried: Carried | null; readonly isBound: boolean },
  ): void {
    if (this.ended !== null) throw new SallyportError('killed', this.ended, 'Nothing was sent upstream.', 'Connect again.')
    const before = [this.deferred, carried?.bytes ?? null].filter((bytes) => bytes !== null)
    this.backend.send(clearance, unit, before.length === 0 ? null : Buffer.concat(before))
    this.deferred = null
    this.flow.swallowBind = isBound
    if (carried === null) return
    const { statement, replaces } = carried
    if (replaces) this.flow.swallow(this.batch, 'parse', this.parses)
    if (replaces && statement.name !== '') {
      this.flow.swallow(this.batch, 'close', this.closes)
      this.closes += 1
    }
    this.parsed({ ...statement, batch: this.batch, ordinal: this.parses })
  }

  /** A Parse was written. */
  parsed(statement: Statement): void {
    this.statements.parse(statement, this.flow.batchesDone)
    this.parses += 1
    this.touched = true
  }

  /** A Sync or Query of the client was written, or will be answered by the gate. */
  endBatch(): void {
    this.batch += 1
    this.isSpoiled = false
    this.touched = false
    this.parses = 0
    this.executes = 0
    this.closes = 0
  }

  /** What has been counted of the batch being written. */
  get counters(): Counters {
    const { parses, executes, closes } = this
    return { parses, executes, closes }
  }

  /** The Sync that ended the last batch was none: it goes on. */
  reopenBatch({ parses, executes, closes }: Counters): void {
    this.batch -= 1
    this.touched = true
    this.parses = parses
    this.executes = executes
    this.closes = closes
  }

  /** Resolves when the upstream takes more. */
  room(): Promise<void> {
    return new Promise((resolve) => this.#drains.push(resolve))
  }

  drained(): void {
    const waiting = this.#drains
    this.#drains = []
    for (const wake of waiting) wake()
  }

  // Conversable: the gate's own words on the agent's backend.

  async enter(): Promise<Place> {
    const place = this.executes > 0 && !this.isGathering ? 'inside' : 'between'
    if (place === 'between') await this.settle(null)
    else {
      this.flushDeferred()
      await this.flow.quiet()
      this.#assertOpen()
    }
    if (this.isSpoiled || this.flow.errored)
      throw new SallyportError(
        'upstream_failed',
        'The upstream refused a message sent before in this batch.',
        'The statement was not run.',
        'Mend the earlier error and send Sync.',
      )
    return place
  }

  /**
   * Waits until the server is between two batches. What the client sent since its last Sync is ended by a Sync of the gate's whose answer is
   * swallowed; with a token, by an Execute of a portal of that name first, which fails and so aborts what was open.
   */
  async settle(token: string | null): Promise<void> {
    this.flushDeferred()
    await this.flow.quiet()
    this.#assertOpen()
    if (!this.touched && token === null) return
    this.flow.swallowReady = true
    this.flow.swallowErrorNaming = token
    this.flow.outstanding += 1
    this.backend.converse(token === null ? syncMessage : Buffer.concat([executeMessage(token), syncMessage]))
    await this.flow.quiet()
    this.flow.swallowErrorNaming = null
    this.touched = false
    this.executes = 0
    this.#assertOpen()
  }

  /**
   * Leaves the server as an error of its own would: an open transaction aborted, explicit or of the batch. True when the client has been
   * told an error of the server's in this batch already.
   */
  async abort(): Promise<boolean> {
    this.flushDeferred()
    await this.flow.quiet()
    this.#assertOpen()
    const open = this.flow.status === inTransaction || this.executes > 0
    await this.settle(open ? makeReservedName() : null)
    return this.flow.errored
  }

  async write(bytes: Buffer, readies: number): Promise<void> {
    this.#assertOpen()
    this.flow.outstanding += readies
    if (this.backend.converse(bytes)) return
    await this.room()
  }

  take(taker: Taker | null, place: Place = 'between'): void {
    if (taker === null || place === 'between') {
      this.flow.taker = taker
      return
    }
    this.flow.takeInside(this.closes, (type, message) => {
      if (type === server.error) this.isSpoiled = true
      taker(type, message)
    })
  }

  pause(): void {
    this.backend.pause()
  }

  resume(): void {
    if (!this.#clientStalled) this.backend.resume()
  }

  #assertOpen(): void {
    if (this.ended !== null) throw new SallyportError('killed', this.ended, 'Nothing more was sent upstream.', 'Connect again.')
  }

  // The gate's own words to the client.

  error(fields: ErrorFields): void {
    this.flow.inject(errorResponse(fields))
  }

  notice(fields: ErrorFields): void {
    this.flow.inject(noticeResponse(fields))
  }

  /** Answers the client's Sync, Query or function call in the server's place. */
  ready(): void {
    this.endBatch()
    this.flow.endBatch()
    this.toClient(readyForQuery(this.flow.status))
  }

  get isIdle(): boolean {
    return this.flow.status === idle
  }

  get isFailed(): boolean {
    return this.flow.status === failed
  }

  /** The batch being written has failed already: the server runs nothing more of it. */
  get isSkipping(): boolean {
    return this.flow.errored && this.flow.batchesDone === this.batch
  }

  /** The transaction is failed, and nothing on its way could end it: the server looks at no statement but to say so, or to roll back. */
  get isSurelyFailed(): boolean {
    return this.isFailed && this.flow.outstanding === 0 && this.executes === 0
  }
}
