import { isUtf8 } from 'node:buffer'
import type { Json } from '@sallyport/core'
import { writeAuthority, type Origin } from './origin.ts'
import type { Message } from './upstreams.ts'

const nullBody = new Set(['GET', 'HEAD'])
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The connector's input: method, URL, headers in lower case, body opened. A body that is not UTF-8, or says it is something else, is given as
 * `bodyBase64` and not as `body`: read as text it could mean something else upstream.
 */
export function describeToConnector(origin: Origin, message: Message, opened: Buffer, contentType: string): Json {
  const headers: Record<string, string> = {}
  for (const [name, value] of message.headers) {
    const lower = name.toLowerCase()
    if (lower === 'content-encoding' || lower === 'content-length') continue
    headers[lower] = headers[lower] === undefined ? value : `${headers[lower]}, ${value}`
  }
  const about = { method: message.method, url: urlOf(origin, message), headers }
  if (opened.length === 0 && nullBody.has(message.method)) return about
  return isText(opened, contentType)
    ? { ...about, body: utf8.decode(opened) }
    : { ...about, bodyBase64: opened.toString('base64') }
}

/** What a person is shown: the request line, the headers that were sent, the body as it reads. */
export function describeForPeople(origin: Origin, message: Message, opened: Buffer): string {
  const headers = message.headers.map(([name, value]) => `${name}: ${value}\n`).join('')
  const body = isUtf8(opened) ? utf8.decode(opened) : `(${opened.length} bytes that are no text)`
  return `${message.method} ${urlOf(origin, message)}\n${headers}${opened.length === 0 ? '' : `\n${body}`}`
}

function urlOf(origin: Origin, { target }: Message): string {
  return `${origin.scheme}://${writeAuthority(origin)}${target}`
}

function isText(bytes: Buffer, contentType: string): boolean {
  const charset = /charset\s*=\s*"?([^";\s]*)/i.exec(contentType)?.[1]?.toLowerCase() ?? 'utf-8'
  return (charset === 'utf-8' || charset === 'utf8' || charset === 'us-ascii') && isUtf8(bytes)
}
