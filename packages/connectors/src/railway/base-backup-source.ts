import { SallyportError, type SqlAccess, type Upstream } from '@sallyport/core'
import { z } from 'zod'
import {
  countRows,
  listOtherDatabases,
  listTables,
  listTablespaces,
  listUnlogged,
  type Ask,
  type VolumeTable,
} from './base-backup-tables.ts'
import { findServerPrograms } from './scratch-server-binaries.ts'

/** What lies on a volume, as its database says. */
export interface VolumeContent {
  readonly database: string
  readonly tables: readonly VolumeTable[]
  readonly rows: number
  /** False when a table was too large to be counted in time: then `rows` has the planner's estimates in it. */
  readonly exact: boolean
  readonly bytes: number
  readonly otherDatabases: readonly string[]
  /** Why no base backup can be made and proven, and what would change that; null when one can. */
  readonly obstacle: Obstacle | null
}

export interface Obstacle {
  readonly reason: string
  readonly remedy: string
}

/** Looking must not hold up an agent for long; what takes longer is estimated. */
const lookTimeoutMs = 5_000

const serverSchema = z.tuple([
  z.string(),
  z.string(),
  z.coerce.number().int(),
  z.enum(['true', 'false']),
  z.coerce.number().int().min(0),
  z.string(),
])

export interface LiveServer {
  readonly database: string
  readonly role: string
  readonly major: number
  readonly replicates: boolean
  readonly bytes: number
  /** The bootstrap superuser: the role with oid 10, whatever it is called. */
  readonly superuser: string
}

export async function readServer(ask: Ask): Promise<LiveServer> {
  const rows = await ask(`SELECT pg_catalog.current_database(), current_user::pg_catalog.text,
      (pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000)::pg_catalog.text,
      (r.rolreplication OR r.rolsuper)::pg_catalog.text, pg_catalog.pg_database_size(pg_catalog.current_database())::pg_catalog.text,
      (SELECT s.rolname FROM pg_catalog.pg_roles s WHERE s.oid = 10)
    FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`)
  const [database, role, major, replicates, bytes, superuser] = serverSchema.parse(rows[0])
  return { database, role, major, replicates: replicates === 'true', bytes, superuser }
}

/** The database's own number, which a backup keeps; null where the server tells it to superusers only. */
export async function readSystemIdentifier(ask: Ask): Promise<string | null> {
  const allowed = await ask(
    `SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')::pg_catalog.text`,
  )
  if (allowed[0]?.[0] !== 'true') return null
  const rows = await ask('SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()')
  return rows[0]?.[0] ?? null
}

/** The way to the database that configuration ties to a volume. */
export function sqlAccessOf(upstream: Upstream): SqlAccess {
  const { access } = upstream
  if (access.kind === 'sql') return access
  throw new SallyportError(
    'no_copy_possible',
    `What is tied to this volume, "${upstream.name}", is no SQL database that the gate can reach.`,
    'Nothing was copied or deleted.',
    'Tie the volume to the database that lies on it, in sallyport.yaml.',
  )
}

/**
 * Runs `work` in a transaction of the protect connection under settings of our own, and rolls back when it fails. Otherwise `keep` leaves the
 * transaction open, locks and all, for whoever gave the connection to end. The tied database's own search_path must not decide what `=` means.
 */
export async function inOwnTransaction<Out>(
  access: SqlAccess,
  how: { readonly readOnly: boolean; readonly keep: boolean; readonly statementTimeoutMs: number },
  work: (ask: Ask) => Promise<Out>,
): Promise<Out> {
  const { protect } = access
  const ask: Ask = (sql, values) => protect.query(sql, values)
  await ask('ROLLBACK')
  await ask(`BEGIN ISOLATION LEVEL READ COMMITTED, ${how.readOnly ? 'READ ONLY' : 'READ WRITE'}, NOT DEFERRABLE`)
  try {
    const settings = [
      ['search_path', 'pg_catalog, pg_temp'],
      ['row_security', 'off'],
      ['statement_timeout', String(how.statementTimeoutMs)],
      ['idle_in_transaction_session_timeout', '0'],
    ]
    const calls = settings.map((_, at) => `pg_catalog.set_config($${at * 2 + 1}, $${at * 2 + 2}, true)`)
    await ask(`SELECT ${calls.join(', ')}`, settings.flat())
    const out = await work(ask)
    if (!how.keep) await ask('ROLLBACK')
    return out
  } catch (error) {
    // The first error is the one to report.
    await ask('ROLLBACK').catch(() => undefined)
    throw error
  }
}

/** Looks at what a volume carries: counted, and whether a proven copy can be made. */
export async function readContent(upstream: Upstream): Promise<VolumeContent> {
  const access = sqlAccessOf(upstream)
  return inOwnTransaction(access, { readOnly: true, keep: false, statementTimeoutMs: lookTimeoutMs }, async (ask) => {
    const server = await readServer(ask)
    const tables = await listTables(ask)
    const { rows, exact } = await countAll(ask, tables)
    return {
      database: server.database,
      tables,
      rows,
      exact,
      bytes: server.bytes,
      otherDatabases: await listOtherDatabases(ask),
      obstacle: await findObstacle(ask, access, server),
    }
  })
}

async function countAll(ask: Ask, tables: readonly VolumeTable[]): Promise<{ readonly rows: number; readonly exact: boolean }> {
  let rows = 0
  let exact = true
  for (const table of tables) {
    await ask('SAVEPOINT sallyport_count')
    try {
      rows += await countRows(ask, table)
    } catch {
      await ask('ROLLBACK TO SAVEPOINT sallyport_count')
      exact = false
      const estimate = await ask(
        `SELECT GREATEST(reltuples, 0)::pg_catalog.int8::pg_catalog.text FROM pg_catalog.pg_class WHERE oid = $1::pg_catalog.regclass`,
        [table.label],
      )
      rows += Number(estimate[0]?.[0] ?? 0)
    }
    await ask('RELEASE SAVEPOINT sallyport_count')
  }
  return { rows, exact }
}

async function findObstacle(ask: Ask, access: SqlAccess, server: LiveServer): Promise<Obstacle | null> {
  if (access.baseBackup === undefined)
    return { reason: 'the gate has no way to take a base backup of it', remedy: 'Ask through a running gate.' }
  if (!server.replicates) {
    return {
      reason: `the protect role ${server.role} may not replicate`,
      remedy: `Give it the attribute: ALTER ROLE ${server.role} REPLICATION, and a line for replication in pg_hba.conf.`,
    }
  }
  const spaces = await listTablespaces(ask)
  if (spaces.length > 0) {
    return {
      reason: `the server has tablespaces outside its data directory (${spaces.slice(0, 3).join(', ')})`,
      remedy: 'Move their tables into the default tablespace and drop them.',
    }
  }
  const unlogged = await listUnlogged(ask)
  if (unlogged.length > 0) {
    return {
      reason: `unlogged tables are in no base backup (${unlogged.slice(0, 3).join(', ')})`,
      remedy: 'Make them logged (ALTER TABLE … SET LOGGED), or drop them first.',
    }
  }
  if ((await findServerPrograms(server.major)) === null) {
    return {
      reason: `the gate's machine has no programs of PostgreSQL ${server.major} to prove a copy with`,
      remedy: `Install PostgreSQL ${server.major} on it; it needs not run.`,
    }
  }
  return null
}
