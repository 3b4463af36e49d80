/** Every error a gate can answer with. Closed: adding one means saying what the client should do about it. */
export const errorCodes = [
  'authentication_failed',
  'not_in_scope',
  'refused_by_guard',
  'approval_required',
  'approval_rejected',
  'approval_expired',
  'foreign_credential',
  'no_copy_possible',
  'copy_failed',
  'target_changed',
  'limit_exceeded',
  'unreadable',
  'not_supported',
  'killed',
  'log_unavailable',
  'store_unavailable',
  'vault_unavailable',
  'upstream_unavailable',
  'upstream_failed',
  'clearance_invalid',
  'protocol_violation',
  'too_large',
  'too_slow',
  'internal',
] as const
export type ErrorCode = (typeof errorCodes)[number]

/** An error that says what happened, what was not done, and what to do next. Never carries a secret. */
export class SallyportError extends Error {
  readonly code: ErrorCode
  readonly notDone: string
  readonly next: string
  constructor(code: ErrorCode, what: string, notDone: string, next: string, options?: ErrorOptions) {
    super(what, options)
    this.name = 'SallyportError'
    this.code = code
    this.notDone = notDone
    this.next = next
  }
}
