import type { Socket } from 'node:net'
import { isOwnAddress, SallyportError, type Gate, type Handle } from '@sallyport/core'
import { refusedBy, refusalFields, type Refused } from './refusal.ts'
import { secureClient, type ClientTls } from './client-tls.ts'
import { checkProof, makeChallenge, offerMechanisms, readInitialResponse } from './scram-server.ts'
import { checkStartup, readStartup } from './startup.ts'
import { authentication, client, errorResponse, headerBytes, negotiateVersion, newestMinor, zeroTerminated } from './wire.ts'

/** Longest message before a client has proved who it is. */
const doorBytesMax = 16_384

/** Who came in, and what it asked for. */
export type Arrival =
  | { readonly kind: 'cancel'; readonly pid: number; readonly secret: Buffer }
  | {
      readonly kind: 'client'
      readonly handle: Handle
      readonly upstream: string
      /** Of protocol 3, as it was agreed. */
      readonly minor: number
      readonly settings: ReadonlyMap<string, string>
    }
  | { readonly kind: 'turned away' }

/** Reads a new connection until it has proved which handle it holds. Bounded in bytes; whoever calls bounds the time. */
export class ClientDoor {
  #socket: Socket
  #gate: Gate
  #peer: string
  #failures: Failures
  #bytes = Buffer.alloc(0)
  #wake: (() => void) | null = null
  #gone = false
  readonly #tls: ClientTls | null
  /** Null until the client's TLS is ended here. */
  #secured: { readonly binding: Buffer | null } | null = null

  /** @param tls null: no TLS is offered, which only clients of this machine can do without */
  constructor(socket: Socket, gate: Gate, peer: string, failures: Failures, tls: ClientTls | null) {
    this.#socket = socket
    this.#tls = tls
    this.#gate = gate
    this.#peer = peer
    this.#failures = failures
    this.#listen()
  }

  /** What speaks to the client now: under TLS another than it came with. */
  get socket(): Socket {
    return this.#socket
  }

  #listen(): void {
    this.#socket.on('data', this.#onData)
    this.#socket.once('close', this.#onClose)
  }

  #onData = (chunk: Buffer): void => {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    if (this.#bytes.length > doorBytesMax) this.#socket.pause()
    this.#rouse()
  }

  #onClose = (): void => {
    this.#gone = true
    this.#rouse()
  }

  #rouse(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }

  async #more(): Promise<boolean> {
    if (this.#gone || this.#bytes.length > doorBytesMax) return false
    await new Promise<void>((resolve) => (this.#wake = resolve))
    return !this.#gone
  }

  /** Stops reading; what came after the last message is given back. */
  leave(): Buffer {
    this.#socket.pause()
    this.#socket.off('data', this.#onData)
    this.#socket.off('close', this.#onClose)
    return this.#bytes
  }

  async admit(): Promise<Arrival> {
    for (;;) {
      const startup = readStartup(this.#bytes)
      switch (startup.kind) {
        case 'incomplete':
          if (!(await this.#more())) return this.#turnAway('', 'the connection ended, or sent too much, before a start-up packet')
          break
        case 'garbage':
          return this.#turnAway('', startup.why)
        case 'encryption':
          // One raw byte, outside framing; bytes sent ahead of it are no protocol.
          if (this.#bytes.length > startup.bytes || this.#secured !== null)
            return this.#turnAway('', 'bytes were sent ahead of the answer to an encryption request, or it came inside TLS')
          this.#bytes = Buffer.alloc(0)
          if (startup.method === 'tls' && this.#tls !== null) await this.#secure(this.#tls, false)
          else this.#socket.write('N')
          break
        case 'handshake':
          if (this.#tls === null || this.#secured !== null) return this.#turnAway('', 'a TLS handshake where no TLS is spoken')
          await this.#secure(this.#tls, true)
          break
        case 'cancel':
          return { kind: 'cancel', pid: startup.pid, secret: startup.secret }
        case 'start':
          this.#bytes = this.#bytes.subarray(startup.bytes)
          return this.#start(startup.minor, startup.parameters)
      }
    }
  }

  async #secure(tls: ClientTls, isDirect: boolean): Promise<void> {
    const plain = this.#socket
    const rest = this.leave()
    if (isDirect) plain.unshift(rest)
    else plain.write('S')
    this.#bytes = Buffer.alloc(0)
    const secured = await secureClient(plain, tls, isDirect)
    this.#socket = secured.socket
    this.#secured = { binding: secured.binding }
    this.#listen()
  }

  async #start(minor: number, parameters: ReadonlyMap<string, string>): Promise<Arrival> {
    if (this.#secured === null && !isOwnAddress(this.#socket.remoteAddress)) {
      this.tell({
        code: 'not_supported',
        message: 'clients of other machines are heard over TLS only',
        notDone: 'No session was opened.',
        next: 'Connect with sslmode=verify-full and the gate’s own authority as sslrootcert.',
      })
      return this.#turnAway(parameters.get('user') ?? '', 'a client of another machine without TLS')
    }
    const wanted = checkStartup(parameters)
    if (wanted.kind === 'refused') {
      this.tell({ code: 'not_supported', message: wanted.message, notDone: 'No session was opened.', next: wanted.next })
      return this.#turnAway(parameters.get('user') ?? '', wanted.message)
    }
    const agreed = Math.min(minor, newestMinor)
    if (minor > agreed || wanted.protocolOptions.length > 0) this.#socket.write(negotiateVersion(agreed, wanted.protocolOptions))
    const handle = await this.#authenticate(wanted.user)
    if (handle === null) return { kind: 'turned away' }
    return { kind: 'client', handle, upstream: wanted.database, minor: agreed, settings: wanted.settings }
  }

  /** SCRAM-SHA-256. Known and unknown names get the same questions and the same refusal. */
  async #authenticate(agent: string): Promise<Handle | null> {
    const binding = this.#secured?.binding ?? null
    const offered = offerMechanisms(binding).map((name) => zeroTerminated(name))
    this.#socket.write(authentication(10, Buffer.concat([...offered, Buffer.from([0])])))
    const initial = await this.#passwordMessage()
    const first = initial === null ? null : readInitialResponse(initial, binding)
    if (first === null) return this.#fail(agent, 'no SCRAM-SHA-256 exchange was begun')
    const challenge = makeChallenge(first, this.#gate.handles.scramParameters(agent))
    this.#socket.write(authentication(11, Buffer.from(challenge.message)))
    // Looked up while the client computes its proof. One that ends meanwhile opens no session: there it is looked at once more.
    const candidates = this.#gate.handles.candidates(agent)
    candidates.catch(() => undefined)
    const final = await this.#passwordMessage()
    if (final === null) return this.#fail(agent, 'the SCRAM exchange was broken off')
    const proven = checkProof(first, challenge, final, await candidates)
    if (proven === null) return this.#fail(agent, 'the proof fits no handle in force')
    this.#failures.forget(this.#key(agent))
    this.#socket.write(Buffer.concat([authentication(12, Buffer.from(proven.message)), authentication(0)]))
    return proven.handle
  }

  #key(agent: string): string {
    return `${this.#socket.remoteAddress ?? ''} ${agent}`
  }

  async #fail(agent: string, why: string): Promise<null> {
    const delayMs = this.#failures.count(this.#key(agent))
    this.#gate.refusedAtDoor('postgres', this.#peer, agent.slice(0, 128), why)
    await new Promise<void>((resolve) => setTimeout(resolve, delayMs))
    this.tell({
      code: 'authentication_failed',
      message: `password authentication failed for agent ${JSON.stringify(agent.slice(0, 128))}`,
      notDone: 'No session was opened.',
      next: 'Use the name of the agent as user and a handle in force as password.',
    })
    return null
  }

  /** The body of the next password message; null when something else came. */
  async #passwordMessage(): Promise<Buffer | null> {
    for (;;) {
      const bytes = this.#bytes
      if (bytes.length >= headerBytes) {
        const length = bytes.readInt32BE(1)
        if (bytes[0] !== client.password || length < 4 || length > doorBytesMax / 2) return null
        if (bytes.length > length) {
          this.#bytes = bytes.subarray(length + 1)
          return bytes.subarray(headerBytes, length + 1)
        }
      }
      if (!(await this.#more())) return null
    }
  }

  #turnAway(agent: string, why: string): Arrival {
    this.#gate.refusedAtDoor('postgres', this.#peer, agent.slice(0, 128), why)
    return { kind: 'turned away' }
  }

  tell(refused: Refused): void {
    if (!this.#gone) this.#socket.write(errorResponse(refusalFields(refused, 'FATAL')))
  }

  tellError(error: unknown): void {
    const refused = refusedBy(error)
    this.tell(error instanceof SallyportError ? refused : { ...refused, notDone: 'No session was opened.' })
  }
}

const failuresKept = 10_000
const slowestMs = 2_000

/** Failed authentications by address and name: each makes the next answer slower. Bounded; the oldest is forgotten. */
export class Failures {
  #counts = new Map<string, number>()

  /** Counts one, and says how long to wait before the answer, in milliseconds. */
  count(key: string): number {
    const count = (this.#counts.get(key) ?? 0) + 1
    this.#counts.delete(key)
    this.#counts.set(key, count)
    const oldest = this.#counts.size > failuresKept ? this.#counts.keys().next().value : undefined
    if (oldest !== undefined) this.#counts.delete(oldest)
    return Math.min(slowestMs, 50 * 2 ** Math.min(count, 10))
  }

  forget(key: string): void {
    this.#counts.delete(key)
  }
}
