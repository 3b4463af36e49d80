import { decodeBase64, encodeBase64, type Hash, hashBytes, LogFormatError } from './hash.ts'
import { type Note, type NoteVerdict, parseNote, signNote, verifyNote } from './note.ts'
import { isKeyName, type NoteSigner, signatureTypes, type VerifierKey } from './note-key.ts'

/** A signed statement of what a log held: C2SP tlog-checkpoint. */
export interface Checkpoint {
  /** The log's name, unique for all time. */
  readonly origin: string
  readonly size: number
  readonly root: Hash
}

/** The text that is signed. Sallyport writes no extension lines. @throws LogFormatError for an origin that is no key name */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  if (!isKeyName(origin)) throw new LogFormatError('checkpoint', 'an origin that is empty, too long, or has a space or a plus')
  if (!Number.isSafeInteger(size) || size < 0 || root.length !== hashBytes)
    throw new LogFormatError('checkpoint', 'a size or root out of range')
  return `${origin}\n${size}\n${encodeBase64(root)}\n`
}

/** @throws LogFormatError for anything but the text of a checkpoint; extension lines are allowed and passed over */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin = '', sizeText = '', rootText = '', ...rest] = text.split('\n')
  if (rest.pop() !== '' || rest.includes(''))
    throw new LogFormatError('checkpoint', 'not three or more lines that all end in a newline')
  if (origin === '' || origin.length > 255) throw new LogFormatError('checkpoint', 'no origin')
  const size = Number(sizeText)
  if (!/^(0|[1-9]\d{0,15})$/.test(sizeText) || !Number.isSafeInteger(size))
    throw new LogFormatError('checkpoint', 'a size that is no decimal number below 2^53')
  const root = decodeBase64(rootText)
  if (root?.length !== hashBytes) throw new LogFormatError('checkpoint', 'a root that is not base64 of 32 bytes')
  return { origin, size, root }
}

export function signCheckpoint(checkpoint: Checkpoint, signer: NoteSigner): string {
  return signNote(formatCheckpoint(checkpoint), signer)
}

export interface OpenedCheckpoint {
  readonly checkpoint: Checkpoint
  readonly note: Note
  readonly verdict: NoteVerdict
}

/** Parses and checks against these keys; whether the verdict is enough is for the caller to say. @throws LogFormatError */
export function openCheckpoint(source: string, keys: readonly VerifierKey[]): OpenedCheckpoint {
  const note = parseNote(source)
  return { checkpoint: parseCheckpoint(note.text), note, verdict: verifyNote(note, keys) }
}

/** True when a log's key signed it (not a witness) and nothing under a known key's name is wrong. */
export function isSignedByLog(verdict: NoteVerdict): boolean {
  return verdict.failed.length === 0 && verdict.verified.some(({ key }) => key.type === signatureTypes.note)
}

/** True when a witness's key cosigned it and nothing under a known key's name is wrong. */
export function isCosigned(verdict: NoteVerdict): boolean {
  return verdict.failed.length === 0 && verdict.verified.some(({ key }) => key.type === signatureTypes.cosignature)
}
