import {
  questionJson,
  SallyportError,
  type AccessRequest,
  type Clock,
  type ErrorCode,
  type GovernSettings,
  type Handle,
  type Log,
  type Question,
  type Randomness,
  type Requests,
} from '@sallyport/core'

export interface OpeningPorts {
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  readonly requests: Requests
  readonly settings: () => GovernSettings
}

/**
 * A question to people that no operation asks: on the log, then in the store.
 * @param expiresAtMs if it ends before a question usually does
 * @throws SallyportError when the agent has as many open as it may
 */
export async function openQuestion(
  ports: OpeningPorts,
  handle: Handle,
  question: Question,
  endsAtMs = Number.MAX_SAFE_INTEGER,
): Promise<AccessRequest> {
  const { requests, clock, settings } = ports
  const { pendingMax } = settings()
  const nowMs = clock.nowMs()
  if ((await requests.countPending(handle.agent, nowMs)) >= pendingMax)
    throw notGiven(
      'limit_exceeded',
      `This agent has ${pendingMax} requests waiting for people already.`,
      'Wait until some are decided or have expired.',
    )
  return openRequest(ports, { agent: handle.agent, session: `handle ${handle.id}` }, question, endsAtMs)
}

/** On the log, then in the store. @param session who opened it, in words */
export async function openRequest(
  { requests, clock, random, log, settings }: OpeningPorts,
  { agent, session }: { readonly agent: string; readonly session: string },
  question: Question,
  endsAtMs = Number.MAX_SAFE_INTEGER,
): Promise<AccessRequest> {
  const nowMs = clock.nowMs()
  const request: AccessRequest = {
    id: random.hex(16),
    nonce: random.hex(32),
    session,
    question,
    state: 'pending',
    approvals: [],
    createdAtMs: nowMs,
    expiresAtMs: Math.min(nowMs + settings().requestMs, endsAtMs),
    notBeforeMs: null,
    endedBy: null,
  }
  const { id, nonce, expiresAtMs } = request
  await log.append({
    type: 'request.opened',
    atMs: nowMs,
    agent,
    data: { request: id, nonce, question: questionJson(question), expiresAtMs },
  })
  await requests.open(request)
  return request
}

export function notGiven(code: ErrorCode, what: string, next: string): SallyportError {
  return new SallyportError(code, what, 'Nothing was given, and nothing was asked of people.', next)
}
