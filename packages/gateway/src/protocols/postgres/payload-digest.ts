import { hash } from 'node:crypto'
import { client, findZero, headerBytes } from './wire.ts'
import { readBindNames } from './statements.ts'
import type { Unit } from './upstreams.ts'

/**
 * SHA-256 of what runs, for both sides of a clearance: the protocol makes it of what it asks about, the backend of what it is about to
 * write. Names of statements and portals are left out (two identical tries may differ in them), as are Describe, Close, Sync and Flush.
 * Null when the bytes are anything but one unit: one Query alone, or Bind, Describe*, [Execute of that portal, Close*], [Sync or Flush].
 */
export function digestUnit({ bytes, parsed }: Unit): string | null {
  const end = endOf(bytes, 0)
  if (end === -1) return null
  if (bytes[0] === client.query) return end === bytes.length && parsed === null ? hash('sha256', bytes, 'hex') : null
  if (bytes[0] !== client.bind || parsed === null) return null
  const names = readBindNames(bytes, 0, end)
  if (names === null || !isUnitTail(bytes, end, names.portal)) return null
  const values = bytes.subarray(names.valuesAt, end)
  const lengths = Buffer.allocUnsafe(8)
  lengths.writeUInt32BE(parsed.length, 0)
  lengths.writeUInt32BE(values.length, 4)
  return hash('sha256', Buffer.concat([lengths, parsed, values]), 'hex')
}

function isUnitTail(bytes: Buffer, from: number, portal: string): boolean {
  let at = from
  let step: 'bound' | 'executed' | 'ended' = 'bound'
  while (at < bytes.length) {
    const next = endOf(bytes, at)
    if (next === -1 || step === 'ended') return false
    const type = bytes[at]
    if (type === client.execute && step === 'bound' && readPortalOfExecute(bytes, at, next) === portal) step = 'executed'
    else if (type === client.sync || type === client.flush) step = 'ended'
    else if (!(type === client.describe && step === 'bound') && !(type === client.close && step === 'executed')) return false
    at = next
  }
  return true
}

export function readPortalOfExecute(bytes: Buffer, at: number, end: number): string | null {
  const zero = findZero(bytes, at + headerBytes, end)
  return zero === -1 || zero + 5 !== end ? null : bytes.toString('utf8', at + headerBytes, zero)
}

/** End of the message at `at`, or -1 when it is not whole. */
function endOf(bytes: Buffer, at: number): number {
  if (at + headerBytes > bytes.length) return -1
  const length = bytes.readInt32BE(at + 1)
  const next = at + 1 + length
  return length < 4 || next > bytes.length ? -1 : next
}
