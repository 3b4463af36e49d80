import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { z } from 'zod'

export interface SlackCallReceived {
  readonly method: string
  readonly token: string
  readonly fields: { readonly [key: string]: unknown }
}

/** How the next calls of a method are answered; by default as Slack does when all is well. */
type Answer = { readonly status?: number; readonly retryAfter?: string; readonly body: unknown }

const websocketGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/**
 * Slack as it documents itself: the Web API's three methods that we use, and Socket Mode over a WebSocket (RFC 6455) whose address is a ticket that is
 * good once. It keeps what it was told, and says what the test wants it to say.
 */
export class SlackServer {
  readonly calls: SlackCallReceived[] = []
  /** What came over the socket, oldest first. */
  readonly acknowledged: unknown[] = []
  /** Open connections, oldest first. */
  readonly lines: SlackLine[] = []
  /** Of the connections that were opened so far. */
  opened = 0
  /** What each new connection hears first. */
  greeting: readonly unknown[] = [{ type: 'hello', num_connections: 1, connection_info: { app_id: 'A1' } }]
  readonly answers = new Map<string, Answer>()
  readonly #tickets = new Set<string>()
  readonly #server: Server
  #messages = 0

  constructor() {
    this.#server = createServer((request, response) => void this.#call(request, response))
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex) => this.#upgrade(request, socket))
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  get api(): string {
    return `http://127.0.0.1:${this.#port}/api`
  }

  get #port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  callsOf(method: string): readonly SlackCallReceived[] {
    return this.calls.filter((one) => one.method === method)
  }

  /** To every connection that is open. */
  say(message: unknown): void {
    for (const line of this.lines) line.say(message)
  }

  /** Resolves after a request of the test's own went through: what was on its way before it has arrived, or was never sent. */
  async settled(): Promise<void> {
    await fetch(this.api)
    await fetch(this.api)
  }

  async close(): Promise<void> {
    for (const line of this.lines) line.drop()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #call(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST') return void response.end()
    const chunks: Buffer[] = []
    for await (const chunk of request) if (chunk instanceof Buffer) chunks.push(chunk)
    const method = (request.url ?? '').replace('/api/', '')
    const token = (request.headers.authorization ?? '').replace('Bearer ', '')
    const fields = z.record(z.string(), z.unknown()).parse(JSON.parse(Buffer.concat(chunks).toString('utf8')))
    this.calls.push({ method, token, fields })
    const { status = 200, retryAfter, body } = this.answers.get(method) ?? this.#answer(method, token)
    response.writeHead(status, { 'content-type': 'application/json', ...(retryAfter && { 'retry-after': retryAfter }) })
    response.end(JSON.stringify(body))
  }

  #answer(method: string, token: string): Answer {
    if (method !== 'apps.connections.open') {
      if (!token.startsWith('xoxb-')) return { body: { ok: false, error: 'not_allowed_token_type' } }
      this.#messages += 1
      return { body: { ok: true, channel: 'C1', ts: `${this.#messages}.1` } }
    }
    if (!token.startsWith('xapp-')) return { body: { ok: false, error: 'not_allowed_token_type' } }
    const ticket = `t${this.#tickets.size}-${this.calls.length}`
    this.#tickets.add(ticket)
    return { body: { ok: true, url: `ws://127.0.0.1:${this.#port}/link/?ticket=${ticket}&app_id=A1` } }
  }

  #upgrade(request: IncomingMessage, socket: Duplex): void {
    const ticket = new URL(request.url ?? '/', 'http://slack.invalid').searchParams.get('ticket') ?? ''
    const key = request.headers['sec-websocket-key']
    if (!this.#tickets.delete(ticket) || key === undefined) return void socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
    const accept = createHash('sha1').update(`${key}${websocketGuid}`).digest('base64')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
    )
    const line: SlackLine = new SlackLine(socket, (message) => this.acknowledged.push(message))
    this.lines.push(line)
    this.opened += 1
    socket.once('close', () => this.lines.splice(this.lines.indexOf(line), 1))
    for (const message of this.greeting) line.say(message)
  }
}

/** One WebSocket connection, as the server sees it: text frames out, masked text frames in. */
class SlackLine {
  readonly #socket: Duplex
  #buffered = Buffer.alloc(0)
  /** False: it hears, and answers no ping, as behind a middlebox that forgot it. */
  answersPings = true

  constructor(socket: Duplex, receive: (message: unknown) => void) {
    this.#socket = socket
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      this.#buffered = Buffer.concat([this.#buffered, chunk])
      for (let frame = this.#take(); frame !== null; frame = this.#take()) {
        if (frame.opcode === 1) receive(JSON.parse(frame.payload.toString('utf8')))
        if (frame.opcode === 8) this.drop()
        if (frame.opcode === 9 && this.answersPings) this.#write(10, frame.payload)
      }
    })
  }

  say(message: unknown): void {
    this.#write(1, Buffer.from(typeof message === 'string' ? message : JSON.stringify(message)))
  }

  drop(): void {
    this.#socket.destroy()
  }

  #write(opcode: number, payload: Buffer): void {
    const length = payload.length < 126 ? Buffer.from([payload.length]) : Buffer.alloc(payload.length < 65_536 ? 3 : 9)
    if (length.length === 3) {
      length[0] = 126
      length.writeUInt16BE(payload.length, 1)
    } else if (length.length === 9) {
      length[0] = 127
      length.writeBigUInt64BE(BigInt(payload.length), 1)
    }
    this.#socket.write(Buffer.concat([Buffer.from([0x80 | opcode]), length, payload]))
  }

  #take(): { readonly opcode: number; readonly payload: Buffer } | null {
    const [first = 0, second = 0] = this.#buffered
    const short = second & 0x7f
    const wide = short === 126 ? 2 : short === 127 ? 8 : 0
    if (this.#buffered.length < 6 + wide) return null
    const size = wide === 0 ? short : wide === 2 ? this.#buffered.readUInt16BE(2) : Number(this.#buffered.readBigUInt64BE(2))
    const from = 6 + wide
    if (this.#buffered.length < from + size) return null
    const mask = this.#buffered.subarray(2 + wide, from)
    const payload = Buffer.from(this.#buffered.subarray(from, from + size).map((byte, at) => byte ^ (mask[at % 4] ?? 0)))
    this.#buffered = this.#buffered.subarray(from + size)
    return { opcode: first & 0x0f, payload }
  }
}
