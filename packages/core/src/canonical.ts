import { hash } from 'node:crypto'

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

/** Texts of values that never change, made once. Only what `keepCanonical` froze is in here. */
const kept = new WeakMap<object, { readonly text: string; readonly levels: number }>()
/** Names of members as they are written: few, and always the same. */
const names = new Map<string, string>()
const namesMax = 4_096
const nameLengthMax = 64

/** Freezes a value, all of it, and keeps its canonical text, so that whatever holds it is written cheaply. @throws RangeError as canonicalJson */
export function keepCanonical<Value extends { readonly [key: string]: Json } | readonly Json[]>(value: Value): Value {
  if (kept.has(value)) return value
  const text = write(value, 0)
  kept.set(value, { text, levels: freeze(value) })
  return value
}

/** Whether it was frozen by `keepCanonical`: it is what it was when that was said of it. */
export function isKeptCanonical(value: object): boolean {
  return kept.has(value)
}

/** How many levels it has. */
function freeze(value: Json): number {
  if (value === null || typeof value !== 'object') return 0
  Object.freeze(value)
  let levels = 0
  for (const member of Object.values<Json>(value)) levels = Math.max(levels, freeze(member))
  return levels + 1
}

function write(value: Json, depth: number): string {
  if (depth > maxDepth) throw new RangeError(`canonical JSON: more than ${maxDepth} levels`)
  if (typeof value === 'string') return writeString(value)
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return writeNumber(value)
  const known = kept.get(value)
  if (known !== undefined && depth + known.levels <= maxDepth) return known.text
  return isArray(value) ? writeArray(value, depth) : writeObject(value, depth)
}

function writeArray(items: readonly Json[], depth: number): string {
  if (items.length === 0) return '[]'
  let text = ''
  for (const item of items) text += `${text === '' ? '[' : ','}${write(item, depth + 1)}`
  return `${text}]`
}

function writeObject(value: { readonly [key: string]: Json }, depth: number): string {
  const keys = Object.keys(value)
  if (keys.length === 0) return '{}'
  // Without a comparison of ours, sort goes by UTF-16 code units, as the operators do. Most of what is written often is made in order.
  if (!isSorted(keys)) keys.sort()
  let text = ''
  let before = '{'
  for (const key of keys) {
    text += before + writeName(key) + write(value[key] ?? null, depth + 1)
    before = ','
  }
  return `${text}}`
}

function isSorted(keys: readonly string[]): boolean {
  for (let at = 1; at < keys.length; at += 1) if ((keys[at - 1] ?? '') > (keys[at] ?? '')) return false
  return true
}

/** With the colon behind it. */
function writeName(name: string): string {
  const known = names.get(name)
  if (known !== undefined) return known
  const text = `${writeString(name)}:`
  if (name.length > nameLengthMax) return text
  if (names.size >= namesMax) names.clear()
  names.set(name, text)
  return text
}

function isArray(value: object): value is readonly Json[] {
  return Array.isArray(value)
}

function writeNumber(value: number): string {
  // -0 is written 0 either way.
  if (Number.isSafeInteger(value)) return String(value)
  if (!Number.isFinite(value)) throw new RangeError('canonical JSON: a number that is not finite')
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw new RangeError('canonical JSON: an integer past 2^53')
  return JSON.stringify(value)
}

/** Written as they are: most strings here are names and digests. */
const plain = /^[ !#-[\]-~]*$/
const plainLengthMax = 256

function writeString(value: string): string {
  if (value.length <= plainLengthMax && plain.test(value)) return `"${value}"`
  if (!value.isWellFormed()) throw new RangeError('canonical JSON: a lone surrogate')
  return JSON.stringify(value)
}

/** SHA-256 in lower-case hex. */
export function sha256Hex(bytes: Uint8Array | string): string {
  return hash('sha256', bytes, 'hex')
}

/** SHA-256 over canonical JSON, lower-case hex: the only way this project makes a digest of a structure. */
export function digestJson(value: Json): string {
  return sha256Hex(canonicalJson(value))
}
