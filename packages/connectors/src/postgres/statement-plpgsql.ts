import type { Json, Operation } from '@sallyport/core'
import { makeOperation, type Context } from './statement-context.ts'
import { asTree, child, constantText, integer, list, named, text, type Tree } from './parser-tree.ts'

/** Statements of PL/pgSQL that do nothing by themselves: their expressions and inner statements are walked. */
const quiet = new Set(
  `PLpgSQL_function PLpgSQL_var PLpgSQL_rec PLpgSQL_recfield PLpgSQL_row PLpgSQL_type PLpgSQL_exception_block PLpgSQL_exception
   PLpgSQL_condition PLpgSQL_if_elsif PLpgSQL_case_when PLpgSQL_diag_item PLpgSQL_raise_option PLpgSQL_promise PLpgSQL_stmt_block
   PLpgSQL_stmt_assign PLpgSQL_stmt_if PLpgSQL_stmt_case PLpgSQL_stmt_loop PLpgSQL_stmt_while PLpgSQL_stmt_fori PLpgSQL_stmt_fors
   PLpgSQL_stmt_forc PLpgSQL_stmt_foreach_a PLpgSQL_stmt_exit PLpgSQL_stmt_return PLpgSQL_stmt_return_next PLpgSQL_stmt_return_query
   PLpgSQL_stmt_raise PLpgSQL_stmt_assert PLpgSQL_stmt_execsql PLpgSQL_stmt_getdiag PLpgSQL_stmt_open PLpgSQL_stmt_fetch
   PLpgSQL_stmt_close PLpgSQL_stmt_perform PLpgSQL_stmt_call PLpgSQL_stmt_commit PLpgSQL_stmt_rollback PLpgSQL_stmt_dynexecute
   PLpgSQL_stmt_dynfors`
    .split(/\s+/)
    .filter((name) => name !== ''),
)
const loops = new Set(
  'PLpgSQL_stmt_loop PLpgSQL_stmt_while PLpgSQL_stmt_fori PLpgSQL_stmt_fors PLpgSQL_stmt_forc PLpgSQL_stmt_foreach_a PLpgSQL_stmt_dynfors'.split(
    ' ',
  ),
)
/** Where each statement keeps SQL that is computed as text. */
const computed: ReadonlyMap<string, string> = new Map([
  ['PLpgSQL_stmt_dynexecute', 'query'],
  ['PLpgSQL_stmt_dynfors', 'query'],
  ['PLpgSQL_stmt_return_query', 'dynquery'],
  ['PLpgSQL_stmt_open', 'dynquery'],
])
/** RawParseMode of PostgreSQL: what kind of text an expression is. */
const modes = { statement: 0, expression: 2, firstAssignment: 3, lastAssignment: 5 } as const

/** What the PL/pgSQL of a DO or CREATE FUNCTION statement does. */
export function describeRoutineBody(sql: string, outer: Context): readonly Operation[] {
  const context: Context = { ...outer, isOutermost: false, batch: { ...outer.batch, temporary: new Set() } }
  let routines: readonly Json[]
  try {
    routines = list(context.parser.parseRoutine(sql), 'plpgsql_funcs')
  } catch {
    return [unreadable('is PL/pgSQL that the parser refuses', context)]
  }
  const [routine] = routines
  if (routine === undefined || routines.length !== 1) return [unreadable('is PL/pgSQL that can not be read', context)]
  // under this directive a column wins over a variable of its name
  const isReliable = !/#\s*variable_conflict/i.test(sql)
  const variables = new Set(isReliable ? [...context.variables, ...variablesOf(asTree(routine))] : [])
  return walk(routine, { ...context, variables })
}

function unreadable(why: string, context: Context): Operation {
  return makeOperation({ action: 'routine', kind: 'unknown', why }, context)
}

/** Only plain variables: a record's fields change with every row. */
function variablesOf(routine: Tree | null): readonly string[] {
  return list(child(routine, 'PLpgSQL_function'), 'datums').flatMap((datum) => {
    const variable = named(datum)
    return variable?.type === 'PLpgSQL_var' ? [text(variable.body, 'refname')] : []
  })
}

function walk(value: Json, context: Context): readonly Operation[] {
  const tree = asTree(value)
  if (!tree) return Array.isArray(value) ? value.flatMap((item: Json) => walk(item, context)) : []
  return Object.entries(tree).flatMap(([key, inner]) => {
    if (!key.startsWith('PLpgSQL_')) return walk(inner, context)
    const body = asTree(inner)
    if (!body) return []
    if (key === 'PLpgSQL_expr') return expression(body, context)
    if (!quiet.has(key)) return [unreadable(`uses ${key}, which this gate has not heard of`, context)]
    // in a loop a variable takes many values: nothing it is compared to limits the rows
    const within = loops.has(key) ? { ...context, variables: new Set<string>(), isRepeated: true } : context
    const place = computed.get(key)
    const dynamic = place === undefined ? null : child(child(body, place), 'PLpgSQL_expr')
    if (place === undefined || !dynamic) return walk(body, within)
    const rest = Object.fromEntries(Object.entries(body).filter(([field]) => field !== place))
    return [...expression(dynamic, within), ...computedSql(text(dynamic, 'query'), within), ...walk(rest, within)]
  })
}

/** EXECUTE of a constant is as good as the statement itself; of anything else it may be any statement. */
function computedSql(query: string, context: Context): readonly Operation[] {
  try {
    const [statement] = list(context.parser.parse(`SELECT ${query}`), 'stmts')
    const select = child(child(asTree(statement), 'stmt'), 'SelectStmt')
    const [target, ...others] = list(select, 'targetList')
    const sql = others.length === 0 ? constantText(named(target)?.body['val']) : null
    if (sql !== null) return context.describeText(sql, context)
  } catch {
    // falls through: what the parser refuses is not a constant
  }
  return [makeOperation({ action: 'execute_dynamic', kind: 'unknown', why: 'runs SQL that is computed when it runs' }, context)]
}

function expression(body: Tree, context: Context): readonly Operation[] {
  const query = text(body, 'query')
  const mode = integer(body, 'parseMode')
  if (mode === modes.statement) return context.describeText(query, context)
  if (mode === modes.expression) return context.describeText(`SELECT ${query}`, context)
  if (mode >= modes.firstAssignment && mode <= modes.lastAssignment) return assignment(query, context)
  return [unreadable('holds an expression that can not be read', context)]
}

/** `target[subscript] := expression`: both sides compute. */
function assignment(query: string, context: Context): readonly Operation[] {
  try {
    let depth = 0
    const sign = context.parser.scan(query).find((token) => {
      if (token.text === '[' || token.text === '(') depth += 1
      if (token.text === ']' || token.text === ')') depth -= 1
      return depth === 0 && (token.text === ':=' || token.text === '=')
    })
    if (!sign) return [unreadable('holds an assignment that can not be read', context)]
    const bytes = Buffer.from(query, 'utf8')
    const target = bytes.subarray(0, sign.start).toString('utf8')
    const value = bytes.subarray(sign.end).toString('utf8')
    return [
      ...context.describeText(`SELECT ${value}`, context),
      ...(/[[(]/.test(target) ? context.describeText(`SELECT ${target}`, context) : []),
    ]
  } catch {
    return [unreadable('holds an assignment that can not be read', context)]
  }
}
