import type { Handle } from '@sallyport/core'
import { isHandle, readBasic } from './door.ts'
import { readParts } from './multipart.ts'
import { charactersMin, decodePercent, readTexts, type NamedText } from './text-within.ts'
import { findKnownShape, findScheme, hideTokens, isSecretName, looksRandom } from './token-shape.ts'

/** A credential that Sallyport did not issue, where no credential belongs. `token` is for a digest only and goes nowhere else. */
export interface ForeignCredential {
  /** `header authorization`, `query token`, `body`, … */
  readonly place: string
  readonly shape: string
  readonly token: string
}

export type Headers = readonly (readonly [string, string])[]

/**
 * The headers in which clients authenticate. They are never forwarded: what is in them is the agent's own handle, which the gate replaces, or
 * it is foreign, whatever its shape. Null when there is nothing foreign.
 */
export function findInCredentialHeaders(headers: Headers, handle: Handle): ForeignCredential | null {
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    if (lower === 'cookie' || lower === 'cookie2') return { place: 'header cookie', shape: 'cookie', token: value }
    if (lower !== 'authorization' && lower !== 'proxy-authorization') continue
    const token = readCredentials(value)
    if (token === '' || isHandle(token, handle)) continue
    return { place: `header ${lower}`, shape: findKnownShape(value)?.shape ?? 'credentials', token }
  }
  return null
}

/** The secret in `Bearer x`, `Basic base64(user:x)`, `token x`, or a bare `x`. */
function readCredentials(value: string): string {
  const basic = readBasic(value)
  if (basic !== null) return basic.secret
  const parts = value.trim().split(/\s+/)
  const bare = parts.length === 1 ? (parts[0] ?? '') : parts.slice(1).join(' ')
  return /^(bearer|basic|token|apikey)$/i.test(bare) ? '' : bare
}

/** Everything that is forwarded. `target` with its query; `body` opened. */
export function findInForwarded(target: string, headers: Headers, body: Buffer, contentType: string): ForeignCredential | null {
  return findInHeaders(headers) ?? findInTarget(target) ?? findInBody(body, contentType)
}

/** Values of headers in which nothing was found: clients send the same ones with each request. */
const clean = new Set<string>()
const cleanMax = 2_000
const cleanCharactersMax = 512

function keepClean(value: string): void {
  if (value.length > cleanCharactersMax) return
  if (clean.size >= cleanMax) clean.clear()
  clean.add(value)
}

/** @param where what kind of header it is: a trailer is one that comes late */
export function findInHeaders(headers: Headers, where = 'header'): ForeignCredential | null {
  for (const [name, value] of headers) {
    const place = `${where} ${sayName(name.toLowerCase())}`
    const inName = findKnownShape(name)
    if (inName !== null) return { place, ...inName }
    if (isSecretName(name) && value.trim() !== '') {
      const known = findKnownShape(value) ?? findKnownShape(decodePercent(value))
      return { place, shape: 'credential header', token: value, ...known }
    }
    if (clean.has(value)) continue
    const inValue = findInPercent(value, place)
    if (inValue !== null) return inValue
    keepClean(value)
  }
  return null
}

export function findInTarget(target: string): ForeignCredential | null {
  const at = target.indexOf('?')
  const path = at === -1 ? target : target.slice(0, at)
  const inPath = findInPercent(path, 'path')
  if (inPath !== null) return inPath
  return at === -1 ? null : findInParameters(target.slice(at + 1), 'query')
}

/** As it is, and as it reads when its percent-encoding is undone. */
function findInPercent(text: string, place: string): ForeignCredential | null {
  const decoded = decodePercent(text)
  return findInText(text, place) ?? (decoded === text ? null : findInText(decoded, place))
}

/** `a=b&c=d`, or with semicolons. */
function findInParameters(text: string, where: string): ForeignCredential | null {
  const found = findInPercent(text, where)
  if (found !== null) return { ...found, place: placeOfParameter(text, found, where) }
  for (const [name, value] of readParameters(text)) {
    if (isSecretName(name) && isCredentialParameter(value))
      return { place: `${where} ${sayName(name)}`, shape: 'credential parameter', token: value }
  }
  return null
}

function* readParameters(text: string): Generator<readonly [name: string, value: string], void> {
  for (const part of text.split(/[&;]/)) {
    const at = part.indexOf('=')
    yield [decodePercent(at === -1 ? part : part.slice(0, at)), decodePercent(at === -1 ? '' : part.slice(at + 1))]
  }
}

/** A parameter that holds the token, by name; one that is called by it has none that could be said. */
function placeOfParameter(text: string, { token, place }: ForeignCredential, where: string): string {
  for (const [name, value] of readParameters(text)) {
    if (value.includes(token)) return `${where} ${sayName(name)}`
    if (`${name}=${value}`.includes(token)) return `${where} name`
  }
  return place
}

/** In a URL a parameter called `token` is a token even when it is no random text; a short word (`auth=none`) is not. */
function isCredentialParameter(value: string): boolean {
  return looksRandom(value) || (value.length >= 8 && /[0-9]/.test(value) && /[A-Za-z]/.test(value))
}

/** What a body says, under the names it says it under. */
export function* readBodyTexts(body: Buffer, contentType: string): Generator<NamedText, void> {
  if (body.length === 0) return
  // Without its zero bytes a token in UTF-16 is as readable as in any other encoding.
  const text = body.toString('latin1').replaceAll('\0', '')
  for (const part of readParts(text, contentType)) yield* readTexts(part.text, part.key)
  yield* readTexts(text)
}

function findInBody(body: Buffer, contentType: string): ForeignCredential | null {
  if (/^application\/x-www-form-urlencoded\b/i.test(contentType)) {
    const found = findInParameters(body.toString('latin1').replaceAll('\0', ''), 'body')
    if (found !== null) return found
  }
  return findInTexts([...readBodyTexts(body, contentType)], 'body')
}

/** A text and the texts in it. */
function findInText(text: string, place: string): ForeignCredential | null {
  return text.length < charactersMin ? null : findInTexts([...readTexts(text)], place)
}

function findInTexts(texts: readonly NamedText[], place: string): ForeignCredential | null {
  const variables = new Set(texts.flatMap(({ text, isPiece }) => (isPiece ? [] : readSecretVariables(text))))
  for (const { key, text, isPiece } of texts) {
    const known = isPiece ? null : (findKnownShape(text) ?? findScheme(text))
    if (known !== null) return { place, ...known }
    if (key !== '' && (isSecretName(key) || variables.has(key)) && looksRandom(text))
      return { place: sayPlace(place, isSecretName(key) ? key : ''), shape: 'credential field', token: text }
    const assigned = isPiece ? null : findAssigned(text, place)
    if (assigned !== null) return assigned
  }
  return null
}

/** Blanks, commas and comments mean nothing between GraphQL's words. */
const blank = '[\\s,]{0,64}(?:#[^\\n]{0,256}\\n[\\s,]{0,64}){0,4}'
const passed = new RegExp(
  `(?<![A-Za-z0-9_])([A-Za-z_][A-Za-z0-9_]{0,127})${blank}:${blank}\\$([A-Za-z_][A-Za-z0-9_]{0,127})`,
  'g',
)

/** Variables that a GraphQL document passes to an argument called `token` or the like, whatever they are called themselves. */
function readSecretVariables(text: string): readonly string[] {
  if (!text.includes('$')) return []
  return [...text.matchAll(passed)].flatMap(([, name = '', variable = '']) => (isSecretName(name) ? [variable] : []))
}

/** GraphQL: `token: "…"`, `token: """…"""`, `$token: String = "…"`. */
const quoted = new RegExp(
  `(?<![A-Za-z0-9_])([A-Za-z_][A-Za-z0-9_]{0,127})${blank}:${blank}(?:[\\[\\]A-Za-z0-9_!]{1,64}${blank}=${blank})?(?:"")?"((?:[^"\\\\]|\\\\.){8,4096})"`,
  'g',
)
/** `TOKEN=…`, `token: …` in YAML, a query inside a text. */
const bare =
  /(?<![A-Za-z0-9_.%-])([A-Za-z_][A-Za-z0-9_.-]{0,127})[ \t]{0,4}[=:][ \t]{0,4}([A-Za-z0-9+/_.~-]{16,4096}={0,2})(?![A-Za-z0-9+/_.~({-])/g
const element = /<([A-Za-z_][A-Za-z0-9_.-]{0,127})(?:\s[^<>]{0,256})?>\s{0,64}([^<>\s]{16,4096})\s{0,64}</g

function findAssigned(text: string, place: string): ForeignCredential | null {
  for (const pattern of text.includes('"') ? [quoted, bare, element] : [bare, element]) {
    for (const [, name = '', value = ''] of text.matchAll(pattern)) {
      // Without quotes a word may be the name of a field or a type: those have no digits by chance.
      if (isSecretName(name) && looksRandom(value) && (pattern === quoted || /[0-9]/.test(value)))
        return { place: sayPlace(place, name), shape: 'credential field', token: value }
    }
  }
  return null
}

/** A parameter is its own place. */
function sayPlace(place: string, name: string): string {
  const said = sayName(name)
  return name === '' || place.endsWith(` ${said}`) ? place : `${place} ${said}`
}

const nameCharactersMax = 64

/** Names are the agent's too, and one may be a token. */
export function sayName(name: string): string {
  const cut = name.slice(0, nameCharactersMax)
  return /^[\x21-\x7e]{1,64}$/.test(cut) ? hideTokens(cut) : '(a name)'
}
