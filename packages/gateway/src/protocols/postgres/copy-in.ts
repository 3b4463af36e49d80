import { ClientGone, type Held } from './held.ts'
import type { Counters, Line } from './line.ts'
import type { Ran } from './ran.ts'
import type { SessionParts } from './session-parts.ts'
import { client, copyDataHeader, flushMessage, headerBytes, syncMessage } from './wire.ts'

/** How the statement was sent that may copy in. */
export interface CopyStart {
  /** By Query, or by Execute: then the client's Sync comes after its data, and one it sent before is ignored by the server while it copies. */
  readonly protocol: 'simple' | 'extended'
  /** The client's Sync was sent along. */
  readonly synced: boolean
  /** In a transaction of the gate's, or a savepoint: no answer reaches the client before it is settled. */
  readonly isHeld: boolean
  /** What had been counted of the batch before a Sync that was sent along ended it. */
  readonly counters: Counters
}

/** Longest CopyData, as the server has it. Its data passes in pieces, so it costs nothing here. */
const copyDataBytesMax = 1024 * 1024 * 1024

/**
 * COPY FROM STDIN of a statement that was cleared: data goes from the client to the server as fast as the server takes it, and no message is
 * held whole. Begins with the server's CopyInResponse and ends with the client's CopyDone or CopyFail, or with the server's error.
 */
export class CopyIn {
  #parts: SessionParts
  #line: Line
  /** Bytes to come of a CopyData whose beginning has passed. */
  #cut = 0
  /** The client's Sync came behind the data of what was followed last, and was taken. */
  tookSync = false

  constructor(parts: SessionParts, line: Line) {
    this.#parts = parts
    this.#line = line
  }

  /** What came of the statement; in between, its data is passed on. */
  async follow(ran: Promise<Ran>, held: Held, start: CopyStart): Promise<Ran> {
    const { flow } = this.#line
    let begun = false
    this.tookSync = false
    try {
      for (;;) {
        const came = await this.#first(ran)
        if (came !== null) {
          if (begun && start.isHeld && start.protocol === 'extended') await this.#endBatch(held, came)
          return came
        }
        if (!begun) this.#reopen(start)
        begun = true
        await this.#pass(ran, held, start)
      }
    } catch (error) {
      if (error instanceof RangeError) this.#parts.end(`While copying in: ${error.message}.`, 'protocol_violation')
      else if (!(error instanceof ClientGone)) throw error
      return await ran
    } finally {
      flow.copyAwaited = null
    }
  }

  /** What came of the statement, or null when the server asks for data first. Of every write: no race, which would cost four promises. */
  #first(ran: Promise<Ran>): Promise<Ran | null> {
    return new Promise((resolve, reject) => {
      this.#line.flow.copyAwaited = () => resolve(null)
      ran.then(resolve, reject)
    })
  }

  /** The Sync that was sent along is read by the server as part of the copy, and ignored: the batch goes on. */
  #reopen({ protocol, synced, isHeld, counters }: CopyStart): void {
    if (protocol === 'simple' || !synced) return
    this.#line.flow.reopen()
    if (!isHeld) this.#line.reopenBatch(counters)
  }

  async #pass(ran: Promise<Ran>, held: Held, { protocol }: CopyStart): Promise<void> {
    const line = this.#line
    let over = false
    const ended = ran.then(() => {
      over = true
      held.rouse()
    })
    const isOver = (): boolean => over || line.ended !== null
    for (;;) {
      if (this.#cut > 0) {
        const piece = held.take(this.#cut)
        this.#cut -= piece.length
        // In a frame of its own: whatever happens in the middle of the client's, the server never waits for the rest of one.
        if (piece.length > 0 && !isOver()) await this.#forward(Buffer.concat([copyDataHeader(piece.length), piece]), ended)
        if (this.#cut > 0) await held.more(() => this.#parts.readOn())
        continue
      }
      if (isOver()) return
      const whole = wholeData(held.present())
      if (whole > 0) {
        await this.#forward(held.take(whole), ended)
        continue
      }
      const next = this.#next(held)
      if (next === 'end') {
        // The server tells what came of it when it is asked to: the client's Sync is not here yet.
        if (protocol === 'extended') line.forward(flushMessage)
        return
      }
      if (next === 'more') await held.more(() => this.#parts.readOn())
      if (next !== 'sync') continue
      // Ignored while copying, as the server does. Where nothing follows, it may be meant for an error that is on its way.
      if (held.length === headerBytes) await held.more(() => this.#parts.readOn())
      if (!isOver()) held.drop(headerBytes)
    }
  }

  /** Deals with what is no whole CopyData at the head of `held`. @throws RangeError for what has no place in a copy */
  #next(held: Held): 'end' | 'more' | 'sync' | 'on' {
    const bytes = held.present()
    if (bytes.length < headerBytes) return 'more'
    const length = bytes.readInt32BE(1)
    switch (bytes[0] ?? 0) {
      case client.copyData:
        if (length < 4 || length > copyDataBytesMax) break
        held.drop(headerBytes)
        this.#cut = length - 4
        return 'on'
      case client.copyDone:
      case client.copyFail: {
        const end = held.wholeEnd(0)
        if (end === null) return 'more'
        this.#line.forward(held.take(end))
        return 'end'
      }
      case client.flush:
        if (length !== 4) break
        held.drop(headerBytes)
        return 'on'
      case client.sync:
        if (length === 4) return 'sync'
        break
      case client.terminate:
        throw new ClientGone()
      default:
    }
    throw new RangeError('a message that has no place in a copy')
  }

  /** Resolves when there is room for more, or nothing more is wanted. */
  async #forward(bytes: Buffer, ended: Promise<void>): Promise<void> {
    if (!this.#line.forward(bytes)) await Promise.race([this.#line.room(), ended])
  }

  /** The gate's own Sync, so that the rows can be counted; and the client's, which it answers when that is settled. */
  async #endBatch(held: Held, came: Ran): Promise<void> {
    if (came.result === 'broken') return
    const line = this.#line
    line.flow.swallowReady = true
    await line.write(syncMessage, 1)
    await line.flow.quiet()
    for (;;) {
      const end = await held.messageEnd(0, () => this.#parts.readOn())
      const isSync = held.bytes[0] === client.sync
      const isData = held.bytes[0] === client.copyData || held.bytes[0] === client.copyDone || held.bytes[0] === client.copyFail
      if (!isSync && !isData && came.result === 'completed')
        throw new RangeError('something else than Sync after a copy that is counted')
      held.drop(end)
      this.tookSync = isSync
      if (isSync) return
    }
  }
}

/** Where the whole CopyData messages at the start of `bytes` end. */
function wholeData(bytes: Buffer): number {
  let at = 0
  while (at + headerBytes <= bytes.length && bytes[at] === client.copyData) {
    const length = bytes.readInt32BE(at + 1)
    const next = at + 1 + length
    if (length < 4 || next > bytes.length) break
    at = next
  }
  return at
}
