import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import pg from 'pg'
import type { Listener } from '@sallyport/core'
import { casesOf } from '../breadth.ts'
import { postgresProtocol } from '../../packages/gateway/src/protocols/postgres/index.ts'
import { openPostgresUpstreams } from '../../packages/gateway/src/upstreams/postgres/index.ts'
import { FakeGate } from '../fakes/govern.ts'
import { asOwner, makeShop, ProvisionFolder } from '../fakes/provisioned.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { writingStatements } from './least-role-statements.ts'

/** A wrong description cannot write: everything is cleared as a read, and only the server stands in the way. */
let server: PostgresServer
let listener: Listener
let folder: ProvisionFolder
const fake = new FakeGate({ decide: () => ({ kind: 'read' }), recall: 'always', readOnly: false })
const secrets = { robot: fake.issue('robot'), other: fake.issue('other') }

beforeAll(async () => {
  server = await startPostgres(['autovacuum=off', 'max_prepared_transactions=2'])
  await makeShop(server)
  await server.query('CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw', [], 'shop')
  await asOwner(
    server,
    `CREATE TABLE orders (id serial PRIMARY KEY, total int);
     INSERT INTO orders (total) SELECT i FROM generate_series(1, 50) i;
     CREATE TABLE payments (id int PRIMARY KEY REFERENCES orders ON DELETE CASCADE); INSERT INTO payments SELECT i FROM generate_series(1, 20) i;
     CREATE VIEW cheap AS SELECT * FROM orders WHERE total < 10;
     CREATE MATERIALIZED VIEW summed AS SELECT sum(total) FROM orders;
     CREATE TABLE parted (id int) PARTITION BY RANGE (id); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (9);
     CREATE TABLE guarded (id int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; INSERT INTO guarded VALUES (1);
     CREATE FUNCTION purge() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM orders; RETURN 1; END';
     CREATE FUNCTION purge_as_owner() RETURNS int SECURITY DEFINER LANGUAGE plpgsql AS 'BEGIN DELETE FROM orders; RETURN 1; END';
     CREATE FUNCTION purge_quietly() RETURNS int STABLE SECURITY DEFINER LANGUAGE sql AS 'SELECT purge_as_owner()';
     CREATE FUNCTION purge_step(int, int) RETURNS int SECURITY DEFINER LANGUAGE sql AS 'DELETE FROM orders; SELECT 1';
     REVOKE EXECUTE ON FUNCTION purge_step FROM PUBLIC; CREATE AGGREGATE purge_sum(int) (SFUNC = purge_step, STYPE = int, INITCOND = '0');
     CREATE PROCEDURE clear() LANGUAGE sql AS 'TRUNCATE orders CASCADE';
     SELECT lo_from_bytea(4711, 'kept'); CREATE SEQUENCE tickets`,
  )
  folder = new ProvisionFolder(server)
  await folder.made(['--agent', 'robot', '--revoke-public'])
  const upstreams = openPostgresUpstreams(
    [
      {
        name: 'orders',
        environment: 'production',
        useUrl: server.url('shop'),
        protectUrl: server.url('shop'),
        asUrls: new Map([['robot', folder.url('robot')]]),
      },
    ],
    fake.gate.killSwitch,
  )
  listener = await postgresProtocol.listen(fake.gate, upstreams, { host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  folder?.remove()
  await listener?.close()
  await server?.stop()
})

async function connect(agent: keyof typeof secrets = 'robot'): Promise<pg.Client> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port: listener.address.port,
    user: agent,
    password: secrets[agent],
    database: 'orders',
  })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** Every row of every table, every sequence, and every catalog a statement could write. */
async function everything(): Promise<string> {
  const tables = ['orders', 'payments', 'parted', 'guarded', 'summed', 'orders_id_seq', 'tickets']
  const catalogs = `pg_class pg_attribute pg_proc pg_namespace pg_trigger pg_rewrite pg_policy pg_index pg_constraint pg_authid pg_auth_members pg_db_role_setting
    pg_database pg_default_acl pg_extension pg_largeobject pg_largeobject_metadata pg_shdepend pg_depend pg_description pg_foreign_server pg_user_mapping pg_publication
    pg_parameter_acl pg_type pg_cast pg_event_trigger pg_replication_slots pg_file_settings pg_prepared_xacts pg_shdescription`
  const sums = [...tables, ...catalogs.split(/\s+/)].map(
    (name) =>
      `SELECT '${name}' AS name, md5(coalesce(string_agg(md5(ROW(t.*)::text), '' ORDER BY md5(ROW(t.*)::text)), '')) AS sum FROM ${name} t`,
  )
  return JSON.stringify(await server.query(sums.join(' UNION ALL '), [], 'shop'))
}

interface Tried {
  readonly statement: string
  readonly sqlState: string
  /** True when the answer was the server's: it names the routine that refused. */
  readonly byServer: boolean
}

async function tryAs(prelude: readonly string[], statement: string): Promise<Tried> {
  const client = await connect()
  try {
    for (const sql of prelude) await client.query(sql)
    await client.query(statement)
    return { statement, sqlState: '00000', byServer: true }
  } catch (error) {
    const refused = error instanceof pg.DatabaseError ? error : null
    return { statement, sqlState: refused?.code ?? '08006', byServer: refused?.routine !== undefined }
  } finally {
    await client.end()
  }
}

describe('a wrong description cannot write', () => {
  test('what it may read, it reads, as its own role', async () => {
    const client = await connect()
    const { rows } = await client.query('SELECT count(*)::int AS rows, current_user::text AS role FROM orders')
    expect(rows).toEqual([{ rows: 50, role: expect.stringMatching(/^sallyport_orders_robot_/) }])
    expect((await client.query('SELECT last_value FROM orders_id_seq')).rows).toEqual([{ last_value: '50' }])
    await client.end()
  })

  test.each([
    ['as the session begins', []],
    ['with read-only mode taken away', ["SELECT set_config('default_transaction_' || 'read_only', 'off', false)"]],
    [
      'in a transaction that was made to write',
      ["SELECT set_config('default_transaction_' || 'read_only', 'off', false)", 'BEGIN', 'SET TRANSACTION READ WRITE'],
    ],
  ])('%s: every writing statement fails in the server and nothing is changed', async (_, prelude) => {
    expect(writingStatements.length).toBeGreaterThanOrEqual(60)
    const before = await everything()
    const tried: Tried[] = []
    for (const statement of casesOf(writingStatements, 14)) tried.push(await tryAs(prelude, statement))
    expect(tried.filter(({ sqlState }) => sqlState === '00000')).toEqual([])
    expect(tried.filter(({ byServer }) => !byServer)).toEqual([])
    expect(await everything()).toBe(before)
  })

  test('an agent without a role of its own, described as wrongly, writes: it is the role that held', async () => {
    const before = await everything()
    const client = await connect('other')
    await client.query('DELETE FROM payments WHERE id = 1')
    await client.end()
    expect(await everything()).not.toBe(before)
  })

  test('what is made later is read without another run, and not written', async () => {
    await asOwner(
      server,
      "CREATE TABLE later (id serial); CREATE FUNCTION later_purge() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'DELETE FROM orders; SELECT 1'",
    )
    const client = await connect()
    expect((await client.query('SELECT count(*)::int AS rows FROM later')).rows).toEqual([{ rows: 0 }])
    await client.query("SELECT set_config('default_transaction_read_only', 'off', false)")
    await expect(client.query('INSERT INTO later DEFAULT VALUES')).rejects.toMatchObject({ code: '42501' })
    await expect(client.query('SELECT later_purge()')).rejects.toMatchObject({ code: '42501' })
    await expect(client.query("SELECT nextval('later_id_seq')")).rejects.toMatchObject({ code: '42501' })
    await client.end()
  })

  test('what PostgreSQL keeps no role from touches nothing but the role itself, and another run puts it back', async () => {
    const client = await connect()
    await expect(client.query("ALTER ROLE CURRENT_USER PASSWORD 'x'")).rejects.toMatchObject({ code: '25006' })
    await client.query("SELECT set_config('default_transaction_read_only', 'off', false)")
    await client.query("ALTER ROLE CURRENT_USER SET search_path = 'elsewhere'")
    await client.query("ALTER ROLE CURRENT_USER PASSWORD 'x'")
    await client.end()
    await expect(connect()).rejects.toThrow(/28P01/)
    const url = folder.url('robot')
    await folder.made(['--agent', 'robot', '--revoke-public'])
    expect(folder.url('robot')).toBe(url)
    const again = await connect()
    expect((await again.query('SHOW search_path')).rows).toEqual([{ search_path: '"$user", public' }])
    await again.end()
  })
})
