import type { IncomingMessage } from 'node:http'
import { readTraceParent } from '@sallyport/core'
import { isSameOrigin, readAuthority, writeAuthority, type Origin } from './origin.ts'
import { disagreement } from './disagreement.ts'
import { refuse } from './refusal.ts'

/** A request's head, checked, and as it will be forwarded. */
export interface RequestHead {
  readonly method: string
  readonly target: string
  /** What goes upstream: `host` first, no hop-by-hop headers, no credentials, no length. */
  readonly forwarded: readonly (readonly [string, string])[]
  /** Headers in which clients authenticate; looked at and dropped. */
  readonly credentials: readonly (readonly [string, string])[]
  /** `traceparent` as it came; null: none, or none that is one. */
  readonly trace: string | null
  readonly contentType: string
  /** Codings of the body, outermost last. */
  readonly contentCodings: readonly string[]
  /** Bytes of the body; null when it is chunked. */
  readonly bodyBytes: number | null
}

const headersMax = 100
const targetBytesMax = 16_384
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** Of this connection only (RFC 9110 §7.6.1), or set anew by the gate. `traceparent` goes
 * its own way, since it is another one each time: in the digest, no retry would ever be the operation that was approved. `accept-encoding` too: an answer that can't be read can't be searched for the credential. */
const dropped = new Set([
  'host',
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'te',
  'expect',
  'accept-encoding',
  'max-forwards',
  'via',
  'traceparent',
  'tracestate',
])
const credentialHeaders = new Set(['authorization', 'proxy-authorization', 'cookie', 'cookie2'])
/** Headers that may come more than once: lists that any reader joins in the same way. */
const repeatable = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'pragma',
  'via',
  'if-match',
  'if-none-match',
  'prefer',
])
/** Headers by which some servers take another method, host or path than the request line's, or believe they know who asks. */
const overriding =
  /^(x-http-method(-override)?|x-method-override|x-original-(url|host|uri|method)|x-rewrite-url|x-override-url|x-host|x-forwarded(-.*)?|forwarded|x-real-ip|true-client-ip|cf-connecting-ip|x-client-ip|x-cluster-client-ip|x-original-forwarded-for|x-accel-.*|x-sendfile.*|surrogate-.*|x-envoy-.*)$/
const tokenPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/
/** Visible ASCII, blank and tab: what every server reads alike. */
const valuePattern = /^[\t\x20-\x7e]*$/

/** @throws SallyportError for what two readers might take for two things */
export function readHead(request: IncomingMessage, origin: Origin, target: string): RequestHead {
  const method = request.method ?? ''
  if (request.httpVersion !== '1.1')
    throw refuse('not_supported', `HTTP/${request.httpVersion.slice(0, 8)} is not carried.`, 'Use HTTP/1.1.')
  if (!methods.has(method))
    throw refuse('not_supported', `The method ${method} is not carried.`, `Use one of ${[...methods].join(', ')}.`)
  checkTarget(target)
  const headers = readHeaders(request.rawHeaders)
  const found = indexHeaders(headers)
  checkHost(found.get('host'), origin)
  checkConnection(found)
  return {
    method,
    target,
    forwarded: [
      ['host', writeAuthority(origin)],
      ...headers.filter(([name]) => !dropped.has(name.toLowerCase()) && !credentialHeaders.has(name.toLowerCase())),
      ['accept-encoding', 'identity'],
    ],
    credentials: headers.filter(([name]) => credentialHeaders.has(name.toLowerCase())),
    trace: readTrace(found.get('traceparent') ?? ''),
    contentType: found.get('content-type') ?? '',
    contentCodings: readCodings(found.get('content-encoding')),
    bodyBytes: readLength(found),
  }
}

function readTrace(text: string): string | null {
  return readTraceParent(text) === null ? null : text
}

function readHeaders(raw: readonly string[]): readonly (readonly [string, string])[] {
  if (raw.length > headersMax * 2) throw refuse('too_large', `More than ${headersMax} headers.`, 'Send fewer.')
  const headers: [string, string][] = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? ''
    const value = (raw[at + 1] ?? '').replace(/[ \t]+$/, '')
    if (!tokenPattern.test(name))
      throw refuse('protocol_violation', 'A header has a name that is none.', 'Send names of letters, digits and hyphens.')
    if (!valuePattern.test(value))
      throw refuse(
        'protocol_violation',
        `The header ${name} holds a character that servers read differently.`,
        'Send visible ASCII only.',
      )
    headers.push([name, value])
  }
  return headers
}

function indexHeaders(headers: readonly (readonly [string, string])[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    if (overriding.test(lower) || name.includes('_'))
      throw refuse(
        'protocol_violation',
        `The header ${name} can change what a server takes the request for.`,
        'Send the request without it.',
      )
    if (found.has(lower) && !repeatable.has(lower))
      throw refuse(
        'protocol_violation',
        `The header ${name} comes twice, and servers differ in which one they read.`,
        'Send it once.',
      )
    found.set(lower, value)
  }
  return found
}

/** Names in the path that servers resolve (`..`), cut (`%00`, `\`) or end at (`#`) would make one path of two. */
function checkTarget(target: string): void {
  if (target.length > targetBytesMax)
    throw refuse('too_large', `A path of more than ${targetBytesMax} bytes.`, 'Send a shorter one.')
  const path = target.split('?', 1)[0] ?? ''
  const segments = path.replaceAll(/%2e/gi, '.').split(/\/|%2f/i)
  const isPlain = /^\/[\x21-\x7e]*$/.test(target) && !/[\\#]|%(?![0-9a-f]{2})|%[01][0-9a-f]|%7f|%5c/i.test(target)
  if (
    !isPlain ||
    path.startsWith('//') ||
    segments.some((segment) => segment === '.' || segment === '..' || /^\.\.?;/.test(segment))
  )
    throw refuse(
      'protocol_violation',
      'The path is written in a way that servers read differently.',
      'Send it in its plain form, from the root, without dot segments.',
    )
}

function checkHost(host: string | undefined, origin: Origin): void {
  const said = host === undefined ? null : readAuthority(host, origin.scheme)
  if (said === null || !isSameOrigin(said, origin)) throw disagreement('Host', host ?? '', origin)
}

function checkConnection(found: ReadonlyMap<string, string>): void {
  const options = (found.get('connection') ?? '')
    .toLowerCase()
    .split(',')
    .map((option) => option.trim())
  if (found.has('upgrade') || options.includes('upgrade'))
    throw refuse(
      'not_supported',
      'The gate carries no upgrade (WebSocket, h2c): it could not read what follows.',
      'Use plain requests.',
    )
  const strange = options.find((option) => option !== '' && !['close', 'keep-alive', 'te'].includes(option))
  if (strange !== undefined)
    throw refuse(
      'protocol_violation',
      'The Connection header names a header to be dropped on the way.',
      'Send close or keep-alive only.',
    )
  if (found.has('trailer')) throw refuse('not_supported', 'Trailers are not carried.', 'Send all headers before the body.')
  const expected = found.get('expect')
  if (expected !== undefined && expected.toLowerCase() !== '100-continue')
    throw refuse('not_supported', 'The gate knows no such expectation.', 'Send Expect: 100-continue, or none.')
}

function readCodings(value: string | undefined): readonly string[] {
  const codings = (value ?? '')
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
  return codings.filter((coding) => coding !== '' && coding !== 'identity')
}

function readLength(found: ReadonlyMap<string, string>): number | null {
  const coding = found.get('transfer-encoding')
  const length = found.get('content-length')
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked' || length !== undefined)
      throw refuse(
        'protocol_violation',
        'The length of the body is said in two ways, or in one that servers differ in.',
        'Send Content-Length, or Transfer-Encoding: chunked.',
      )
    return null
  }
  if (length === undefined) return 0
  if (!/^(0|[1-9][0-9]{0,14})$/.test(length))
    throw refuse('protocol_violation', 'Content-Length is no plain number.', 'Send decimal digits.')
  return Number(length)
}
