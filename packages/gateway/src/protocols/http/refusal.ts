import { SallyportError, type ErrorCode, type Json, type Refusal } from '@sallyport/core'
import { hideTokens } from './token-shape.ts'

/** What the client is told, in the words of `Refusal`. */
export type Refused = Pick<Refusal, 'code' | 'message' | 'notDone' | 'next'> & {
  readonly requestId?: string
  readonly requestUrl?: string
  readonly guards?: readonly string[]
}

/** A refusal that also rings: somebody tried what no honest client does. */
export class AlarmingRefusal extends SallyportError {
  readonly alarm: { readonly kind: string; readonly data: { readonly [key: string]: Json } }
  constructor(code: ErrorCode, what: string, next: string, alarm: AlarmingRefusal['alarm']) {
    super(code, what, 'Nothing was sent upstream.', next)
    this.alarm = alarm
  }
}

/** What clients wrote may stand in `what`; a token in it is neither told nor written down. */
export function refuse(code: ErrorCode, what: string, next: string): SallyportError {
  return new SallyportError(code, hideTokens(what), 'Nothing was sent upstream.', next)
}

/** The HTTP status of each code. None that clients retry by themselves, but where trying again is right. */
function statusOf(code: ErrorCode): number {
  switch (code) {
    case 'authentication_failed':
      return 407
    case 'not_in_scope':
    case 'refused_by_guard':
    case 'approval_required':
    case 'approval_rejected':
    case 'approval_expired':
    case 'foreign_credential':
    case 'no_copy_possible':
    case 'killed':
      return 403
    case 'copy_failed':
    case 'target_changed':
    case 'clearance_invalid':
      // A clearance: used by another session first, or not its turn in a plan. Asked again, it is decided anew.
      return 409
    case 'unreadable':
      return 422
    case 'limit_exceeded':
      return 429
    case 'not_supported':
      return 501
    case 'protocol_violation':
      return 400
    case 'too_large':
      return 413
    case 'too_slow':
      return 408
    case 'log_unavailable':
    case 'store_unavailable':
    case 'vault_unavailable':
      return 503
    case 'upstream_unavailable':
    case 'upstream_failed':
      return 502
    case 'internal':
      return 500
  }
}

/** Any thrown thing as a refusal; what is not ours says no more than that it is a defect. */
export function refusedBy(error: unknown): Refused {
  if (error instanceof SallyportError)
    return { code: error.code, message: error.message, notDone: error.notDone, next: error.next }
  return {
    code: 'internal',
    message: 'The gate failed on this request.',
    notDone: 'It was not completed.',
    next: 'Report this: it is a defect of the gate.',
  }
}

export interface RenderedRefusal {
  readonly status: number
  readonly contentType: string
  readonly body: string
}

/** Problem details (RFC 9457). What waits says `status: "pending"`, which a reader that wants a number there has to ignore. */
export function renderProblem(refused: Refused): RenderedRefusal {
  const status = statusOf(refused.code)
  const body = {
    type: `urn:sallyport:${refused.code}`,
    title: refused.message,
    status: isPending(refused) ? 'pending' : status,
    detail: `${refused.notDone} ${refused.next}`,
    code: refused.code,
    notDone: refused.notDone,
    next: refused.next,
    ...requestFields(refused),
  }
  return { status, contentType: 'application/problem+json', body: `${JSON.stringify(body)}\n` }
}

/** An answer a GraphQL client understands: it shows `message`, and its code can read `extensions`. */
export function renderGraphqlErrors(refused: Refused): RenderedRefusal {
  const extensions = {
    code: refused.code.toUpperCase(),
    status: isPending(refused) ? 'pending' : 'refused',
    notDone: refused.notDone,
    next: refused.next,
    ...requestFields(refused),
  }
  const message = `${refused.message} ${refused.notDone} ${refused.next}`
  return { status: 200, contentType: 'application/json', body: `${JSON.stringify({ errors: [{ message, extensions }] })}\n` }
}

function isPending(refused: Refused): boolean {
  return refused.code === 'approval_required' && refused.requestId !== undefined
}

function requestFields({ requestId, requestUrl, guards }: Refused): { readonly [key: string]: Json } {
  return {
    ...(requestId === undefined ? {} : { requestId }),
    ...(requestUrl === undefined ? {} : { url: requestUrl }),
    ...(guards === undefined || guards.length === 0 ? {} : { guards }),
  }
}
