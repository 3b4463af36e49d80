import { SallyportError } from './error.ts'

declare const brand: unique symbol

/** The unforgeable, single-use proof that one request may run now. Only this file makes one. */
export interface Clearance {
  readonly [brand]: 'clearance'
  readonly digest: string
  readonly bytesSha256: string
  /** Id of the intent event that is durable on the log. */
  readonly intent: string
  /** Rows that may change, enforced before commit. Null: nothing to count. */
  readonly rowsMax: number | null
}

interface Content {
  readonly digest: string
  readonly bytesSha256: string
  readonly intent: string
  readonly rowsMax: number | null
  readonly killEpoch: number
}

const open = new WeakMap<Clearance, Content>()

/** For govern only; the dependency rules forbid importing it elsewhere, and a spec checks the import list. */
export function makeClearance(content: Content): Clearance {
  const { digest, bytesSha256, intent, rowsMax } = content
  const clearance = Object.freeze({ digest, bytesSha256, intent, rowsMax }) as Clearance
  open.set(clearance, content)
  return clearance
}

/**
 * Spends a clearance on the bytes about to be written. Whatever sends to an upstream calls this right before its write,
 * with the digest of what it is about to send and the kill epoch as it is at that moment.
 * @throws SallyportError `clearance_invalid` when it was made by anyone else, was spent before or fits other bytes; `killed` after a kill
 */
export function spendClearance(clearance: Clearance, bytesSha256: string, killEpoch: number): void {
  const content = open.get(clearance)
  if (!content) throw invalid('this clearance was not made by the gate, or was spent before')
  open.delete(clearance)
  if (content.bytesSha256 !== bytesSha256) throw invalid('the bytes to be sent are not those that were cleared')
  if (content.killEpoch !== killEpoch) {
    throw new SallyportError(
      'killed',
      'A kill switch was pulled after this was cleared.',
      'Nothing was sent upstream.',
      'Wait until a person releases the kill.',
    )
  }
}

function invalid(what: string): SallyportError {
  return new SallyportError(
    'clearance_invalid',
    what,
    'Nothing was sent upstream.',
    'Send the request again; if it repeats, report it: this is a defect of the gate.',
  )
}
