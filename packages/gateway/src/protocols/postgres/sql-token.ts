/** One token of SQL, as far as it matters for what may hold a value. */
export interface SqlToken {
  readonly kind: 'name' | 'literal' | 'comment' | 'other'
  /** Of a name: folded to small letters, without quotes. Else as written. */
  readonly text: string
  readonly start: number
  readonly end: number
}

const blank = /\s+/y
const lineComment = /--[^\n]*/y
const word = /[\p{L}_\u0080-\uffff][\p{L}\p{N}_$\u0080-\uffff]*/uy
const number = /(?:\d|\.\d)[\w.]*(?:(?<=[eE])[+-]?\d+)?/y
const parameter = /\$\d+/y
const dollarTag = /\$(?:[\p{L}_\u0080-\uffff][\p{L}\p{N}_\u0080-\uffff]*)?\$/uy
const quotedName = /"(?:[^"]|"")*"/y
const plainString = /'(?:[^']|'')*'/y
const escapeString = /'(?:[^'\\]|\\[^]|'')*'/y

/**
 * SQL in tokens, by PostgreSQL's lexical rules with standard_conforming_strings on, which the gate sees to. Null: it cannot be told, since a
 * string, a comment or a name does not end, or is written with Unicode escapes.
 */
export function sqlTokens(sql: string): readonly SqlToken[] | null {
  const tokens: SqlToken[] = []
  let at = 0
  const match = (pattern: RegExp): string | null => {
    pattern.lastIndex = at
    return pattern.exec(sql)?.[0] ?? null
  }
  while (at < sql.length) {
    const space = match(blank)
    if (space !== null) {
      at += space.length
      continue
    }
    const token = readToken(sql, at, match, tokens.at(-1))
    if (token === null) return null
    at = token.end
    // A prefix is part of its string: N'…', E'…', B'…', X'…'.
    if (token.kind === 'literal' && token.start < (tokens.at(-1)?.end ?? 0)) tokens.pop()
    tokens.push(token)
  }
  return tokens
}

type Match = (pattern: RegExp) => string | null

function readToken(sql: string, at: number, match: Match, before: SqlToken | undefined): SqlToken | null {
  const make = (kind: SqlToken['kind'], text: string): SqlToken => ({ kind, text, start: at, end: at + text.length })
  const comment = match(lineComment) ?? (sql.startsWith('/*', at) ? blockComment(sql, at) : null)
  if (comment !== null) return make('comment', comment)
  if (sql.startsWith('/*', at)) return null
  if (sql[at] === "'") return readString(at, match, before)
  if (sql[at] === '"') {
    const quoted = match(quotedName)
    const isEscaped = before?.text === 'u&' && before.end === at
    return quoted === null || isEscaped ? null : { ...make('name', quoted), text: foldQuoted(quoted) }
  }
  if (sql[at] === '$') return readDollar(sql, at, match)
  const digits = match(number)
  if (digits !== null) return make('literal', digits)
  const name = match(word)
  if (name === null) return make('other', sql[at] ?? '')
  const escapes = /^u$/i.test(name) && sql[at + 1] === '&' && (sql[at + 2] === '"' || sql[at + 2] === "'")
  return escapes ? { kind: 'name', text: 'u&', start: at, end: at + 2 } : { ...make('name', name), text: name.toLowerCase() }
}

function readString(at: number, match: Match, before: SqlToken | undefined): SqlToken | null {
  const prefix = before?.kind === 'name' && before.end === at ? before.text : ''
  const isPrefix = ['e', 'n', 'b', 'x', 'u&'].includes(prefix)
  const string = match(prefix === 'e' ? escapeString : plainString)
  if (string === null) return null
  const start = isPrefix && before !== undefined ? before.start : at
  return { kind: 'literal', text: string, start, end: at + string.length }
}

function readDollar(sql: string, at: number, match: Match): SqlToken | null {
  const bound = match(parameter)
  if (bound !== null) return { kind: 'other', text: bound, start: at, end: at + bound.length }
  const tag = match(dollarTag)
  if (tag === null) return { kind: 'other', text: '$', start: at, end: at + 1 }
  const close = sql.indexOf(tag, at + tag.length)
  if (close === -1) return null
  const end = close + tag.length
  return { kind: 'literal', text: sql.slice(at, end), start: at, end }
}

/** Block comments nest. Null: it does not end. */
function blockComment(sql: string, start: number): string | null {
  let depth = 0
  for (let at = start; at < sql.length; at += 1) {
    const two = sql.slice(at, at + 2)
    if (two === '/*') depth += 1
    else if (two === '*/') depth -= 1
    else continue
    at += 1
    if (depth === 0) return sql.slice(start, at + 1)
  }
  return null
}

function foldQuoted(quoted: string): string {
  return quoted.slice(1, -1).replaceAll('""', '"').toLowerCase()
}
