import type { Server as HttpServer } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import { isOwnAddress } from '@sallyport/core'
import { endWith, rawProblem } from './raw-answer.ts'
import { refuse } from './refusal.ts'
import type { Leaf } from './settings.ts'

export interface FrontSettings {
  readonly tls: { certificate(): Promise<Pick<Leaf, 'key' | 'certificate'>> }
  /** For the first byte, and for the handshake. */
  readonly timeoutMs: number
  readonly connectionsMax: number
}

/** Content type of a TLS record that holds a handshake (RFC 8446 §5.1); no HTTP request begins with it. */
const tlsHandshake = 0x16

const tlsOnly = refuse(
  'not_supported',
  'Agents of other machines are heard over TLS only.',
  'Use HTTPS_PROXY=https://AGENT:HANDLE@HOST:PORT, and trust the gate’s own authority.',
)

/** HTTP, and TLS with HTTP inside, on one port: told apart by the first byte. */
export function makeFront(http: HttpServer, settings: FrontSettings): Server {
  const front = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
    socket.on('error', () => undefined)
    const timer = setTimeout(() => socket.destroy(), settings.timeoutMs)
    receive(http, settings, socket)
      .catch(() => socket.destroy())
      .finally(() => clearTimeout(timer))
  })
  front.maxConnections = settings.connectionsMax
  // A server that does not listen by itself looks for slow connections only when told that it listens.
  front.once('listening', () => http.emit('listening'))
  return front
}

async function receive(http: HttpServer, { tls }: FrontSettings, socket: Socket): Promise<void> {
  const first = await readFirst(socket)
  if (first === null) return
  const isHandshake = first[0] === tlsHandshake
  if (!isHandshake && !isOwnAddress(socket.remoteAddress)) return endWith(socket, rawProblem(tlsOnly))
  socket.unshift(first)
  if (!isHandshake) {
    http.emit('connection', socket)
    return void socket.resume()
  }
  const { key, certificate } = await tls.certificate()
  const secure = new TLSSocket(socket, {
    isServer: true,
    secureContext: createSecureContext({ key, cert: certificate, minVersion: 'TLSv1.2' }),
    ALPNProtocols: ['http/1.1'],
  })
  secure.on('error', () => undefined)
  // Only our own listeners are taken off again: Node's free the memory of the handshake when the connection ends.
  await new Promise<void>((resolve, reject) => {
    const closed = (): void => reject(new Error('closed'))
    secure.once('error', closed)
    secure.once('close', closed)
    secure.once('secure', () => {
      secure.off('error', closed)
      secure.off('close', closed)
      resolve()
    })
  })
  http.emit('connection', secure)
}

function readFirst(socket: Socket): Promise<Buffer | null> {
  return new Promise((resolve) => {
    socket.once('data', (chunk: Buffer) => {
      socket.pause()
      resolve(chunk)
    })
    socket.once('close', () => resolve(null))
    socket.resume()
  })
}
