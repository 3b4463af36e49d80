import type { Json } from '@sallyport/core'
import { steadyBuiltins, volatileBuiltins } from './functions-catalog.ts'
import { asTree, child, list, nameParts, named, nodes, text, type Tree } from './parser-tree.ts'

/** Volatile functions that yet give one value for a whole statement. */
const oneValueFunctions = new Set(['currval', 'lastval'])

/**
 * Whether an expression has one value for the whole statement: constants, parameters, steady functions of those. `variables` are the names of
 * variables of the surrounding routine that hold one value while the statement runs.
 */
export function isConstant(value: Json | undefined, variables: ReadonlySet<string>): boolean {
  const node = named(value)
  if (!node) return false
  const all = (values: readonly Json[]): boolean => values.length > 0 && values.every((item) => isConstant(item, variables))
  switch (node.type) {
    case 'A_Const':
      return node.body['boolval'] === undefined && node.body['isnull'] === undefined
    case 'ParamRef':
    case 'SQLValueFunction':
      return true
    case 'TypeCast':
    case 'CollateClause':
      return isConstant(node.body['arg'], variables)
    case 'A_Expr':
      return (
        isConstant(node.body['rexpr'], variables) &&
        (node.body['lexpr'] === undefined || isConstant(node.body['lexpr'], variables))
      )
    case 'A_ArrayExpr':
      return all(list(node.body, 'elements'))
    case 'RowExpr':
      return all(list(node.body, 'args'))
    case 'List':
      return all(list(node.body, 'items'))
    case 'FuncCall':
      return isConstantCall(node.body, variables)
    case 'ColumnRef':
      return isVariable(node.body, variables)
    default:
      return false
  }
}

function isConstantCall(call: Tree, variables: ReadonlySet<string>): boolean {
  const parts = nameParts(call, 'funcname') ?? []
  const name = parts.at(-1) ?? ''
  if (parts.length > 1 && parts[0] !== 'pg_catalog') return false
  if (!oneValueFunctions.has(name) && (!steadyBuiltins.has(name) || volatileBuiltins.has(name))) return false
  return list(call, 'args').every((value) => isConstant(value, variables))
}

function isVariable(reference: Tree, variables: ReadonlySet<string>): boolean {
  const parts = nameParts(reference, 'fields')
  return parts?.length === 1 && variables.has(parts[0] ?? '')
}

/** Whether a SELECT gives a bounded set of rows whatever the tables hold: VALUES, constants, `LIMIT 1`, `max(…)` of everything. */
export function isBoundedSelect(select: Tree, variables: ReadonlySet<string>): boolean {
  const left = child(select, 'larg')
  const right = child(select, 'rarg')
  if (isLimitOne(select)) return true
  if (left && right) return isBoundedSelect(left, variables) && isBoundedSelect(right, variables)
  const rows = list(select, 'valuesLists')
  if (rows.length > 0) return true
  if (list(select, 'groupClause').length > 0) return false
  const targets = nodes(select, 'targetList')
  if (list(select, 'fromClause').length === 0) return targets.every((target) => isConstantTarget(target.body['val'], variables))
  return targets.length > 0 && targets.every((target) => isWholeAggregate(target.body['val']))
}

function isConstantTarget(value: Json | undefined, variables: ReadonlySet<string>): boolean {
  // unnest of a parameter gives the rows the client sent, no more
  const node = named(value)
  if (node?.type === 'FuncCall' && nameParts(node.body, 'funcname')?.at(-1) === 'unnest')
    return list(node.body, 'args').every(isListed)
  // a function that computes only may still give any number of rows
  if (!callsOnlySingleRow(value ?? null)) return false
  if (node?.type === 'A_Const') return true
  return isConstant(value, variables)
}

function callsOnlySingleRow(value: Json): boolean {
  if (Array.isArray(value)) return value.every((item: Json) => callsOnlySingleRow(item))
  const tree = asTree(value)
  if (!tree) return true
  if (tree['funcname'] !== undefined && !singleRowFunctions.has(nameParts(tree, 'funcname')?.at(-1) ?? '')) return false
  return Object.values(tree).every((inner) => typeof inner !== 'object' || callsOnlySingleRow(inner))
}

/** Functions of which a bounded SELECT may have more than their result of one row. */
const singleRowFunctions = new Set(
  'now lower upper coalesce gen_random_uuid uuidv4 uuidv7 to_jsonb to_json jsonb_build_object'.split(' '),
)

/** A value written out or sent as a parameter, not computed: `array_positions(array_fill(…))` lists every number there is. */
function isListed(value: Json): boolean {
  const node = named(value)
  if (node?.type === 'TypeCast') return isListed(node.body['arg'] ?? null)
  if (node?.type === 'A_ArrayExpr') return list(node.body, 'elements').every(isListed)
  return node?.type === 'ParamRef' || node?.type === 'A_Const'
}

function isLimitOne(select: Tree): boolean {
  const limit = named(select['limitCount'])
  if (limit?.type !== 'A_Const' || text(select, 'limitOption') === 'LIMIT_OPTION_WITH_TIES') return false
  return child(limit.body, 'ival')?.['ival'] === 1
}

function isWholeAggregate(value: Json | undefined): boolean {
  const node = named(value)
  if (node?.type !== 'FuncCall' || node.body['over'] !== undefined) return false
  const parts = nameParts(node.body, 'funcname') ?? []
  return parts.length === 1 && (parts[0] === 'max' || parts[0] === 'min')
}
