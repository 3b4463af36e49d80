import { SallyportError, type SqlChannel, type SqlRow } from '@sallyport/core'
import type { Taker } from './server-flow.ts'
import {
  bindMessage,
  client,
  closeMessage,
  copyDataMessage,
  copyDoneMessage,
  copyFailMessage,
  describeStatementMessage,
  executeMessage,
  flushMessage,
  headerBytes,
  makeReservedName,
  parseMessage,
  readErrorFields,
  readTagRows,
  reparseMessage,
  server,
  syncMessage,
} from './wire.ts'

/** A connection that the gate may speak on between two messages of its owner. */
export interface Conversable {
  /**
   * `between`: everything before is answered, and what the gate says ends with a Sync of its own. `inside`: something ran since the owner's last
   * Sync, which must not be ended for it: what the gate says is flushed. Throws SallyportError when the gate may not speak now.
   */
  enter(): Promise<Place>
  /** Writes; `readies` is how many ReadyForQuery it will bring. Resolves when there is room for more. */
  write(bytes: Buffer, readies: number): Promise<void>
  /** `inside`: from the answer to the next message on, which is a Close; answers to the owner's messages come first. */
  take(taker: Taker | null, place?: Place): void
  pause(): void
  resume(): void
}

export type Place = 'between' | 'inside'

/** Longest answer to one query of the gate's own. */
const answerBytesMax = 64 * 1024 * 1024
/** Closes in an opening and a closing, and around a description. */
const closesOfAll = 4
const closesOfDescription = 2
const copyBufferedBytesMax = 1024 * 1024

interface Answer {
  rows: SqlRow[]
  tag: string
  error: Buffer | null
}

/** The gate's own SQL on someone's connection: by names that no agent knows, so the agent's unnamed statement and portal stay. */
export class GateChannel implements SqlChannel {
  #line: Conversable
  #turn: Promise<unknown> = Promise.resolve()
  #name = makeReservedName()

  constructor(line: Conversable) {
    this.#line = line
  }

  query(sql: string, values: readonly (string | null)[] = []): Promise<readonly SqlRow[]> {
    return this.#inTurn(async () => (await this.#run(sql, values)).rows)
  }

  /** Runs SQL and gives its command tag, or the server's error as it came. */
  attempt(sql: string): Promise<{ readonly tag: string } | { readonly error: Buffer }> {
    return this.#inTurn(async () => {
      const answer = await this.#converse(sql, [], await this.#line.enter())
      return answer.error === null ? { tag: answer.tag } : { error: answer.error }
    })
  }

  /** What the server says of a statement given as Parse had it: its description as messages, or its error. */
  describe(parsed: Buffer): Promise<{ readonly answer: Buffer } | { readonly error: Buffer }> {
    return this.#inTurn(async () => {
      const place = await this.#line.enter()
      const answer: Buffer[] = []
      let error: Buffer | null = null
      let closes = 0
      const done = new Promise<void>((resolve, reject) => {
        this.#line.take((type, message) => {
          if (type === server.error) error ??= Buffer.from(message)
          else if (type === server.closeComplete) closes += 1
          else if (type === client.terminate) return this.#leave(() => reject(broken()))
          else if (type === server.parameterDescription || type === server.rowDescription || type === server.noData)
            answer.push(Buffer.from(message))
          const isLast = place === 'inside' ? closes === closesOfDescription || type === server.error : type === server.ready
          if (isLast) this.#leave(resolve)
        }, place)
      })
      const name = this.#name
      const words = [
        closeMessage('S', name),
        reparseMessage(name, parsed),
        describeStatementMessage(name),
        closeMessage('S', name),
      ]
      const isInside = place === 'inside'
      const end = isInside ? flushMessage : syncMessage
      await Promise.all([done, this.#line.write(Buffer.concat([...words, end]), isInside ? 0 : 1)])
      return error === null ? { answer: Buffer.concat(answer) } : { error }
    })
  }

  async #run(sql: string, values: readonly (string | null)[]): Promise<Answer> {
    const answer = await this.#converse(sql, values, await this.#line.enter())
    if (answer.error !== null) throw upstreamFailed(answer.error)
    return answer
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }

  #opening(sql: string, values: readonly (string | null)[]): Buffer[] {
    const name = this.#name
    return [
      closeMessage('S', name),
      closeMessage('P', name),
      parseMessage(name, sql),
      bindMessage(name, name, values),
      executeMessage(name),
    ]
  }

  #closing(place: Place = 'between'): Buffer[] {
    return [closeMessage('P', this.#name), closeMessage('S', this.#name), place === 'inside' ? flushMessage : syncMessage]
  }

  /** For what takes more than one exchange. */
  async #enterBetween(): Promise<void> {
    const place = await this.#line.enter()
    if (place === 'inside') throw notInside()
  }

  async #converse(sql: string, values: readonly (string | null)[], place: Place): Promise<Answer> {
    const answer: Answer = { rows: [], tag: '', error: null }
    let bytes = 0
    let over = false
    let closes = 0
    const done = new Promise<void>((resolve, reject) => {
      const take: Taker = (type, message) => {
        bytes += message.length
        if (bytes > answerBytesMax) over = true
        if (type === server.dataRow && !over) answer.rows.push(readRow(message))
        else if (type === server.commandComplete) answer.tag = message.toString('latin1', headerBytes, message.length - 1)
        else if (type === server.error) answer.error ??= Buffer.from(message)
        else if (type === server.closeComplete) closes += 1
        else if (type === client.terminate) return this.#leave(() => reject(broken()))
        // After an error the server says nothing more before the owner's Sync.
        const isLast = place === 'inside' ? closes === closesOfAll || type === server.error : type === server.ready
        if (isLast) this.#leave(resolve)
      }
      this.#line.take(take, place)
    })
    const words = Buffer.concat([...this.#opening(sql, values), ...this.#closing(place)])
    await Promise.all([done, this.#line.write(words, place === 'inside' ? 0 : 1)])
    if (over)
      throw new SallyportError(
        'too_large',
        'An answer to a query of the gate was over 64 MiB.',
        'The gate did not use it.',
        'Report this: it is a defect of a connector.',
      )
    return answer
  }

  #leave(then: () => void): void {
    this.#line.take(null)
    then()
  }

  async *copyOut(sql: string): AsyncIterable<Uint8Array> {
    const release = await this.#occupy()
    try {
      yield* this.#readCopy(sql)
    } finally {
      release()
    }
  }

  async *#readCopy(sql: string): AsyncIterable<Uint8Array> {
    await this.#enterBetween()
    const chunks: Uint8Array[] = []
    let buffered = 0
    let state: 'running' | 'ready' | 'broken' = 'running'
    let error: Buffer | null = null
    let wake: () => void = () => undefined
    this.#line.take((type, message) => {
      if (type === server.copyData) {
        chunks.push(message.subarray(headerBytes))
        buffered += message.length
        if (buffered > copyBufferedBytesMax) this.#line.pause()
      } else if (type === server.error) error ??= Buffer.from(message)
      else if (type === server.ready) this.#leave(() => (state = 'ready'))
      else if (type === client.terminate) this.#leave(() => (state = 'broken'))
      wake()
    })
    const isRunning = (): boolean => state === 'running'
    try {
      await this.#line.write(Buffer.concat([...this.#opening(sql, []), ...this.#closing()]), 1)
      for (;;) {
        const ready = chunks.splice(0)
        buffered = 0
        for (const chunk of ready) yield chunk
        if (chunks.length > 0) continue
        if (!isRunning()) break
        await new Promise<void>((resolve) => {
          wake = resolve
          this.#line.resume()
        })
      }
    } finally {
      // A consumer that left early: what is still coming is read and thrown away, so that the connection can be used again.
      while (isRunning()) {
        chunks.length = 0
        buffered = 0
        await new Promise<void>((resolve) => {
          wake = resolve
          this.#line.resume()
        })
      }
    }
    if (isBroken(state)) throw broken()
    if (error !== null) throw upstreamFailed(error)
  }

  async #occupy(): Promise<() => void> {
    let release: () => void = () => undefined
    const before = this.#turn
    this.#turn = new Promise<void>((resolve) => (release = resolve))
    await before
    return release
  }

  copyIn(sql: string, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    return this.#inTurn(async () => {
      await this.#enterBetween()
      const answer: Answer = { rows: [], tag: '', error: null }
      let started: () => void = () => undefined
      const start = new Promise<void>((resolve) => (started = resolve))
      const done = new Promise<void>((resolve, reject) => {
        this.#line.take((type, message) => {
          if (type === server.copyIn) started()
          else if (type === server.commandComplete) answer.tag = message.toString('latin1', headerBytes, message.length - 1)
          else if (type === server.error) {
            answer.error ??= Buffer.from(message)
            started()
          } else if (type === server.ready) this.#leave(resolve)
          else if (type === client.terminate) this.#leave(() => reject(broken()))
        })
      })
      const failed = done.catch(() => started())
      await this.#line.write(Buffer.concat([...this.#opening(sql, []), flushMessage]), 0)
      await Promise.race([start, failed])
      const source = await this.#feed(chunks, () => answer.error !== null)
      const ending = source === null ? copyDoneMessage : copyFailMessage('the source of the copy failed')
      await Promise.all([done, this.#line.write(Buffer.concat([ending, ...this.#closing()]), 1)])
      if (source !== null) throw source.thrown
      if (answer.error !== null) throw upstreamFailed(answer.error)
      return readTagRows(answer.tag) ?? 0
    })
  }

  /** Sends chunks until the end or until the server refused; what the source threw, if it did. */
  async #feed(chunks: AsyncIterable<Uint8Array>, refused: () => boolean): Promise<{ readonly thrown: unknown } | null> {
    try {
      for await (const chunk of chunks) {
        if (refused()) break
        await this.#line.write(copyDataMessage(chunk), 0)
      }
      return null
    } catch (thrown) {
      return { thrown }
    }
  }
}

function isBroken(state: string): boolean {
  return state === 'broken'
}

export function readRow(message: Buffer): SqlRow {
  const count = message.readInt16BE(headerBytes)
  const row: (string | null)[] = []
  let at = headerBytes + 2
  for (let index = 0; index < count; index += 1) {
    const length = message.readInt32BE(at)
    at += 4
    row.push(length === -1 ? null : message.toString('utf8', at, at + length))
    if (length > 0) at += length
  }
  return row
}

/** The SQLSTATE only: a server's message may quote data. It goes along as `cause`. */
function upstreamFailed(error: Buffer): SallyportError {
  const fields = readErrorFields(error)
  const sqlState = fields.get('C') ?? 'XX000'
  return new SallyportError(
    'upstream_failed',
    `The upstream answered SQLSTATE ${sqlState} to a query that the gate needed for this statement.`,
    'The statement was not run.',
    sqlState === '55P03'
      ? 'Something holds a lock on it: try again later.'
      : 'Try again; if it repeats, show this to whoever runs the gate.',
    { cause: new Error(`${sqlState} ${fields.get('M') ?? ''}`) },
  )
}

export function notInside(): SallyportError {
  return new SallyportError(
    'not_supported',
    'The gate must do something at the upstream before this statement, and something already ran since the last Sync.',
    'The statement was not run.',
    'Send Sync before this statement.',
  )
}

function broken(): SallyportError {
  return new SallyportError(
    'upstream_unavailable',
    'The connection to the upstream broke.',
    'The gate does not know what became of what was running.',
    'Connect again.',
  )
}
