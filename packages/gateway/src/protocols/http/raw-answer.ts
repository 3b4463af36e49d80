import { STATUS_CODES } from 'node:http'
import { refusedBy, renderProblem } from './refusal.ts'

export const challenge = 'Basic realm="sallyport", charset="UTF-8"'
export const established = 'HTTP/1.1 200 Connection established\r\n\r\n'

/** A refusal as bytes, where no response object exists: to CONNECT, and to what is no HTTP. The connection ends after it. */
export function rawProblem(error: unknown): string {
  const { status, contentType, body } = renderProblem(refusedBy(error))
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`, `content-type: ${contentType}`, `content-length: ${Buffer.byteLength(body)}`, 'connection: close']
  if (status === 407) lines.push(`proxy-authenticate: ${challenge}`)
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}
