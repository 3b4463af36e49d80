import { connect as connectPlain, type Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'

/** Where to send requests: straight to the host, or through a proxy by CONNECT. */
export interface Path {
  readonly name: string
  readonly port: number
  readonly authority: string
  /** Null: no proxy. */
  readonly connect: string | null
  readonly pid: number | null
  /** True: every request is another one, so that nothing is remembered. */
  readonly varied?: boolean
}

let count = 0

/** A read, as GraphQL clients send it. */
function writeRequest(host: string, varied: boolean): string {
  count += 1
  const body = JSON.stringify({ query: `query Things${varied ? count : ''} { me { id name } }` })
  return `POST /graphql/v2 HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: bench\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

export interface Measured {
  readonly requests: number
  readonly seconds: number
}

const answerBytesMin = 1_000

/** Requests on kept connections, each connection one at a time, until the time is over. */
export async function loadKept(path: Path, host: string, connections: number, seconds: number): Promise<Measured> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(path, host)))
  const startMs = performance.now()
  const endMs = startMs + seconds * 1_000
  const counts = await Promise.all(sockets.map((socket) => askUntil(socket, path, host, endMs)))
  const tookMs = performance.now() - startMs
  for (const socket of sockets) socket.destroy()
  return { requests: counts.reduce((sum, count) => sum + count, 0), seconds: tookMs / 1_000 }
}

/** One request a connection, TLS and all. */
export async function loadNew(path: Path, host: string, connections: number, seconds: number): Promise<Measured> {
  const startMs = performance.now()
  const endMs = startMs + seconds * 1_000
  const counts = await Promise.all(
    Array.from({ length: connections }, async () => {
      let count = 0
      for (; performance.now() < endMs; count += 1) {
        const socket = await open(path, host)
        await ask(socket, writeRequest(host, path.varied === true))
        socket.destroy()
      }
      return count
    }),
  )
  return { requests: counts.reduce((sum, count) => sum + count, 0), seconds: (performance.now() - startMs) / 1_000 }
}

async function askUntil(socket: TLSSocket, path: Path, host: string, endMs: number): Promise<number> {
  let count = 0
  for (; performance.now() < endMs; count += 1) await ask(socket, writeRequest(host, path.varied === true))
  return count
}

function ask(socket: TLSSocket, request: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let bytes = 0
    const read = (chunk: Buffer): void => {
      bytes += chunk.length
      // The answer is 1 KiB and a head; its last byte is the last that comes before the next request.
      if (bytes < answerBytesMin || chunk.at(-1) !== 0x7d) return
      socket.off('data', read)
      socket.off('close', broke)
      resolve()
    }
    const broke = (): void => reject(new Error(`the connection broke after ${bytes} bytes`))
    socket.on('data', read)
    socket.once('close', broke)
    socket.write(request)
  })
}

async function open(path: Path, host: string): Promise<TLSSocket> {
  const under = path.connect === null ? null : await openTunnel(path, path.connect)
  const socket = connect({
    ...(under === null ? { host: '127.0.0.1', port: path.port } : { socket: under }),
    servername: host,
    ca: path.authority,
    ALPNProtocols: ['http/1.1'],
  })
  socket.setNoDelay(true)
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', () => resolve())
    socket.once('error', reject)
  })
  socket.on('error', () => undefined)
  return socket
}

function openTunnel(path: Path, head: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectPlain({ host: '127.0.0.1', port: path.port, noDelay: true })
    socket.once('error', reject)
    socket.once('data', (chunk: Buffer) => {
      if (chunk.toString('latin1').startsWith('HTTP/1.1 200')) resolve(socket)
      else reject(new Error(chunk.toString('latin1')))
    })
    socket.write(head)
  })
}
