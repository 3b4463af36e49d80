import { z } from 'zod'
import type { Json } from '@sallyport/core'
import { isHostOf, isRailwayEndpoint } from './endpoint.ts'
import { fieldOf, isList, isObject, type JsonObject } from './given-value.ts'
import { AmbiguousJson, parseJson } from './json-text.ts'
import { readQueryString, splitUrl } from './query-string.ts'

/** One GraphQL request of an HTTP request: a batch has several. */
export interface GraphqlRequest {
  readonly query: string
  readonly variables: JsonObject
  readonly operationName: string | null
  /** Sent by GET, which the specification of GraphQL over HTTP allows for queries only. */
  readonly isGet: boolean
}

export type Reading =
  | { readonly outcome: 'requests'; readonly requests: readonly GraphqlRequest[] }
  | { readonly outcome: 'unreadable'; readonly why: string }

/** Bytes of a body, after whatever compressed it was opened. */
const bodyBytesMax = 256 * 1024
const batchMax = 50

const decodedShape = z.strictObject({
  method: z.string(),
  url: z.string(),
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])).optional(),
  body: z.string().nullish(),
  /** In place of `body`: bytes that may be no text. */
  bodyBase64: z.string().optional(),
  /** The endpoint of a stand-in, from our configuration and never from the agent: read as if it were Railway's own. */
  endpoint: z.string().optional(),
})
type Decoded = z.infer<typeof decodedShape>

/** Keys of a request; any other may change what it means, or be read by another reader as one of these. */
const requestKeys: ReadonlySet<string> = new Set(['query', 'variables', 'operationName', 'extensions'])

/** Headers that make another request of a POST, or hide its body. */
const turningHeaders: ReadonlySet<string> = new Set([
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-original-url',
  'x-original-uri',
  'x-original-method',
  'x-rewrite-url',
  'x-override-url',
  'x-host',
  'x-forwarded-host',
  'forwarded',
  'upgrade',
])
const jsonType = /^application\/json[ \t]*(?:;[ \t]*charset=(?:utf-?8|"utf-?8")[ \t]*)?$/i

/** The GraphQL requests in an HTTP request to the API, or why there is no telling. */
export function readRequest(decoded: Json): Reading {
  const parsed = decodedShape.safeParse(decoded)
  if (!parsed.success) return unreadable('it is not a request as this connector takes it: method, url, headers, body')
  const isGet = parsed.data.method === 'GET'
  const why = isGet ? refuseGet(parsed.data) : refusePost(parsed.data)
  if (why !== null) return unreadable(why)
  if (isGet) return readGet(parsed.data)
  const body = readBody(parsed.data)
  if (body === null) return unreadable(`its body is missing, given twice, longer than ${bodyBytesMax} bytes, or not UTF-8`)
  if (body.includes('\uFEFF')) return unreadable('its body holds a byte order mark, which one reader skips and another refuses')
  return readDocument(body)
}

function unreadable(why: string): Reading {
  return { outcome: 'unreadable', why }
}

const notEndpoint = 'its URL is not the endpoint of the API, written plainly'

function refuseGet({ url, headers = {}, body, bodyBase64, endpoint }: Decoded): string | null {
  if (!isRailwayEndpoint(splitUrl(url).endpoint, endpoint)) return notEndpoint
  if ((body ?? '') !== '' || (bodyBase64 ?? '') !== '')
    return 'it is a GET with a body, which one reader reads and another does not'
  return refuseHeaders(url, headers)
}

function refusePost({ method, url, headers = {}, endpoint }: Decoded): string | null {
  if (!isRailwayEndpoint(url, endpoint)) return notEndpoint
  if (method !== 'POST') return 'only POST, and GET of queries, are read'
  const types = Object.entries(headers).flatMap(([name, lines]) => (name.toLowerCase() === 'content-type' ? lines : []))
  const [type] = types
  if (types.length !== 1 || type === undefined || !jsonType.test(type.trim())) return 'its content type is not JSON in UTF-8'
  return refuseHeaders(url, headers)
}

function refuseHeaders(url: string, headers: NonNullable<Decoded['headers']>): string | null {
  for (const [name, given] of Object.entries(headers)) {
    const lower = name.toLowerCase()
    const lines = typeof given === 'string' ? [given] : given
    if (turningHeaders.has(lower)) return `its header ${lower} makes another request of it`
    if (lower === 'content-encoding' && lines.some((line) => line.trim().toLowerCase() !== 'identity'))
      return 'its body is still encoded'
    if (lower === 'host' && (lines.length !== 1 || !lines.every((line) => isHostOf(line, url))))
      return 'its header host names another server than its URL'
  }
  return null
}

function readGet({ url }: Decoded): Reading {
  const { query } = splitUrl(url)
  const item = query === null ? null : readQueryString(query)
  const request = item === null ? null : readItem(item, true)
  return request === null
    ? unreadable('its URL does not hold query, variables and operationName, each once at most and plainly written')
    : { outcome: 'requests', requests: [request] }
}

function readBody({ body, bodyBase64 }: Decoded): string | null {
  if (typeof body === 'string') {
    const isWhole = bodyBase64 === undefined && body.isWellFormed() && Buffer.byteLength(body) <= bodyBytesMax
    return isWhole ? body : null
  }
  if (bodyBase64 === undefined || bodyBase64.length > bodyBytesMax * 1.5) return null
  const bytes = Buffer.from(bodyBase64, 'base64')
  if (bytes.length > bodyBytesMax || bytes.toString('base64') !== bodyBase64) return null
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

function readDocument(body: string): Reading {
  let parsed: Json
  try {
    parsed = parseJson(body)
  } catch (error) {
    if (error instanceof AmbiguousJson) return unreadable(`its body is not JSON with one meaning: ${error.message}`)
    throw error
  }
  const items: readonly Json[] = isList(parsed) ? parsed : [parsed]
  if (items.length === 0 || items.length > batchMax) return unreadable(`a batch holds 1 to ${batchMax} requests`)
  const requests: GraphqlRequest[] = []
  for (const item of items) {
    const request = readItem(item, false)
    if (request === null)
      return unreadable(
        'it holds something else than query, variables and operationName: a persisted query, an extension, an unlisted key',
      )
    requests.push(request)
  }
  return { outcome: 'requests', requests }
}

/** Extensions may be there and say nothing: what they say changes what a request means (persisted queries are one). */
function readItem(item: Json, isGet: boolean): GraphqlRequest | null {
  if (!isObject(item) || Object.keys(item).some((key) => !requestKeys.has(key))) return null
  const query = fieldOf(item, 'query')
  const variables = fieldOf(item, 'variables') ?? {}
  const operationName = fieldOf(item, 'operationName') ?? null
  const extensions = fieldOf(item, 'extensions') ?? {}
  if (typeof query !== 'string' || !isObject(variables) || !isObject(extensions) || Object.keys(extensions).length > 0)
    return null
  if (operationName !== null && typeof operationName !== 'string') return null
  return { query, variables, operationName, isGet }
}
