import { hash } from 'node:crypto'

/** A SHA-256 value: always 32 bytes. */
export type Hash = Uint8Array

export const hashBytes = 32

/** The largest entry a tile bundle can carry: its length is an unsigned 16-bit number (C2SP tlog-tiles). */
export const entryBytesMax = 65_535

/** What every decoder of this folder throws for bytes that are not what they should be; nothing else. */
export class LogFormatError extends Error {
  readonly part: 'note' | 'key' | 'checkpoint' | 'tile' | 'bundle' | 'path' | 'segment' | 'entry' | 'receipt'
  constructor(part: LogFormatError['part'], message: string) {
    super(`${part}: ${message}`)
    this.name = 'LogFormatError'
    this.part = part
  }
}

// Hashing is synchronous, so one scratch buffer of each kind serves everybody and the hot path allocates nothing but the result.
const leafScratch = Buffer.alloc(1 + entryBytesMax)
const nodeScratch = Buffer.alloc(1 + 2 * hashBytes)
nodeScratch[0] = 1

// Leaves are made one after the other and kept, or dropped, together: as many as a tile has lie in one piece of memory. An array buffer for
// each would be collected one by one, which costs more than the hash.
const leavesInPiece = 256
let piece = Buffer.alloc(0)
let pieceUsed = 0

/** RFC 6962 §2.1: SHA-256(0x00 ‖ entry). */
export function leafHash(entry: Uint8Array): Hash {
  if (entry.length > entryBytesMax) throw new LogFormatError('entry', `${entry.length} bytes, at most ${entryBytesMax}`)
  leafScratch.set(entry, 1)
  const bytes = hash('sha256', leafScratch.subarray(0, 1 + entry.length), 'binary')
  if (pieceUsed + hashBytes > piece.length) {
    piece = Buffer.allocUnsafeSlow(leavesInPiece * hashBytes)
    pieceUsed = 0
  }
  const leaf = piece.subarray(pieceUsed, pieceUsed + hashBytes)
  leaf.write(bytes, 'latin1')
  pieceUsed += hashBytes
  return leaf
}

/** RFC 6962 §2.1: SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Hash, right: Hash): Hash {
  nodeScratch.set(left, 1)
  nodeScratch.set(right, 1 + hashBytes)
  return hash('sha256', nodeScratch, 'buffer')
}

/** The root of 2^n hashes of one level, n > 0. What is in between is text, one character a byte, which leaves nothing behind. */
export function rootOfMany(hashes: readonly Hash[]): Hash {
  let level: string[] = []
  for (let place = 0; place + 1 < hashes.length; place += 2) {
    nodeScratch.set(hashes[place] ?? emptyRoot(), 1)
    nodeScratch.set(hashes[place + 1] ?? emptyRoot(), 1 + hashBytes)
    level.push(hash('sha256', nodeScratch, 'binary'))
  }
  while (level.length > 1) {
    const above: string[] = []
    for (let place = 0; place + 1 < level.length; place += 2) {
      nodeScratch.write(level[place] ?? '', 1, 'latin1')
      nodeScratch.write(level[place + 1] ?? '', 1 + hashBytes, 'latin1')
      above.push(hash('sha256', nodeScratch, 'binary'))
    }
    level = above
  }
  const root = Buffer.allocUnsafeSlow(hashBytes)
  root.write(level[0] ?? '', 'latin1')
  return root
}

/** The root of a tree without leaves: SHA-256 of nothing. */
export function emptyRoot(): Hash {
  return hash('sha256', Buffer.alloc(0), 'buffer')
}

export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0
}

/** Standard base64 with padding, and only the one spelling an encoder would have written; null for anything else. */
export function decodeBase64(text: string): Uint8Array | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : null
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}
