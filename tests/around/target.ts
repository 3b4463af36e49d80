import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import type { Placeholders } from './attack.ts'
import type { Witness } from './server-state.ts'

/** A real server full of things that do harm under harmless names, and of things to lose. */
export interface Target {
  readonly server: PostgresServer
  readonly loot: string
  /** Makes what there is to attack, in the database of that name. */
  fill(database: string): Promise<void>
  placeholders(database: string, witness: Witness): Promise<Placeholders>
  stop(): Promise<void>
}

/** As far as the server ships them: adminpack went with PostgreSQL 17. */
const extensions =
  `dblink postgres_fdw file_fdw tablefunc xml2 lo adminpack pageinspect pg_surgery pg_visibility pg_prewarm pg_buffercache amcheck pgrowlocks
  pgcrypto hstore refint pg_walinspect`.split(/\s+/)

const serverSettings = [
  'autovacuum=off',
  'wal_level=logical',
  'max_prepared_transactions=5',
  'fsync=off',
  'logging_collector=on',
  'log_directory=log',
  'log_min_messages=fatal',
  // Else a checkpoint or a switch by time would look like an attack's.
  'checkpoint_timeout=1h',
]

export async function startTarget(binaries?: string): Promise<Target> {
  const loot = mkdtempSync(join(tmpdir(), 'sp-loot-'))
  chmodSync(loot, 0o777)
  const server = await startPostgres(serverSettings, binaries)
  await server.query("SELECT pg_create_logical_replication_slot('keep', 'test_decoding'), pg_replication_origin_create('mirror')")
  return {
    server,
    loot,
    fill: async (database) => {
      const shipped = await server.query('SELECT name FROM pg_available_extensions WHERE name = ANY($1)', [extensions], database)
      await server.query(shipped.map(({ name }) => `CREATE EXTENSION IF NOT EXISTS ${String(name)}`).join(';'), [], database)
      const hazards = readFileSync(fileURLToPath(new URL('hazards.sql', import.meta.url)), 'utf8')
      await server.query(`SET ROLE app_use; ${hazards}`, [], database)
      await server.query(farSql(server, database, loot), [], database)
    },
    placeholders: async (database, { idlePid, busyPid }) => {
      const oids = await server.query(
        "SELECT typname, oid::text FROM pg_type WHERE typname IN ('sure', 'pair', 'holding', 'triple', 'stamped')",
        [],
        database,
      )
      return new Map([
        ...oids.map(({ typname, oid }) => [String(typname), String(oid)] as const),
        ['idle', String(idlePid)],
        ['busy', String(busyPid)],
        ['loot', loot],
        ['url', server.url(database)],
      ])
    },
    stop: async () => {
      await server.stop()
      rmSync(loot, { recursive: true, force: true })
    },
  }
}

/** Tables whose rows another session of a superuser's, a file or a program gives. */
function farSql(server: PostgresServer, database: string, loot: string): string {
  const { user, password } = server.superuser
  return `CREATE SERVER back FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '${server.port}', dbname '${database}');
    CREATE USER MAPPING FOR PUBLIC SERVER back OPTIONS (user '${user}', password '${password}');
    CREATE FOREIGN TABLE far (n int) SERVER back OPTIONS (schema_name 'public', table_name 'turner');
    CREATE FOREIGN TABLE far_notes (id int, what text) SERVER back OPTIONS (schema_name 'public', table_name 'notes');
    CREATE TABLE spread (n int) PARTITION BY RANGE (n);
    CREATE FOREIGN TABLE spread_far PARTITION OF spread FOR VALUES FROM (0) TO (100) SERVER back OPTIONS (schema_name 'public', table_name 'turner');
    CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
    CREATE FOREIGN TABLE ran (line text) SERVER files OPTIONS (program 'touch ${loot}/ran; echo x')`
}
