import { createServer as createPlain, type Server, type Socket } from 'node:net'
import { createServer as createTls } from 'node:tls'

/** One request as a stand-in got it: the exact bytes, and where they end. */
export interface ReceivedRequest {
  readonly connection: number
  readonly method: string
  readonly target: string
  /** Names in lower case, in order. */
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Buffer
  readonly bytes: Buffer
}

/** Bytes to answer with; or what to do to the connection instead. */
export type StandInAnswer = string | Buffer | ((socket: Socket) => void)

export const jsonAnswer = (value: unknown, status = 200, headers = ''): string => {
  const body = JSON.stringify(value)
  return `HTTP/1.1 ${status} Said\r\ncontent-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

/** An HTTP API that writes down every byte it gets, and answers what a test says. It reads only what the gate writes: a length, or no body. */
export class HttpStandIn {
  readonly received: ReceivedRequest[] = []
  /** Everything that ever arrived, whether it is a request or not. */
  readonly bytes: Buffer[] = []
  connections = 0
  /** 0 before `listen`. */
  port = 0
  answer: (request: ReceivedRequest) => StandInAnswer = () => jsonAnswer({ data: { ok: true } })
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #changed: (() => void)[] = []

  constructor(tls: { readonly key: string; readonly certificate: string } | null) {
    const attend = (socket: Socket): void => this.#attend(socket)
    this.#server = tls === null ? createPlain(attend) : createTls({ key: tls.key, cert: tls.certificate }, attend)
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve()))
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the stand-in has no port')
    this.port = address.port
    return address.port
  }

  #attend(socket: Socket): void {
    this.connections += 1
    const connection = this.connections
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      this.#announce()
    })
    let rest = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      this.bytes.push(chunk)
      rest = Buffer.concat([rest, chunk])
      for (let found = readRequest(rest, connection); found !== null; found = readRequest(rest, connection)) {
        rest = rest.subarray(found.bytes.length)
        this.received.push(found)
        const answer = this.answer(found)
        if (typeof answer === 'function') answer(socket)
        else socket.write(answer)
      }
      this.#announce()
    })
  }

  /** Resolves when `condition` holds; looked at whenever something arrives or ends. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#changed.push(resolve))
  }

  #announce(): void {
    const waiting = this.#changed
    this.#changed = []
    for (const wake of waiting) wake()
  }

  get open(): number {
    return this.#sockets.size
  }

  /** All bytes that arrived, as text. */
  text(): string {
    return Buffer.concat(this.bytes).toString('latin1')
  }

  reset(): void {
    this.received.length = 0
    this.bytes.length = 0
    this.answer = () => jsonAnswer({ data: { ok: true } })
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}

function readRequest(bytes: Buffer, connection: number): ReceivedRequest | null {
  const end = bytes.indexOf('\r\n\r\n')
  if (end === -1) return null
  const [line = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
  const headers = lines.map((each): readonly [string, string] => {
    const at = each.indexOf(':')
    return [each.slice(0, at).toLowerCase(), each.slice(at + 1).trim()]
  })
  const length = Number(headers.find(([name]) => name === 'content-length')?.[1] ?? 0)
  if (!Number.isSafeInteger(length) || bytes.length < end + 4 + length) return null
  const [method = '', target = ''] = line.split(' ')
  const whole = bytes.subarray(0, end + 4 + length)
  return { connection, method, target, headers, body: whole.subarray(end + 4), bytes: whole }
}
