import type { Json } from '@sallyport/core'
import { asTree, listOf, bodies, child, flag, nameParts, named, text, type Named, type Tree } from './parser-tree.ts'
import { quoteName } from './parser-quote.ts'
import { quietNodes } from './statement-nodes.ts'

export interface Relation {
  readonly schema: string | null
  readonly name: string
  /** As SQL would write it, qualified if the text was. */
  readonly shown: string
}

export interface Call {
  readonly parts: readonly string[]
  readonly node: Tree
}

/** What stands inside a statement, however deep. */
export interface Contents {
  readonly relations: Relation[]
  readonly calls: Call[]
  /** Statements inside it that are no SELECT, with the common table expressions they see. */
  readonly statements: { readonly node: Named; readonly ctes: ReadonlyMap<string, Tree> }[]
  /** Operators written with a schema of somebody's own. */
  readonly operators: string[]
  /** Operators written plainly: the search path decides which one is meant. */
  readonly operatorNames: Set<string>
  /** What stands behind a dot: a column, or a function of one argument written as one. */
  readonly fields: Set<string>
  /** Types that are not the server's own: a domain runs its checks on what is cast to it, and a cast its function. */
  readonly types: Set<string>
  /** SELECT … INTO. */
  readonly into: Tree[]
  /** FOR UPDATE and its kin. */
  locks: boolean
  /** A node that this describer has not heard of. */
  stranger: string | null
}

type Ctes = ReadonlyMap<string, Tree>

const noQuery: Tree = {}

export function toRelation(node: Tree): Relation {
  const schema = text(node, 'schemaname')
  const name = text(node, 'relname')
  return { schema: schema === '' ? null : schema, name, shown: quoteName([text(node, 'catalogname'), schema, name]) }
}

/** Walks everything below `body` but the fields in `skip`. */
export function collect(body: Tree, ctes: Ctes, skip: readonly string[] = []): Contents {
  const contents: Contents = {
    relations: [],
    calls: [],
    statements: [],
    operators: [],
    operatorNames: new Set(),
    fields: new Set(),
    types: new Set(),
    into: [],
    locks: false,
    stranger: null,
  }
  const kept = skip.length === 0 ? body : Object.fromEntries(Object.entries(body).filter(([key]) => !skip.includes(key)))
  visit(kept, ctes, contents)
  return contents
}

/** The common table expressions that the rest of a statement with this WITH clause sees. */
export function ctesOf(body: Tree, outer: Ctes): Ctes {
  const clause = child(body, 'withClause')
  if (!clause) return outer
  const inner = new Map(outer)
  for (const entry of bodies(clause, 'ctes', 'CommonTableExpr')) inner.set(text(entry, 'ctename'), queryOf(entry))
  return inner
}

function queryOf(entry: Tree): Tree {
  const query = named(entry['ctequery'])
  return query?.type === 'SelectStmt' ? query.body : noQuery
}

function visitWith(clause: Tree, outer: Ctes, contents: Contents): Ctes {
  const isRecursive = flag(clause, 'recursive')
  const entries = bodies(clause, 'ctes', 'CommonTableExpr')
  const seen = new Map(outer)
  if (isRecursive) for (const entry of entries) seen.set(text(entry, 'ctename'), queryOf(entry))
  for (const entry of entries) {
    visit(entry, new Map(seen), contents)
    seen.set(text(entry, 'ctename'), queryOf(entry))
  }
  return seen
}

function visit(value: Json, ctes: Ctes, contents: Contents): void {
  const tree = asTree(value)
  if (!tree) {
    for (const item of listOf(value)) visit(item, ctes, contents)
    return
  }
  const clause = tree['withClause'] === undefined ? null : child(tree, 'withClause')
  const scope = clause ? visitWith(clause, ctes, contents) : ctes
  note(tree, scope, contents)
  // for…in and character codes, not entries and patterns: every node of every statement comes through here
  for (const key in tree) {
    const inner = tree[key]
    if (typeof inner !== 'object' || inner === null || key === 'withClause') continue
    const first = key.charCodeAt(0)
    if (first < upperA || first > upperZ) {
      visit(inner, scope, contents)
      continue
    }
    const node = asTree(inner)
    if (!node) continue
    if (key === 'SelectStmt') visit(node, scope, contents)
    else if (key.endsWith('Stmt')) contents.statements.push({ node: { type: key, body: node }, ctes: scope })
    else if (quietNodes.has(key)) visit(node, scope, contents)
    else contents.stranger = key
  }
}

const upperA = 65
const upperZ = 90

/** Fields of a fixed type carry no type name: they are told by their shape. */
function note(tree: Tree, ctes: Ctes, contents: Contents): void {
  if (typeof tree['relname'] === 'string') {
    const relation = toRelation(tree)
    if (relation.schema !== null || !ctes.has(relation.name)) contents.relations.push(relation)
  }
  if (tree['funcname'] !== undefined) {
    const called = nameParts(tree, 'funcname')
    if (called && called.length > 0) contents.calls.push({ parts: called, node: tree })
  }
  if (Array.isArray(tree['method'])) contents.calls.push({ parts: nameParts(tree, 'method') ?? ['?'], node: {} })
  if (Array.isArray(tree['names']) && tree['typemod'] !== undefined) noteType(tree, contents)
  if (Array.isArray(tree['fields'])) noteFields(tree, 'fields', contents)
  if (Array.isArray(tree['indirection'])) noteFields(tree, 'indirection', contents)
  if (tree['intoClause'] !== undefined) {
    const into = child(tree, 'intoClause')
    if (into) contents.into.push(into)
  }
  if (tree['lockingClause'] !== undefined) contents.locks = true
  if (typeof tree['kind'] === 'string' && tree['kind'].startsWith('AEXPR_')) noteOperator(tree, 'name', contents)
  if (tree['operName'] !== undefined) noteOperator(tree, 'operName', contents)
  if (tree['useOp'] !== undefined) noteOperator(tree, 'useOp', contents)
}

/** Unqualified, the server's own types come first whatever the search path says. */
const ownTypes = new Set(
  `text json jsonb jsonpath xml uuid date time timetz timestamp timestamptz interval inet cidr macaddr macaddr8 bytea name oid money bool int2
   int4 int8 float4 float8 numeric bpchar varchar regclass regproc regprocedure regtype regrole regnamespace regoper regoperator regconfig
   regdictionary tsvector tsquery point line lseg box path polygon circle int4range int8range numrange tsrange tstzrange daterange
   pg_lsn record void bit varbit tid xid xid8 cid`
    .split(/\s+/)
    .filter((name) => name !== ''),
)

function noteType(tree: Tree, contents: Contents): void {
  const parts = nameParts(tree, 'names') ?? []
  const name = parts.at(-1) ?? ''
  if (parts[0] === 'pg_catalog' || (parts.length === 1 && ownTypes.has(name))) return
  contents.types.add(name)
}

function noteOperator(tree: Tree, key: string, contents: Contents): void {
  const parts = nameParts(tree, key)
  if (parts?.length === 1) contents.operatorNames.add(parts[0] ?? '')
  if (!parts || parts.length < 2 || (parts.length === 2 && parts[0] === 'pg_catalog')) return
  contents.operators.push(`operator(${parts.slice(0, -1).join('.')}.${parts.at(-1) ?? ''})`)
}

/** The first part of a column's name is never a function; the others can be. */
function noteFields(tree: Tree, key: string, contents: Contents): void {
  const parts = listOf(tree[key] ?? null)
  for (const part of key === 'fields' ? parts.slice(1) : parts) {
    const node = asTree(part)
    const inner = node ? child(node, 'String') : null
    if (inner) contents.fields.add(text(inner, 'sval'))
  }
}
