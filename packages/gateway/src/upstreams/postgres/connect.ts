import { createHash } from 'node:crypto'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, TLSSocket, type ConnectionOptions } from 'node:tls'
import { SallyportError, type SqlRow } from '@sallyport/core'
import { bindToEndPoint } from '../../protocols/postgres/channel-binding.ts'
import {
  cancelRequest,
  frame,
  headerBytes,
  int32,
  readErrorFields,
  server,
  sslCode,
  startupMessage,
  zeroTerminated,
  client,
} from '../../protocols/postgres/wire.ts'
import { Intake } from './intake.ts'
import { answerScram, ScramSecret, startScram } from './scram-client.ts'
import type { Target } from './target.ts'

/** An authenticated connection, idle, its socket paused and without listeners of ours. */
export interface Connected {
  readonly socket: Socket
  /** How it is read; null where TLS reads it. */
  readonly intake: Intake | null
  readonly parameters: Map<string, string>
  readonly pid: number
  readonly secret: Buffer
  /** What it answered to `readSettings`, when that was asked right before it was handed out. */
  readonly told: SqlRow | null
}

export interface ConnectOptions {
  readonly settings: ReadonlyMap<string, string>
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Methods that send the password in a weak form or not at all; refused unless configured. */
  readonly weakAuthentication: boolean
}

const startMessageBytesMax = 64 * 1024

/** Opens, encrypts if the target says so, authenticates. Throws SallyportError `upstream_unavailable`, never with a secret. */
export async function connectTarget(name: string, target: Target, options: ConnectOptions): Promise<Connected> {
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)])
  let socket: Socket | null = null
  const stop = (): void => void socket?.destroy(new Error('out of time or not wanted any more'))
  signal.addEventListener('abort', stop)
  try {
    const intake = target.tls === 'disable' ? new Intake() : null
    socket = await openSocket(target, intake)
    if (signal.aborted) throw new Error('out of time or not wanted any more')
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 30_000)
    if (target.tls !== 'disable') socket = await encrypt(socket, target)
    return { ...(await start(new StartReader(socket), socket, target, options)), intake }
  } catch (error) {
    socket?.destroy()
    throw unavailable(name, error)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** Only what can't hold a secret is told: our own sentences, the system's error code, the server's SQLSTATE. */
function unavailable(name: string, error: unknown): SallyportError {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : ''
  const why = error instanceof StartFailed ? `: ${error.message}` : code
  return new SallyportError(
    'upstream_unavailable',
    `The upstream ${name} can't be reached${why}.`,
    'No session was opened.',
    'Try again; if it stays, show this to whoever runs the gate.',
    error instanceof StartFailed ? { cause: error } : {},
  )
}

class StartFailed extends Error {
  /** When the server said no. */
  readonly sqlState: string | null

  constructor(message: string, sqlState: string | null = null) {
    super(message)
    this.sqlState = sqlState
  }
}

/** The server, the database or the role has no connection left to give (SQLSTATE 53300). */
export function isOutOfPlaces(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof StartFailed && error.cause.sqlState === '53300'
}

function refusedAtStart(message: Buffer): StartFailed {
  const sqlState = readErrorFields(message).get('C') ?? 'XX000'
  return new StartFailed(`it answered SQLSTATE ${sqlState}`, sqlState)
}

async function openSocket(target: Target, intake: Intake | null): Promise<Socket> {
  const place = target.host.startsWith('/')
    ? { path: `${target.host}/.s.PGSQL.${target.port}` }
    : { host: target.host, port: target.port }
  const socket = connectTcp(intake === null ? place : { ...place, onread: intake.options })
  intake?.attach(socket)
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  socket.removeAllListeners('error')
  socket.on('error', () => undefined)
  return socket
}

async function encrypt(socket: Socket, target: Target): Promise<Socket> {
  socket.write(Buffer.concat([int32(8), int32(sslCode)]))
  const answer = await new Promise<Buffer>((resolve, reject) => {
    socket.once('data', resolve)
    socket.once('close', () => reject(new StartFailed('it closed the connection')))
  })
  // One byte exactly: more would be plain text slipped in before encryption began.
  if (answer.length !== 1 || answer[0] !== 0x53) throw new StartFailed('it does not offer the encryption that its URL demands')
  socket.removeAllListeners('close')
  const verify = target.tls !== 'require'
  const options: ConnectionOptions = { socket, rejectUnauthorized: verify, minVersion: 'TLSv1.2', ALPNProtocols: ['postgresql'] }
  if (!/^[\d.:]+$/.test(target.host)) options.servername = target.host
  if (target.rootCertificate !== null) options.ca = target.rootCertificate
  if (target.tls === 'verify-ca') options.checkServerIdentity = () => undefined
  if (target.tls === 'verify-full') options.host = target.host
  const secure = connectTls(options)
  await new Promise<void>((resolve, reject) => {
    secure.once('secureConnect', resolve)
    secure.once('error', reject)
    secure.once('close', () => reject(new StartFailed('it closed the connection')))
  })
  secure.removeAllListeners('close')
  secure.removeAllListeners('error')
  secure.on('error', () => undefined)
  return secure
}

/** Whole messages of a connection that has not started yet. */
class StartReader {
  #socket: Socket
  #bytes = Buffer.alloc(0)
  #wake: (() => void) | null = null
  #closed = false

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', this.#onData)
    socket.once('close', this.#onClose)
  }

  #onData = (chunk: Buffer): void => {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    this.#wake?.()
  }

  #onClose = (): void => {
    this.#closed = true
    this.#wake?.()
  }

  async next(): Promise<Buffer> {
    for (;;) {
      const bytes = this.#bytes
      if (bytes.length >= headerBytes) {
        const length = bytes.readInt32BE(1)
        if (length < 4 || length > startMessageBytesMax) throw new StartFailed('it does not speak the PostgreSQL protocol')
        if (bytes.length > length) {
          this.#bytes = bytes.subarray(length + 1)
          return bytes.subarray(0, length + 1)
        }
      }
      if (this.#closed) throw new StartFailed('it closed the connection')
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  leave(): void {
    this.#socket.pause()
    this.#socket.off('data', this.#onData)
    this.#socket.off('close', this.#onClose)
    if (this.#bytes.length > 0) this.#socket.unshift(this.#bytes)
  }
}

async function start(
  reader: StartReader,
  socket: Socket,
  target: Target,
  options: ConnectOptions,
): Promise<Omit<Connected, 'intake'>> {
  socket.write(
    startupMessage(
      new Map([['user', target.user], ['database', target.database], ['client_encoding', 'UTF8'], ...options.settings]),
    ),
  )
  const parameters = new Map<string, string>()
  let proven = false
  let pid = 0
  let secret = Buffer.alloc(4)
  for (;;) {
    const message = await reader.next()
    switch (message[0] ?? 0) {
      case server.authentication:
        if (message.readInt32BE(headerBytes) === 0) {
          // Without SCRAM the server proved nothing: anyone could stand there.
          if (!proven && !options.weakAuthentication) throw new StartFailed(weak)
          break
        }
        proven = await authenticate(message, reader, socket, target, options.weakAuthentication)
        break
      case server.parameterStatus: {
        const [key, value] = message.toString('utf8', headerBytes, message.length - 1).split('\0')
        if (key !== undefined && value !== undefined) parameters.set(key, value)
        break
      }
      case server.backendKey:
        pid = message.readInt32BE(headerBytes)
        secret = Buffer.from(message.subarray(headerBytes + 4))
        break
      case server.error:
        throw refusedAtStart(message)
      case server.ready:
        checkReading(parameters)
        reader.leave()
        return { socket, parameters, pid, secret, told: null }
      default:
        break
    }
  }
}

/** The two settings that would part our reading from the server's (DESIGN §12). */
function checkReading(parameters: ReadonlyMap<string, string>): void {
  if (parameters.get('standard_conforming_strings') !== 'on') throw new StartFailed('its standard_conforming_strings is not on')
  if (parameters.get('client_encoding') !== 'UTF8') throw new StartFailed('its client_encoding is not UTF8')
}

const weak = 'it asks for a weak way to authenticate, which is not configured'

/** True when the server has proved that it knows the password too. */
async function authenticate(
  message: Buffer,
  reader: StartReader,
  socket: Socket,
  target: Target,
  weakAllowed: boolean,
): Promise<boolean> {
  const kind = message.readInt32BE(headerBytes)
  switch (kind) {
    case 3:
      // In the clear only inside TLS, and only where configured.
      if (!weakAllowed || target.tls === 'disable') throw new StartFailed(weak)
      socket.write(frame(client.password, zeroTerminated(target.password)))
      return false
    case 5: {
      if (!weakAllowed) throw new StartFailed(weak)
      const inner = createHash('md5')
        .update(target.password + target.user)
        .digest('hex')
      const outer = createHash('md5')
        .update(inner)
        .update(message.subarray(headerBytes + 4, headerBytes + 8))
        .digest('hex')
      socket.write(frame(client.password, zeroTerminated(`md5${outer}`)))
      return false
    }
    case 10:
      await proveByScram(message, reader, socket, target)
      return true
    default:
      throw new StartFailed('it asks for a way to authenticate that the gate does not know')
  }
}

/** What was derived of each password: a server asks with the same salt each time. */
const secrets = new WeakMap<Target, ScramSecret>()

function secretOf(target: Target): ScramSecret {
  const known = secrets.get(target)
  if (known !== undefined) return known
  const secret = new ScramSecret(target.password)
  secrets.set(target, secret)
  return secret
}

async function proveByScram(offer: Buffer, reader: StartReader, socket: Socket, target: Target): Promise<void> {
  const offered = offer.toString('latin1', headerBytes + 4).split('\0')
  const scram = startScram(offered, bindTo(socket))
  if (scram === null) throw new StartFailed('it does not offer SCRAM-SHA-256')
  const first = Buffer.from(scram.message)
  socket.write(frame(client.password, zeroTerminated(scram.mechanism), int32(first.length), first))
  const answer = await answerScram(scram, saslText(await reader.next(), 11), secretOf(target))
  if (answer === null) throw new StartFailed('its SCRAM challenge is not one for us')
  socket.write(frame(client.password, Buffer.from(answer.message)))
  if (!answer.accepts(saslText(await reader.next(), 12))) throw new StartFailed('it could not prove that it knows the password')
}

/** Whoever relays our words without being the server has another certificate than the one the server binds to. */
function bindTo(socket: Socket): Buffer | null {
  return socket instanceof TLSSocket ? bindToEndPoint(socket.getPeerCertificate().raw) : null
}

function saslText(message: Buffer, kind: number): string {
  if (message[0] === server.error) throw refusedAtStart(message)
  if (message[0] !== server.authentication || message.readInt32BE(headerBytes) !== kind)
    throw new StartFailed('it broke off the SCRAM exchange')
  return message.toString('utf8', headerBytes + 4)
}

/** CancelRequest on a connection of its own; whether it helped can't be known. */
export function cancelAt(target: Target, pid: number, secret: Buffer, timeoutMs: number): void {
  const send = async (): Promise<void> => {
    let socket = await openSocket(target, null)
    socket.setTimeout(timeoutMs, () => socket.destroy())
    if (target.tls !== 'disable') socket = await encrypt(socket, target)
    socket.end(cancelRequest(pid, secret))
    socket.resume()
  }
  send().catch(() => undefined)
}
