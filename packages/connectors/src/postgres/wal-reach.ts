import type { Operation, SqlChannel } from '@sallyport/core'

/** What is lost on other servers, or in files that WAL does not tell of. */
const elsewhere: ReadonlySet<string> = new Set([
  'postgres.drop_subscription',
  'postgres.drop_server',
  'postgres.drop_foreign_table',
  'postgres.drop_tablespace',
])

/** What reads or keeps WAL itself: a stream of it does not tell of its own end. */
const slotFunction = /^pg_(drop_replication_slot|replication_slot_advance|logical_slot_get|replication_origin)/

/**
 * Whether everything that a statement could remove here is told by the server's WAL: then a restore point before it is enough to have it again. Unlogged
 * tables and foreign ones are not, and a cascade may reach them, so none may be in this database.
 */
export async function isAllInWal(protect: SqlChannel, { action, resources }: Operation): Promise<boolean> {
  if (elsewhere.has(action) || resources.some(({ name }) => slotFunction.test(name.replace(/^pg_catalog\./, '')))) return false
  const [row] = await protect.query(
    `SELECT (NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relpersistence = 'u' OR relkind = 'f'))::pg_catalog.text`,
  )
  return row?.[0] === 'true'
}
