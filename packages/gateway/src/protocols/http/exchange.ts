import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Cleared, Gate, Handle, OpenSession, Outcome, Refusal } from '@sallyport/core'
import { AnswerWriter } from './answer-writer.ts'
import { isGraphqlTarget, keyOf, makeAsked } from './asked.ts'
import { openBody, readBody } from './body.ts'
import type { ClientConnection } from './client-connection.ts'
import { deferralBytesMax } from './deferral.ts'
import type { DueRuns } from './due-runs.ts'
import { graphqlAnswerBytesMax, judgeOutcome } from './judged-outcome.ts'
import type { WholeAnswer } from './kept-answer.ts'
import type { Origin } from './origin.ts'
import { digestMessage } from './payload-digest.ts'
import { AlarmingRefusal, refusedBy, renderGraphqlErrors, renderProblem, type Refused } from './refusal.ts'
import { readHead, type RequestHead } from './request-head.ts'
import type { FullSettings } from './settings.ts'
import { checkCredentialHeaders, checkForwarded, findInUnread, type Searcher } from './stray-credential.ts'
import type { Call, GovernedUpstream, Message, WayIn } from './upstreams.ts'

/** Who asks what of whom: everything about a request but itself. */
export interface Passage {
  readonly gate: Gate
  readonly settings: FullSettings
  readonly client: ClientConnection
  readonly handle: Handle
  readonly open: OpenSession
  readonly governed: GovernedUpstream
  readonly origin: Origin
  /** Null: this gate defers nothing. */
  readonly dueRuns: DueRuns | null
}

/** One request of an agent and its answer: decode, ask govern, forward, or refuse in the client's words. */
export async function exchange(
  passage: Passage,
  request: IncomingMessage,
  response: ServerResponse,
  target: string,
): Promise<void> {
  try {
    const { head, body } = await receive(passage, request, response, target)
    await forward(passage, head, makeMessage(head, body), response)
  } catch (error) {
    if (error instanceof AlarmingRefusal) ring(passage, error)
    answerRefused(passage, response, refusedBy(error), target)
  }
}

/** Reads it whole. What can't be carried for another reason is searched too: the alarm is for the attempt. */
async function receive(
  passage: Passage,
  request: IncomingMessage,
  response: ServerResponse,
  target: string,
): Promise<{ readonly head: RequestHead; readonly body: Buffer }> {
  const { bodyBytesMax } = passage.settings
  try {
    const head = readHead(request, passage.origin, target)
    checkCredentialHeaders(searcherOf(passage), head.credentials)
    if (request.headers.expect !== undefined && (head.bodyBytes ?? 0) <= bodyBytesMax) response.writeContinue()
    return { head, body: await readBody(request, head.bodyBytes, bodyBytesMax) }
  } catch (error) {
    if (error instanceof AlarmingRefusal) throw error
    throw findInUnread(searcherOf(passage), request, target) ?? error
  }
}

function searcherOf({ handle, governed, origin, settings }: Passage): Searcher {
  return { handle, origin, upstream: governed.name, canaries: settings.canaries }
}

function makeMessage(head: RequestHead, body: Buffer): Message {
  const { method, target, forwarded } = head
  const hasLength = body.length > 0 || !['GET', 'HEAD', 'OPTIONS', 'DELETE'].includes(method)
  const headers: Message['headers'] = hasLength ? [...forwarded, ['content-length', String(body.length)]] : forwarded
  return { method, target, headers, body, ...(head.trace === null ? {} : { trace: head.trace }) }
}

async function forward(passage: Passage, head: RequestHead, message: Message, response: ServerResponse): Promise<void> {
  const { gate, open, governed, client } = passage
  const sha256 = digestMessage(message)
  const call: Call = { session: open.session, message, signal: open.signal }
  if (gate.govern.recall(open.session, keyOf(governed, sha256))) {
    // Exactly these bytes were searched for foreign credentials before they were decided.
    const writer = new AnswerWriter(response, { method: message.method, keepBytes: 0 })
    writer.flow(await governed.forwardRead(call, writer), client.gone, 'abandon')
    return writer.finish(async () => Promise.resolve())
  }
  const opened = await openBody(message.body, head.contentCodings, passage.settings.bodyBytesMax)
  checkForwarded(searcherOf(passage), head, opened)
  const kept = await passage.dueRuns?.take(open.session.subject.agent, governed, sha256, client.gone)
  if (kept) return writeKept(response, kept)
  const way = governed.enter()
  try {
    await attend(passage, head, { call, sha256, opened, way }, response)
  } finally {
    await way.leave()
  }
}

interface Attended {
  readonly call: Call
  readonly sha256: string
  readonly opened: Buffer
  readonly way: WayIn
}

async function attend(
  passage: Passage,
  head: RequestHead,
  { call, sha256, opened, way }: Attended,
  response: ServerResponse,
): Promise<void> {
  const { gate, open, governed, origin, client, settings } = passage
  const { message } = call
  const { contentType } = head
  const asked = makeAsked({
    session: open.session,
    governed,
    upstream: way.upstream,
    origin,
    message,
    sha256,
    opened,
    contentType,
  })
  const verdict = await gate.govern.ask(asked, {
    // People take their time: nothing is locked meanwhile.
    pending: () => void way.rest(),
    waitMs: settings.waitMs,
    signal: client.gone,
  })
  if (verdict.outcome === 'cleared') return run(passage, verdict, call, response)
  answerRefused(passage, response, await defer(passage, head, message, verdict), message.target)
}

/** What waits for people is kept, where they will give it a delay: then the gate itself sends it when that is over. */
async function defer(passage: Passage, head: RequestHead, message: Message, refusal: Refusal): Promise<Refusal> {
  const { handle, governed, origin, settings } = passage
  const { requestId, requestUrl } = refusal
  if (settings.deferrals === null || refusal.code !== 'approval_required' || requestId === undefined) return refusal
  if (message.body.length > deferralBytesMax) return refusal
  const { contentType, contentCodings } = head
  const kept = await settings.deferrals.store
    .keep({ request: requestId, handle: handle.id, upstream: governed.name, origin, message, contentType, contentCodings })
    // Nothing is lost by it: the agent sends it again, as it is told to.
    .catch(() => false)
  if (!kept) return refusal
  const next = `People are asked at ${requestUrl ?? 'the gate'} (request ${requestId}). Once it is approved a delay begins, in which anybody can cancel; then the gate sends it by itself. Send exactly the same again after that, with the same agent, to get its answer.`
  return { ...refusal, next }
}

function writeKept(response: ServerResponse, { head, body }: WholeAnswer): void {
  response.sendDate = false
  response.writeHead(head.status, head.reason, [...head.headers.flat(), 'sallyport-ran', 'when-due'])
  response.end(body)
}

async function run(passage: Passage, cleared: Cleared, call: Call, response: ServerResponse): Promise<void> {
  const { gate, governed, client } = passage
  const isRead = cleared.kind === 'read'
  const conclude = async (outcome: Outcome): Promise<void> =>
    isRead ? undefined : gate.govern.conclude(cleared.clearance, outcome)
  const isGraphql = isGraphqlTarget(governed, call.message.target)
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

function ring({ gate, open, governed }: Passage, { alarm }: AlarmingRefusal): void {
  const { id, subject } = open.session
  gate.alarm({ kind: alarm.kind, session: id, agent: subject.agent, data: { upstream: governed.name, ...alarm.data } })
}

/** Refuses in the client's own words. */
function answerRefused(passage: Passage, response: ServerResponse, refused: Refused, target: string): void {
  const isOfGovern = refused.requestId !== undefined || refused.guards !== undefined
  const isGraphql = isOfGovern && isGraphqlTarget(passage.governed, target)
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
