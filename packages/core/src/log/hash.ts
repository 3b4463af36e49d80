import { hash } from 'node:crypto'

/** A SHA-256 value: always 32 bytes. */
export type Hash = Uint8Array

export const hashBytes = 32

/** The largest entry a tile bundle can carry: its length is an unsigned 16-bit number (C2SP tlog-tiles). */
export const entryBytesMax = 65_535

/** What every decoder of this folder throws for bytes that are not what they should be; nothing else. */
export class LogFormatError extends Error {
  readonly part: 'note' | 'key' | 'checkpoint' | 'tile' | 'bundle' | 'path' | 'segment' | 'entry'
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

/** RFC 6962 §2.1: SHA-256(0x00 ‖ entry). */
export function leafHash(entry: Uint8Array): Hash {
  if (entry.length > entryBytesMax) throw new LogFormatError('entry', `${entry.length} bytes, at most ${entryBytesMax}`)
  leafScratch.set(entry, 1)
  return hash('sha256', leafScratch.subarray(0, 1 + entry.length), 'buffer')
}

/** RFC 6962 §2.1: SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Hash, right: Hash): Hash {
  nodeScratch.set(left, 1)
  nodeScratch.set(right, 1 + hashBytes)
  return hash('sha256', nodeScratch, 'buffer')
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
