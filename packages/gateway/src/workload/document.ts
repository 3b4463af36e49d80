import { request } from 'node:https'
import { checkServerIdentity } from 'node:tls'

/** How an issuer's documents are fetched. */
export interface Fetching {
  /** PEM of the authorities that may vouch for the host; null: those that Node knows. */
  readonly authorities: string | null
  readonly timeoutMs: number
}

const bytesMax = 256 * 1024

/** A JSON document over TLS: bounded, whole, and from where it was asked for. A redirect is followed nowhere. @throws Error that says why */
export async function fetchDocument(url: string, { authorities, timeoutMs }: Fetching): Promise<unknown> {
  const { protocol } = new URL(url)
  if (protocol !== 'https:') throw new Error('it is not fetched over https')
  const text = await new Promise<string>((resolve, reject) => {
    const asked = request(url, {
      method: 'GET',
      headers: { accept: 'application/json' },
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
      if (answer.statusCode !== 200) return refuse(`it was answered ${answer.statusCode ?? 0}, not 200`)
      const chunks: Buffer[] = []
      let length = 0
      answer.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > bytesMax) refuse(`it is larger than ${bytesMax} bytes`)
        else chunks.push(chunk)
      })
      answer.once('error', reject)
      answer.once('close', () => (answer.complete ? resolve(Buffer.concat(chunks).toString('utf8')) : refuse('it broke off')))
    })
    asked.end()
  })
  const value: unknown = JSON.parse(text)
  return value
}
