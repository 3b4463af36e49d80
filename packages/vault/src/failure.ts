/** Everything the vault can answer besides success, with its HTTP status. Closed. */
export const failureStatus = {
  bad_request: 400,
  unauthenticated: 401,
  log_unknown: 403,
  not_found: 404,
  no_such_verb: 405,
  too_slow: 408,
  part_exists: 409,
  part_in_progress: 409,
  seal_ended: 409,
  wal_gap: 409,
  retention_shorter: 409,
  retention_in_force: 409,
  log_pinned: 409,
  witness_behind: 409,
  too_large: 413,
  log_forked: 422,
  log_rolled_back: 422,
  too_many: 429,
  storage_failed: 500,
  read_back_failed: 500,
  damaged: 500,
  witness_frozen: 503,
  store_unreachable: 503,
  quota_reached: 507,
} as const
export type FailureCode = keyof typeof failureStatus

/** What the vault refuses, or could not do. The message is one sentence and never carries a secret or the content of a copy. */
export class VaultFailure extends Error {
  readonly code: FailureCode
  constructor(code: FailureCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'VaultFailure'
    this.code = code
  }
}

/** Any thrown thing as a failure. Errors of the disk keep only their code: a message could name paths. */
export function toFailure(error: unknown): VaultFailure {
  if (error instanceof VaultFailure) return error
  const code = systemCode(error)
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new VaultFailure('storage_failed', 'The disk of the vault is full.', { cause: error })
  if (code !== null) return new VaultFailure('storage_failed', `The disk of the vault failed with ${code}.`, { cause: error })
  return new VaultFailure('storage_failed', 'The vault failed in a way it did not expect.', { cause: error })
}

/** `ENOENT`, `EEXIST`, … of an error of the operating system; null for anything else. */
export function systemCode(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null
  return error.code
}
