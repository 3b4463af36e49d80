import { createHash, createPublicKey, verify } from 'node:crypto'
import { z } from 'zod'
import { canonicalJson } from '../canonical.ts'
import { LogFormatError } from './hash.ts'

/**
 * A beginning of the log that lies in the vault: entries `first` to before `next`, as the bundles `tile/entries/…` of a snapshot of kind `log`. What
 * says so is the vault's signed manifest of that snapshot, kept beside the log as its receipt (docs/formats.md).
 */
export interface ArchivedRange {
  readonly first: number
  readonly next: number
  /** The log it is of. */
  readonly origin: string
  /** SHA-256 of the receipt: the vault's name for the snapshot. */
  readonly snapshot: string
  /** The vault's public key, hex. */
  readonly vault: string
  readonly madeAtMs: number
  /** As it was sealed; the vault may have been told to keep it for longer. */
  readonly retainUntilMs: number
}

/** The upstream that such snapshots are of, which no configuration can name. */
export const archiveUpstream = 'sallyport log'
/** Where receipts lie beside the log. */
export const receiptsDirectory = 'archived'
/** As large as a manifest of a vault can be. */
export const receiptBytesMax = 128 << 20

const digestPattern = /^log:(0|[1-9]\d{0,15})-([1-9]\d{0,15})$/
const receiptShape = z.object({
  vault: z.string().regex(/^[0-9a-f]{64}$/),
  upstream: z.literal(archiveUpstream),
  upstreamIdentity: z.string().min(1).max(1024),
  digest: z.string().regex(digestPattern),
  madeAtMs: z.int().min(0),
  retainUntilMs: z.int().min(0),
})
/** What the snapshot's `digest` says. */
export function archiveDigest(first: number, next: number): string {
  return `log:${first}-${next}`
}

export function receiptName(first: number): string {
  return `${String(first).padStart(16, '0')}.receipt`
}

export function isReceiptName(name: string): boolean {
  return /^\d{16}\.receipt$/.test(name)
}

/**
 * Reads a receipt: two lines, canonical JSON and a signature of it by the vault that it names. Whether that vault is the right one is for the caller to
 * say. @throws LogFormatError
 */
export function readReceipt(bytes: Uint8Array): ArchivedRange {
  const [line = '', signature = '', rest, ...more] = Buffer.from(bytes).toString('utf8').split('\n')
  if (rest !== '' || more.length > 0) throw new LogFormatError('receipt', 'it is not two lines')
  const parsed = receiptShape.safeParse(parseJson(line))
  if (!parsed.success) throw new LogFormatError('receipt', 'it does not speak of a part of a log')
  const { vault, upstreamIdentity: origin, digest, madeAtMs, retainUntilMs } = parsed.data
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(vault, 'hex').toString('base64url') },
    format: 'jwk',
  })
  const signed = Buffer.from(`sallyport vault manifest v1\n${line}`)
  if (!verify(null, signed, key, Buffer.from(signature, 'base64')))
    throw new LogFormatError('receipt', 'the vault that it names did not sign it')
  const [, first, next] = digestPattern.exec(digest) ?? []
  const range = { first: Number(first), next: Number(next) }
  if (!Number.isSafeInteger(range.next) || range.next <= range.first)
    throw new LogFormatError('receipt', 'it speaks of no entries')
  return { ...range, origin, snapshot: createHash('sha256').update(bytes).digest('hex'), vault, madeAtMs, retainUntilMs }
}

/** How far these ranges reach from the log's first entry on without a gap. */
export function coveredUntil(ranges: readonly ArchivedRange[]): number {
  let until = 0
  for (const { first, next } of ranges.toSorted((left, right) => left.first - right.first))
    if (first <= until) until = Math.max(until, next)
  return until
}

/** The range that holds an entry. */
export function rangeOf(ranges: readonly ArchivedRange[], index: number): ArchivedRange | null {
  return ranges.find(({ first, next }) => first <= index && index < next) ?? null
}

function parseJson(line: string): unknown {
  try {
    const value: unknown = JSON.parse(line)
    // One document has one form: no second receipt says the same.
    return canonicalJson(z.json().parse(value)) === line ? value : null
  } catch {
    return null
  }
}
