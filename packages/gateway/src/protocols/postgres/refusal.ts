import { SallyportError, type ErrorCode, type Refusal } from '@sallyport/core'
import { reservedPrefix, type ErrorFields } from './wire.ts'

/** What the client is told, in the words of `Refusal`. */
export type Refused = Pick<Refusal, 'code' | 'message' | 'notDone' | 'next'> & {
  readonly requestId?: string
  readonly requestUrl?: string
  readonly guards?: readonly string[]
  readonly sqlState?: string
  /** The server's own ErrorResponse, which the client gets as it came. */
  readonly asCame?: Buffer
}

/** SQLSTATE of a statement that waits for people. Class SP is Sallyport's own. */
export const pendingState = 'SP001'

/** For the record: the client has been told of the error before it. */
export const skipped: Refused = {
  code: 'upstream_failed',
  message: 'A message before it in the same batch failed.',
  notDone: 'It was not run.',
  next: 'Mend the earlier error and send Sync.',
}

/** The SQLSTATE a client sees for each code. */
export function sqlStateOf(code: ErrorCode): string {
  switch (code) {
    case 'authentication_failed':
      return '28P01'
    case 'not_in_scope':
    case 'refused_by_guard':
    case 'foreign_credential':
    case 'no_copy_possible':
    case 'unreadable':
      return '42501'
    case 'approval_required':
      return pendingState
    case 'approval_rejected':
    case 'approval_expired':
      return 'SP002'
    case 'copy_failed':
    case 'target_changed':
    case 'clearance_invalid':
      // A clearance: used by another session first, or not its turn in a plan. Asked again, it is decided anew.
      return '55000'
    case 'limit_exceeded':
      return '53400'
    case 'not_supported':
      return '0A000'
    case 'killed':
      return '57P01'
    case 'too_large':
      return '54000'
    case 'too_slow':
      return '57014'
    case 'protocol_violation':
      return '08P01'
    case 'upstream_unavailable':
      return '08006'
    case 'log_unavailable':
    case 'store_unavailable':
    case 'vault_unavailable':
    case 'upstream_failed':
      return '58000'
    case 'internal':
      return 'XX000'
  }
}

export function refusalFields(refused: Refused, severity: 'ERROR' | 'FATAL' = 'ERROR'): ErrorFields {
  const request = refused.requestId === undefined ? '' : ` Request ${refused.requestId}.`
  const guards = refused.guards === undefined || refused.guards.length === 0 ? '' : ` Guards: ${refused.guards.join(', ')}.`
  const address = refused.requestUrl === undefined || refused.next.includes(refused.requestUrl) ? '' : ` ${refused.requestUrl}`
  const { message } = refused
  const code = refused.sqlState ?? sqlStateOf(refused.code)
  if (refused.notDone === '') return { severity, code, message }
  return {
    severity,
    code,
    message,
    detail: `${refused.notDone}${request}${guards}`,
    hint: `${refused.next}${address}`,
  }
}

/** Any thrown thing as a refusal; what is not ours says no more than that it is a defect. */
export function refusedBy(error: unknown): Refused {
  if (error instanceof SallyportError)
    return { code: error.code, message: error.message, notDone: error.notDone, next: error.next }
  return {
    code: 'internal',
    message: 'The gate failed on this statement.',
    notDone: 'The statement was not run.',
    next: 'Report this: it is a defect of the gate.',
  }
}

export function notSupported(message: string, next: string): Refused {
  return { code: 'not_supported', message, notDone: 'Nothing of this statement was run.', next }
}

/** Its rows are counted in a transaction of the gate's, which goes on until the client's Sync. */
export const endsGathering: Refused = notSupported(
  'This may end the transaction in which statements before it in the same batch are counted.',
  'Send Sync before it.',
)

export function unreadable(what: string): Refused {
  return {
    code: 'protocol_violation',
    message: what,
    notDone: 'It was not sent upstream.',
    next: 'Report this to whoever wrote the client.',
  }
}

export function reserved(name: string): Refused {
  return {
    code: 'not_supported',
    message: `The name ${JSON.stringify(name)} begins with ${reservedPrefix}, which the gate keeps for itself.`,
    notDone: 'Nothing was sent upstream.',
    next: 'Choose another name.',
  }
}

/** In the server's words: whoever waits for this error should not have to know that a gate said it. */
export function unknownStatement(name: string): Refused {
  const what = name === '' ? 'unnamed prepared statement' : `prepared statement "${name}"`
  return asServer('26000', `${what} does not exist`)
}

export function unknownPortal(name: string): Refused {
  return asServer('34000', `portal "${name}" does not exist`)
}

/**
 * In a failed transaction nothing can be looked up, and the server would run nothing but its end: where the text is none, that is what the client
 * is told.
 */
export function refusedInFailed(text: string, refused: Refused): Refused {
  if (refused.code !== 'upstream_failed' || !/^\s*(?!commit|end|rollback|abort|prepare)[a-z]/i.test(text)) return refused
  return asServer('25P02', 'current transaction is aborted, commands ignored until end of transaction block')
}

/** A CancelRequest came before the statement was sent. */
export const cancelled: Refused = asServer('57014', 'canceling statement due to user request')

function asServer(sqlState: string, message: string): Refused {
  return { code: 'unreadable', sqlState, message, notDone: '', next: '' }
}
