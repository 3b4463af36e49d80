import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Asked, Cleared, Gate, Handle, OpenSession, Outcome } from '@sallyport/core'
import { AnswerWriter } from './answer-writer.ts'
import { openBody, readBody } from './body.ts'
import type { ClientConnection } from './client-connection.ts'
import { describeForPeople, describeToConnector } from './described.ts'
import { findInCredentialHeaders, findInForwarded, type ForeignCredential } from './foreign-credential.ts'
import { writeAuthority, type Origin } from './origin.ts'
import { digestMessage } from './payload-digest.ts'
import { AlarmingRefusal, refusedBy, renderGraphqlErrors, renderProblem, type Refused } from './refusal.ts'
import { digestToken } from './token-digest.ts'
import { readHead, type RequestHead } from './request-head.ts'
import type { FullSettings } from './settings.ts'
import type { Call, GovernedUpstream, Message } from './upstreams.ts'

/** Who asks what of whom: everything about a request but itself. */
export interface Passage {
  readonly gate: Gate
  readonly settings: FullSettings
  readonly client: ClientConnection
  readonly handle: Handle
  readonly open: OpenSession
  readonly governed: GovernedUpstream
  readonly origin: Origin
}

/** One request of an agent and its answer: decode, ask govern, forward, or refuse in the client's words. */
export async function exchange(
  passage: Passage,
  request: IncomingMessage,
  response: ServerResponse,
  target: string,
): Promise<void> {
  try {
    const head = readHead(request, passage.origin, target)
    checkCredentials(passage, head)
    if (request.headers.expect !== undefined && (head.bodyBytes ?? 0) <= passage.settings.bodyBytesMax) response.writeContinue()
    const body = await readBody(request, head.bodyBytes, passage.settings.bodyBytesMax)
    await forward(passage, head, makeMessage(head, body), response)
  } catch (error) {
    if (error instanceof AlarmingRefusal) ring(passage, error)
    answerRefused(passage, response, refusedBy(error), target)
  }
}

function makeMessage(head: RequestHead, body: Buffer): Message {
  const { method, target, forwarded } = head
  const hasLength = body.length > 0 || !['GET', 'HEAD', 'OPTIONS', 'DELETE'].includes(method)
  return { method, target, headers: hasLength ? [...forwarded, ['content-length', String(body.length)]] : forwarded, body }
}

async function forward(passage: Passage, head: RequestHead, message: Message, response: ServerResponse): Promise<void> {
  const { gate, open, governed, client } = passage
  const sha256 = digestMessage(message)
  const call: Call = { session: open.session, message, signal: open.signal }
  const key = `http ${governed.upstream.name} ${sha256}`
  if (gate.govern.recall(open.session, key)) {
    // Exactly these bytes were searched for foreign credentials before they were decided.
    const writer = new AnswerWriter(response, { method: message.method, keepBytes: 0 })
    writer.flow(await governed.forwardRead(call, writer), client.gone, 'abandon')
    return writer.finish(async () => Promise.resolve())
  }
  const opened = await openBody(message.body, head.contentCodings, passage.settings.bodyBytesMax)
  const foreign = findInForwarded(message.target, head.forwarded, opened, head.contentType)
  if (foreign !== null) throw refuseForeign(passage, foreign)
  const decoded = describeToConnector(passage.origin, message, opened, head.contentType)
  const asked: Asked = {
    session: open.session,
    upstream: governed.upstream,
    connector: governed.connector,
    decoded,
    payload: {
      protocol: 'http',
      upstream: governed.upstream.name,
      upstreamIdentity: governed.upstream.identity,
      bytesSha256: sha256,
      bindValues: [],
      settings: { origin: `${passage.origin.scheme}://${writeAuthority(passage.origin)}` },
    },
    text: describeForPeople(passage.origin, message, opened),
    key,
  }
  const verdict = await gate.govern.ask(asked, { pending: () => undefined, waitMs: passage.settings.waitMs, signal: client.gone })
  if (verdict.outcome === 'refused') return answerRefused(passage, response, verdict, message.target)
  await run(passage, verdict, call, response)
}

async function run(passage: Passage, cleared: Cleared, call: Call, response: ServerResponse): Promise<void> {
  const { gate, governed, client } = passage
  const isRead = cleared.kind === 'read'
  const conclude = async (outcome: Outcome): Promise<void> =>
    isRead ? undefined : gate.govern.conclude(cleared.clearance, outcome)
  const isGraphql = governed.graphqlPaths.has(pathOf(call.message.target))
  const writer = new AnswerWriter(response, {
    method: call.message.method,
    keepBytes: isGraphql && !isRead ? graphqlAnswerBytesMax : 0,
  })
  try {
    if (client.gone.aborted) throw gone
    // What writes is read to its end though its client left: its outcome belongs on the log.
    writer.flow(await governed.send(cleared.clearance, call, writer), client.gone, isRead ? 'abandon' : 'read on')
  } catch (error) {
    await conclude({ result: 'failed', detail: `Nothing was sent: ${refusedBy(error).code}` })
    if (error === gone) return
    throw error
  }
  await writer.finish(async (answer) => conclude(judgeOutcome(answer, isGraphql)))
}

const gone = new Error('the client went away before its request was sent')
/** Of a GraphQL answer, to see whether it has errors. */
const graphqlAnswerBytesMax = 1024 * 1024

function pathOf(target: string): string {
  return target.split('?', 1)[0] ?? ''
}

function checkCredentials(passage: Passage, head: RequestHead): void {
  const foreign = findInCredentialHeaders(head.credentials, passage.handle)
  if (foreign !== null) throw refuseForeign(passage, foreign)
}

/** Promise 2. The alarm names the place and a digest by which the stray token can be found; the token itself goes nowhere. */
function refuseForeign({ origin, governed }: Passage, { place, shape, token }: ForeignCredential): AlarmingRefusal {
  return new AlarmingRefusal(
    'foreign_credential',
    `This request carries a credential that Sallyport did not issue (${shape}, in ${place}).`,
    'Send it without one: the gate adds the real credential by itself. If you found this token somewhere, tell your owner where.',
    {
      kind: 'foreign_credential',
      data: { place, shape, upstream: governed.upstream.name, host: origin.host, tokenSha256: digestToken(token) },
    },
  )
}

function ring({ gate, open, governed }: Passage, { alarm }: AlarmingRefusal): void {
  const { id, subject } = open.session
  gate.alarm({ kind: alarm.kind, session: id, agent: subject.agent, data: { upstream: governed.upstream.name, ...alarm.data } })
}

interface Judged {
  readonly status: number
  readonly whole: boolean
  /** Null when it was not kept or is longer than is kept. */
  readonly body: Buffer | null
}

/** What came of it, as far as the answer says. */
function judgeOutcome({ status, whole, body }: Judged, isGraphql: boolean): Outcome {
  if (status === 0) return { result: 'unknown', detail: 'The connection broke after the request was sent.' }
  if (status >= 500) return { result: 'unknown', detail: `HTTP ${status}` }
  if (status >= 400 || status === 307 || status === 308) return { result: 'failed', detail: `HTTP ${status}` }
  if (status >= 300) return { result: 'unknown', detail: `HTTP ${status}` }
  if (!whole) return { result: 'unknown', detail: `HTTP ${status}, and its answer broke off` }
  return isGraphql ? judgeGraphql(status, body) : { result: 'succeeded', detail: `HTTP ${status}` }
}

/** GraphQL says what failed in a 200. With data beside the errors, some of it ran. */
function judgeGraphql(status: number, body: Buffer | null): Outcome {
  const answer = body === null ? undefined : parseJson(body)
  if (answer === undefined) return { result: 'unknown', detail: `HTTP ${status}, and its answer could not be read` }
  const parts: readonly unknown[] = Array.isArray(answer) ? answer : [answer]
  const failed = parts.filter(hasErrors)
  if (failed.length === 0) return { result: 'succeeded', detail: `HTTP ${status}` }
  const partly = failed.length < parts.length || failed.some(hasData)
  return partly
    ? { result: 'unknown', detail: `HTTP ${status} with GraphQL errors beside data` }
    : { result: 'failed', detail: `HTTP ${status} with GraphQL errors` }
}

function parseJson(body: Buffer): unknown {
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'))
    return parsed
  } catch {
    return undefined
  }
}

function hasErrors(part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return true
  const errors: unknown = Reflect.get(part, 'errors')
  return errors !== undefined && errors !== null && !(Array.isArray(errors) && errors.length === 0)
}

function hasData(part: unknown): boolean {
  const data: unknown = typeof part === 'object' && part !== null ? Reflect.get(part, 'data') : null
  return typeof data === 'object' && data !== null && Object.values(data).some((value) => value !== null)
}

/** Refuses in the client's own words. */
function answerRefused(passage: Passage, response: ServerResponse, refused: Refused, target: string): void {
  const isOfGovern = refused.requestId !== undefined || refused.guards !== undefined
  const isGraphql = isOfGovern && passage.governed.graphqlPaths.has(pathOf(target))
  writeRefusal(response, refused, isGraphql)
}

/** Closes the connection after it: what the client sends next may be the rest of what was refused. */
export function writeRefusal(response: ServerResponse, refused: Refused, isGraphql: boolean): void {
  const { status, contentType, body } = isGraphql ? renderGraphqlErrors(refused) : renderProblem(refused)
  if (response.headersSent) {
    response.socket?.destroy()
    return
  }
  const isRead = response.req.complete
  const headers = {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...(isRead ? {} : { connection: 'close' }),
  }
  response.writeHead(status === 407 ? 403 : status, headers)
  response.end(body)
}
