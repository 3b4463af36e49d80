import type { Operation } from '@sallyport/core'
import { makeOperation, type Batch, type Context, type Handler, type Parser } from './statement-context.ts'
import { handlers } from './statement-handlers.ts'
import { hidesBehindSecret, markSecret } from './statement-secret.ts'
import { asTree, child, integer, list, named, type Named } from './parser-tree.ts'

/** Bytes of UTF-8. Longer texts are unknown without being parsed: the parser's memory grows with some hundred times the text. */
const textBytesMax = 256 * 1024
/** Texts inside texts. Real code needs three: a function that executes a constant that defines a function. */
const depthMax = 6
/** Statements of one text, and operations of one text: more are not read, and the text is unknown. */
const statementsMax = 4_096
const operationsMax = 8_192

const byName: ReadonlyMap<string, Handler> = new Map(Object.entries(handlers))

export function unreadable(why: string, statementIndex = 0): Operation {
  return makeOperation({ action: 'unreadable', kind: 'unknown', why }, { statementIndex })
}

/** What a text would do. Throws only what the parser throws beyond a syntax error; the worker turns that into `unknown`. */
export function describeSql(sql: string, parser: Parser): readonly Operation[] {
  const refused = refuse(sql)
  if (refused) return [refused]
  const batch: Batch = { temporary: new Set(), routines: new Map(), prepared: new Map() }
  const context: Context = {
    parser,
    batch,
    sql,
    statementIndex: 0,
    isOutermost: true,
    depth: 0,
    variables: new Set(),
    ctes: new Map(),
    mode: 'run',
    isRepeated: false,
    describeNode,
    describeText,
  }
  const operations = describeText(sql, context)
  if (operations.length > operationsMax) return [unreadable('does more things than this gate reads in one text')]
  return hidesBehindSecret(operations) ? [...operations, hidden] : operations
}

/** People can't read a text that is withheld, so nothing may ride along in it. */
const hidden = unreadable(
  'sets a credential together with other things, which nobody could read then: send the credential’s statement alone',
)

/** What no server would read as we do. */
export function refuse(sql: string): Operation | null {
  if (sql.includes('\0')) return unreadable('holds a zero byte: the server would read only what stands before it')
  if (!sql.isWellFormed()) return unreadable('holds half a character (a lone surrogate), which can not be sent')
  if (Buffer.byteLength(sql, 'utf8') > textBytesMax) return unreadable(`is longer than ${textBytesMax} bytes`)
  return null
}

function describeNode(node: Named, context: Context): readonly Operation[] {
  const handler = byName.get(node.type)
  if (!handler)
    return [
      makeOperation(
        { action: 'unreadable', kind: 'unknown', why: `is a ${node.type}, which this gate has not heard of` },
        context,
      ),
    ]
  return markSecret(node, handler(node.body, context))
}

function describeText(sql: string, outer: Context): readonly Operation[] {
  const isOutermost = outer.isOutermost && outer.depth === 0
  if (outer.depth > depthMax)
    return [makeOperation({ action: 'unreadable', kind: 'unknown', why: 'nests SQL texts deeper than this gate reads' }, outer)]
  if (sql.trim() === '') return [empty(outer)]
  let statements
  try {
    statements = list(outer.parser.parse(sql), 'stmts')
  } catch (error) {
    if (!isRefusal(error)) throw error
    return [makeOperation({ action: 'unreadable', kind: 'unknown', why: "PostgreSQL's parser refuses it" }, outer)]
  }
  if (statements.length === 0) return [empty(outer)]
  if (statements.length > statementsMax)
    return [makeOperation({ action: 'unreadable', kind: 'unknown', why: `holds more than ${statementsMax} statements` }, outer)]
  const bytes = statements.length > 1 ? Buffer.from(sql, 'utf8') : null
  return statements.flatMap((entry, index) => {
    const raw = asTree(entry)
    const node = named(child(raw, 'stmt') ?? undefined)
    const start = integer(raw, 'stmt_location')
    const length = integer(raw, 'stmt_len')
    const own = bytes ? bytes.subarray(start, length === 0 ? undefined : start + length).toString('utf8') : sql
    const context: Context = {
      ...outer,
      sql: own,
      isOutermost,
      depth: outer.depth + 1,
      statementIndex: isOutermost ? index : outer.statementIndex,
      ctes: new Map(),
    }
    return node ? describeNode(node, context) : [unreadable('is no statement', context.statementIndex)]
  })
}

function empty(context: Context): Operation {
  return makeOperation({ action: 'empty', kind: 'read', why: 'holds no statement', rememberable: true }, context)
}

/** The parser's own refusal, as against a fault of the parser. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === 'SqlError'
}
