import { request } from 'node:https'
import { checkServerIdentity } from 'node:tls'

/** How an issuer is asked. */
export interface Fetching {
  /** PEM of the authorities that may vouch for the host; null: those that Node knows. */
  readonly authorities: string | null
  readonly timeoutMs: number
}

export interface Asked {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Answered {
  readonly status: number
  readonly contentType: string
  readonly text: string
}

const bytesMax = 256 * 1024
const plainGet: Asked = { method: 'GET', headers: { accept: 'application/json' }, body: '' }

/** One answer over TLS: bounded, whole, and from where it was asked for. A redirect is followed nowhere. @throws Error that says why */
export function fetchWhole(
  url: string,
  { method, headers, body }: Asked,
  { authorities, timeoutMs }: Fetching,
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const { protocol } = new URL(url)
    if (protocol !== 'https:') throw new Error('it is not fetched over https')
    const asked = request(url, {
      method,
      headers,
      agent: false,
      maxHeaderSize: 16 * 1024,
      // Of the whole, and not of a silence: an issuer that drips would hold every agent of its.
      signal: AbortSignal.timeout(timeoutMs),
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      checkServerIdentity,
      ...(authorities === null ? {} : { ca: authorities }),
    })
    asked.once('error', reject)
    asked.once('response', (answer) => {
      const refuse = (why: string): void => {
        reject(new Error(why))
        asked.destroy()
      }
      const chunks: Buffer[] = []
      let length = 0
      answer.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > bytesMax) refuse(`it is larger than ${bytesMax} bytes`)
        else chunks.push(chunk)
      })
      answer.once('error', reject)
      answer.once('close', () => {
        if (!answer.complete) return refuse('it broke off')
        const text = Buffer.concat(chunks).toString('utf8')
        resolve({ status: answer.statusCode ?? 0, contentType: answer.headers['content-type'] ?? '', text })
      })
    })
    asked.end(body)
  })
}

/** A JSON document. @throws Error that says why */
export async function fetchDocument(url: string, fetching: Fetching): Promise<unknown> {
  const { status, text } = await fetchWhole(url, plainGet, fetching)
  if (status !== 200) throw new Error(`it was answered ${status}, not 200`)
  const value: unknown = JSON.parse(text)
  return value
}
