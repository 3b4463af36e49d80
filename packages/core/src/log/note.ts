import { decodeBase64, encodeBase64, LogFormatError } from './hash.ts'
import { isKeyName, type NoteSigner, signatureTypes, type VerifierKey, verifySignature } from './note-key.ts'

/** C2SP signed-note: text, a blank line, signature lines. */
export interface Note {
  /** With its final newline; what is signed. */
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

export interface NoteSignature {
  readonly name: string
  readonly keyId: number
  readonly bytes: Uint8Array
}

/** What came of checking a note against keys. Signatures by other keys are in neither list (C2SP signed-note demands it). */
export interface NoteVerdict {
  /** `timeS`: seconds since 1970 for a cosignature, else null. */
  readonly verified: readonly { readonly key: VerifierKey; readonly timeS: number | null }[]
  /** Known keys under whose name and id a wrong signature stands: the note is not to be believed. */
  readonly failed: readonly VerifierKey[]
}

const noteCharactersMax = 64 * 1024
const signaturesMax = 64
const signatureBytes = 64
const timeBytes = 8

/** @throws LogFormatError for anything but a well-formed note with at least one signature */
export function parseNote(source: string): Note {
  if (source.length > noteCharactersMax) throw new LogFormatError('note', `more than ${noteCharactersMax} characters`)
  if (!source.isWellFormed()) throw new LogFormatError('note', 'not valid Unicode')
  if (/[\u0000-\u0009\u000b-\u001f]/.test(source)) throw new LogFormatError('note', 'a control character')
  const split = source.lastIndexOf('\n\n')
  if (split < 0 || !source.endsWith('\n')) throw new LogFormatError('note', 'no signatures behind a blank line')
  return { text: source.slice(0, split + 1), signatures: parseSignatureLines(source.slice(split + 2)) }
}

/** One or more signature lines, each with its newline. @throws LogFormatError */
export function parseSignatureLines(source: string): readonly NoteSignature[] {
  if (source.length > noteCharactersMax || !source.endsWith('\n')) throw new LogFormatError('note', 'no complete signature line')
  const lines = source.slice(0, -1).split('\n')
  if (lines.length > signaturesMax) throw new LogFormatError('note', `more than ${signaturesMax} signatures`)
  return lines.map(parseSignatureLine)
}

function parseSignatureLine(line: string): NoteSignature {
  const [dash, name, encoded, ...rest] = line.split(' ')
  if (dash !== '—' || name === undefined || encoded === undefined || rest.length > 0)
    throw new LogFormatError('note', 'a line among the signatures that is none')
  const bytes = decodeBase64(encoded)
  if (!isKeyName(name) || !bytes || bytes.length < 5)
    throw new LogFormatError('note', 'a signature line with a bad name or signature')
  return { name, keyId: Buffer.from(bytes.subarray(0, 4)).readUInt32BE(0), bytes: bytes.subarray(4) }
}

export function formatSignatureLine(key: VerifierKey, signature: Uint8Array): string {
  const id = Buffer.alloc(4)
  id.writeUInt32BE(key.id)
  return `— ${key.name} ${encodeBase64(Buffer.concat([id, signature]))}\n`
}

/** A note of this text with this signature. @throws LogFormatError for a text that no note can carry */
export function signNote(text: string, signer: NoteSigner): string {
  if (signer.key.type !== signatureTypes.note) throw new LogFormatError('key', 'a witness key signs no notes')
  const note = `${text}\n${formatSignatureLine(signer.key, signer.sign(Buffer.from(text)))}`
  if (!text.endsWith('\n') || parseNote(note).text !== text) throw new LogFormatError('note', 'this text cannot be signed')
  return note
}

/**
 * A witness's statement that at `timeS` this checkpoint was the largest consistent one it had seen (C2SP tlog-cosignature, v1).
 * Persist the checkpoint before giving the line away.
 */
export function cosignNote(text: string, signer: NoteSigner, timeS: number): string {
  if (signer.key.type !== signatureTypes.cosignature) throw new LogFormatError('key', 'not the key of a witness')
  const time = Buffer.alloc(timeBytes)
  time.writeBigUInt64BE(BigInt(timeS))
  return formatSignatureLine(signer.key, Buffer.concat([time, signer.sign(cosignedMessage(text, timeS))]))
}

function cosignedMessage(text: string, timeS: number): Uint8Array {
  return Buffer.from(`cosignature/v1\ntime ${timeS}\n${text}`)
}

/** Adds signature lines to a note; a line that is there already is not repeated. @throws LogFormatError */
export function addSignatures(note: string, lines: string): string {
  parseSignatureLines(lines)
  const fresh = lines.split('\n').filter((line) => line !== '' && !note.split('\n').includes(line))
  const joined = fresh.reduce((result, line) => `${result}${line}\n`, note)
  parseNote(joined)
  return joined
}

/** Checks every signature by one of these keys. */
export function verifyNote(note: Note, keys: readonly VerifierKey[]): NoteVerdict {
  const verified: { key: VerifierKey; timeS: number | null }[] = []
  const failed: VerifierKey[] = []
  for (const signature of note.signatures) {
    const key = keys.find((candidate) => candidate.name === signature.name && candidate.id === signature.keyId)
    if (!key) continue
    const timeS = key.type === signatureTypes.cosignature ? cosignatureTime(signature.bytes) : null
    const right =
      key.type === signatureTypes.cosignature
        ? timeS !== null && verifySignature(key, cosignedMessage(note.text, timeS), signature.bytes.subarray(timeBytes))
        : signature.bytes.length === signatureBytes && verifySignature(key, Buffer.from(note.text), signature.bytes)
    if (right) verified.push({ key, timeS })
    else failed.push(key)
  }
  return { verified, failed }
}

function cosignatureTime(bytes: Uint8Array): number | null {
  if (bytes.length !== timeBytes + signatureBytes) return null
  const timeS = Number(Buffer.from(bytes.subarray(0, timeBytes)).readBigUInt64BE(0))
  return Number.isSafeInteger(timeS) ? timeS : null
}
