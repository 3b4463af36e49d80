import type { Json } from '@sallyport/core'
import { parseJson } from './json-text.ts'

/** UTF-16 units; servers refuse far shorter request lines. */
const lengthMax = 64 * 1024
/** What a URL may hold plainly (RFC 3986 section 3.4), less `;`, which some readers take for `&`, and `'`, which some clients escape. */
const plain = /^[A-Za-z0-9._~!$()*,:@/?%+&=-]*$/
/** The keys of a GraphQL request in a URL; `extensions` may change what it means. */
const known: ReadonlySet<string> = new Set(['query', 'variables', 'operationName'])

/** A URL without its query, and its query: `null` when it has none. A fragment stays where it is, and is refused there. */
export function splitUrl(url: string): { readonly endpoint: string; readonly query: string | null } {
  const at = url.indexOf('?')
  return at < 0 ? { endpoint: url, query: null } : { endpoint: url.slice(0, at), query: url.slice(at + 1) }
}

/**
 * The parameters of a GET as one JSON object, as a POST would have them; null when two readers could read them differently: a key twice, an
 * escaped or unknown key, an escape that leaves an escape, bytes that are not UTF-8.
 */
export function readQueryString(text: string): { readonly [key: string]: Json } | null {
  if (text.length > lengthMax || !plain.test(text)) return null
  const read: Record<string, Json> = { __proto__: null }
  for (const pair of text.split('&')) {
    const [key = '', value, ...more] = pair.split('=')
    if (value === undefined || more.length > 0 || !known.has(key) || Object.hasOwn(read, key)) return null
    const opened = unescape(value)
    if (opened === null) return null
    const given = key === 'variables' ? readJson(opened) : opened
    if (given === undefined) return null
    read[key] = given
  }
  return read
}

/** A plus is a blank, as forms write it: a reader that leaves it has no document, for it is no token of GraphQL or JSON outside strings. */
function unescape(value: string): string | null {
  if (/%25/.test(value)) return null
  try {
    const opened = decodeURIComponent(value.replaceAll('+', ' '))
    // a byte order mark is skipped by one reader and refused by another
    return opened.includes('\uFEFF') ? null : opened
  } catch {
    return null
  }
}

function readJson(text: string): Json | undefined {
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}
