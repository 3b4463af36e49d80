import { describe, expect, it } from 'vitest'
import { openCheckpoint, signCheckpoint } from './checkpoint.ts'
import {
  currentKey,
  followRotations,
  formatRotations,
  isSignedByKey,
  parseRotation,
  parseRotations,
  signRotation,
} from './key-rotation.ts'
import { addSignatures, signNote } from './note.ts'
import { formatVerifierKey, type NoteSigner, noteSigner, signatureTypes } from './note-key.ts'

const origin = 'gate.example/log'
const key = (byte: number): NoteSigner => noteSigner(origin, Buffer.alloc(32, byte))
const [first, second, third, thief] = [key(1), key(2), key(3), key(9)] as const
const other = noteSigner('gate.example/other', Buffer.alloc(32, 4))
const rotations = [signRotation(first, second, 10), signRotation(second, third, 20)]

function believed(size: number, by: readonly NoteSigner[], known = rotations, pinned = [first.key]): boolean {
  const checkpoint = { origin, size, root: Buffer.alloc(32, 5) }
  const [head = '', ...rest] = by.map((signer) => signCheckpoint(checkpoint, signer))
  const text = rest.reduce((note, one) => addSignatures(note, one.slice(one.indexOf('\n\n') + 2)), head)
  const keys = followRotations(pinned, known)
  return isSignedByKey(
    openCheckpoint(
      text,
      keys.map((one) => one.key),
    ),
    keys,
  )
}

describe('rotation of a log’s key', () => {
  it('is followed from any key that was pinned, to the last one', () => {
    expect(currentKey(first.key, rotations)).toEqual(third.key)
    expect(currentKey(second.key, rotations)).toEqual(third.key)
    expect(currentKey(third.key, rotations)).toEqual(third.key)
    expect(parseRotations(formatRotations(rotations))).toEqual(rotations)
  })

  it('lets each key speak of trees up to where it was replaced', () => {
    expect(believed(10, [first])).toBe(true)
    expect(believed(15, [second])).toBe(true)
    expect(believed(25, [third])).toBe(true)
    expect(believed(10, [first, second])).toBe(true)
  })

  it('believes no larger tree of a key that was replaced: it may have been stolen since', () => {
    expect(believed(11, [first])).toBe(false)
    expect(believed(21, [second])).toBe(false)
    expect(believed(21, [first, second])).toBe(false)
    expect(believed(25, [thief])).toBe(false)
  })

  it('believes no successor that the pinned key did not name', () => {
    expect(believed(25, [third], [])).toBe(false)
    expect(believed(15, [second], [signRotation(thief, second, 10)])).toBe(false)
    expect(believed(10, [first], rotations, [third.key])).toBe(false)
  })

  it('believes neither of two successors', () => {
    expect(() => followRotations([first.key], [...rotations, signRotation(first, thief, 10)])).toThrow('replaced twice')
  })

  it('ends where rotations go in a circle', () => {
    expect(followRotations([first.key], [signRotation(first, second, 1), signRotation(second, first, 2)])).toHaveLength(2)
  })

  const [note = ''] = rotations.map((one) => one.note)
  const text = note.slice(0, note.indexOf('\n\n') + 1)
  const lines = note.slice(text.length + 1)
  const signedBy = (signer: NoteSigner, changed = text): string => signNote(changed, signer)
  const toOther = text.replace(formatVerifierKey(second.key), formatVerifierKey(other.key))
  const witness = noteSigner(origin, Buffer.alloc(32, 2), signatureTypes.cosignature)
  it.each([
    ['only the old key signed it', signedBy(first)],
    ['only the new key signed it', signedBy(second)],
    ['somebody else signed it for the old key', addSignatures(signedBy(second), signedBy(thief).slice(text.length + 1))],
    ['its size was changed', `${text.replace('\n10\n', '\n11\n')}\n${lines}`],
    ['its new key was changed', `${text.replace(formatVerifierKey(second.key), formatVerifierKey(thief.key))}\n${lines}`],
    [
      'it hands over to a key of another log',
      addSignatures(signedBy(first, toOther), signedBy(other, toOther).slice(toOther.length + 1)),
    ],
    ['it hands over to itself', signedBy(first, text.replace(formatVerifierKey(second.key), formatVerifierKey(first.key)))],
    [
      'it hands over to the key of a witness',
      signedBy(first, text.replace(formatVerifierKey(second.key), formatVerifierKey(witness.key))),
    ],
    ['it has a line more', signedBy(first, `${text}x\n`)],
    ['it is a checkpoint', signCheckpoint({ origin, size: 10, root: Buffer.alloc(32) }, first)],
    ['it is empty', ''],
  ])('is refused when %s', (_, given) => {
    expect(() => parseRotation(given)).toThrow(/./)
  })

  it.each(['', '{}', '[1]', '["x"]', `["${'x'.repeat(5_000)}"]`])('is refused in a list like %s', (given) => {
    expect(() => parseRotations(given)).toThrow(/./)
  })
})
