import { SallyportError, type Upstream } from '@sallyport/core'
import { sqlAccess } from './catalog-query.ts'

/**
 * Rows inserted, updated and deleted so far by the open transaction of the agent's session, in all tables of the database, its temporary
 * ones excepted: what cascades and triggers did is in it, which the command tag leaves out (DESIGN §13). TRUNCATE and DROP count no rows,
 * and the server forgets what came before them in the same table: they need an approval of their own. Rows of a savepoint that was
 * rolled back stay counted.
 */
export async function count(upstream: Upstream): Promise<number> {
  const { session } = sqlAccess(upstream)
  const rows = await session.query(
    `SELECT pg_catalog.current_setting('track_counts'), COALESCE(pg_catalog.sum(s.n_tup_ins OPERATOR(pg_catalog.+) s.n_tup_upd
       OPERATOR(pg_catalog.+) s.n_tup_del), 0)::pg_catalog.text
     FROM pg_catalog.pg_stat_xact_all_tables s
     WHERE s.schemaname OPERATOR(pg_catalog.!~~) 'pg\\_temp\\_%' AND s.schemaname OPERATOR(pg_catalog.<>) 'pg_catalog'
       AND s.schemaname OPERATOR(pg_catalog.!~~) 'pg\\_toast%'`,
  )
  const [tracked, changed] = rows[0] ?? []
  const number = Number(changed)
  if (tracked !== 'on' || typeof changed !== 'string' || !Number.isSafeInteger(number)) {
    throw new SallyportError(
      'upstream_failed',
      'The rows this transaction changed can not be counted: track_counts is off in the session.',
      'Nothing was committed.',
      'Set track_counts = on for the database, then try again.',
    )
  }
  return number
}
