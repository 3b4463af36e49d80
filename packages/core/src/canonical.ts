import { createHash } from 'node:crypto'

/** A JSON value that canonical JSON can carry exactly. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

const maxDepth = 64

/**
 * Canonical JSON of a value (RFC 8785): sorted keys by UTF-16 code unit, no blanks, shortest numbers.
 * @throws RangeError for what canonical JSON cannot carry exactly: NaN, ±Infinity, an integer past 2^53,
 * a lone surrogate, more than 64 levels. A digest over something else would bind to less than what is shown.
 */
export function canonicalJson(value: Json): string {
  return write(value, 0)
}

function write(value: Json, depth: number): string {
  if (depth > maxDepth) throw new RangeError(`canonical JSON: more than ${maxDepth} levels`)
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return writeNumber(value)
  if (typeof value === 'string') return writeString(value)
  if (isArray(value)) return `[${value.map((item) => write(item, depth + 1)).join(',')}]`
  const keys = Object.keys(value).sort(compareCodeUnits)
  return `{${keys.map((key) => `${writeString(key)}:${write(value[key] ?? null, depth + 1)}`).join(',')}}`
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}

function compareCodeUnits(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}

function writeNumber(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError('canonical JSON: a number that is not finite')
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw new RangeError('canonical JSON: an integer past 2^53')
  return JSON.stringify(value)
}

function writeString(value: string): string {
  if (!value.isWellFormed()) throw new RangeError('canonical JSON: a lone surrogate')
  return JSON.stringify(value)
}

/** SHA-256 in lower-case hex. */
export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** SHA-256 over canonical JSON, lower-case hex: the only way this project makes a digest of a structure. */
export function digestJson(value: Json): string {
  return sha256Hex(canonicalJson(value))
}
