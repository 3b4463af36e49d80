import { HeldBack } from './held-back.ts'
import { client, copyFailMessage, headerBytes, idle, readErrorFields, readTagRows, server } from './wire.ts'
import type { Ran, Watch } from './ran.ts'
import { blockAfter, type Block } from './transaction-block.ts'
import { Tail } from './tail.ts'

/** Where the server's messages go besides the client. */
export interface FlowEnd {
  toClient(bytes: Buffer): void
  /** The gate's own write, for CopyFail. */
  toServer(bytes: Buffer): void
  /** A batch of the client ended with an error: only its first `completed` Parses were done. */
  batchFailed(batch: number, parsesDone: number): void
  /** The transaction ended, or may have: the client's portals went with it. */
  transactionEnded(): void
  /** What the server says would part our reading from its own, or a message that breaks the protocol. */
  broken(why: string): void
}

/** Gets whole messages of the gate's own conversation. */
export type Taker = (type: number, message: Buffer) => void

/** Longest message kept whole; longer ones pass in parts, or end the session where they can't. */
const wholeBytesMax = 16 * 1024 * 1024

/** Server to client: passes whole chunks, and sees ReadyForQuery, ParameterStatus, errors and completions go by. */
export class ServerFlow {
  status: number = idle
  /** ReadyForQuery not seen yet, of any owner. */
  outstanding = 0
  batchesDone = 0
  errored = false
  completions = 0
  /** Whether the server is in a transaction block, as far as it has answered; unsure where only its next ReadyForQuery tells. */
  block: Block = 'none'
  taker: Taker | null = null
  /** The next ReadyForQuery answers a Sync of the gate's inside the client's batch: not passed on. */
  swallowReady = false
  /** An error that names this token is the gate's own doing: not passed on. */
  swallowErrorNaming: string | null = null
  /** Called once when the server asks for the data of a copy that was cleared. Null: nothing is copied in now. */
  copyAwaited: (() => void) | null = null
  /** A conversation inside the client's batch: it begins with the answer to the Close of that number. */
  #awaited: { readonly closes: number; readonly taker: Taker } | null = null
  /** The client has had the answer to the Bind that was sent last: it is not told again. */
  swallowBind = false
  #parsesDone = 0
  #closesDone = 0
  /** Answers of the client's batches that are to messages of the gate's. */
  #swallowed: { readonly batch: number; readonly kind: 'parse' | 'close'; readonly ordinal: number }[] = []
  #passing = 0
  #tail = new Tail()
  #watch: Watch | null = null
  #held = new HeldBack()
  #quiet: (() => void)[] = []
  #injected: Buffer[] = []
  #end: FlowEnd

  constructor(end: FlowEnd) {
    this.#end = end
  }

  /** True: nothing of the chunk is kept here. */
  receive(chunk: Buffer): boolean {
    const keptBefore = this.#keeps
    if (this.#passing > 0) this.#passOn(chunk)
    else {
      const bytes = this.#tail.join(chunk)
      if (bytes !== null) this.#walk(bytes, 0)
    }
    return !keptBefore && !this.#keeps
  }

  /** Somebody may have kept a part of what went by, or will: half a message, the gate's own conversation, what is held back. */
  get #keeps(): boolean {
    return (
      this.#tail.length > 0 ||
      this.taker !== null ||
      this.#awaited !== null ||
      this.#held.isOn ||
      this.#injected.length > 0 ||
      this.#quiet.length > 0
    )
  }

  /** The rest of a message of which the client has the beginning. */
  #passOn(chunk: Buffer): void {
    if (chunk.length < this.#passing) {
      this.#passing -= chunk.length
      return this.#end.toClient(chunk)
    }
    const from = this.#passing
    this.#passing = 0
    if (this.#injected.length === 0) return this.#walk(chunk, from)
    this.#end.toClient(chunk.subarray(0, from))
    this.#flushInjected()
    if (from < chunk.length) this.#walk(chunk.subarray(from), 0)
  }

  /** `from`: where the first whole message begins; what is before it passes. */
  #walk(bytes: Buffer, from: number): void {
    const end = bytes.length
    let start = 0
    let at = from
    while (at + headerBytes <= end) {
      const type = bytes[at] ?? 0
      const length = bytes.readInt32BE(at + 1)
      if (length < 4) return this.#end.broken('the server sent a message of impossible length')
      const next = at + 1 + length
      if (next > end) break
      if ((type === server.dataRow || type === server.copyData) && this.taker === null && !this.#held.isOn) {
        at = next
        continue
      }
      if (this.#keepsFromClient(type, bytes, at, next)) {
        if (at > start) this.#end.toClient(bytes.subarray(start, at))
        start = next
      }
      at = next
      if (type === server.ready && this.#quiet.length > 0) {
        if (at > start) this.#end.toClient(bytes.subarray(start, at))
        start = at
        this.#wakeQuiet()
      }
    }
    this.#keepTail(bytes, start, at)
  }

  #keepTail(bytes: Buffer, start: number, at: number): void {
    const end = bytes.length
    if (at + headerBytes <= end) {
      const length = bytes.readInt32BE(at + 1) + 1
      const type = bytes[at] ?? 0
      const mayPass =
        this.taker === null &&
        !this.#held.isOn &&
        (type === server.dataRow || type === server.copyData || type === server.rowDescription)
      if (mayPass) {
        this.#passing = length - (end - at)
        return this.#end.toClient(start === 0 ? bytes : bytes.subarray(start))
      }
      if (length > wholeBytesMax)
        return this.#end.broken('the server sent a message over 16 MiB where the gate must read it whole')
      this.#tail.keep(bytes.subarray(at), length)
    } else if (at < end) {
      this.#tail.keep(bytes.subarray(at), headerBytes)
    }
    if (at > start) this.#end.toClient(start === 0 && at === end ? bytes : bytes.subarray(start, at))
  }

  /** Sees one whole message; true when the client must not get it now. */
  #keepsFromClient(type: number, bytes: Buffer, at: number, next: number): boolean {
    if (type === server.parameterStatus) return this.#seeParameter(bytes, at, next)
    if (type === server.notification) return false
    if (this.taker !== null) {
      if (type === server.ready) this.#seeReady(bytes[at + headerBytes] ?? 0, false)
      if (type !== server.notice) this.taker(type, bytes.subarray(at, next))
      return true
    }
    switch (type) {
      case server.ready:
        return this.#seeClientReady(bytes, at, next)
      case server.commandComplete:
      case server.emptyQuery:
      case server.portalSuspended:
        this.#seeCompletion(type, bytes, at, next)
        break
      case server.parseComplete:
        this.#parsesDone += 1
        if (this.#isSwallowed('parse', this.#parsesDone - 1)) return true
        break
      case server.bindComplete:
        if (this.#swallowsBind()) return true
        break
      case server.closeComplete:
        if (this.#beginsConversation(bytes, at, next)) return true
        this.#closesDone += 1
        if (this.#isSwallowed('close', this.#closesDone - 1)) return true
        break
      case server.error:
        if (this.#seeError(bytes, at, next)) return true
        // What the gate said behind it is skipped by the server.
        this.#endAwaited(server.error, bytes.subarray(at, next))
        break
      case server.copyIn:
        if (this.copyAwaited !== null) return this.#beginCopy(this.copyAwaited)
        this.#end.toServer(copyFailMessage('Sallyport was not asked about a COPY FROM STDIN'))
        return true
      case server.copyBoth:
        this.#end.toServer(copyFailMessage('Sallyport carries no replication'))
        return true
      default:
        break
    }
    return this.#held.add(bytes, at, next)
  }

  /** The client must know before it can send: what was held back comes out, and no answer was in it that depends on the rows. */
  #beginCopy(begin: () => void): boolean {
    this.copyAwaited = null
    for (const message of this.#held.takeOut()) this.#end.toClient(message)
    begin()
    return false
  }

  /** The Sync sent last is not answered: the server read it while copying. */
  reopen(): void {
    this.outstanding -= 1
    this.swallowReady = false
    if (this.#watch !== null) this.#watch.until = 'completion'
  }

  #seeParameter(bytes: Buffer, at: number, next: number): boolean {
    const [name, value] = bytes.toString('utf8', at + headerBytes, next - 1).split('\0')
    if (name === 'standard_conforming_strings' && value !== 'on')
      this.#end.broken('standard_conforming_strings was turned off: the gate and the server would read strings differently')
    if (name === 'client_encoding' && value !== 'UTF8')
      this.#end.broken('client_encoding left UTF8: the gate and the server would read text differently')
    return false
  }

  #seeClientReady(bytes: Buffer, at: number, next: number): boolean {
    const swallow = this.swallowReady
    this.swallowReady = false
    // A Sync of the gate's is behind everything that the client has executed in this batch.
    if (swallow) this.completions = 0
    this.#seeReady(bytes[at + headerBytes] ?? 0, !swallow)
    const watch = this.#watch
    if (watch !== null) {
      this.#watch = null
      watch.resolve(watch.ran ?? { result: 'failed', sqlState: 'XX000', skipped: true })
    }
    return this.#held.isOn ? this.#held.add(bytes, at, next) : swallow
  }

  #seeReady(status: number, endsBatch: boolean): void {
    this.status = status
    this.block = status === idle ? 'none' : 'open'
    this.outstanding -= 1
    if (this.outstanding < 0) this.#end.broken('the server sent an answer that nobody asked for')
    if (endsBatch) this.endBatch()
  }

  /** The client's batch is over: by its ReadyForQuery, or because the gate answered its Sync. */
  endBatch(): void {
    if (this.status === idle) this.#end.transactionEnded()
    if (this.errored) this.#end.batchFailed(this.batchesDone, this.#parsesDone)
    this.batchesDone += 1
    this.errored = false
    this.#parsesDone = 0
    this.#closesDone = 0
    this.completions = 0
    if (this.#swallowed.length > 0) this.#swallowed = this.#swallowed.filter(({ batch }) => batch >= this.batchesDone)
  }

  /** From the answer to the Close of that number in this batch on, messages are this taker's. */
  takeInside(closes: number, taker: Taker): void {
    this.#awaited = { closes, taker }
  }

  #beginsConversation(bytes: Buffer, at: number, next: number): boolean {
    const awaited = this.#awaited
    if (awaited === null || awaited.closes !== this.#closesDone) return false
    this.#awaited = null
    this.taker = awaited.taker
    awaited.taker(server.closeComplete, bytes.subarray(at, next))
    return true
  }

  #endAwaited(type: number, message: Buffer): void {
    const awaited = this.#awaited
    this.#awaited = null
    awaited?.taker(type, message)
  }

  /** The answer to that Parse or Close of that batch is not the client's. */
  swallow(batch: number, kind: 'parse' | 'close', ordinal: number): void {
    this.#swallowed.push({ batch, kind, ordinal })
  }

  #isSwallowed(kind: 'parse' | 'close', ordinal: number): boolean {
    if (this.#swallowed.length === 0) return false
    return this.#swallowed.some((one) => one.batch === this.batchesDone && one.kind === kind && one.ordinal === ordinal)
  }

  #seeCompletion(type: number, bytes: Buffer, at: number, next: number): void {
    this.completions += 1
    if (type === server.commandComplete) {
      const block = blockAfter(bytes, at + headerBytes, next - 1)
      if (block === 'unsure') this.#end.transactionEnded()
      this.block = block ?? this.block
    }
    const watch = this.#watch
    if (watch === null) return
    if (watch.skip > 0) {
      watch.skip -= 1
      return
    }
    const rows = type === server.commandComplete ? readTagRows(bytes.toString('latin1', at + headerBytes, next - 1)) : undefined
    // A Query of several statements completes several times: the last tag speaks, rows add up.
    const before = watch.ran?.result === 'completed' ? (watch.ran.rows ?? 0) : 0
    watch.ran = {
      result: 'completed',
      rows: rows === undefined && before === 0 ? undefined : (rows ?? 0) + before,
      suspended: type === server.portalSuspended,
    }
    if (watch.until === 'completion') this.#finishWatch(watch, watch.ran)
  }

  #seeError(bytes: Buffer, at: number, next: number): boolean {
    const token = this.swallowErrorNaming
    if (token !== null && bytes.toString('latin1', at, next).includes(token)) return true
    this.errored = true
    this.swallowBind = false
    const watch = this.#watch
    if (watch === null) return false
    const ran: Ran = {
      result: 'failed',
      sqlState: readErrorFields(bytes.subarray(at, next)).get('C') ?? 'XX000',
      skipped: watch.skip > 0,
    }
    watch.ran = ran
    if (watch.until === 'completion') this.#finishWatch(watch, ran)
    return false
  }

  #swallowsBind(): boolean {
    const swallow = this.swallowBind
    this.swallowBind = false
    return swallow
  }

  #finishWatch(watch: Watch, ran: Ran): void {
    this.#watch = null
    watch.resolve(ran)
  }

  /** Resolves when the statement that is sent next has come to its end. One at a time. */
  watch(skip: number, until: 'ready' | 'completion'): Promise<Ran> {
    return new Promise((resolve) => {
      this.#watch = { skip, until, ran: null, resolve }
    })
  }

  unwatch(): void {
    this.#watch = null
  }

  /** From now on the client gets nothing of the server's answers but ParameterStatus and notifications, until `release`. */
  holdBack(): void {
    this.#held.begin()
  }

  /** What was held back, without ReadyForQuery; null when it was more than may be held. */
  release(): readonly Buffer[] | null {
    return this.#held.release()
  }

  /** Resolves when everything sent so far is answered. */
  quiet(): Promise<void> {
    if (this.outstanding === 0) return Promise.resolve()
    return new Promise((resolve) => this.#quiet.push(resolve))
  }

  #wakeQuiet(): void {
    if (this.outstanding !== 0) return
    const waiting = this.#quiet
    this.#quiet = []
    for (const wake of waiting) wake()
  }

  /** A message of the gate's to the client, between two of the server's. */
  inject(bytes: Buffer): void {
    this.#injected.push(bytes)
    if (this.#passing === 0) this.#flushInjected()
  }

  #flushInjected(): void {
    const injected = this.#injected
    this.#injected = []
    for (const bytes of injected) this.#end.toClient(bytes)
  }

  /** The connection is gone: whoever waits must not wait for ever. */
  end(): void {
    this.outstanding = 0
    this.#wakeQuiet()
    const watch = this.#watch
    this.#watch = null
    watch?.resolve({ result: 'broken' })
    this.#endAwaited(client.terminate, Buffer.alloc(0))
    this.taker?.(client.terminate, Buffer.alloc(0))
  }

  /** The client has got the beginning of a message and not its end. */
  get midMessage(): boolean {
    return this.#passing > 0
  }
}
