/** A string in JSON-like text, and the key it is the value of. */
export interface TextValue {
  readonly key: string
  readonly value: string
  /** It stands in the text as it is, without an escape: whatever is looked for in the text is found there, too. */
  readonly plain: boolean
}

/**
 * Every string in a text that is JSON, nearly JSON, or holds some: values with their key, keys themselves with the key ''. It reads literals, not
 * structure, so that neither a duplicate key nor a broken end hides a value. An array's values belong to the key before it. Linear.
 */
export function* readStrings(text: string): Generator<TextValue, void> {
  let key = ''
  for (let start = text.indexOf('"'); start !== -1;) {
    const end = endOfLiteral(text, start + 1)
    if (end === -1) return
    const inside = text.slice(start + 1, end)
    const value = unescape(inside)
    const plain = value === inside
    if (isKey(text, end + 1)) {
      key = value
      yield { key: '', value, plain }
    } else yield { key, value, plain }
    start = text.indexOf('"', end + 1)
  }
}

/** Index of the closing quote, or -1. */
function endOfLiteral(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === 0x22) return at
    if (code === 0x5c) at += 1
  }
  return -1
}

const blanks = new Set([' ', '\t', '\n', '\r'])
const blanksMax = 256

function isKey(text: string, from: number): boolean {
  let at = from
  while (at - from < blanksMax && blanks.has(text[at] ?? '')) at += 1
  return text[at] === ':'
}

const escapes: ReadonlyMap<string, string> = new Map([
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
])

function unescape(inside: string): string {
  if (!inside.includes('\\')) return inside
  // `\\u{…}` is GraphQL's (its 2021 specification, §2.9.4); JSON has four digits.
  return inside.replaceAll(
    /\\(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,8})\}|([^]))/g,
    (_whole, hex: string | undefined, braced: string | undefined, character: string | undefined) => {
      const code = hex ?? braced
      return code === undefined ? (escapes.get(character ?? '') ?? character ?? '') : characterOf(Number.parseInt(code, 16))
    },
  )
}

const codePointMax = 0x10ffff

function characterOf(code: number): string {
  return code > codePointMax ? '\ufffd' : String.fromCodePoint(code)
}
