import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls'
import {
  execute,
  GraphQLError,
  OperationTypeNode,
  parse,
  validate,
  getOperationAST,
  type DocumentNode,
  type GraphQLSchema,
} from 'graphql'
import { z } from 'zod'
import type { Evidence } from './evidence.ts'
import type { ServerIdentity } from './certificate.ts'

export const graphqlPath = '/graphql/v2'

const bodyBytesMax = 1024 * 1024
const tokensMax = 10_000
const batchMax = 20
const requestTimeoutMs = 30_000

export interface EndpointParts {
  readonly schema: GraphQLSchema
  readonly answers: Record<string, unknown>
  readonly isKnownToken: (token: string) => boolean
  readonly evidence: Evidence
}

const itemShape = z.object({
  query: z.string(),
  operationName: z.string().nullish(),
  variables: z.record(z.string(), z.unknown()).nullish(),
})
const bodyShape = z.union([itemShape, z.array(itemShape).min(1).max(batchMax)])
type Item = z.infer<typeof itemShape>

/** HTTP over TLS in one place; every byte that comes in is kept as evidence before anything is made of it. */
export function makeEndpoint(identity: ServerIdentity, parts: EndpointParts): { readonly tls: TlsServer; readonly http: Server } {
  const cuts = new WeakMap<object, () => void>()
  const http = createServer({ requestTimeout: requestTimeoutMs, keepAliveTimeout: 60_000 }, (request, response) => {
    answer(parts, request, response, () => cuts.get(request.socket)?.()).catch(() => {
      if (!response.headersSent) response.writeHead(500)
      response.end()
    })
  })
  const tls = createTlsServer(
    { key: identity.key, cert: identity.certificate, ALPNProtocols: ['http/1.1'] },
    (socket: TLSSocket) => {
      socket.on('error', () => undefined)
      http.emit('connection', socket)
      cuts.set(socket, parts.evidence.watch(socket))
    },
  )
  tls.on('tlsClientError', (_, socket) => socket.destroy())
  return { tls, http }
}

async function answer(parts: EndpointParts, request: IncomingMessage, response: ServerResponse, cut: () => void): Promise<void> {
  const body = await readBody(request)
  cut()
  if (request.url === '/health') return send(response, 200, { ok: true })
  if (request.url !== graphqlPath) return send(response, 404, failure('Not found'))
  const token = /^Bearer ([\x21-\x7e]{8,512})$/.exec(request.headers.authorization ?? '')?.[1]
  if (token === undefined || !parts.isKnownToken(token)) return send(response, 200, failure('Not Authorized', 'UNAUTHENTICATED'))
  if (request.method !== 'POST') return send(response, 405, failure('Send a POST'))
  if (body === null) return send(response, 413, failure('The request is too large'))
  const given = readGiven(request, body)
  if (given === null) return send(response, 400, failure('The request is no GraphQL request'))
  if (!Array.isArray(given)) {
    const result = await run(parts, given)
    return send(response, 'data' in result ? 200 : 400, result)
  }
  const results = []
  for (const item of given) results.push(await run(parts, item))
  return send(response, 200, results)
}

/** JSON as most clients send it; `application/graphql` holds the bare query. */
function readGiven(request: IncomingMessage, body: Buffer): Item | Item[] | null {
  const kind = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (kind === 'application/graphql') return { query: body.toString('utf8') }
  try {
    const parsed = bodyShape.safeParse(JSON.parse(body.toString('utf8')))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}

async function run({ schema, answers }: EndpointParts, item: Item): Promise<Record<string, unknown>> {
  let document: DocumentNode
  try {
    document = parse(item.query, { maxLexicalTokens: tokensMax })
  } catch (error) {
    return { errors: [error instanceof GraphQLError ? error.toJSON() : { message: 'The query can not be read' }] }
  }
  const faults = validate(schema, document)
  if (faults.length > 0) return { errors: faults.map((fault) => fault.toJSON()) }
  const operation = getOperationAST(document, item.operationName ?? undefined)
  if (operation?.operation === OperationTypeNode.SUBSCRIPTION) return { errors: [{ message: 'There are no subscriptions here' }] }
  const result = await execute({
    schema,
    document,
    rootValue: answers,
    variableValues: item.variables ?? {},
    operationName: item.operationName ?? null,
  })
  return { ...result, ...(result.errors === undefined ? {} : { errors: result.errors.map((error) => error.toJSON()) }) }
}

/** Null when it is over the limit; then the rest is read and thrown away. */
async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue
    bytes += chunk.length
    if (bytes <= bodyBytesMax) chunks.push(chunk)
  }
  return bytes > bodyBytesMax ? null : Buffer.concat(chunks)
}

function failure(message: string, code?: string): Record<string, unknown> {
  return { errors: [{ message, ...(code === undefined ? {} : { extensions: { code } }) }] }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = Buffer.from(JSON.stringify(body))
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': text.length })
  response.end(text)
}
