import type { Contents } from './statement-contents.ts'
import { toRelation } from './statement-contents.ts'
import type { Context, Token } from './statement-context.ts'
import type { KeyFacts } from './statement-key.ts'
import { volatileBuiltins } from './functions-catalog.ts'
import { child, nodes, text, type Tree } from './parser-tree.ts'
import { quoteIdentifier, quoteName } from './parser-quote.ts'

/** SQL pieces for reading exactly the rows that a DELETE or UPDATE will change: `SELECT alias.* FROM from WHERE where`. */
export interface Preimage {
  readonly from: string
  /** The bytes of the agent's own condition; null: every row. */
  readonly where: string | null
  readonly alias: string
  readonly keyColumns: readonly string[]
}

/** Null wherever the pieces might name other rows than the statement will: then whole tables are copied. */
export function findPreimage(
  verb: 'delete' | 'update',
  body: Tree,
  key: KeyFacts,
  contents: Contents,
  context: Context,
): Preimage | null {
  const target = child(body, 'relation') ?? {}
  const others = nodes(body, verb === 'delete' ? 'usingClause' : 'fromClause')
  const isPlain =
    body['withClause'] === undefined &&
    contents.statements.length === 0 &&
    contents.stranger === null &&
    contents.operators.length === 0
  if (
    !isPlain ||
    contents.locks ||
    target['inh'] !== true ||
    others.some(({ type, body: other }) => type !== 'RangeVar' || other['inh'] !== true)
  )
    return null
  // a sequence, a clock or chance would choose other rows the second time; what a foreign function does, nobody knows
  if (contents.calls.some(({ parts }) => parts.length !== 1 || volatileBuiltins.has(parts[0] ?? ''))) return null
  const where = sliceWhere(body, context)
  if (where === undefined) return null
  const alias = quoteIdentifier(text(child(target, 'alias'), 'aliasname') || text(target, 'relname'))
  const relations = [target, ...others.map((other) => other.body)].map(showRelation)
  if (relations.includes(null)) return null
  return { from: relations.join(', '), where, alias, keyColumns: key.keyEquality }
}

/** A table with its alias, written anew from its parts. Null for an alias that renames columns. */
function showRelation(relation: Tree): string | null {
  const alias = child(relation, 'alias')
  if (alias?.['colnames'] !== undefined) return null
  const { schema, name } = toRelation(relation)
  const shown = quoteName([schema, name])
  return alias ? `${shown} AS ${quoteIdentifier(text(alias, 'aliasname'))}` : shown
}

/** The text of the condition; null when there is none, undefined when it can't be found for sure. */
function sliceWhere(body: Tree, context: Context): string | null | undefined {
  if (body['whereClause'] === undefined) return null
  if ('CurrentOfExpr' in (child(body, 'whereClause') ?? {})) return undefined
  const bytes = Buffer.from(context.sql, 'utf8')
  const tokens = isPlain(context.sql) ? cut(context.sql) : scan(context)
  if (!tokens) return undefined
  const outer = outermost(tokens)
  const first = outer.findIndex((token) => isKeyword(token, 'WHERE'))
  if (first < 0 || outer.some((token, index) => isKeyword(token, 'WHERE') && index !== first)) return undefined
  const where = outer[first]
  const end = outer.find((token, index) => index > first && isKeyword(token, 'RETURNING'))
  const last = tokens.filter((token) => (end ? token.start < end.start : true)).at(-1)
  if (!where || !last || last.start <= where.start) return undefined
  return bytes.subarray(where.end, last.end).toString('utf8').trim()
}

/** No quotes, comments, dollar quotes, escapes or letters beyond ASCII: such a text falls into words and signs without a scanner. */
function isPlain(sql: string): boolean {
  return !/['"\\]|--|\/\*|\$[^0-9]|[^\x20-\x7e\s]/.test(sql)
}

/** Five times faster than PostgreSQL's scanner through wasm, and right only for what `isPlain` lets through. */
function cut(sql: string): readonly Token[] {
  return [...sql.matchAll(/[a-z_][a-z0-9_$]*|[^\s;]/gi)].map(({ 0: word, index }) => ({
    start: index,
    end: index + word.length,
    text: word,
    name: 'word',
  }))
}

function scan(context: Context): readonly Token[] | null {
  try {
    return context.parser
      .scan(context.sql)
      .filter(({ name }) => name !== 'SQL_COMMENT' && name !== 'C_COMMENT' && name !== 'ASCII_59')
  } catch {
    return null
  }
}

/** The scanner names no keywords; what is quoted keeps its quotes in `text`. */
function isKeyword(token: Token, word: string): boolean {
  return token.name !== 'SCONST' && token.text.toUpperCase() === word
}

function outermost(tokens: readonly Token[]): readonly Token[] {
  let depth = 0
  return tokens.filter(({ text: shown }) => {
    if (shown === '(' || shown === '[') depth += 1
    if (shown === ')' || shown === ']') depth -= 1
    return depth === 0
  })
}
