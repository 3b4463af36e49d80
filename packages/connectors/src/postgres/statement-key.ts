import type { Json } from '@sallyport/core'
import { isBoundedSelect, isConstant } from './statement-constant.ts'
import { isKeyName } from './statement-key-name.ts'
import { asTree, child, flag, list, nameParts, named, nodes, text, type Named, type Tree } from './parser-tree.ts'

export interface KeyFacts {
  /** A plausible key limits the rows, perhaps through a join. */
  readonly keyed: boolean
  /**
   * Columns of the target compared, as they are, by = to one constant or parameter in the top-level AND: with a unique index on them, one row.
   * Not what is cast, folded or collated first (`id::bool = true` holds for nearly every row), nor what is compared to a list.
   */
  readonly keyEquality: readonly string[]
}

interface Source {
  readonly alias: string
  readonly table: string
  /** Its rows are few whatever the tables hold. */
  readonly bounded: boolean
}

interface Column {
  /** Null: cannot be told from the text. */
  readonly alias: string | null
  readonly name: string
  /** Compared as it is, to one value. */
  readonly exact: boolean
}

interface Question {
  readonly target: Tree
  readonly targetAlias: string
  readonly sources: ReadonlyMap<string, Source>
  readonly variables: ReadonlySet<string>
  readonly ctes: ReadonlyMap<string, Tree>
}

/**
 * What limits the rows of an UPDATE or DELETE. Only the top-level AND counts, inner joins' conditions included: what stands under OR counts when
 * every arm limits. Fails to the side of "nothing limits".
 */
export function findKey(
  target: Tree,
  from: readonly Named[],
  where: Json | undefined,
  ctes: ReadonlyMap<string, Tree>,
  variables: ReadonlySet<string>,
): KeyFacts {
  const conditions: Json[] = where === undefined ? [] : [where]
  const targetAlias = aliasOf(target)
  const sources = new Map<string, Source>([[targetAlias, { alias: targetAlias, table: text(target, 'relname'), bounded: false }]])
  for (const item of from) addSource(item, sources, conditions, ctes, variables)
  const question: Question = { target, targetAlias, sources, variables, ctes }
  const conjuncts = conditions.flatMap(flattenAnd)
  if (conjuncts.some((conjunct) => named(conjunct)?.type === 'CurrentOfExpr')) return { keyed: true, keyEquality: [] }
  const bound = conjuncts.flatMap((conjunct) => bindings(conjunct, question))
  const pairs = conjuncts.flatMap((conjunct) => columnPair(conjunct, question))
  const limited = spread(question, bound, pairs)
  const keyEquality = [
    ...new Set(bound.filter((column) => column.exact && column.alias === targetAlias).map((column) => column.name)),
  ]
  return { keyed: limited.has(targetAlias), keyEquality }
}

function aliasOf(relation: Tree): string {
  return text(child(relation, 'alias'), 'aliasname') || text(relation, 'relname')
}

function addSource(
  item: Named,
  sources: Map<string, Source>,
  conditions: Json[],
  ctes: ReadonlyMap<string, Tree>,
  variables: ReadonlySet<string>,
): void {
  if (item.type === 'JoinExpr') {
    for (const side of ['larg', 'rarg']) {
      const inner = named(item.body[side])
      if (inner) addSource(inner, sources, conditions, ctes, variables)
    }
    const condition = item.body['quals']
    if (condition !== undefined && text(item.body, 'jointype') === 'JOIN_INNER') conditions.push(condition)
    return
  }
  const alias = item.type === 'RangeVar' ? aliasOf(item.body) : text(child(item.body, 'alias'), 'aliasname')
  const table = item.type === 'RangeVar' ? text(item.body, 'relname') : alias
  const isKnown = sources.has(alias)
  sources.set(alias, { alias, table, bounded: !isKnown && isBoundedSource(item, ctes, variables) })
}

function isBoundedSource(item: Named, ctes: ReadonlyMap<string, Tree>, variables: ReadonlySet<string>): boolean {
  if (item.type === 'RangeVar') {
    const query = text(item.body, 'schemaname') === '' ? ctes.get(text(item.body, 'relname')) : undefined
    return query !== undefined && isBounded(query, ctes, variables)
  }
  if (item.type === 'RangeSubselect') {
    const query = named(item.body['subquery'])
    return query?.type === 'SelectStmt' && !flag(item.body, 'lateral') && isBounded(query.body, ctes, variables)
  }
  if (item.type === 'RangeFunction') return isBoundedFunction(item.body, variables)
  return false
}

const rowsOfArgument = new Set([
  'unnest',
  'jsonb_to_recordset',
  'json_to_recordset',
  'jsonb_array_elements',
  'json_array_elements',
  'jsonb_to_record',
  'json_populate_recordset',
  'jsonb_populate_recordset',
])

/** A function in FROM that only unpacks what the client sent. */
function isBoundedFunction(range: Tree, variables: ReadonlySet<string>): boolean {
  return list(range, 'functions').every((entry) => {
    const call = named(list(named(entry)?.body ?? null, 'items')[0])
    if (call?.type !== 'FuncCall') return false
    const parts = nameParts(call.body, 'funcname') ?? []
    return (
      parts.length === 1 &&
      rowsOfArgument.has(parts[0] ?? '') &&
      list(call.body, 'args').every((value) => isConstant(value, variables))
    )
  })
}

/** Whether a sub-query that can't see the outer rows gives few rows. */
function isBounded(select: Tree, ctes: ReadonlyMap<string, Tree>, variables: ReadonlySet<string>): boolean {
  if (isBoundedSelect(select, variables)) return true
  const from = nodes(select, 'fromClause')
  const [only] = from
  if (from.length !== 1 || only?.type !== 'RangeVar' || child(select, 'larg')) return false
  if (isBoundedSource(only, ctes, variables)) return true
  return findKey(only.body, [], select['whereClause'], ctes, variables).keyed
}

function flattenAnd(condition: Json): readonly Json[] {
  const node = named(condition)
  if (node?.type !== 'BoolExpr' || text(node.body, 'boolop') !== 'AND_EXPR') return [condition]
  return list(node.body, 'args').flatMap(flattenAnd)
}

function columnOf(value: Json | undefined, question: Question): Column | null {
  const node = named(value)
  if (node?.type === 'TypeCast' || node?.type === 'CollateClause') return inexact(columnOf(node.body['arg'], question))
  if (node?.type === 'FuncCall') {
    const parts = nameParts(node.body, 'funcname') ?? []
    const isFolding = parts.length === 1 && (parts[0] === 'lower' || parts[0] === 'upper')
    return isFolding ? inexact(columnOf(list(node.body, 'args')[0], question)) : null
  }
  if (node?.type !== 'ColumnRef') return null
  const parts = nameParts(node.body, 'fields')
  const name = parts?.at(-1)
  if (!parts || name === undefined) return null
  if (parts.length === 1)
    return question.variables.has(name) && question.sources.size > 1
      ? null
      : { alias: question.sources.size === 1 ? question.targetAlias : null, name, exact: true }
  const alias = parts.at(-2) ?? ''
  return question.sources.has(alias) ? { alias, name, exact: true } : null
}

function inexact(column: Column | null): Column | null {
  return column === null ? null : { ...column, exact: false }
}

function isEquality(expression: Tree, kind: string): boolean {
  const parts = nameParts(expression, 'name') ?? []
  return text(expression, 'kind') === kind && parts.at(-1) === '=' && (parts.length === 1 || parts[0] === 'pg_catalog')
}

/** Columns that a condition holds to one of a bounded number of values. */
function bindings(condition: Json, question: Question): readonly Column[] {
  const node = named(condition)
  if (node?.type === 'BoolExpr' && text(node.body, 'boolop') === 'OR_EXPR') return bindingsOfOr(list(node.body, 'args'), question)
  if (node?.type === 'SubLink') return bindingsOfSubLink(node.body, question)
  if (node?.type !== 'A_Expr') return []
  const { body } = node
  if (isEquality(body, 'AEXPR_OP') || isEquality(body, 'AEXPR_NOT_DISTINCT')) {
    return [...equalTo(body['lexpr'], body['rexpr'], question), ...equalTo(body['rexpr'], body['lexpr'], question)]
  }
  if (isEquality(body, 'AEXPR_IN') || isEquality(body, 'AEXPR_OP_ANY'))
    return equalTo(body['lexpr'], body['rexpr'], question).map((column) => ({ ...column, exact: false }))
  return []
}

function equalTo(side: Json | undefined, value: Json | undefined, question: Question): readonly Column[] {
  const row = named(side)
  if (row?.type === 'RowExpr')
    return isConstant(value, question.variables) ? list(row.body, 'args').flatMap((item) => columnOf(item, question) ?? []) : []
  const column = columnOf(side, question)
  if (!column) return []
  // in a routine, a column wins over a variable of the same name: x = x holds for every row
  const variables = new Set([...question.variables].filter((name) => name !== column.name))
  if (isConstant(value, variables) || isOneValue(value, column, question)) return [column]
  return []
}

/** A scalar sub-query that can't depend on the row it is asked for. */
function isOneValue(value: Json | undefined, column: Column, question: Question): boolean {
  const link = named(value)
  if (link?.type !== 'SubLink' || text(link.body, 'subLinkType') !== 'EXPR_SUBLINK') return false
  return isIndependent(link.body, column, question)
}

function bindingsOfSubLink(link: Tree, question: Question): readonly Column[] {
  if (text(link, 'subLinkType') !== 'ANY_SUBLINK' || list(link, 'operName').length > 0) return []
  const column = columnOf(link['testexpr'], question)
  const query = named(link['subselect'])
  if (!column || query?.type !== 'SelectStmt' || !isIndependent(link, column, question)) return []
  return isBounded(query.body, question.ctes, question.variables) ? [{ ...column, exact: false }] : []
}

/**
 * Unqualified names inside a sub-query may fall through to the outer row, so that `id IN (SELECT id FROM other)` holds for every row when `other`
 * has no `id`. They can't when the sub-query reads the very table that is changed, or names every column with its table.
 */
function isIndependent(link: Tree, column: Column, question: Question): boolean {
  const query = named(link['subselect'])
  if (query?.type !== 'SelectStmt') return false
  const from = nodes(query.body, 'fromClause')
  if (from.length === 0)
    return list(query.body, 'targetList').every((target) => isConstant(named(target)?.body['val'], question.variables))
  const inner = new Set<string>()
  for (const item of from) {
    if (item.type !== 'RangeVar') return false
    inner.add(aliasOf(item.body))
  }
  const [only] = from
  const isSame =
    from.length === 1 &&
    only !== undefined &&
    text(only.body, 'relname') === text(question.target, 'relname') &&
    text(only.body, 'schemaname') === text(question.target, 'schemaname')
  if (column.alias !== question.targetAlias && !isSame) return false
  return referencesIn(query.body).every((parts) => (parts.length === 1 ? isSame : inner.has(parts.at(-2) ?? '')))
}

function referencesIn(value: Json): readonly (readonly string[])[] {
  const node = asTree(value)
  if (!node) return Array.isArray(value) ? value.flatMap((item: Json) => referencesIn(item)) : []
  return Object.entries(node).flatMap(([key, inner]) => {
    const reference = key === 'ColumnRef' ? nameParts(asTree(inner), 'fields') : null
    return reference ? [reference] : referencesIn(inner)
  })
}

function bindingsOfOr(arms: readonly Json[], question: Question): readonly Column[] {
  const perArm = arms.map((arm) => flattenAnd(arm).flatMap((conjunct) => bindings(conjunct, question)))
  const [first = []] = perArm
  return first
    .filter((column) =>
      perArm.every((columns) => columns.some((other) => other.alias === column.alias && other.name === column.name)),
    )
    .map((column) => ({ ...column, exact: false }))
}

function columnPair(condition: Json, question: Question): readonly (readonly [Column, Column])[] {
  const node = named(condition)
  if (node?.type !== 'A_Expr' || !isEquality(node.body, 'AEXPR_OP')) return []
  const left = columnOf(node.body['lexpr'], question)
  const right = columnOf(node.body['rexpr'], question)
  return left && right && left.alias !== right.alias
    ? [
        [left, right],
        [right, left],
      ]
    : []
}

/** From the tables that a key limits to the tables joined to them by a key. */
function spread(
  question: Question,
  bound: readonly Column[],
  pairs: readonly (readonly [Column, Column])[],
): ReadonlySet<string> {
  const limited = new Set<string>()
  for (const source of question.sources.values()) if (source.bounded) limited.add(source.alias)
  const isKey = (column: Column): boolean =>
    column.alias !== null && isKeyName(column.name, question.sources.get(column.alias)?.table ?? '')
  for (const column of bound) if (column.alias !== null && isKey(column)) limited.add(column.alias)
  for (let before = -1; before !== limited.size;) {
    before = limited.size
    for (const [from, to] of pairs) {
      if (from.alias !== null && to.alias !== null && limited.has(from.alias) && isKey(to)) limited.add(to.alias)
    }
  }
  return limited
}
