import type { Handle } from '@sallyport/core'
import { isHandle, readBasic } from './door.ts'
import { readStrings } from './json-text.ts'
import { findKnownShape, isSecretName, looksRandom } from './token-shape.ts'

/** A credential that Sallyport did not issue, where no credential belongs. `token` is for a digest only and goes nowhere else. */
export interface ForeignCredential {
  /** `header authorization`, `query token`, `body`, … */
  readonly place: string
  readonly shape: string
  readonly token: string
}

/** Texts inside texts (variables that hold JSON, a query that holds a literal) that are looked into. */
const nestingMax = 3

type Headers = readonly (readonly [string, string])[]

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

/** Everything that is forwarded. `path` and `query` as in the target; `body` opened. */
export function findInForwarded(target: string, headers: Headers, body: Buffer, contentType: string): ForeignCredential | null {
  return findInHeaders(headers) ?? findInTarget(target) ?? findInBody(body, contentType)
}

function findInHeaders(headers: Headers): ForeignCredential | null {
  for (const [name, value] of headers) {
    const known = findKnownShape(value) ?? findKnownShape(decodePercent(value))
    if (known !== null) return { place: `header ${name.toLowerCase()}`, ...known }
    if (isSecretName(name) && value.trim() !== '')
      return { place: `header ${name.toLowerCase()}`, shape: 'credential header', token: value }
  }
  return null
}

function findInTarget(target: string): ForeignCredential | null {
  const at = target.indexOf('?')
  const path = at === -1 ? target : target.slice(0, at)
  const known = findKnownShape(path) ?? findKnownShape(decodePercent(path))
  if (known !== null) return { place: 'path', ...known }
  return at === -1 ? null : findInParameters(target.slice(at + 1), 'query')
}

/** `a=b&c=d`, or with semicolons. */
function findInParameters(text: string, where: string): ForeignCredential | null {
  for (const part of text.split(/[&;]/)) {
    const at = part.indexOf('=')
    const name = decodePercent(at === -1 ? part : part.slice(0, at))
    const value = decodePercent(at === -1 ? '' : part.slice(at + 1))
    const inValue = findInText(value, name, `${where} ${name.slice(0, 64)}`, nestingMax)
    if (inValue !== null) return inValue
    const known = findKnownShape(name)
    if (known !== null) return { place: `${where} name`, ...known }
    if (isSecretName(name) && isCredentialParameter(value))
      return { place: `${where} ${name.slice(0, 64)}`, shape: 'credential parameter', token: value }
  }
  return null
}

/** In a URL a parameter called `token` is a token even when it is no random text; a short word (`auth=none`) is not. */
function isCredentialParameter(value: string): boolean {
  return looksRandom(value) || (value.length >= 8 && /[0-9]/.test(value) && /[A-Za-z]/.test(value))
}

function findInBody(body: Buffer, contentType: string): ForeignCredential | null {
  if (body.length === 0) return null
  // Without its zero bytes a token in UTF-16 is as readable as in any other encoding.
  const text = body.toString('latin1').replaceAll('\0', '')
  if (/^application\/x-www-form-urlencoded\b/i.test(contentType))
    return findInParameters(text, 'body') ?? findInText(text, '', 'body', nestingMax)
  return findInText(text, '', 'body', nestingMax)
}

/** A text and the texts in it. */
function findInText(text: string, key: string, place: string, nesting: number): ForeignCredential | null {
  const known = findKnownShape(text)
  if (known !== null) return { place, ...known }
  if (key !== '' && isSecretName(key) && looksRandom(text))
    return { place: `${place} ${key.slice(0, 64)}`, shape: 'credential field', token: text }
  if (nesting === 0 || !text.includes('"')) return null
  for (const found of readStrings(text)) {
    const inside = findInText(found.value, found.key, place, nesting - 1)
    if (inside !== null) return inside
  }
  return findInArguments(text, place)
}

const argument = /(?<![A-Za-z0-9_])([A-Za-z_][A-Za-z0-9_]{0,127})\s*:\s*"((?:[^"\\]|\\.){8,4096})"/g

/** GraphQL writes `token: "…"` with a bare name. */
function findInArguments(text: string, place: string): ForeignCredential | null {
  for (const [, name = '', value = ''] of text.matchAll(argument)) {
    if (isSecretName(name) && looksRandom(value))
      return { place: `${place} ${name.slice(0, 64)}`, shape: 'credential field', token: value }
  }
  return null
}

/** Twice, since what is decoded twice on the way is found twice-encoded here. What is no percent-encoding stays as it is. */
function decodePercent(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text
  const once = decodeOnce(text.replaceAll('+', ' '))
  return once.includes('%') ? decodeOnce(once) : once
}

function decodeOnce(text: string): string {
  return text.replaceAll(/%([0-9a-fA-F]{2})/g, (_whole, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
