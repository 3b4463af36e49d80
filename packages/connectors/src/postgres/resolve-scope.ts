import type { Scope, SqlAccess, SqlChannel } from '@sallyport/core'
import { quoteQualified } from './catalog-name.ts'
import { attempt } from './catalog-query.ts'
import { readTableShapes, type TableShape } from './catalog-shape.ts'
import type { Plan } from './copy-plan.ts'
import { whereClause, type OperationContext } from './resolve-context.ts'
import { areBuiltinsSteady } from './resolve-name.ts'
import type { LosingVerb } from './resolve-verb.ts'

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
  // One statement each: the gate speaks the extended protocol on the agent's backend, so as not to disturb its unnamed statement.
  await access.hold('SAVEPOINT sallyport_count')
  await access.hold('SET LOCAL transaction_read_only = on')
  await access.hold(`SET LOCAL statement_timeout = ${countTimeoutMs}`)
  await access.hold(`SET LOCAL lock_timeout = ${countTimeoutMs}`)
  try {
    const rows = await session.query(
      `SELECT pg_catalog.count(DISTINCT ${alias}.ctid)::pg_catalog.text FROM ${preimage.from}\n${whereClause(preimage)}`,
      context.bindValues ?? [],
    )
    const text = rows[0]?.[0]
    return typeof text === 'string' ? Number(text) : null
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

/** The measured scope of a planned operation, cascades included. `named`: rows that the statement's own condition names. */
export async function measurePlan(
  protect: SqlChannel,
  plan: Plan,
  verb: LosingVerb,
  target: string | null,
  named: number | null,
): Promise<Scope> {
  const byRows = verb === 'delete' || verb === 'update'
  const counts: (Counted | null)[] = []
  for (const { shape } of plan.tables) {
    if (byRows && named !== null && shape.oid === target) {
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
