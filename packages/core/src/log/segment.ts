import { hash } from 'node:crypto'
import { entryBytesMax, LogFormatError } from './hash.ts'

/**
 * The file format of the log (docs/formats.md). A segment is a header and groups; a group is what one fdatasync made durable:
 *
 *   segment  magic(8) first index(8) checksum(8)
 *   group    magic(4) first index(8) entries(4) body bytes(4) checksum(8) body
 *   body     for each entry: length(4) bytes
 *
 * Numbers are big-endian; a checksum is the first 8 bytes of SHA-256 over all of the header before it and the body after it.
 * The magic holds bytes that canonical JSON never holds, so no text of an agent can pass for a group.
 */
const segmentMagic = Buffer.from('\u0000slyprt1', 'latin1')
const groupMagic = Buffer.from('\u0000\u001eGR', 'latin1')
const checksumBytes = 8
export const segmentHeaderBytes = 24
export const groupHeaderBytes = 28
/** A group is written by one call; this bounds what recovery must hold and what a power cut can tear. */
export const groupBytesMax = 16 * 1024 * 1024
export const segmentBytesMax = 1024 * 1024 * 1024

export interface Group {
  readonly firstIndex: number
  /** Of its first byte in the segment. */
  readonly position: number
  readonly entries: readonly Uint8Array[]
  /** False when only its checksum is wrong: what it holds can be looked at, not believed. */
  readonly intact: boolean
}

export interface Segment {
  readonly firstIndex: number
  readonly groups: readonly Group[]
  readonly nextIndex: number
  /** Bytes up to the end of the last group that could be read. */
  readonly end: number
  /**
   * What follows `end`. `none`: nothing, or zeros written ahead of the groups. `torn`: nothing that can be read, as a write cut off by a crash leaves it. `damaged`: groups follow it, so what
   * lies between was durable once.
   */
  readonly rest: 'none' | 'torn' | 'damaged'
}

export function segmentName(firstIndex: number): string {
  return `${String(firstIndex).padStart(16, '0')}.log`
}

/** The first index of a segment by its file name; null for the name of anything else. */
export function parseSegmentName(name: string): number | null {
  const index = /^\d{16}\.log$/.test(name) ? Number(name.slice(0, 16)) : null
  return index !== null && Number.isSafeInteger(index) ? index : null
}

export function encodeSegmentHeader(firstIndex: number): Uint8Array {
  const header = Buffer.alloc(segmentHeaderBytes)
  segmentMagic.copy(header)
  header.writeBigUInt64BE(BigInt(firstIndex), 8)
  checksum(header.subarray(0, 16)).copy(header, 16)
  return header
}

/** @throws LogFormatError for an entry that no group can carry */
export function encodeGroup(firstIndex: number, entries: readonly Uint8Array[]): Uint8Array {
  const bodyBytes = entries.reduce((total, entry) => total + 4 + entry.length, 0)
  const bytes = Buffer.allocUnsafe(groupHeaderBytes + bodyBytes)
  groupMagic.copy(bytes)
  bytes.writeBigUInt64BE(BigInt(firstIndex), 4)
  bytes.writeUInt32BE(entries.length, 12)
  bytes.writeUInt32BE(bodyBytes, 16)
  let position = groupHeaderBytes
  for (const entry of entries) {
    if (entry.length > entryBytesMax) throw new LogFormatError('segment', `an entry of ${entry.length} bytes`)
    bytes.writeUInt32BE(entry.length, position)
    bytes.set(entry, position + 4)
    position += 4 + entry.length
  }
  groupChecksum(bytes, 0, bodyBytes).copy(bytes, 20)
  return bytes
}

function checksum(bytes: Uint8Array): Buffer {
  return Buffer.from(hash('sha256', bytes, 'binary').slice(0, checksumBytes), 'latin1')
}

const checksumScratch = Buffer.alloc(20 + 32)

/** Over header and body with the checksum's own place taken out: two hashes, so that nothing has to be copied. */
function groupChecksum(bytes: Buffer, position: number, bodyBytes: number): Buffer {
  const body = hash('sha256', bytes.subarray(position + groupHeaderBytes, position + groupHeaderBytes + bodyBytes), 'binary')
  bytes.copy(checksumScratch, 0, position, position + 20)
  checksumScratch.write(body, 20, 'latin1')
  return checksum(checksumScratch)
}

/**
 * Reads a whole segment.
 * @param lenient also returns groups of which only the checksum is wrong, for finding out what was changed
 * @throws LogFormatError when its own header is not one
 */
export function decodeSegment(source: Uint8Array, lenient = false): Segment {
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
  if (bytes.length > segmentBytesMax) throw new LogFormatError('segment', `above ${segmentBytesMax} bytes`)
  const firstIndex = decodeSegmentHeader(bytes)
  const groups: Group[] = []
  let nextIndex = firstIndex
  let end = segmentHeaderBytes
  while (end < bytes.length) {
    const group = decodeGroup(bytes, end)
    if (!group || group.firstIndex !== nextIndex || (!group.intact && !lenient)) break
    groups.push(group)
    nextIndex += group.entries.length
    end = group.end
  }
  return {
    firstIndex,
    groups,
    nextIndex,
    end,
    rest: isZero(bytes, end) ? 'none' : holdsGroup(bytes, end + 1) ? 'damaged' : 'torn',
  }
}

const zeros = Buffer.alloc(64 * 1024)

/** Whether nothing but zeros, or nothing at all, stands from here on. */
function isZero(bytes: Buffer, from: number): boolean {
  for (let at = from; at < bytes.length; at += zeros.length) {
    const piece = bytes.subarray(at, at + zeros.length)
    if (!piece.equals(zeros.subarray(0, piece.length))) return false
  }
  return true
}

function decodeSegmentHeader(bytes: Buffer): number {
  if (bytes.length < segmentHeaderBytes || !bytes.subarray(0, 8).equals(segmentMagic))
    throw new LogFormatError('segment', 'not a segment of a log')
  if (!checksum(bytes.subarray(0, 16)).equals(bytes.subarray(16, 24)))
    throw new LogFormatError('segment', 'a header that is damaged')
  const firstIndex = Number(bytes.readBigUInt64BE(8))
  if (!Number.isSafeInteger(firstIndex)) throw new LogFormatError('segment', 'an index past 2^53')
  return firstIndex
}

/** A group that begins at this position, or null. */
export function decodeGroup(bytes: Buffer, position: number): (Group & { readonly end: number }) | null {
  const header = decodeGroupHeader(bytes, position)
  if (!header || position + groupHeaderBytes + header.bodyBytes > bytes.length) return null
  const end = position + groupHeaderBytes + header.bodyBytes
  const entries: Uint8Array[] = []
  let at = position + groupHeaderBytes
  while (entries.length < header.count) {
    if (at + 4 > end) return null
    const length = bytes.readUInt32BE(at)
    if (length > entryBytesMax || at + 4 + length > end) return null
    entries.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  if (at !== end) return null
  const intact = groupChecksum(bytes, position, header.bodyBytes).equals(
    bytes.subarray(position + 20, position + groupHeaderBytes),
  )
  return { firstIndex: header.firstIndex, position, entries, intact, end }
}

/** The header of a group, for walking over groups without reading them; null when none begins here. */
export function decodeGroupHeader(
  bytes: Buffer,
  position: number,
): { readonly firstIndex: number; readonly count: number; readonly bodyBytes: number } | null {
  if (position + groupHeaderBytes > bytes.length || !bytes.subarray(position, position + 4).equals(groupMagic)) return null
  const firstIndex = Number(bytes.readBigUInt64BE(position + 4))
  const count = bytes.readUInt32BE(position + 12)
  const bodyBytes = bytes.readUInt32BE(position + 16)
  if (!Number.isSafeInteger(firstIndex) || count === 0 || bodyBytes < 4 * count || bodyBytes > groupBytesMax) return null
  return { firstIndex, count, bodyBytes }
}

/** Whether any intact group begins at or after this position. */
function holdsGroup(bytes: Buffer, from: number): boolean {
  for (let position = bytes.indexOf(groupMagic, from); position >= 0; position = bytes.indexOf(groupMagic, position + 1)) {
    if (decodeGroup(bytes, position)?.intact === true) return true
  }
  return false
}
