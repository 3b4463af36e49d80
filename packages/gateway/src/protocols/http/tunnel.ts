import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Gate, Handle, OpenSession } from '@sallyport/core'
import type { ClientConnection } from './client-connection.ts'
import type { Interception } from './interception.ts'
import { isAddress, writeAuthority, type Origin } from './origin.ts'
import { established } from './raw-answer.ts'
import { refuse } from './refusal.ts'
import type { FullSettings } from './settings.ts'
import type { GovernedUpstream, HttpUpstreams } from './upstreams.ts'

/** A client's way to one governed host. */
export interface Tunnel {
  readonly client: ClientConnection
  readonly handle: Handle
  readonly open: OpenSession
  readonly governed: GovernedUpstream
  readonly origin: Origin
}

export interface TunnelParts {
  readonly gate: Gate
  readonly upstreams: HttpUpstreams
  readonly settings: FullSettings
  readonly interception: Interception
  /** The client's TLS is ended, and HTTP begins. */
  readonly enter: (tunnel: Tunnel, socket: Socket) => void
}

/** What becomes of CONNECT once it is known who asks. */
export class Tunnels {
  readonly #parts: TunnelParts

  constructor(parts: TunnelParts) {
    this.#parts = parts
  }

  async open(client: ClientConnection, handle: Handle, origin: Origin): Promise<void> {
    const { upstreams, interception, gate, enter } = this.#parts
    const governed = upstreams.find(origin)
    if (governed === null) return this.#openUnmatched(client, handle, origin)
    const open = await client.session(handle, governed.name)
    const terminator = await interception.prepare(origin)
    if (client.gone.aborted) return
    const tunnel = { client, handle, open, governed, origin }
    client.socket.write(established)
    interception.intercept(terminator, client.socket, {
      secured: (socket) => enter(tunnel, socket),
      failed: (why) => client.refused(handle.agent, 'protocol_violation', `TLS: ${why}`),
      disagreed: ({ alarm, code, message }) => {
        client.refused(handle.agent, code, message)
        gate.alarm({
          kind: alarm.kind,
          session: open.session.id,
          agent: handle.agent,
          data: { upstream: governed.name, ...alarm.data },
        })
      },
    })
  }

  /** A host that nobody governs: refused, or where configuration says so passed on unread, by name and to port 443 only. */
  async #openUnmatched(client: ClientConnection, handle: Handle, origin: Origin): Promise<void> {
    const name = this.#parts.settings.unread.get(origin.host)
    if (name === undefined) throw ungoverned(origin)
    if (isAddress(origin.host) || origin.port !== 443)
      throw refuse('not_in_scope', `${writeAuthority(origin)} is an address or no port for HTTPS.`, 'Name a host, on port 443.')
    const open = await client.session(handle, name)
    const far = await this.#parts.upstreams.tunnel(origin.host, origin.port, AbortSignal.any([client.gone, open.signal]))
    if (client.gone.aborted) return void far.destroy()
    client.socket.write(established)
    join(client.socket, far)
  }
}

/** Each end's end is the other's. */
function join(near: Duplex, far: Duplex): void {
  near.pipe(far)
  far.pipe(near)
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    one.on('error', () => other.destroy())
    one.once('close', () => other.destroy())
  }
}

export function ungoverned(origin: Origin): Error {
  return refuse(
    'not_in_scope',
    `No upstream of this gate governs ${writeAuthority(origin)}, and what nobody governs is not let through.`,
    'Ask your owner to add it as an upstream, or to `unread` in sallyport.yaml where nothing in it needs to be read.',
  )
}
