import { request as requestPlain } from 'node:http'
import { request as requestTls } from 'node:https'
import {
  isOwnHost,
  parseVerifierKey,
  SallyportError,
  signatureTypes,
  type Witness,
  WitnessRefusal,
  type WitnessRequest,
} from '@sallyport/core'

export interface WitnessSettings {
  /** Its submission prefix; `/add-checkpoint` is added. */
  readonly url: string
  /** Its verifier key, name+id+base64. */
  readonly key: string
}

/** Of an answer: signature lines, or a size. */
const answerBytesMax = 64 * 1024

interface Answer {
  readonly status: number
  readonly body: string
}

/** A witness of somebody else's, by C2SP tlog-witness. @throws SallyportError for an address or key that is none */
export function openWitness({ url, key }: WitnessSettings): Witness {
  const base = readUrl(url)
  const target = new URL(`${base.pathname.replace(/\/+$/, '')}/add-checkpoint`, base)
  return {
    key: readKey(key),
    cosign: async (asked, signal) => readAnswer(await post(target, bodyOf(asked), signal)),
    // The protocol has no verb for it: what it holds is learned from its refusals.
    latest: async () => null,
  }
}

function bodyOf({ oldSize, proof, checkpoint }: WitnessRequest): string {
  return [`old ${oldSize}`, ...proof, '', checkpoint].join('\n')
}

function readAnswer({ status, body }: Answer): string {
  if (status === 200) return body
  if (status === 409) {
    const size = /^(0|[1-9]\d{0,15})\n?$/.exec(body)?.[1]
    throw new WitnessRefusal('stale', size === undefined ? null : Number(size), 'it has seen another size of this log')
  }
  // The proof is ours and right, so what it holds is of another history.
  if (status === 422) throw new WitnessRefusal('inconsistent', null, 'it has seen another history of this log')
  if (status === 404) throw new Error('it does not know this log')
  if (status === 403) throw new Error('it does not trust the key of this log')
  throw new Error(`it answered ${status}`)
}

function readUrl(text: string): URL {
  const url = URL.parse(text)
  const isClear = url?.protocol === 'http:' && isOwnHost(url.hostname.replace(/^\[|\]$/g, ''))
  if (url !== null && (url.protocol === 'https:' || isClear)) return url
  throw invalid('The address of a witness is not https:, or http: on this machine')
}

function readKey(text: string): Witness['key'] {
  try {
    const key = parseVerifierKey(text)
    if (key.type === signatureTypes.cosignature) return key
  } catch {
    // Said below.
  }
  throw invalid('The key of a witness is not name+id+base64 of a cosignature key')
}

function invalid(what: string): SallyportError {
  return new SallyportError('internal', `${what}.`, 'The gate did not start.', 'Mend `witnesses` in sallyport.yaml.')
}

/** One request, no redirects, bounded. */
function post(url: URL, body: string, signal: AbortSignal): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const fail = (): void => reject(new Error('it could not be reached, or did not answer in time'))
  const headers = { 'content-type': 'text/plain; charset=utf-8', 'content-length': String(Buffer.byteLength(body)) }
  const asking = (url.protocol === 'https:' ? requestTls : requestPlain)(url, { method: 'POST', headers, signal })
  asking.once('error', fail)
  asking.once('response', (response) => {
    const chunks: Buffer[] = []
    let bytes = 0
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= answerBytesMax) chunks.push(chunk)
      else asking.destroy(new Error('too long'))
    })
    response.once('error', fail)
    response.once('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }))
  })
  asking.end(body)
  return promise
}
