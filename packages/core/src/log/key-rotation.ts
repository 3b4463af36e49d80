import { z } from 'zod'
import type { OpenedCheckpoint } from './checkpoint.ts'
import { LogFormatError } from './hash.ts'
import { addSignatures, parseNote, signNote, verifyNote } from './note.ts'
import { formatVerifierKey, type NoteSigner, parseVerifierKey, signatureTypes, type VerifierKey } from './note-key.ts'

const firstLine = 'sallyport: the key of a log is replaced'
/** Rotations of one log; more would not fit where they are kept. */
const rotationsMax = 64
const rotationBytesMax = 4_096
export const rotationsBytesMax = 256 * 1024

/** One key of a log hands over to the next: a note signed by both. */
export interface KeyRotation {
  readonly from: VerifierKey
  readonly to: VerifierKey
  /** The largest tree that the old key may have signed. */
  readonly size: number
  readonly note: string
}

/** A key of a log, and how far it may be believed. */
export interface LogKey {
  readonly key: VerifierKey
  /** The largest tree that it may have signed; Infinity for one that nobody replaced. */
  readonly sizeMax: number
}

/** @throws LogFormatError for keys that are not of one log */
export function signRotation(from: NoteSigner, to: NoteSigner, size: number): KeyRotation {
  const text = [firstLine, from.key.name, formatVerifierKey(from.key), formatVerifierKey(to.key), String(size), ''].join('\n')
  const signed = [from, to].map((signer) => signNote(text, signer))
  const [first = '', second = ''] = signed
  return parseRotation(addSignatures(first, second.slice(text.length + 1)))
}

/** @throws LogFormatError for anything but a handing over that both keys signed */
export function parseRotation(note: string): KeyRotation {
  if (note.length > rotationBytesMax) throw new LogFormatError('note', 'a rotation above 4 KiB')
  const parsed = parseNote(note)
  const [head, origin = '', fromText = '', toText = '', sizeText = '', end, ...rest] = parsed.text.split('\n')
  const size = Number(sizeText)
  if (head !== firstLine || end !== '' || rest.length > 0) throw new LogFormatError('note', 'this is no rotation of a key')
  if (!/^(0|[1-9]\d{0,15})$/.test(sizeText) || !Number.isSafeInteger(size))
    throw new LogFormatError('note', 'a rotation whose size is no number')
  const [from, to] = [parseVerifierKey(fromText), parseVerifierKey(toText)]
  if ([from, to].some(({ type, name }) => type !== signatureTypes.note || name !== origin) || from.id === to.id)
    throw new LogFormatError('key', 'a rotation between keys that are not two of one log')
  const { verified, failed } = verifyNote(parsed, [from, to])
  const isSigned = (key: VerifierKey): boolean => verified.some((one) => one.key === key)
  if (failed.length > 0 || !isSigned(from) || !isSigned(to))
    throw new LogFormatError('note', 'a rotation that not both keys have signed')
  return { from, to, size, note }
}

const fileShape = z.array(z.string().max(rotationBytesMax)).max(rotationsMax)

/** The file of all rotations of a log, oldest first. @throws LogFormatError */
export function parseRotations(text: string): readonly KeyRotation[] {
  if (text.length > rotationsBytesMax) throw new LogFormatError('note', 'a list of rotations above 256 KiB')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new LogFormatError('note', 'the list of rotations is no JSON')
  }
  const notes = fileShape.safeParse(value)
  if (!notes.success) throw new LogFormatError('note', 'the list of rotations is no list of notes')
  return notes.data.map(parseRotation)
}

export function formatRotations(rotations: readonly KeyRotation[]): string {
  return `${JSON.stringify(rotations.map(({ note }) => note))}\n`
}

/**
 * What may be believed, from keys that are trusted: each, up to where it was replaced, and whatever it was replaced by. A key that two
 * rotations hand over differently was stolen, so neither successor is believed. @throws LogFormatError for that
 */
export function followRotations(trusted: readonly VerifierKey[], rotations: readonly KeyRotation[]): readonly LogKey[] {
  const followed = new Map<string, LogKey>()
  const waiting = [...trusted]
  for (let key = waiting.shift(); key !== undefined; key = waiting.shift()) {
    const text = formatVerifierKey(key)
    if (followed.has(text)) continue
    const handed = rotations.filter(({ from }) => formatVerifierKey(from) === text)
    const [first] = handed
    if (handed.some(({ note }) => note !== first?.note))
      throw new LogFormatError(
        'key',
        `the key ${key.id.toString(16)} was replaced twice, by different keys: one of the two is a thief's`,
      )
    followed.set(text, { key, sizeMax: first?.size ?? Infinity })
    if (first !== undefined) waiting.push(first.to)
  }
  return [...followed.values()]
}

/** The key at the end of the chain from this one. */
export function currentKey(pinned: VerifierKey, rotations: readonly KeyRotation[]): VerifierKey {
  return followRotations([pinned], rotations).at(-1)?.key ?? pinned
}

/** The keys before this one, each up to where it was replaced: what is told of them is signed by the one after. */
export function keysUpTo(current: VerifierKey, rotations: readonly KeyRotation[]): readonly LogKey[] {
  const keys: LogKey[] = [{ key: current, sizeMax: Infinity }]
  let next: VerifierKey | undefined = current
  while (next !== undefined && keys.length <= rotationsMax) {
    const text = formatVerifierKey(next)
    const handed: KeyRotation | undefined = rotations.find(({ to }) => formatVerifierKey(to) === text)
    next = handed?.from
    if (handed !== undefined) keys.push({ key: handed.from, sizeMax: handed.size })
  }
  return keys
}

/** True when a key of this log signed it that may speak of a tree of this size. */
export function isSignedByKey({ checkpoint, verdict }: OpenedCheckpoint, keys: readonly LogKey[]): boolean {
  if (verdict.failed.length > 0) return false
  return verdict.verified.some(({ key }) =>
    keys.some((one) => one.key === key && key.name === checkpoint.origin && checkpoint.size <= one.sizeMax),
  )
}
