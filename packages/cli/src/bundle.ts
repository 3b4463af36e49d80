import {
  decodeBase64,
  decodeEntry,
  type Event,
  formatVerifierKey,
  isCosigned,
  followRotations,
  isSignedByKey,
  type LogKey,
  parseRotation,
  leafHash,
  LogFormatError,
  openCheckpoint,
  type OpenedCheckpoint,
  signatureTypes,
  type VerifierKey,
  parseVerifierKey,
  verifyInclusion,
} from '@sallyport/core'
import { z } from 'zod'

/** Entries of one file; a longer story is several files. */
export const bundleEntriesMax = 2_000
/** Of the file. */
export const bundleBytesMax = 64 * 1024 * 1024

const hash = z.string().max(64)
export const bundleShape = z.strictObject({
  format: z.literal('sallyport-bundle/1'),
  /** What was asked for, in words. */
  about: z.string().max(500),
  checkpoint: z.string().max(64 * 1024),
  /** Verifier keys as found beside the log: whoever made this file may have made them too. */
  keys: z.array(z.string().max(512)).max(16),
  /** What those keys were replaced by. Absent in files of earlier versions. */
  rotations: z.array(z.string().max(4_096)).max(64).exactOptional(),
  entries: z
    .array(
      z.strictObject({
        index: z.int().min(0),
        size: z.int().min(1),
        entry: z.string().max(66_000),
        proof: z.array(hash).max(64),
      }),
    )
    .min(1)
    .max(bundleEntriesMax),
})
export type Bundle = z.infer<typeof bundleShape>

export interface BundleReport {
  readonly ok: boolean
  readonly origin: string
  readonly size: number
  readonly root: string
  readonly signedByLog: boolean
  /** When a witness said that it had seen this tree, seconds since 1970; null: none of the keys is a witness's, or it did not sign. */
  readonly witnessTimeS: number | null
  /** Where the keys came from: `bundle` proves nothing against whoever made the file. */
  readonly keysFrom: 'caller' | 'bundle'
  readonly keys: readonly string[]
  readonly findings: readonly string[]
  readonly entries: readonly { readonly index: number; readonly isProven: boolean; readonly event: Event | null }[]
}

/** Checks a bundle with nothing but itself and, better, keys from elsewhere. Total: whatever is wrong is a finding. */
export function verifyBundle(bundle: Bundle, given: readonly VerifierKey[]): BundleReport {
  const findings: string[] = []
  const keys = given.length > 0 ? given : readKeys(bundle.keys, findings)
  const known = follow(keys, bundle.rotations ?? [], findings)
  const opened = open(
    bundle.checkpoint,
    known.map(({ key }) => key),
    findings,
  )
  const { size, root, origin } = opened?.checkpoint ?? { size: 0, root: Buffer.alloc(32), origin: 'unknown' }
  const signedByLog = opened !== null && isSignedByKey(opened, known)
  if (opened !== null && !signedByLog) findings.push('The checkpoint is not signed by a key of the log that is known here.')
  const isWitnessed = opened !== null && isCosigned(opened.verdict)
  const times = opened?.verdict.verified.flatMap(({ timeS }) => timeS ?? []) ?? []
  const entries = bundle.entries.map((one) => {
    const proof = one.proof.map((text) => decodeBase64(text) ?? Buffer.alloc(0))
    const bytes = Buffer.from(one.entry)
    const isProven = one.size === size && verifyInclusion(leafHash(bytes), one.index, size, proof, root)
    if (!isProven) findings.push(`Entry ${one.index} is not in the tree that the checkpoint signs.`)
    return { index: one.index, isProven, event: readEvent(bytes, one.index, findings) }
  })
  return {
    ok: findings.length === 0,
    origin,
    size,
    root: Buffer.from(root).toString('base64'),
    signedByLog,
    witnessTimeS: isWitnessed ? Math.max(...times) : null,
    keysFrom: given.length > 0 ? 'caller' : 'bundle',
    keys: keys.map(formatVerifierKey),
    findings,
    entries,
  }
}

function readKeys(texts: readonly string[], findings: string[]): readonly VerifierKey[] {
  return texts.flatMap((text) => {
    try {
      return [parseVerifierKey(text)]
    } catch {
      findings.push('A key in the file cannot be read.')
      return []
    }
  })
}

/** The keys as they were handed on. What cannot be followed is a finding, and the keys stay as they are. */
function follow(keys: readonly VerifierKey[], notes: readonly string[], findings: string[]): readonly LogKey[] {
  try {
    return followRotations(keys, notes.map(parseRotation))
  } catch (error) {
    if (!(error instanceof LogFormatError)) throw error
    findings.push(`What the keys were replaced by cannot be believed: ${error.message}.`)
    return followRotations(keys, [])
  }
}

function open(text: string, keys: readonly VerifierKey[], findings: string[]): OpenedCheckpoint | null {
  try {
    return openCheckpoint(text, keys)
  } catch (error) {
    if (!(error instanceof LogFormatError)) throw error
    findings.push(`The checkpoint cannot be read: ${error.message}.`)
    return null
  }
}

function readEvent(bytes: Uint8Array, index: number, findings: string[]): Event | null {
  try {
    return decodeEntry(bytes)
  } catch {
    findings.push(`Entry ${index} is no event.`)
    return null
  }
}

/** Keys of the log and of witnesses from what a person gave. @throws LogFormatError */
export function keysOf(logKeys: readonly string[], witnessKeys: readonly string[]): readonly VerifierKey[] {
  const read = (texts: readonly string[], type: number): readonly VerifierKey[] =>
    texts.map(parseVerifierKey).map((key) => {
      if (key.type !== type) throw new LogFormatError('key', 'of another kind than it was given as')
      return key
    })
  return [...read(logKeys, signatureTypes.note), ...read(witnessKeys, signatureTypes.cosignature)]
}
