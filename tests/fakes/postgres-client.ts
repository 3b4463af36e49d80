import { connect, type Socket } from 'node:net'
import {
  answerScram,
  ScramSecret,
  startPlainScram,
  type ScramStart,
} from '../../packages/gateway/src/upstreams/postgres/scram-client.ts'
import {
  frame,
  headerBytes,
  int16,
  int32,
  readErrorFields,
  startupMessage,
  zeroTerminated,
} from '../../packages/gateway/src/protocols/postgres/wire.ts'

export { startScram } from '../../packages/gateway/src/upstreams/postgres/scram-client.ts'

export interface Message {
  readonly type: string
  readonly bytes: Buffer
}

/** A PostgreSQL client that says exactly the bytes a test wants, in the pieces it wants. */
export class RawClient {
  readonly socket: Socket
  readonly startMessages: Message[] = []
  #bytes = Buffer.alloc(0)
  #wake: (() => void) | null = null
  #closed = false

  /** @param to the gate's port, or a connection to it that was made otherwise */
  constructor(to: number | Socket) {
    this.socket = typeof to === 'number' ? connect({ host: '127.0.0.1', port: to, noDelay: true }) : to
    this.socket.on('error', () => undefined)
    this.socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake?.()
    })
    this.socket.once('close', () => {
      this.#closed = true
      this.#wake?.()
    })
  }

  get closed(): boolean {
    return this.#closed
  }

  static async open(
    port: number,
    user: string,
    password: string | ScramSecret,
    database: string,
    parameters: readonly (readonly [string, string])[] = [],
  ): Promise<RawClient> {
    const client = new RawClient(port)
    client.send(startupMessage(new Map([['user', user], ['database', database], ...parameters])))
    await client.authenticate(password)
    client.startMessages.push(...(await client.untilReady()))
    return client
  }

  async authenticate(password: string | ScramSecret, scram: ScramStart = startPlainScram()): Promise<void> {
    await this.#expect('R')
    this.send(frame(0x70, zeroTerminated(scram.mechanism), int32(scram.message.length), Buffer.from(scram.message)))
    const challenge = await this.#expect('R')
    const answer = await answerScram(
      scram,
      challenge.toString('utf8', headerBytes + 4),
      typeof password === 'string' ? new ScramSecret(password) : password,
    )
    if (answer === null) throw new Error('bad challenge')
    this.send(frame(0x70, Buffer.from(answer.message)))
    const final = await this.#expect('R')
    if (!answer.accepts(final.toString('utf8', headerBytes + 4))) throw new Error('the gate did not prove itself')
    await this.#expect('R')
  }

  async #expect(type: string): Promise<Buffer> {
    const message = await this.next()
    if (message.type !== type)
      throw new Error(`${message.type} instead of ${type}: ${[...readErrorFields(message.bytes).values()].join(' ')}`)
    return message.bytes
  }

  send(...parts: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(parts))
  }

  async next(): Promise<Message> {
    for (;;) {
      const bytes = this.#bytes
      if (bytes.length >= headerBytes && bytes.length > bytes.readInt32BE(1)) {
        const end = bytes.readInt32BE(1) + 1
        this.#bytes = bytes.subarray(end)
        return { type: String.fromCharCode(bytes[0] ?? 0), bytes: bytes.subarray(0, end) }
      }
      if (this.#closed) return { type: 'closed', bytes: Buffer.alloc(0) }
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Up to and with ReadyForQuery, or the end of the connection. */
  async untilReady(): Promise<readonly Message[]> {
    const messages: Message[] = []
    for (;;) {
      const message = await this.next()
      messages.push(message)
      if (message.type === 'Z' || message.type === 'closed') return messages
    }
  }

  /** A line for each answer: type, and what matters of it; until `readies` ReadyForQuery have come. */
  async answers(readies = 1): Promise<readonly string[]> {
    const lines: string[] = []
    for (let seen = 0; seen < readies; seen += 1) {
      for (const message of await this.untilReady()) {
        lines.push(describe(message))
        if (message.type === 'closed') return lines
      }
    }
    return lines
  }

  close(): void {
    this.socket.destroy()
  }
}

export function describe({ type, bytes }: Message): string {
  switch (type) {
    case 'E':
    case 'N':
      return `${type} ${readErrorFields(bytes).get('C') ?? ''}`
    case 'C':
      return `C ${bytes.toString('utf8', headerBytes, bytes.length - 1)}`
    case 'Z':
      return `Z ${String.fromCharCode(bytes[headerBytes] ?? 0)}`
    case 'D':
      return `D ${readValues(bytes).join(',')}`
    case 'S':
      return `S ${bytes.toString('utf8', headerBytes, bytes.length - 1).replace('\0', '=')}`
    default:
      return type
  }
}

function readValues(bytes: Buffer): readonly string[] {
  const values: string[] = []
  let at = headerBytes + 2
  for (let left = bytes.readInt16BE(headerBytes); left > 0; left -= 1) {
    const length = bytes.readInt32BE(at)
    at += 4
    values.push(length === -1 ? 'null' : bytes.toString('utf8', at, at + length))
    at += Math.max(0, length)
  }
  return values
}

export const describeMessage = (kind: 'S' | 'P', name: string): Buffer => frame(0x44, Buffer.from(kind), zeroTerminated(name))
export const executeRows = (portal: string, rows: number): Buffer => frame(0x45, zeroTerminated(portal), int32(rows))
export const functionCall = (): Buffer => frame(0x46, int32(1), int16(0), int16(0), int16(0))
