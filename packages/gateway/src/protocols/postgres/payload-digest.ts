import { hash } from 'node:crypto'
import { client, headerBytes } from './wire.ts'
import { readBindNames } from './statements.ts'
import type { Unit } from './upstreams.ts'

/**
 * SHA-256 of what runs, for both sides of a clearance: the protocol makes it of what it asks about, the backend of what it is about to
 * write. Names of statements and portals are left out (two identical tries may differ in them), as are Describe, Close, Sync and Flush.
 * Null when the bytes are anything but one unit: one Query alone, or Bind, Describe*, Execute, Close*, and at most one Sync or Flush.
 */
export function digestUnit({ bytes, parsed }: Unit): string | null {
  const end = endOf(bytes, 0)
  if (end === -1) return null
  if (bytes[0] === client.query) return end === bytes.length && parsed === null ? hash('sha256', bytes, 'hex') : null
  if (bytes[0] !== client.bind || parsed === null) return null
  const names = readBindNames(bytes, 0, end)
  if (names === null) return null
  const limit = readUnitTail(bytes, end)
  if (limit === -1) return null
  const values = bytes.subarray(names.valuesAt, end)
  const lengths = Buffer.allocUnsafe(12)
  lengths.writeUInt32BE(parsed.length, 0)
  lengths.writeUInt32BE(values.length, 4)
  lengths.writeInt32BE(0, 8)
  return hash('sha256', Buffer.concat([lengths, parsed, values]), 'hex')
}

/** Checks the order of what follows Bind; -1 when there is not exactly one Execute in its place. */
function readUnitTail(bytes: Buffer, from: number): number {
  let at = from
  let executed = false
  let ended = false
  while (at < bytes.length) {
    const type = bytes[at]
    const next = endOf(bytes, at)
    if (next === -1 || ended) return -1
    if (type === client.describe && executed) return -1
    if (type === client.execute) {
      if (executed) return -1
      executed = true
    } else if (type === client.close) {
      if (!executed) return -1
    } else if (type === client.sync || type === client.flush) {
      ended = true
    } else if (type !== client.describe) return -1
    at = next
  }
  return executed || ended ? at : at === from ? at : -1
}

function endOf(bytes: Buffer, at: number): number {
  if (at + headerBytes > bytes.length) return -1
  const length = bytes.readInt32BE(at + 1)
  const next = at + 1 + length
  return length < 4 || next > bytes.length ? -1 : next
}
