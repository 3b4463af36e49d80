import { type ErrorCode, SallyportError } from '@sallyport/core'

/** The vault heard and said no. */
export class VaultRefusal extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.name = 'VaultRefusal'
    this.code = code
  }
}

/** Refusals that say something about the vault itself; the others are about this one copy. */
const vaultCodes = new Set(['unauthenticated', 'too_many', 'too_slow', 'storage_failed', 'witness_frozen', 'store_unreachable'])

export const notDone = 'What was asked of the vault was not done; what needs a copy did not run.'

/** Anything that went wrong between gate and vault, in the gate's words. */
export function toSallyportError(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error
  if (error instanceof VaultRefusal) {
    const code: ErrorCode = vaultCodes.has(error.code) ? 'vault_unavailable' : 'copy_failed'
    return new SallyportError(code, `The vault said no: ${error.message}`, notDone, nextAfter(error.code), { cause: error })
  }
  const how = describeBreak(error)
  return new SallyportError(
    'vault_unavailable',
    `The vault ${how}.`,
    notDone,
    'Check that the vault runs (`sallyport doctor`), then send the request again.',
    { cause: error },
  )
}

function nextAfter(code: string): string {
  if (code === 'unauthenticated')
    return 'Give the gate the credential file that the vault wrote, or start the vault with a new one.'
  if (code === 'storage_failed') return 'Look at the disk of the vault, then send the request again.'
  if (code === 'store_unreachable')
    return 'Look at the way to the bucket that the message names; the vault goes on by itself once it answers.'
  if (code === 'damaged' || code === 'read_back_failed') return 'Run `sallyport vault verify`: it names what is damaged.'
  return 'Send the request again; if it repeats, run `sallyport doctor`.'
}

function describeBreak(error: unknown): string {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return 'is not running, or not where the gate looks for it'
  if (code === 'EACCES') return "cannot be reached by the gate's user"
  if (error instanceof Error && error.message === 'timeout') return 'did not answer in time'
  return 'broke the connection'
}

/** What the connector threw while it copied. Its own words may hold rows, so only the cause keeps them. */
export function toCopyError(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error
  return new SallyportError(
    'copy_failed',
    'The copy could not be read from the upstream.',
    'No copy counts; what needs one did not run.',
    'Send the request again; if it repeats, report it: this is a defect of the connector.',
    { cause: error },
  )
}
