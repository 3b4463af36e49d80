import { SallyportError, type SqlAccess, type Upstream } from '@sallyport/core'
import { z } from 'zod'
import { readJson, sqlAccess } from './catalog-query.ts'

const snapshotSchema = z.object({ isolation: z.string(), next: z.string(), open: z.array(z.string()) })

const eq = 'OPERATOR(pg_catalog.=)'

/** On the SESSION channel, so every name has its schema. `next`: the first transaction that this snapshot is too old for. */
const snapshotSql = `SELECT pg_catalog.json_build_object('isolation', pg_catalog.current_setting('transaction_isolation'),
    'next', pg_catalog.pg_snapshot_xmax(s)::pg_catalog.xid::pg_catalog.text, 'open', COALESCE((SELECT pg_catalog.json_agg(x::pg_catalog.xid::pg_catalog.text)
      FROM pg_catalog.pg_snapshot_xip(s) x), '[]'::pg_catalog.json))::pg_catalog.text FROM pg_catalog.pg_current_snapshot() s`

/** Catalogs that say what runs, and the tables of those that say it of one table: what a temporary one of somebody else says does not matter. */
const catalogs = [
  ['pg_proc', null],
  ['pg_aggregate', null],
  ['pg_operator', null],
  ['pg_cast', null],
  ['pg_amproc', null],
  ['pg_amop', null],
  ['pg_event_trigger', null],
  ['pg_trigger', 'tgrelid'],
  ['pg_rewrite', 'ev_class'],
  ['pg_policy', 'polrelid'],
  ['pg_constraint', 'conrelid'],
  ['pg_attrdef', 'adrelid'],
  ['pg_inherits', 'inhrelid'],
] as const

/** A frozen row keeps the number of the transaction that wrote it, whose age may have wrapped below zero. */
const newer = (catalog: string, table: string | null): string =>
  `SELECT 1 FROM pg_catalog.${catalog} c WHERE (pg_catalog.age(c.xmin) BETWEEN 0 AND pg_catalog.age($1::pg_catalog.text::pg_catalog.xid)
    OR c.xmin ${eq} ANY ($2::pg_catalog.text::pg_catalog.xid[]))${table === null ? '' : ` AND NOT EXISTS (SELECT FROM pg_catalog.pg_class t WHERE t.oid ${eq} c.${table} AND t.relpersistence ${eq} 't'::pg_catalog."char")`}`

const newerSql = `SELECT EXISTS (${catalogs.map(([catalog, table]) => newer(catalog, table)).join(' UNION ALL ')})::pg_catalog.text`

/** Null: it can't be asked now, and then nothing is looked at through it. */
async function askSession(session: SqlAccess['session']): Promise<z.infer<typeof snapshotSchema> | null> {
  try {
    return await readJson(session, snapshotSchema, snapshotSql)
  } catch (error) {
    if (error instanceof SallyportError) return null
    throw error
  }
}

/**
 * A transaction whose snapshot stays sees the catalog as it was when it began, and the server runs what is there now: looking through such a
 * session shows a function that is no longer the one that runs. What changed since is found on the protect channel.
 * @throws SallyportError `target_changed`
 */
export async function checkSnapshot(upstream: Upstream): Promise<void> {
  const { session, protect } = sqlAccess(upstream)
  const seen = await askSession(session)
  if (seen === null || seen.isolation === 'read committed' || seen.isolation === 'read uncommitted') return
  const { next, open } = seen
  const [row] = await protect.query(newerSql, [next, `{${open.join(',')}}`])
  if (row?.[0] === 'false') return
  throw new SallyportError(
    'target_changed',
    'Functions, triggers or constraints were changed since this transaction began, and it can only be judged by what they were.',
    'The statement was not run.',
    'Send ROLLBACK and begin the transaction again.',
  )
}
