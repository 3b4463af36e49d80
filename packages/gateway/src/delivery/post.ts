import { request as requestPlain } from 'node:http'
import { request as requestTls } from 'node:https'
import { isOwnHost } from '@sallyport/core'
import { DeliveryError } from './receiver.ts'

/** Of an answer; more is not read. */
const answerBytesMax = 256 * 1024
/** Longer is not believed: whoever answers could silence us for a day. */
const waitMsMax = 600_000

export interface Post {
  readonly url: URL
  readonly headers: { readonly [name: string]: string }
  readonly body: string
  /** PEM, besides what the machine trusts. */
  readonly authorities: string | null
}

export interface Posted {
  readonly status: number
  readonly body: string
  /** How long it asked not to be tried again (RFC 9110 §10.2.3, as seconds), at most ten minutes; 0: it did not. */
  readonly waitMs: number
}

/** Reads a URL that may hold a secret: an error never quotes it. @throws DeliveryError */
export function readUrl(text: string, what: string): URL {
  const url = URL.parse(text)
  if (url === null || !['https:', 'http:'].includes(url.protocol)) throw new DeliveryError(`the address of ${what} is not a URL`)
  if (url.protocol === 'http:' && !isOwnHost(url.hostname.replace(/^\[|\]$/g, '')))
    throw new DeliveryError(
      `the address of ${what} is http:, and not of this machine: what it is told would cross the network in the clear`,
    )
  return url
}

/** One request, no redirects, bounded. @throws DeliveryError when there was no answer */
export function post({ url, headers, body, authorities }: Post, signal: AbortSignal): Promise<Posted> {
  const { promise, resolve, reject } = Promise.withResolvers<Posted>()
  const fail = (): void => reject(new DeliveryError('it could not be reached, or did not answer in time'))
  const options = { method: 'POST', headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) }, signal }
  const request =
    url.protocol === 'https:'
      ? requestTls(url, { ...options, ...(authorities === null ? {} : { ca: authorities }) })
      : requestPlain(url, options)
  request.once('error', fail)
  request.once('response', (response) => {
    const chunks: Buffer[] = []
    let bytes = 0
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= answerBytesMax) chunks.push(chunk)
      else response.destroy()
    })
    response.once('error', fail)
    response.once('close', () => {
      const waitMs = readWait(response.headers['retry-after'])
      resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8'), waitMs })
    })
  })
  request.end(body)
  return promise
}

/** @throws DeliveryError unless it said that it took it; `final` where the same again would be refused again */
export function checkTaken({ status, waitMs }: Posted): void {
  if (status >= 200 && status < 300) return
  // What is too large, or not understood, stays so. A wrong credential or address is mended by people, and then it is told.
  const final = status === 400 || status === 413 || status === 422
  throw new DeliveryError(`it answered ${status}`, final, waitMs)
}

function readWait(header: string | undefined): number {
  return header !== undefined && /^\d{1,9}$/.test(header) ? Math.min(waitMsMax, Number(header) * 1000) : 0
}
