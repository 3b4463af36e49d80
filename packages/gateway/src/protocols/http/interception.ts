import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { disagreement } from './disagreement.ts'
import type { Origin } from './origin.ts'
import type { AlarmingRefusal } from './refusal.ts'
import type { Certificates, Leaf } from './settings.ts'

/** What an intercepted connection becomes. */
export interface Intercepted {
  secured(socket: TLSSocket): void
  /** The handshake failed; `why` is for the log. */
  failed(why: string): void
  /** The client asked for another host than it connected to. */
  disagreed(refusal: AlarmingRefusal): void
}

/** Ends TLS as one host. */
export interface Terminator {
  readonly server: Server
  readonly origin: Origin
  leaf: Leaf
}

/**
 * Ends the clients' TLS, as the host they wanted. A terminator for each governed host, never shared: so a session ticket of one host is
 * worth nothing at another, and a client without SNI gets the right certificate.
 */
export class Interception {
  readonly #certificates: Certificates
  readonly #handshakeTimeoutMs: number
  readonly #terminators = new Map<string, Terminator>()
  /** By the client's address and port: what a TLS socket and the one under it have in common. */
  readonly #expected = new Map<string, Intercepted>()

  constructor(certificates: Certificates, handshakeTimeoutMs: number) {
    this.#certificates = certificates
    this.#handshakeTimeoutMs = handshakeTimeoutMs
  }

  /** Has a certificate ready before the client is told to begin. */
  async prepare(origin: Origin): Promise<Terminator> {
    const leaf = await this.#certificates.issue(origin.host)
    const key = `${origin.host}:${origin.port}`
    const known = this.#terminators.get(key)
    if (known === undefined) {
      const made = { server: this.#makeServer(origin, leaf), origin, leaf }
      this.#terminators.set(key, made)
      return made
    }
    if (known.leaf !== leaf) known.server.setSecureContext({ key: leaf.key, cert: leaf.certificate, minVersion: 'TLSv1.2' })
    known.leaf = leaf
    return known
  }

  intercept(terminator: Terminator, socket: Socket, intercepted: Intercepted): void {
    const key = keyOf(socket)
    this.#expected.set(key, intercepted)
    socket.once('close', () => this.#expected.delete(key))
    terminator.server.emit('connection', socket)
  }

  #makeServer(origin: Origin, leaf: Leaf): Server {
    const server = createServer({
      key: leaf.key,
      cert: leaf.certificate,
      ALPNProtocols: ['http/1.1'],
      minVersion: 'TLSv1.2',
      handshakeTimeout: this.#handshakeTimeoutMs,
    })
    server.on('secureConnection', (socket) => this.#secured(origin, socket))
    server.on('tlsClientError', (error, socket) => {
      this.#expected.get(keyOf(socket))?.failed(error.message)
      socket.destroy()
    })
    return server
  }

  #secured(origin: Origin, socket: TLSSocket): void {
    const intercepted = this.#expected.get(keyOf(socket))
    const { servername } = socket
    if (intercepted === undefined) return void socket.destroy()
    if (typeof servername !== 'string' || servername === '' || servername.toLowerCase() === origin.host)
      return intercepted.secured(socket)
    socket.destroy()
    return intercepted.disagreed(disagreement('SNI', servername, origin))
  }
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`
}
