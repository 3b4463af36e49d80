import type { Scope, SqlAccess, SqlChannel, SqlRow } from '@sallyport/core'
import { quoteQualified } from './catalog-name.ts'
import { attempt } from './catalog-query.ts'
import { readTableShapes, type TableShape } from './catalog-shape.ts'
import type { Plan } from './copy-plan.ts'
import { whereClause, type OperationContext } from './resolve-context.ts'
import { areBuiltinsSteady } from './resolve-name.ts'
import type { LosingVerb } from './resolve-verb.ts'
import { sayAction } from './row-reach.ts'
import { walkRows, type Walked } from './row-walk.ts'

/** How long counting may take in all, before an estimate is shown instead. */
export const countTimeoutMs = 2_000

interface Counted {
  readonly rows: number
  readonly exact: boolean
}

/** Exact when it can be counted in time, else the planner's estimate; null when there is none either (a table never analyzed). */
async function countTable(protect: SqlChannel, shape: TableShape): Promise<Counted | null> {
  const only = shape.kind === 'r' ? 'ONLY ' : ''
  const counted = await attempt(protect, async () => {
    await protect.query(`SET LOCAL statement_timeout = ${countTimeoutMs}`)
    return protect.query(`SELECT count(*)::text FROM ${only}${quoteQualified(shape.schema, shape.name)}`)
  })
  const text = counted.ok ? counted.out[0]?.[0] : null
  if (typeof text === 'string') return { rows: Number(text), exact: true }
  return shape.rowsEstimate >= 0 ? { rows: Math.ceil(shape.rowsEstimate), exact: false } : null
}

/**
 * The agent's condition may be run ahead only when nothing in it can have an effect or give another answer the next time: it calls no function
 * but the server's own, none of them volatile.
 */
export async function isPreimageReadable(session: SqlChannel, context: OperationContext): Promise<boolean> {
  if (context.preimage === null || context.functions === null || context.functions.length > 0) return false
  if (context.extensionFunctions === null || context.extensionFunctions.length > 0 || context.builtins === null) return false
  return areBuiltinsSteady(session, context.builtins)
}

/** Counts the rows that the statement's own condition names, in the agent's session, read-only and bounded; null when it can't be told. */
export async function countPreimage(access: SqlAccess, context: OperationContext): Promise<number | null> {
  const { session } = access
  const { preimage } = context
  if (preimage === null || !(await isPreimageReadable(session, context))) return null
  const { alias } = preimage
  const rows = await lookAhead(access, async (ask) => {
    const sql = `SELECT pg_catalog.count(DISTINCT ${alias}.ctid)::pg_catalog.text FROM ${preimage.from}\n${whereClause(preimage)}`
    return (await ask(sql, context.bindValues ?? []))[0]?.[0]
  })
  return typeof rows === 'string' ? Number(rows) : null
}

/** Every row that the statement would change, cascades included, found along the foreign keys; null when that takes too long or too far. */
export async function countWalk(access: SqlAccess, context: OperationContext, plan: Plan): Promise<Walked | null> {
  if (!(await isPreimageReadable(access.session, context))) return null
  return lookAhead(access, (ask) => walkRows(plan, context, ask, false))
}

type Ask = (sql: string, values: readonly (string | null)[]) => Promise<readonly SqlRow[]>

/** Reads in the agent's session what its own statement would see, read-only and bounded; null when it fails or takes too long. */
async function lookAhead<Out>(access: SqlAccess, work: (ask: Ask) => Promise<Out>): Promise<Out | null> {
  const endMs = performance.now() + countTimeoutMs
  // One statement each: the gate speaks the extended protocol on the agent's backend, so as not to disturb its unnamed statement.
  await access.hold('SAVEPOINT sallyport_count')
  await access.hold('SET LOCAL transaction_read_only = on')
  await access.hold(`SET LOCAL statement_timeout = ${countTimeoutMs}`)
  await access.hold(`SET LOCAL lock_timeout = ${countTimeoutMs}`)
  try {
    return await work(async (sql, values) => {
      if (performance.now() > endMs) throw new Error(`counting took longer than ${countTimeoutMs} ms`)
      return access.session.query(sql, values)
    })
  } catch {
    return null
  } finally {
    await access.hold('ROLLBACK TO SAVEPOINT sallyport_count')
    await access.hold('RELEASE SAVEPOINT sallyport_count')
  }
}

/** What is known of the tables when no copy can be planned: still counted, so that a person sees the size of it. */
export async function measureTables(protect: SqlChannel, oids: readonly string[], dependants: readonly string[]): Promise<Scope> {
  const shapes = await readTableShapes(protect, oids)
  const counts: (Counted | null)[] = []
  for (const shape of shapes) counts.push(['r', 'p', 'm'].includes(shape.kind) ? await countTable(protect, shape) : null)
  return add(shapes, counts, dependants)
}

function add(shapes: readonly TableShape[], counts: readonly (Counted | null)[], dependants: readonly string[]): Scope {
  const known = counts.filter((item) => item !== null)
  const all = known.length === counts.length && counts.length > 0
  return {
    ...(all ? { rows: known.reduce((sum, { rows }) => sum + rows, 0) } : {}),
    bytes: shapes.reduce((sum, { bytes }) => sum + bytes, 0),
    tables: shapes.map(({ label }) => label),
    dependants,
    exact: all && known.every(({ exact }) => exact),
  }
}

/** The scope of what was followed row by row: as exact as a look can be. Tables without such rows are left out, but for the target. */
export function measureWalk(plan: Plan, walked: Walked): Scope {
  const counts = countTables(plan, walked).filter(({ shape, rows }) => rows > 0 || shape.oid === plan.walk?.target)
  return {
    rows: walked.changes,
    bytes: counts.reduce((sum, { shape, rows }) => sum + shareOfBytes(shape, rows), 0),
    tables: counts.map(({ shape }) => shape.label),
    dependants: [...walked.reached.map(({ key, rows }) => sayAction(key, rows)), ...walked.added.map(sayAdded)],
    // What triggers add under a condition is an upper bound.
    exact: walked.added.length === 0,
  }
}

function sayAdded({ label, trigger, rows }: Walked['added'][number]): string {
  const counted = `${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'}`
  return `${label}: up to ${counted} are added by trigger ${trigger}, and stay after an undo`
}

function countTables(plan: Plan, walked: Walked): readonly { readonly shape: TableShape; readonly rows: number }[] {
  const target = plan.walk?.target
  const counts = plan.tables.map(({ shape }) => ({ shape, rows: walked.rows.get(shape.oid)?.length ?? 0 }))
  return [...counts.filter(({ shape }) => shape.oid === target), ...counts.filter(({ shape }) => shape.oid !== target)]
}

/** The table's bytes by the share of its rows; all of them when it was never analyzed. */
function shareOfBytes({ bytes, rowsEstimate }: TableShape, rows: number): number {
  return rowsEstimate > 0 ? Math.min(bytes, Math.ceil((bytes * rows) / rowsEstimate)) : rows === 0 ? 0 : bytes
}

/** Names of tables that are told one by one; what follows is summed up. */
const saidMax = 8

/** "1 row of shop.orders, 3 of shop.order_items". */
export function sayWalk(plan: Plan, walked: Walked): string {
  const counts = countTables(plan, walked).filter(({ rows }, index) => rows > 0 || index === 0)
  const said = counts.slice(0, saidMax).map(({ shape, rows }, index) => {
    const unit = index > 0 ? '' : rows === 1 ? ' row' : ' rows'
    return `${rows.toLocaleString('en-US')}${unit} of ${shape.label}`
  })
  const more = counts.slice(saidMax)
  const rest = more.reduce((sum, { rows }) => sum + rows, 0)
  return [...said, ...(more.length > 0 ? [`${rest.toLocaleString('en-US')} of ${more.length} other tables`] : [])].join(', ')
}

/** The measured scope of a planned operation, cascades included. `named`: rows that the statement's own condition names. */
export async function measurePlan(
  protect: SqlChannel,
  plan: Plan,
  verb: LosingVerb,
  target: string | null,
  named: number | null,
): Promise<Scope> {
  const byRows = verb === 'delete' || verb === 'update'
  const oids = new Set(plan.tables.map(({ shape }) => shape.oid))
  // A cascade may lead back to the target, and take more of it than the condition names.
  const again = (shape: TableShape): boolean =>
    verb === 'delete' && shape.constraints.some(({ references }) => references !== null && oids.has(references))
  const counts: (Counted | null)[] = []
  for (const { shape } of plan.tables) {
    if (byRows && named !== null && shape.oid === target && !again(shape)) {
      counts.push({ rows: named, exact: true })
      continue
    }
    const counted = await countTable(protect, shape)
    // Of the others, and of a target whose condition can't be run ahead, all rows are an upper bound and not the figure.
    counts.push(counted === null ? null : { rows: counted.rows, exact: counted.exact && (!byRows || counted.rows === 0) })
  }
  return add(
    plan.tables.map(({ shape }) => shape),
    counts,
    plan.dependants,
  )
}
