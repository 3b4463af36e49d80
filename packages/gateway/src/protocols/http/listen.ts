import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { SallyportError, type Gate, type Listener, type Protocol } from '@sallyport/core'
import { answerAgent, isAgentPath, Waits } from './agent-routes.ts'
import { ClientConnection } from './client-connection.ts'
import { Door } from './door.ts'
import { DueRuns } from './due-runs.ts'
import { makeFront } from './front.ts'
import { exchange, writeRefusal, type Passage } from './exchange.ts'
import { Interception } from './interception.ts'
import { readConnect, readProxyTarget, readTunnelTarget } from './proxy-target.ts'
import { challenge, endWith, rawProblem } from './raw-answer.ts'
import { AlarmingRefusal, refuse, refusedBy } from './refusal.ts'
import { withDefaults, type FullSettings, type HttpSettings } from './settings.ts'
import { findCanaryAtDoor, louder } from './stray-credential.ts'
import { exchangeToken, tokenPath } from './token-exchange.ts'
import { Tunnels, ungoverned, type Tunnel } from './tunnel.ts'
import type { HttpUpstreams } from './upstreams.ts'

/** HTTP/1.1 as a forward proxy that opens what it carries. */
export const httpProtocol: Protocol<HttpUpstreams, HttpSettings> = { id: 'http', listen }

const headBytesMax = 32 * 1024

async function listen(gate: Gate, upstreams: HttpUpstreams, given: HttpSettings): Promise<Listener> {
  const settings = withDefaults(given)
  const reception = new Reception(gate, upstreams, settings)
  const { headersTimeoutMs, connectionsMax, tls } = settings
  // More than are served: one that is too many is told so.
  const front =
    tls === null
      ? reception.http
      : makeFront(reception.http, { tls, timeoutMs: headersTimeoutMs, connectionsMax: connectionsMax * 2 })
  await new Promise<void>((resolve, reject) => {
    front.once('error', reject)
    front.listen(settings.port, settings.host, () => resolve())
  })
  const address = front.address()
  if (address === null || typeof address === 'string')
    throw new SallyportError('internal', 'The listener has no address.', 'Nothing is listening.', 'Give a host and a port.')
  reception.dueRuns?.start()
  return { address: { host: address.address, port: address.port }, close: () => reception.close(front) }
}

const proveYourself = new SallyportError(
  'authentication_failed',
  'This proxy wants to know which agent asks.',
  'Nothing was sent anywhere.',
  'Use the name of the agent as user and a handle in force as password: HTTPS_PROXY=http://AGENT:HANDLE@HOST:PORT.',
)

const nestedTunnel = refuse('not_supported', 'A tunnel leads to one host.', 'Connect to the other host by itself.')

class Reception {
  /** What clients connect to; their requests inside intercepted tunnels come to it too. */
  readonly http: HttpServer
  /** What the gate sends by itself; null where it defers nothing. */
  readonly dueRuns: DueRuns | null
  readonly #gate: Gate
  readonly #upstreams: HttpUpstreams
  readonly #settings: FullSettings
  readonly #door: Door
  readonly #tunnels: Tunnels
  readonly #waits = new Waits()
  readonly #clients = new Map<Duplex, ClientConnection>()
  readonly #tunnelOf = new WeakMap<Duplex, Tunnel>()

  constructor(gate: Gate, upstreams: HttpUpstreams, settings: FullSettings) {
    this.#gate = gate
    this.#upstreams = upstreams
    this.#settings = settings
    this.#door = new Door(gate)
    const { deferrals, bodyBytesMax } = settings
    this.dueRuns = deferrals === null ? null : new DueRuns({ gate, upstreams, settings: deferrals, bodyBytesMax })
    const interception = new Interception(settings.certificates, settings.headersTimeoutMs)
    this.#tunnels = new Tunnels({
      gate,
      upstreams,
      settings,
      interception,
      enter: (tunnel, socket) => this.#enter(tunnel, socket),
    })
    const { headersTimeoutMs, requestTimeoutMs, idleTimeoutMs } = settings
    this.http = createServer({
      maxHeaderSize: headBytesMax,
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: idleTimeoutMs,
      connectionsCheckingInterval: Math.min(1_000, headersTimeoutMs),
      noDelay: true,
      insecureHTTPParser: false,
      rejectNonStandardBodyWrites: false,
    })
    const serve = (request: IncomingMessage, response: ServerResponse): void => this.#serve(request, response)
    this.http.prependListener('connection', (socket: Socket) => this.#receive(socket))
    this.http.on('connect', (request, socket, head) => void this.#connect(request, socket, head))
    this.http.on('request', serve)
    this.http.on('checkContinue', serve)
    this.http.on('checkExpectation', serve)
    this.http.on('clientError', (error: Error, socket) => this.#unreadable(error, socket))
  }

  #receive(socket: Socket): void {
    if (this.#tunnelOf.has(socket)) return
    const client = new ClientConnection(socket, this.#gate)
    socket.on('error', () => undefined)
    if (this.#clients.size >= this.#settings.connectionsMax) {
      client.refused('', 'limit_exceeded', `more than ${this.#settings.connectionsMax} connections`)
      return client.end('Too many connections.')
    }
    this.#clients.set(socket, client)
    socket.once('close', () => this.#clients.delete(socket))
  }

  #clientOf(socket: Duplex): ClientConnection {
    const client = this.#clients.get(socket) ?? this.#tunnelOf.get(socket)?.client
    if (client === undefined)
      throw new SallyportError(
        'internal',
        'A request of no known client.',
        'Nothing was sent upstream.',
        'Report this: it is a defect of the gate.',
      )
    return client
  }

  /** CONNECT: who asks, which host, and then TLS as that host. */
  async #connect(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => undefined)
    if (this.#tunnelOf.has(socket)) return endWith(socket, rawProblem(nestedTunnel))
    try {
      const client = this.#clientOf(socket)
      const origin = readConnect(request)
      const admission = await this.#door.admit(request.headers['proxy-authorization'], client.peer, client.address)
      if (admission.kind === 'refused') this.#ringAtDoor(request)
      if (admission.kind !== 'admitted') return endWith(socket, rawProblem(proveYourself))
      if (head.length > 0) socket.unshift(head)
      await this.#tunnels.open(client, admission.handle, origin)
    } catch (error) {
      this.#noteRefusal(socket, error)
      endWith(socket, rawProblem(error))
    }
  }

  #enter(tunnel: Tunnel, socket: Socket): void {
    this.#tunnelOf.set(socket, tunnel)
    socket.on('error', () => undefined)
    this.http.emit('connection', socket)
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const tunnel = this.#tunnelOf.get(request.socket)
    if (tunnel === undefined) this.#proxied(request, response)
    else this.#tunnelled(tunnel, request, response)
  }

  #tunnelled(tunnel: Tunnel, request: IncomingMessage, response: ServerResponse): void {
    tunnel.client.inTurn(async () => {
      try {
        const target = readTunnelTarget(request, tunnel.origin)
        const passage = { gate: this.#gate, settings: this.#settings, dueRuns: this.dueRuns, ...tunnel }
        await exchange(passage, request, response, target)
      } catch (error) {
        this.#noteRefusal(request.socket, error)
        writeRefusal(response, refusedBy(error), false)
      }
    })
  }

  /** A request in absolute form: plain HTTP to a governed host, authenticated each time. Of the gate itself a handle is asked. */
  #proxied(request: IncomingMessage, response: ServerResponse): void {
    const client = this.#clientOf(request.socket)
    client.inTurn(async () => {
      try {
        if (isAgentPath(request.url ?? ''))
          return await answerAgent({ desk: this.#gate.desk, door: this.#door, waits: this.#waits }, client, request, response)
        if (request.url === tokenPath)
          return await exchangeToken({ gate: this.#gate, door: this.#door }, client, request, response)
        const passage = await this.#admit(client, request, response)
        if (passage !== null) await exchange(passage.passage, request, response, passage.target)
      } catch (error) {
        this.#noteRefusal(request.socket, error)
        writeRefusal(response, refusedBy(error), false)
      }
    })
  }

  async #admit(
    client: ClientConnection,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<{ passage: Passage; target: string } | null> {
    const { origin, target } = readProxyTarget(request)
    const admission = await this.#door.admit(request.headers['proxy-authorization'], client.peer, client.address)
    if (admission.kind === 'refused') this.#ringAtDoor(request)
    if (admission.kind !== 'admitted') {
      response.writeHead(407, { 'proxy-authenticate': challenge, 'content-length': 0, connection: 'close' })
      response.end()
      return null
    }
    const { handle } = admission
    const governed = this.#upstreams.find(origin)
    if (governed === null) throw ungoverned(origin)
    const open = await client.session(handle, governed.name)
    const passage = { gate: this.#gate, settings: this.#settings, dueRuns: this.dueRuns, client, handle, open, governed, origin }
    return { passage, target }
  }

  /** Bytes that are no HTTP: the connection ends, since nobody knows where the next request would begin. */
  #unreadable(error: Error, socket: Duplex): void {
    const code: unknown = Reflect.get(error, 'code')
    if (code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
    const slow = code === 'ERR_HTTP_REQUEST_TIMEOUT'
    const large = code === 'HPE_HEADER_OVERFLOW' || code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW'
    const refusal = slow
      ? refuse('too_slow', 'The request did not arrive in time.', 'Send it in one go.')
      : large
        ? refuse('too_large', `The headers are larger than ${headBytesMax} bytes.`, 'Send fewer or shorter ones.')
        : refuse(
            'protocol_violation',
            `This is no HTTP/1.1 request (${typeof code === 'string' ? code : 'unknown'}).`,
            'Send a well-formed one.',
          )
    this.#noteRefusal(socket, refusal)
    endWith(socket, rawProblem(refusal))
  }

  /** Whoever takes a planted token for a handle has found it, too. */
  #ringAtDoor(request: IncomingMessage): void {
    const alarm = findCanaryAtDoor(this.#settings.canaries, request.headers['proxy-authorization'] ?? '')
    if (alarm !== null) this.#gate.alarm({ ...alarm, session: '', agent: '' })
  }

  #noteRefusal(socket: Duplex, error: unknown): void {
    const { code, message } = refusedBy(error)
    const tunnel = this.#tunnelOf.get(socket)
    const client = this.#clients.get(socket) ?? tunnel?.client
    client?.refused(tunnel?.handle.agent ?? '', code, message)
    if (!(error instanceof AlarmingRefusal)) return
    const alarm = louder(this.#settings.canaries, error.alarm)
    this.#gate.alarm({ ...alarm, session: tunnel?.open.session.id ?? '', agent: tunnel?.handle.agent ?? '' })
  }

  async close(front: Server): Promise<void> {
    const closed = new Promise<void>((resolve) => front.close(() => resolve()))
    const clients = [...this.#clients.values()]
    for (const client of clients) client.end('The gate is stopping.')
    this.http.closeAllConnections()
    // Where another listens for it, this stops its looking for slow connections.
    this.http.close(() => undefined)
    await closed
    await this.dueRuns?.close()
    await Promise.all(clients.map((client) => client.closed))
  }
}
