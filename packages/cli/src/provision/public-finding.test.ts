import { readFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { visibleLine } from '@sallyport/core'
import { asOwner, makeShop, ownerPassword, ProvisionFolder } from '../../../../tests/fakes/provisioned.ts'
import { startPostgres, type PostgresServer } from '../../../../tests/servers/postgres.ts'

/** A database in which everyone was given what nobody should have. */
let server: PostgresServer
let folder: ProvisionFolder
const robot = ['--agent', 'robot'] as const

beforeAll(async () => {
  server = await startPostgres()
  await makeShop(server)
  await server.query(`CREATE ROLE clerk LOGIN PASSWORD '${ownerPassword}'`)
})
afterAll(() => server?.stop())
beforeEach(async () => {
  folder = new ProvisionFolder(server)
  await server.query(
    `CREATE SCHEMA IF NOT EXISTS s AUTHORIZATION app; GRANT USAGE ON SCHEMA s TO PUBLIC; CREATE EXTENSION IF NOT EXISTS dblink SCHEMA s; CREATE EXTENSION IF NOT EXISTS postgres_fdw SCHEMA s;
     CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw; GRANT USAGE ON FOREIGN SERVER away TO PUBLIC; CREATE USER MAPPING FOR PUBLIC SERVER away;
     GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO PUBLIC; GRANT ALTER SYSTEM, SET ON PARAMETER log_statement TO PUBLIC;
     GRANT EXECUTE ON FUNCTION pg_read_file(text) TO PUBLIC; GRANT CREATE ON DATABASE shop TO PUBLIC; GRANT CREATE ON TABLESPACE pg_default TO PUBLIC;
     CREATE VIEW passwords AS SELECT * FROM pg_authid; CREATE VIEW behind AS SELECT rolname FROM passwords; GRANT SELECT ON passwords TO app;
     CREATE FOREIGN TABLE far (id int) SERVER away; ALTER VIEW passwords OWNER TO app`,
    [],
    'shop',
  )
  await asOwner(
    server,
    `CREATE TABLE orders (id serial PRIMARY KEY, total int); CREATE TABLE log (line text); GRANT INSERT ON log TO PUBLIC; GRANT UPDATE (total) ON orders TO PUBLIC;
     GRANT USAGE ON SEQUENCE orders_id_seq TO PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC;
     CREATE FUNCTION wipe() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'DELETE FROM orders; SELECT 1';
     CREATE FUNCTION is_clerk() RETURNS bool STABLE SECURITY DEFINER LANGUAGE sql AS 'SELECT true';
     CREATE FUNCTION wipe_step(int, int) RETURNS int SECURITY DEFINER LANGUAGE sql AS 'DELETE FROM orders; SELECT 1';
     REVOKE EXECUTE ON FUNCTION wipe_step FROM PUBLIC; CREATE AGGREGATE wipe_sum(int) (SFUNC = wipe_step, STYPE = int, INITCOND = '0');
     CREATE FUNCTION U&"ring\\001b[2J\\000a"() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1';
     CREATE FUNCTION plain() RETURNS int LANGUAGE sql AS 'SELECT 1';
     CREATE TABLE guarded (id int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
     SELECT lo_from_bytea(4711, 'kept'); GRANT UPDATE ON LARGE OBJECT 4711 TO PUBLIC;
     ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO PUBLIC`,
  )
})
afterEach(async () => {
  folder.remove()
  const made = await server.query("SELECT rolname FROM pg_roles WHERE rolname LIKE 'sallyport%'")
  for (const { rolname } of made)
    await server.query(`DROP OWNED BY "${String(rolname)}"; DROP ROLE "${String(rolname)}"`, [], 'shop')
  await server.query('DROP OWNED BY clerk', [], 'shop')
  await server.query('REVOKE ALL ON PARAMETER log_statement FROM PUBLIC; SELECT lo_unlink(4711)', [], 'shop')
  await server.query(
    'DROP SERVER away CASCADE; DROP VIEW passwords CASCADE; DROP SCHEMA s CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION app; GRANT USAGE ON SCHEMA public TO PUBLIC',
    [],
    'shop',
  )
  await server.query(
    `ALTER DEFAULT PRIVILEGES FOR ROLE app REVOKE ALL ON TABLES FROM PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE app GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
     ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT EXECUTE ON FUNCTIONS TO PUBLIC`,
    [],
    'shop',
  )
})

const holes = [
  'columns public.orders',
  'database shop create',
  'defaults of app in public r',
  'extension dblink',
  'extension postgres_fdw',
  'function pg_read_file(text)',
  'function public."ring\u001b[2J\n"()',
  'function public.is_clerk()',
  'function public.wipe()',
  'function public.wipe_sum(integer)',
  'large object 4711',
  'parameter log_statement',
  'relation public.log',
  'relation public.orders_id_seq',
  'schema public',
  'server away',
  'tablespace pg_default',
  'wrapper postgres_fdw',
]

async function as(user: string, password: string, sql: string): Promise<string> {
  const client = new pg.Client({ host: '127.0.0.1', port: server.port, database: 'shop', user, password })
  await client.connect()
  try {
    await client.query(sql)
    return '00000'
  } catch (error) {
    return error instanceof pg.DatabaseError ? (error.code ?? '') : String(error)
  } finally {
    await client.end()
  }
}

describe('what everyone was given', () => {
  test('is found, each by its name, and no role is made beside it', async () => {
    const end = await folder.run([...robot, '--dry-run', '--json'])
    const found: { findings: { id: string; hole: boolean }[]; withheld: string[] } = JSON.parse(end.output)
    expect(
      found.findings
        .filter(({ hole }) => hole)
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(holes)
    expect(found.findings.filter(({ hole }) => !hole).map(({ id }) => id)).toEqual(
      expect.arrayContaining([
        'database shop temporary',
        'database postgres connect',
        'volatile functions',
        'system functions',
        'rows',
        'mapping away',
        'later functions of app',
        'later functions of postgres',
      ]),
    )
    expect(found.withheld.join(' ')).toMatch(/public\.far.*public\.behind, public\.passwords/)
    const refused = await folder.run(robot)
    expect(refused.code).toBe(1)
    for (const id of holes) expect(refused.errors).toContain(`[${visibleLine(id)}]`)
    expect(refused.errors).not.toContain('\u001b')
    expect(refused.errors).toContain('--revoke-public')
    expect(await server.query("SELECT 1 FROM pg_roles WHERE rolname LIKE 'sallyport%'")).toEqual([])
  })

  test('is taken from PUBLIC, proved to be gone, and kept by the roles there are', async () => {
    const made = await folder.made([...robot, '--revoke-public'])
    expect(made.findings.filter(({ hole }) => hole)).toEqual([])
    expect(made.mended).toEqual(expect.arrayContaining([...holes, 'database shop temporary', 'system functions']))
    expect(made.proof.filter(({ verdict }) => verdict !== 'held' && verdict !== 'absent')).toEqual([])
    for (const sql of [
      "INSERT INTO log VALUES ('x')",
      'SELECT wipe()',
      'SELECT s.dblink_disconnect()',
      'CREATE TEMP TABLE x ()',
      "SELECT nextval('orders_id_seq')",
      'CREATE SCHEMA mine',
    ])
      expect([sql, await as('clerk', ownerPassword, `BEGIN; ${sql}; ROLLBACK`)]).not.toEqual([sql, '42501'])
    const url = new URL(folder.url('robot'))
    for (const sql of ['SELECT * FROM passwords', 'SELECT * FROM behind', 'SELECT * FROM far'])
      expect([sql, await as(url.username, url.password, sql)]).toEqual([sql, '42501'])
    expect(await as(url.username, url.password, 'SELECT * FROM orders, log, guarded')).toBe('00000')
  })

  test('is left as it is where somebody accepts it by name, and then said', async () => {
    const accept = ['--accept', 'function public.is_clerk()', 'relation public.log']
    const made = await folder.made([...robot, '--revoke-public', ...accept])
    expect(
      made.findings
        .filter(({ hole }) => hole)
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(accept.slice(1))
    expect(made.proof.filter(({ verdict }) => verdict === 'known').map(({ what }) => what)).toEqual(
      expect.arrayContaining([
        'the catalog: function public.is_clerk()',
        'the catalog: relation public.log',
        'INSERT into "public"."log"',
      ]),
    )
    const url = new URL(folder.url('robot'))
    expect(await as(url.username, url.password, 'SELECT is_clerk()')).toBe('00000')
    expect(await as(url.username, url.password, 'SELECT wipe()')).toBe('42501')
    expect(await as(url.username, url.password, 'SELECT wipe_sum(1)')).toBe('42501')
  })
})

test('a proof that fails leaves no usable role: a new one is gone, one that was there is closed', async () => {
  // Whoever has more rights than the administrator thinks: each role that is made is given something behind its back.
  const sabotage = `CREATE FUNCTION s.sabotage() RETURNS event_trigger LANGUAGE plpgsql AS $$
    DECLARE name text;
    BEGIN FOR name IN SELECT rolname FROM pg_roles WHERE rolname LIKE 'sallyport%' LOOP EXECUTE format('GRANT DELETE ON public.orders TO %I', name); END LOOP; END$$;
    CREATE EVENT TRIGGER sabotage ON ddl_command_end WHEN TAG IN ('ALTER DEFAULT PRIVILEGES') EXECUTE FUNCTION s.sabotage()`
  const before = readFileSync(folder.configuration, 'utf8')
  await server.query(sabotage, [], 'shop')
  const end = await folder.run([...robot, '--revoke-public'])
  expect(end.code).toBe(1)
  expect(end.output).toContain('the role was removed again')
  expect(end.output).toContain('OPEN   the catalog: relation public.orders')
  expect(end.output).toContain('OPEN   DELETE from "public"."orders"')
  expect(readFileSync(folder.configuration, 'utf8')).toBe(before)
  expect(await server.query("SELECT 1 FROM pg_roles WHERE rolname LIKE 'sallyport%'")).toEqual([])
  await server.query('DROP EVENT TRIGGER sabotage; DROP FUNCTION s.sabotage()', [], 'shop')
  await folder.made([...robot, '--revoke-public'])
  await server.query(sabotage, [], 'shop')
  expect((await folder.run(robot)).output).toContain('the role was closed')
  const url = new URL(folder.url('robot'))
  await expect(as(url.username, url.password, 'SELECT 1')).rejects.toThrow(/not permitted to log in/)
  await server.query('DROP EVENT TRIGGER sabotage; DROP FUNCTION s.sabotage()', [], 'shop')
  await folder.made(robot)
  expect(await as(url.username, url.password, 'SELECT 1')).toBe('00000')
})
