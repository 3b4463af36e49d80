import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import { SallyportError } from '@sallyport/core'
import type { Origin } from '../../protocols/http/origin.ts'
import { Connection } from './connection.ts'
import type { CredentialFilter } from './credential-filter.ts'

/** Where and how an upstream is reached. */
export interface Route {
  readonly upstream: string
  readonly origin: Origin
  /** Where the host really is, when not where its name leads. */
  readonly dial: { readonly host: string; readonly port: number } | null
  /** PEM; null for the authorities of the system. */
  readonly authorities: string | null
  readonly connectTimeoutMs: number
}

/** Below what servers commonly wait (5 s), so that a request seldom meets a connection that is just being closed. */
const idleMs = 4_000
const connectionsMax = 256

/**
 * Connections kept for their agent: never handed from one subject to another, so that an answer out of step could reach nobody else.
 * The latest used comes first.
 */
export class Pool {
  readonly #route: Route
  readonly #filter: CredentialFilter
  readonly #idle = new Map<string, Connection[]>()
  readonly #all = new Map<Connection, string>()
  /** Made once: reading the authorities takes longer than a handshake. */
  readonly #context: SecureContext
  #opening = 0
  #ticket: Buffer | undefined

  constructor(route: Route, filter: CredentialFilter) {
    this.#route = route
    this.#filter = filter
    this.#context = createSecureContext({
      minVersion: 'TLSv1.2',
      ...(route.authorities === null ? {} : { ca: route.authorities }),
    })
  }

  /** An idle connection now, or a new one soon. */
  acquire(subject: string, signal: AbortSignal): Connection | Promise<Connection> {
    const idle = this.#idle.get(subject)
    for (let found = idle?.pop(); found !== undefined; found = idle?.pop()) if (found.usable) return found
    return this.#open(subject, signal)
  }

  async #open(subject: string, signal: AbortSignal): Promise<Connection> {
    if (this.#all.size + this.#opening >= connectionsMax)
      throw new SallyportError(
        'limit_exceeded',
        `${connectionsMax} connections to ${this.#route.upstream} are in use.`,
        'Nothing was sent upstream.',
        'Try again when some of the others are answered.',
      )
    this.#opening += 1
    try {
      const socket = await this.#dial(signal)
      const connection = new Connection(
        socket,
        { idle: (self) => this.release(self), closed: (self) => this.#forget(self) },
        this.#filter,
      )
      this.#all.set(connection, subject)
      return connection
    } finally {
      this.#opening -= 1
    }
  }

  #dial(signal: AbortSignal): Promise<Socket> {
    const { origin, dial, connectTimeoutMs } = this.#route
    const { host, port } = dial ?? origin
    return new Promise((resolve, reject) => {
      const isTls = origin.scheme === 'https'
      const socket = isTls
        ? connectTls({
            host,
            port,
            servername: origin.host,
            // Said, since an environment variable can change what is left unsaid.
            rejectUnauthorized: true,
            secureContext: this.#context,
            ALPNProtocols: ['http/1.1'],
            ...(this.#ticket === undefined ? {} : { session: this.#ticket }),
          })
        : connectPlain({ host, port })
      const fail = (why: string): void => {
        socket.destroy()
        reject(this.#unreachable(why))
      }
      const abort = (): void => fail('it was stopped')
      const failed = (error: Error): void => fail(codeOf(error))
      socket.setNoDelay(true)
      socket.setTimeout(connectTimeoutMs, () => fail('it did not answer in time'))
      socket.once('error', failed)
      if (isTls) socket.on('session', (ticket: Buffer) => (this.#ticket = ticket))
      if (signal.aborted) return abort()
      signal.addEventListener('abort', abort, { once: true })
      socket.once(isTls ? 'secureConnect' : 'connect', () => {
        signal.removeEventListener('abort', abort)
        socket.off('error', failed)
        socket.removeAllListeners('timeout')
        socket.setTimeout(0)
        resolve(socket)
      })
    })
  }

  #unreachable(why: string): SallyportError {
    return new SallyportError(
      'upstream_unavailable',
      `The upstream ${this.#route.upstream} could not be reached: ${why}.`,
      'Nothing was sent upstream.',
      'Try again later; if it repeats, ask your owner to look at the upstream.',
    )
  }

  /** Back among the idle ones, when it was never written to or its answer is whole. */
  release(connection: Connection): void {
    const subject = this.#all.get(connection)
    if (subject === undefined || !connection.usable) return
    connection.rest(idleMs)
    const idle = this.#idle.get(subject)
    if (idle === undefined) this.#idle.set(subject, [connection])
    else idle.push(connection)
  }

  #forget(connection: Connection): void {
    const subject = this.#all.get(connection)
    this.#all.delete(connection)
    if (subject === undefined) return
    const left = (this.#idle.get(subject) ?? []).filter((other) => other !== connection)
    if (left.length === 0) this.#idle.delete(subject)
    else this.#idle.set(subject, left)
  }

  close(): void {
    for (const connection of this.#all.keys()) connection.destroy()
  }
}

/** An error's code says what is wrong and quotes nothing. */
function codeOf(error: Error): string {
  const code: unknown = Reflect.get(error, 'code')
  return typeof code === 'string' ? code : 'the connection failed'
}
