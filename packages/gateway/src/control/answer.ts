import type { ErrorCode } from '@sallyport/core'
import { SallyportError } from '@sallyport/core'

export type RefusedStatus = 400 | 401 | 403 | 404 | 405 | 409 | 410 | 413 | 415 | 421 | 429 | 500 | 503

/** A refusal by the people's listener: safe to show, and it says what to do next. */
export class Refused extends Error {
  readonly status: RefusedStatus
  readonly code: ErrorCode
  readonly notDone: string
  readonly next: string
  constructor(
    status: RefusedStatus,
    code: ErrorCode,
    message: string,
    notDone = 'Nothing was changed.',
    next = 'Reload the page and try again.',
  ) {
    super(message)
    this.name = 'Refused'
    this.status = status
    this.code = code
    this.notDone = notDone
    this.next = next
  }
}

/** Anything thrown, as something a stranger may read: nothing of the gate's inside. */
export function toRefused(error: unknown): Refused {
  if (error instanceof Refused) return error
  if (error instanceof SallyportError)
    return new Refused(statusOf(error.code), error.code, error.message, error.notDone, error.next)
  return new Refused(
    500,
    'internal',
    'Something went wrong in the gate.',
    'What was asked may not have been done.',
    'See what the gate printed on its terminal.',
  )
}

function statusOf(code: ErrorCode): RefusedStatus {
  switch (code) {
    case 'authentication_failed':
      return 401
    case 'not_in_scope':
    case 'refused_by_guard':
    case 'approval_required':
    case 'approval_rejected':
    case 'foreign_credential':
    case 'killed':
      return 403
    case 'approval_expired':
      return 410
    case 'no_copy_possible':
    case 'copy_failed':
    case 'target_changed':
    case 'clearance_invalid':
      return 409
    case 'unreadable':
    case 'not_supported':
    case 'protocol_violation':
      return 400
    case 'too_large':
      return 413
    case 'limit_exceeded':
    case 'too_slow':
      return 429
    case 'log_unavailable':
    case 'store_unavailable':
    case 'vault_unavailable':
    case 'upstream_unavailable':
    case 'upstream_failed':
      return 503
    case 'internal':
      return 500
  }
}
