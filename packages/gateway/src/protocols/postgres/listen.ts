import { createServer, type Server, type Socket } from 'node:net'
import { SallyportError, type Gate, type Listener, type OpenSession, type Protocol } from '@sallyport/core'
import { AgentSession } from './agent-session.ts'
import { CancelKeys, type CancelKey } from './cancel-keys.ts'
import { ClientDoor, Failures, type Arrival } from './client-door.ts'
import { withDefaults, type FullSettings, type PostgresSettings } from './session-parts.ts'
import type { Backend, PostgresUpstreams } from './upstreams.ts'
import { backendKeyData, parameterStatus, readyForQuery } from './wire.ts'

/** The PostgreSQL wire protocol, versions 3.0 and 3.2; whatever is newer is negotiated down. */
export const postgresProtocol: Protocol<PostgresUpstreams, PostgresSettings> = { id: 'postgres', listen }

/** How often half messages are looked for, milliseconds. */
const sweepMs = 1_000
/** A message begun and not continued for so long ends its session. */
const halfMessageMs = 8_000

async function listen(gate: Gate, upstreams: PostgresUpstreams, settings: PostgresSettings): Promise<Listener> {
  const reception = new Reception(gate, upstreams, withDefaults(settings))
  const server = createServer({ noDelay: true }, (socket) => reception.receive(socket))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(settings.port, settings.host, () => resolve())
  })
  const sweep = setInterval(() => reception.sweep(), sweepMs)
  const address = server.address()
  if (address === null || typeof address === 'string')
    throw new SallyportError('internal', 'The listener has no address.', 'Nothing is listening.', 'Give a host and a port.')
  return { address: { host: address.address, port: address.port }, close: () => reception.close(server, sweep) }
}

class Reception {
  #gate: Gate
  #upstreams: PostgresUpstreams
  #settings: FullSettings
  #sockets = new Set<Socket>()
  #sessions = new Set<AgentSession>()
  #closing: Promise<void>[] = []
  #keys = new CancelKeys()
  #failures = new Failures()

  constructor(gate: Gate, upstreams: PostgresUpstreams, settings: FullSettings) {
    this.#gate = gate
    this.#upstreams = upstreams
    this.#settings = settings
  }

  receive(socket: Socket): void {
    socket.on('error', () => undefined)
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    const peer = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`
    const door = new ClientDoor(socket, this.#gate, peer, this.#failures, this.#settings.tls)
    if (this.#sockets.size > this.#settings.connectionsMax) {
      door.tell({
        code: 'limit_exceeded',
        sqlState: '53300',
        message: 'too many clients',
        notDone: 'No session was opened.',
        next: 'Close connections, or try again later.',
      })
      socket.destroySoon()
      return
    }
    void this.#admit(door, peer)
  }

  async #admit(door: ClientDoor, peer: string): Promise<void> {
    const abort = new AbortController()
    const timer = setTimeout(() => {
      abort.abort()
      door.socket.destroy()
    }, this.#settings.startupTimeoutMs)
    door.socket.once('close', () => abort.abort())
    try {
      const arrival = await door.admit()
      if (arrival.kind === 'client') await this.#open(door.socket, door, peer, arrival, abort.signal)
      else {
        if (arrival.kind === 'cancel') this.#keys.cancel(arrival)
        door.socket.destroySoon()
      }
    } catch (error) {
      door.tellError(error)
      door.socket.destroySoon()
    } finally {
      clearTimeout(timer)
    }
  }

  async #open(
    socket: Socket,
    door: ClientDoor,
    peer: string,
    arrival: Extract<Arrival, { kind: 'client' }>,
    signal: AbortSignal,
  ): Promise<void> {
    const { open, backend: opening } = await this.#begin(peer, arrival, signal)
    try {
      const backend = await opening
      const rest = door.leave()
      let key: CancelKey | null = null
      let ended: () => void = () => undefined
      this.#track(new Promise<void>((resolve) => (ended = resolve)))
      const session: AgentSession = new AgentSession(socket, this.#gate, open, backend, this.#settings, () => {
        if (key !== null) this.#keys.remove(key)
        this.#sessions.delete(session)
        ended()
      })
      this.#sessions.add(session)
      key = this.#keys.add(session, backend.pid, arrival.minor >= 2 ? 'long' : 'short')
      const { pid, secret } = key
      await session.start(() =>
        Buffer.concat([
          ...backend.parameters.map(([name, value]) => parameterStatus(name, value)),
          backendKeyData(pid, secret),
          readyForQuery(0x49),
        ]),
      )
      if (socket.destroyed) session.end('The client closed the connection.', null)
      else if (rest.length > 0) socket.unshift(rest)
    } catch (error) {
      await this.#gate.sessions.close(open.session.id, 'The upstream could not be reached.').catch(() => undefined)
      throw error
    }
  }

  /** The way to the upstream is opened while the log takes the session down, and reads may go over it before the log has. */
  async #begin(
    peer: string,
    { handle, upstream, settings }: Extract<Arrival, { kind: 'client' }>,
    signal: AbortSignal,
  ): Promise<{ readonly open: OpenSession; readonly backend: Promise<Backend> }> {
    const opening: { backend: Promise<Backend> | null } = { backend: null }
    const openUpstream = ({ session, readOnly, signal: ended }: OpenSession): Promise<Backend> =>
      this.#upstreams.open(upstream, { session, settings, readOnly, signal: AbortSignal.any([signal, ended]) })
    try {
      const open = await this.#gate.sessions.open(handle, 'postgres', upstream, peer, (begun) => {
        opening.backend = openUpstream(begun)
        opening.backend.catch(() => undefined)
      })
      return { open, backend: opening.backend ?? openUpstream(open) }
    } catch (error) {
      // What is not on the log does not happen.
      opening.backend?.then(
        (backend) => backend.destroy(),
        () => undefined,
      )
      throw error
    }
  }

  #track(ended: Promise<void>): void {
    this.#closing.push(ended)
    void ended.then(() => {
      this.#closing = this.#closing.filter((other) => other !== ended)
    })
  }

  /** Ends sessions whose client began a message and went silent. */
  sweep(): void {
    const now = performance.now()
    for (const session of this.#sessions) {
      if (session.halfSinceMs !== null && now - session.halfSinceMs > halfMessageMs)
        session.end('A message was begun and not finished in time.', 'too_slow')
    }
  }

  async close(server: Server, sweep: NodeJS.Timeout): Promise<void> {
    clearInterval(sweep)
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const session of this.#sessions) session.end('The gate is stopping.', 'killed')
    for (const socket of this.#sockets) socket.destroySoon()
    await closed
    await Promise.allSettled(this.#closing)
  }
}
