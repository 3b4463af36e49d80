import pg from 'pg'
import type { PostgresServer } from '../servers/postgres.ts'

/** Everything of a server that an agent could have changed, in named parts; equal parts mean that nothing did. */
export type ServerState = Readonly<Record<string, string>>

/** Looks at one database of a server, with two other sessions beside it that nobody may disturb. */
export interface Witness {
  /** Process ids of the two: one listens, one is busy. */
  readonly idlePid: number
  readonly busyPid: number
  look(): Promise<ServerState>
  /** WAL records since the beginning that no read writes: messages, restore points, switches. */
  readMarks(): Promise<readonly string[]>
  close(): Promise<void>
}

const applicationName = 'bystander'

async function connect(server: PostgresServer, database: string, name: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: server.url(database), application_name: name })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

async function pidOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  return rows[0]?.pid ?? 0
}

/** `loot`: a folder that the server can write to, and nobody should. */
export async function openWitness(server: PostgresServer, database: string, loot: string): Promise<Witness> {
  const [client, idle, busy] = await Promise.all([
    connect(server, database, 'witness'),
    connect(server, database, applicationName),
    connect(server, database, applicationName),
  ])
  const [idlePid, busyPid] = [await pidOf(idle), await pidOf(busy)]
  let notified = 0
  idle.on('notification', () => (notified += 1))
  await idle.query('LISTEN alarm')
  busy.query('SELECT pg_sleep(3600)').catch(() => undefined)
  const { rows: start } = await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn')
  const query = await composeQuery(client, loot)
  return {
    idlePid,
    busyPid,
    look: async () => {
      // A notification is delivered before the answer to what the listener asks next.
      await idle.query('SELECT 1').catch(() => undefined)
      const { rows } = await client.query<{ state: ServerState }>({ name: 'state', text: query })
      return { ...rows[0]?.state, notified: String(notified) }
    },
    readMarks: async () => {
      // Its commit makes the WAL of all others durable, and only that can be read.
      await client.query('CREATE TABLE durable ()')
      const { rows } = await client.query<{ mark: string }>(
        `SELECT concat(resource_manager, ' ', record_type) AS mark FROM pg_get_wal_records_info($1, pg_current_wal_flush_lsn())
         WHERE resource_manager = 'LogicalMessage' OR record_type IN ('RESTORE_POINT', 'SWITCH', 'BACKUP_END')`,
        [start[0]?.lsn],
      )
      return rows.map(({ mark }) => mark)
    },
    close: async () => {
      await client.query('SELECT pg_terminate_backend($1)', [busyPid]).catch(() => undefined)
      await Promise.all([client.end(), idle.end(), busy.end().catch(() => undefined)])
    },
  }
}

/** One statement, prepared once. Tables and sequences made later show as rows of the catalog. */
async function composeQuery(client: pg.Client, loot: string): Promise<string> {
  const { rows } = await client.query<{ name: string; kind: string; catalog: boolean }>(
    `SELECT c.oid::regclass::text AS name, c.relkind AS kind, n.nspname = 'pg_catalog' AS catalog FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm', 'S') AND n.nspname NOT IN ('information_schema', 'pg_toast') AND c.relname NOT IN ('pg_largeobject')
       AND (c.relkind <> 'm' OR c.relispopulated) ORDER BY 1`,
  )
  const parts = rows.map(({ name, kind, catalog }) => [name, partOf(name, kind, catalog)] as const)
  const pairs = [...parts, ...serverParts(loot)].flatMap(([name, sql]) => [`'${name.replaceAll("'", "''")}'`, `(${sql})`])
  // A function takes a hundred arguments, and no more.
  const objects: string[] = []
  for (let at = 0; at < pairs.length; at += 90) objects.push(`jsonb_build_object(${pairs.slice(at, at + 90).join(', ')})`)
  return `SELECT ${objects.join(' || ')} AS state`
}

function partOf(name: string, kind: string, catalog: boolean): string {
  if (kind === 'S') return `SELECT concat(last_value, ' ', is_called) FROM ${name}`
  // A row that is written anew is of another transaction; that is cheaper to see than what is in it.
  if (catalog) return `SELECT concat(count(*), ' ', sum(c.xmin::text::int8)) FROM ${name} c`
  return `SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) FROM ONLY ${name} t`
}

function serverParts(loot: string): readonly (readonly [name: string, sql: string])[] {
  const files = (folder: string): string => `SELECT string_agg(f, ',' ORDER BY f) FROM pg_ls_dir('${folder}') f`
  return [
    ['large objects', `SELECT md5(coalesce(string_agg(o::text, ',' ORDER BY o::text), '')) FROM pg_largeobject o`],
    ['settings', `SELECT concat(md5(pg_read_file('postgresql.auto.conf', 0, 65536, true)), pg_conf_load_time())`],
    ['files', files('.')],
    ['loot', files(loot)],
    ['tablespaces', files('pg_tblspc')],
    ['logs', files('log')],
    [
      'bystanders',
      `SELECT string_agg(concat(pid, ' ', backend_start, ' ', state), ',' ORDER BY pid) FROM pg_stat_activity WHERE application_name = '${applicationName}'`,
    ],
    [
      'slots',
      `SELECT string_agg(concat(slot_name, confirmed_flush_lsn, active), ',' ORDER BY slot_name) FROM pg_replication_slots`,
    ],
    ['origins', `SELECT string_agg(o::text, ',' ORDER BY o::text) FROM pg_replication_origin_status o`],
    ['parked', `SELECT string_agg(gid, ',' ORDER BY gid) FROM pg_prepared_xacts`],
    ['server', `SELECT concat(pg_is_in_recovery(), pg_postmaster_start_time())`],
    [
      'statistics',
      `SELECT concat((SELECT string_agg(stats_reset::text, ',' ORDER BY datid) FROM pg_stat_database), (SELECT stats_reset FROM pg_stat_bgwriter),
         (SELECT stats_reset FROM pg_stat_archiver), (SELECT stats_reset FROM pg_stat_wal), (SELECT max(stats_reset) FROM pg_stat_slru),
         (SELECT max(stats_reset) FROM pg_stat_replication_slots))`,
    ],
  ]
}

/** Names of the parts that are not the same; `except`: what the agent may write to. */
export function differences(before: ServerState, after: ServerState, except: readonly string[] = []): readonly string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].filter((name) => !except.includes(name) && before[name] !== after[name])
}
