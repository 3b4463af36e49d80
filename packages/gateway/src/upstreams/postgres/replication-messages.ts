import { SallyportError, type SqlRow } from '@sallyport/core'
import { readRow } from '../../protocols/postgres/gate-channel.ts'
import { headerBytes, readErrorFields, server } from '../../protocols/postgres/wire.ts'
import type { Connected } from './connect.ts'

/** Longest message of a walsender: it sends a backup in pieces of 32 KiB, WAL in pieces of 128 KiB, and rows of a few bytes. */
const messageBytesMax = 4 * 1024 * 1024

/** Says what failed in the words of who asked. The cause is never told: a server's message may quote what it was given. */
export type SayFailure = (why: string, cause?: unknown) => SallyportError

/** Whole messages of a walsender, as the consumer asks for them: a slow vault holds the server back, not our memory. */
export class ReplicationMessages {
  readonly #messages: AsyncGenerator<Buffer, void, undefined>
  readonly #failed: SayFailure

  constructor(socket: Connected['socket'], failed: SayFailure) {
    this.#failed = failed
    this.#messages = readMessages(socket, failed)
  }

  /** @throws SallyportError when the server says no, or the connection ends */
  async next(): Promise<Buffer> {
    const next = await this.#messages.next()
    if (next.done) throw this.#failed('the connection broke')
    if (next.value[0] !== server.error) return next.value
    const fields = readErrorFields(next.value)
    throw this.#failed(`the server answered SQLSTATE ${fields.get('C') ?? 'XX000'}`, new Error(fields.get('M') ?? ''))
  }

  /** What a command answered, up to where the next one may be sent. */
  async rows(): Promise<readonly SqlRow[]> {
    const rows: SqlRow[] = []
    for (;;) {
      const message = await this.next()
      if (message[0] === server.dataRow) rows.push(readRow(message))
      if (message[0] === server.ready) return rows
    }
  }
}

async function* readMessages(socket: Connected['socket'], failed: SayFailure): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer = Buffer.alloc(0)
  const chunks: AsyncIterable<unknown> = socket
  try {
    for await (const chunk of chunks) {
      if (!Buffer.isBuffer(chunk)) continue
      let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      while (bytes.length >= headerBytes) {
        const length = bytes.readInt32BE(1)
        if (length < 4 || length > messageBytesMax) throw failed('the server sent a message that is none')
        if (bytes.length <= length) break
        yield bytes.subarray(0, length + 1)
        bytes = bytes.subarray(length + 1)
      }
      rest = bytes
    }
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw failed('nothing came for too long, or the connection broke', error)
  }
}
