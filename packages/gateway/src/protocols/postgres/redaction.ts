import { createHmac } from 'node:crypto'
import type { Json } from '@sallyport/core'
import { sqlTokens, type SqlToken } from './sql-token.ts'

/** What the log and people get instead of what was sent. */
export interface Shown {
  readonly text: string
  readonly bindValues: readonly Json[]
}

/** What a text that cannot be told apart is shown as: nothing of it is kept. */
export const withheldText =
  '(withheld: the gate cannot tell where its values are, and columns are marked; bytesSha256 stands for it)'

/** Words before which a bracket is no function's. Whatever else stands there may be a function that looks into a marked column. */
const plainBeforeBracket = new Set(
  `all and any array as avg between by case char character check coalesce count cube date_trunc distinct else except exists extract filter
from greatest group having in interval intersect is key least like lower max min not now nullif numeric on only or order over partition
primary references returning rollup row select set sets sum then trim union unique upper using values varchar when where with within`.split(
    /\s+/,
  ),
)

/** What runs a text that is elsewhere, or holds one in itself. */
const runsElsewhere = new Set(['call', 'declare', 'do', 'execute', 'fetch', 'prepare'])

const tagCharacters = 12
/** A longer text is withheld whole: telling its values apart would hold up everybody. */
const charactersMax = 256 * 1024

/**
 * Values of marked columns do not go into the log, nor before people, in the clear. A statement that names a marked column or its table, or of
 * which that cannot be told, is shown without any of its literals, comments and bind values: each stands there as a digest under a key
 * that lives as long as this gate's process and is written nowhere, so equal values are seen to be equal and none can be guessed from it.
 */
export class Redaction {
  readonly #names: ReadonlySet<string>
  readonly #key: Uint8Array

  /** @param marked `table.column`, `schema.table.column` or the name of a table or view */
  constructor(marked: readonly string[], key: Uint8Array) {
    this.#names = new Set(marked.flatMap(namesOf))
    this.#key = key
  }

  show(text: string, bindValues: readonly Json[]): Shown {
    if (this.#names.size === 0) return { text, bindValues }
    const tokens = text.length > charactersMax ? null : sqlTokens(text)
    if (tokens === null) return { text: withheldText, bindValues: bindValues.map((value) => this.#redactBound(value)) }
    if (!this.#mayHold(tokens)) return { text, bindValues }
    return { text: this.#redactText(text, tokens), bindValues: bindValues.map((value) => this.#redactBound(value)) }
  }

  #mayHold(tokens: readonly SqlToken[]): boolean {
    const meant = tokens.filter(({ kind }) => kind !== 'comment')
    return tokens.some(({ kind, text }, place) => {
      // Somebody's thoughts about a value, or a statement that was commented out.
      if (kind === 'comment') return true
      if (kind === 'literal') return text.startsWith('$')
      if (kind !== 'name') return false
      return this.#names.has(text) || (place === 0 && runsElsewhere.has(text))
    })
      ? true
      : meant.some(
          ({ kind, text }, place) =>
            (kind === 'name' && meant[place + 1]?.text === '(' && !plainBeforeBracket.has(text)) ||
            (text === ';' && runsElsewhere.has(meant[place + 1]?.text ?? '')),
        )
  }

  #redactText(text: string, tokens: readonly SqlToken[]): string {
    let shown = ''
    let at = 0
    for (const token of tokens) {
      if (token.kind !== 'literal' && token.kind !== 'comment') continue
      const mark = token.kind === 'comment' ? '/* [redacted] */' : `[redacted ${this.#tag(token.text)}]`
      shown += `${text.slice(at, token.start)}${mark}`
      at = token.end
    }
    return shown + text.slice(at)
  }

  #redactBound(value: Json): Json {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return { redacted: this.#tag(JSON.stringify(value)) }
    const { type = null, format = null, value: sent = null } = Object.fromEntries(Object.entries(value))
    if (sent === null) return { type, format, value: null }
    // As a literal of the same value is told, so that both are seen to be the same.
    const text = typeof sent === 'string' ? Buffer.from(sent, 'base64').toString('utf8') : JSON.stringify(sent)
    return { type, format, redacted: this.#tag(`'${text.replaceAll("'", "''")}'`) }
  }

  #tag(value: string): string {
    return createHmac('sha256', this.#key).update(value.toWellFormed()).digest('hex').slice(0, tagCharacters)
  }
}

function namesOf(marked: string): readonly string[] {
  const parts = marked.toLowerCase().split('.')
  // Of schema.table.column the schema alone says nothing.
  return parts.length > 2 ? parts.slice(1) : parts
}
