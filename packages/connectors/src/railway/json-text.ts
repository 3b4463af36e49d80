import type { Json } from '@sallyport/core'

/** Why a text is not JSON that every reader would read alike. */
export class AmbiguousJson extends Error {}

/** Levels of brackets; an upstream that reads deeper ones is not asked to. */
const depthMax = 64
/** Decimal digits a double is sure to keep. */
const digitsMax = 15

const blank = /[ \t\n\r]*/y
const plainText = /[^"\\\u0000-\u001f]*/y
const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const escapes: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
])

interface Cursor {
  readonly text: string
  at: number
}

/**
 * JSON that means the same to every reader: no two keys of an object that are equal or differ only in case or width, no number a double
 * does not hold exactly, no lone surrogate, at most 64 levels. Linear in the text.
 * @throws AmbiguousJson
 */
export function parseJson(text: string): Json {
  const cursor: Cursor = { text, at: 0 }
  const parsed = readValue(cursor, 0)
  skip(cursor)
  if (cursor.at !== text.length) throw new AmbiguousJson('something follows the JSON value')
  return parsed
}

/** What a reader that ignores case or width takes for the same key. */
function foldKey(key: string): string {
  return key.normalize('NFKC').toUpperCase().toLowerCase()
}

/** A double that says exactly what the digits say. */
export function readNumber(digits: string): number {
  const parsed = Number(digits)
  const mantissa = digits.replace(/[eE].*$/, '').replace('-', '')
  const significant = mantissa.replace(/^0\.0*/, '').replace('.', '').length
  const isWhole = mantissa.length === digits.replace('-', '').length && !mantissa.includes('.')
  const isExact = isWhole || (Number.isFinite(parsed) && significant <= digitsMax && (parsed !== 0 || !/[1-9]/.test(mantissa)))
  if (!isExact || (Number.isInteger(parsed) && !Number.isSafeInteger(parsed)))
    throw new AmbiguousJson('a number that JSON does not hold exactly')
  return parsed
}

function match(cursor: Cursor, pattern: RegExp): string {
  pattern.lastIndex = cursor.at
  const found = pattern.exec(cursor.text)?.[0] ?? ''
  cursor.at += found.length
  return found
}

function skip(cursor: Cursor): string {
  match(cursor, blank)
  return cursor.text[cursor.at] ?? ''
}

function take(cursor: Cursor, literal: string): boolean {
  if (!cursor.text.startsWith(literal, cursor.at)) return false
  cursor.at += literal.length
  return true
}

function readValue(cursor: Cursor, depth: number): Json {
  if (depth > depthMax) throw new AmbiguousJson(`more than ${depthMax} levels`)
  const next = skip(cursor)
  if (next === '{') return readObject(cursor, depth)
  if (next === '[') return readArray(cursor, depth)
  if (next === '"') return readString(cursor)
  if (take(cursor, 'true')) return true
  if (take(cursor, 'false')) return false
  if (take(cursor, 'null')) return null
  const digits = match(cursor, number)
  if (digits === '') throw new AmbiguousJson('it is not JSON')
  return readNumber(digits)
}

function readObject(cursor: Cursor, depth: number): Json {
  cursor.at += 1
  // without a prototype: a key that is absent must not be found on Object
  const entries: Record<string, Json> = { __proto__: null }
  const seen = new Set<string>()
  if (skip(cursor) === '}') {
    cursor.at += 1
    return entries
  }
  for (;;) {
    if (skip(cursor) !== '"') throw new AmbiguousJson('it is not JSON')
    const key = readString(cursor)
    const folded = foldKey(key)
    if (seen.has(folded)) throw new AmbiguousJson('two keys that one reader or another takes for the same')
    if (key === '__proto__') throw new AmbiguousJson('a key that is none to some readers')
    seen.add(folded)
    if (skip(cursor) !== ':') throw new AmbiguousJson('it is not JSON')
    cursor.at += 1
    entries[key] = readValue(cursor, depth + 1)
    const next = skip(cursor)
    cursor.at += 1
    if (next === '}') return entries
    if (next !== ',') throw new AmbiguousJson('it is not JSON')
  }
}

function readArray(cursor: Cursor, depth: number): Json {
  cursor.at += 1
  const items: Json[] = []
  if (skip(cursor) === ']') {
    cursor.at += 1
    return items
  }
  for (;;) {
    items.push(readValue(cursor, depth + 1))
    const next = skip(cursor)
    cursor.at += 1
    if (next === ']') return items
    if (next !== ',') throw new AmbiguousJson('it is not JSON')
  }
}

function readString(cursor: Cursor): string {
  cursor.at += 1
  const pieces: string[] = []
  for (;;) {
    pieces.push(match(cursor, plainText))
    const next = cursor.text[cursor.at] ?? ''
    cursor.at += 1
    if (next === '"') break
    if (next !== '\\') throw new AmbiguousJson('it is not JSON')
    pieces.push(readEscape(cursor))
  }
  const text = pieces.join('')
  if (!text.isWellFormed()) throw new AmbiguousJson('a lone surrogate')
  return text
}

function readEscape(cursor: Cursor): string {
  const letter = cursor.text[cursor.at] ?? ''
  cursor.at += 1
  if (letter !== 'u') {
    const plain = escapes.get(letter)
    if (plain === undefined) throw new AmbiguousJson('it is not JSON')
    return plain
  }
  const digits = cursor.text.slice(cursor.at, cursor.at + 4)
  if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw new AmbiguousJson('it is not JSON')
  cursor.at += 4
  return String.fromCharCode(Number.parseInt(digits, 16))
}
