import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { refusedBy, renderProblem } from './refusal.ts'

export const challenge = 'Basic realm="sallyport", charset="UTF-8"'
export const established = 'HTTP/1.1 200 Connection established\r\n\r\n'

/** A refusal as bytes, where no response object exists: to CONNECT, and to what is no HTTP. The connection ends after it. */
export function rawProblem(error: unknown): string {
  const { status, contentType, body } = renderProblem(refusedBy(error))
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    `content-type: ${contentType}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  if (status === 407) lines.push(`proxy-authenticate: ${challenge}`)
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

/** How long a client may take to read why it is turned away. */
const lingerMs = 2_000

/** The last bytes of a connection. What still comes in is read and dropped, since unread bytes would make the client lose the answer. */
export function endWith(socket: Duplex, bytes: string): void {
  socket.end(bytes)
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('end', () => socket.destroy())
  socket.once('close', () => clearTimeout(timer))
}
