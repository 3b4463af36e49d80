import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { runCommandLine } from '../../../../tests/fakes/command-line.ts'
import { asOwner, makeShop, ownerPassword, ProvisionFolder } from '../../../../tests/fakes/provisioned.ts'
import { startPostgres, type PostgresServer } from '../../../../tests/servers/postgres.ts'
import { quoteSearchPath } from './least-role.ts'

let server: PostgresServer
let folder: ProvisionFolder
/** What the server itself writes down of every statement. */
const logs = mkdtempSync(join(tmpdir(), 'sallyport-server-log-'))

beforeAll(async () => {
  chmodSync(logs, 0o777)
  server = await startPostgres(['log_statement=all', 'logging_collector=on', `log_directory=${logs}`, 'log_file_mode=0644'])
  await makeShop(server)
  await asOwner(
    server,
    `CREATE TABLE orders (id serial PRIMARY KEY, total int); INSERT INTO orders (total) VALUES (1), (2);
     CREATE TABLE "odd ""name; DROP TABLE orders" (id int); CREATE SCHEMA "Ö'x"; CREATE TABLE "Ö'x"."select" (id int)`,
  )
})
afterAll(async () => {
  await server?.stop()
  rmSync(logs, { recursive: true, force: true })
})
beforeEach(async () => {
  folder = new ProvisionFolder(server)
})
afterEach(async () => {
  folder.remove()
  for (const name of await roles()) await server.query(`DROP OWNED BY "${name}"; DROP ROLE "${name}"`, [], 'shop')
})

async function roles(): Promise<readonly string[]> {
  const found = await server.query("SELECT rolname FROM pg_roles WHERE rolname LIKE 'sallyport%' ORDER BY 1")
  return found.map(({ rolname }) => String(rolname))
}

async function as(url: string, ...statements: readonly string[]): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  try {
    await client.connect()
    for (const sql of statements) await client.query(sql)
    return '00000'
  } catch (error) {
    return error instanceof pg.DatabaseError ? (error.code ?? '') : String(error)
  } finally {
    await client.end().catch(() => undefined)
  }
}

const writable = 'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE'
/** Notes only: nothing in this database gives everyone a way to harm. */
const robot = ['--agent', 'robot'] as const

describe('a reader', () => {
  test('is made, proved, named in the configuration and nowhere shown', async () => {
    const end = await folder.run(robot)
    expect(end).toMatchObject({ code: 0 })
    const url = folder.url('robot')
    const password = decodeURIComponent(new URL(url).password)
    expect(password.length).toBeGreaterThanOrEqual(43)
    const file = join(folder.folder, 'secrets', 'orders.robot.use')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const text = readFileSync(folder.configuration, 'utf8')
    expect(text).toContain('# kept')
    expect(parse(text)).toMatchObject({ upstreams: { orders: { as: { robot: 'file:secrets/orders.robot.use' } } } })
    const logged = readdirSync(logs)
      .map((name) => readFileSync(join(logs, name), 'utf8'))
      .join('')
    expect(logged).toContain('PASSWORD')
    for (const place of [end.output, end.errors, text, logged]) {
      expect(place).not.toContain(password)
      if (place !== logged) expect(place).not.toContain(ownerPassword)
      expect(place).not.toContain(server.superuser.password)
    }
    expect(end.output).toMatch(/(\d+) of \1 held|known/)
    expect(end.output).toContain('--accept-configuration')
    expect(
      await as(
        url,
        `SELECT * FROM orders; SELECT * FROM "Ö'x"."select"; SELECT * FROM "odd ""name; DROP TABLE orders"; SELECT last_value FROM orders_id_seq`,
      ),
    ).toBe('00000')
    for (const sql of [
      'INSERT INTO orders (total) VALUES (3)',
      'DELETE FROM orders',
      "SELECT nextval('orders_id_seq')",
      'CREATE TABLE x ()',
    ])
      expect(await as(url, writable, sql)).toBe('42501')
    expect(await as(url, 'CREATE TEMP TABLE x ()')).toBe('25006')
    const [about] = await server.query(
      `SELECT rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolconnlimit, rolvaliduntil > now() + interval '29 days' AS long,
         rolpassword LIKE 'SCRAM-SHA-256$%' AS scram FROM pg_authid WHERE rolname LIKE 'sallyport%'`,
    )
    expect(about).toEqual({
      rolsuper: false,
      rolinherit: false,
      rolcreaterole: false,
      rolcreatedb: false,
      rolreplication: false,
      rolbypassrls: false,
      rolconnlimit: 20,
      long: true,
      scram: true,
    })
  })

  test('made again keeps its password, loses what it was given meanwhile, and ends when asked', async () => {
    const { role } = await folder.made([...robot])
    const url = folder.url('robot')
    await server.query(
      `GRANT ALL ON orders TO "${role}"; GRANT app TO "${role}"; ALTER ROLE "${role}" CREATEDB INHERIT`,
      [],
      'shop',
    )
    await server.query(`ALTER ROLE "${role}" SET search_path = 'elsewhere'`)
    const again = await folder.made([...robot, '--expires', '2d'])
    expect(again).toMatchObject({ role, state: 'renewed', kind: 'reader' })
    expect(again.expiresAtMs - Date.now()).toBeLessThan(2 * 86_400_000 + 60_000)
    expect(folder.url('robot')).toBe(url)
    expect(await as(url, 'SELECT * FROM orders')).toBe('00000')
    expect(await as(url, writable, 'DELETE FROM orders')).toBe('42501')
    expect(await as(url, 'SET ROLE app')).toBe('42501')
    expect(await server.query('SELECT rolcreatedb, rolinherit FROM pg_roles WHERE rolname = $1', [role])).toEqual([
      { rolcreatedb: false, rolinherit: false },
    ])
    // The server's own clock ends it.
    await server.query(`ALTER ROLE "${role}" VALID UNTIL '2001-01-01'`)
    expect(await as(url, 'SELECT 1')).toBe('28P01')
    await folder.made([...robot])
    expect(await as(url, 'SELECT 1')).toBe('00000')
  })

  test('--rotate makes a new password and ends who came in by the old one', async () => {
    await folder.made([...robot])
    const old = folder.url('robot')
    const client = new pg.Client({ connectionString: old })
    const ended = new Promise<void>((resolve) => client.on('error', () => resolve()))
    await client.connect()
    await folder.made([...robot, '--rotate'])
    await ended
    expect(await as(old, 'SELECT 1')).toBe('28P01')
    expect(await as(folder.url('robot'), 'SELECT 1')).toBe('00000')
  })

  test('--drop ends its sessions and takes away role, credential and line; again it says there is none', async () => {
    await folder.made([...robot])
    const client = new pg.Client({ connectionString: folder.url('robot') })
    const ended = new Promise<void>((resolve) => client.on('error', () => resolve()))
    await client.connect()
    const end = await folder.run([...robot, '--drop', '--json'])
    await ended
    expect(JSON.parse(end.output)).toMatchObject({ wasThere: true, sessionsEnded: 1, state: 'dropped' })
    expect(await roles()).toEqual([])
    expect(existsSync(join(folder.folder, 'secrets', 'orders.robot.use'))).toBe(false)
    expect(parse(readFileSync(folder.configuration, 'utf8'))).not.toHaveProperty('upstreams.orders.as')
    expect(await server.query('SELECT count(*)::int AS left FROM pg_default_acl', [], 'shop')).toEqual([{ left: 0 }])
    expect((await folder.run([...robot, '--drop'])).output).toContain('There was no role')
  })

  test('--dry-run changes nothing', async () => {
    const before = readFileSync(folder.configuration, 'utf8')
    expect(await folder.run([...robot, '--dry-run'])).toMatchObject({ code: 0 })
    expect(await roles()).toEqual([])
    expect(readFileSync(folder.configuration, 'utf8')).toBe(before)
  })
})

test('a writer writes rows, moves sequences, and nothing else', async () => {
  const { role, kind } = await folder.made(['--agent', 'writer'])
  expect(kind).toBe('writer')
  const url = folder.url('writer')
  expect(
    await as(url, 'BEGIN; INSERT INTO orders (total) VALUES (9); UPDATE orders SET total = 1; DELETE FROM orders; ROLLBACK'),
  ).toBe('00000')
  for (const sql of [
    'TRUNCATE orders',
    'DROP TABLE orders',
    'ALTER TABLE orders ADD x int',
    "SELECT setval('orders_id_seq', 1)",
    'CREATE TABLE x (id int REFERENCES orders)',
    'CREATE TRIGGER t BEFORE INSERT ON orders EXECUTE FUNCTION suppress_redundant_updates_trigger()',
  ])
    expect(await as(url, sql)).toBe('42501')
  // Narrowed to a reader, the same role can no longer write.
  writeFileSync(folder.configuration, readFileSync(folder.configuration, 'utf8').replace('write orders', 'read orders'))
  expect(await folder.made(['--agent', 'writer'])).toMatchObject({ role, kind: 'reader' })
  expect(await as(url, writable, 'INSERT INTO orders (total) VALUES (9)')).toBe('42501')
})

describe('refuses, and leaves nothing behind', () => {
  test.each([
    ['an agent whose scope takes an owner', ['--agent', 'coder'], 1, 'owns the tables'],
    ['an agent that is not there', ['--agent', 'nobody'], 2, 'coder'],
    ['a duration that is none', ['--agent', 'robot', '--expires', 'soon'], 2, '15m'],
    ['accepting what is not there', ['--agent', 'robot', '--accept', 'function public.nothing()'], 1, 'not there'],
  ])('%s', async (_, words, code, named) => {
    const end = await folder.run(words)
    expect(end.code).toBe(code)
    expect(end.errors).toContain(named)
    expect(await roles()).toEqual([])
  })

  test('an administrator who is none, a URL of another database, one of another server', async () => {
    const app = `postgres://app:${ownerPassword}@127.0.0.1:${server.port}/shop`
    expect((await folder.run(robot, app)).errors).toContain('CREATEROLE')
    expect((await folder.run(robot, server.url('postgres'))).errors).toContain('names the database')
    const elsewhere = await startPostgres()
    await makeShop(elsewhere)
    const end = await folder.run(robot, elsewhere.url('shop'))
    expect(end.code).toBe(1)
    expect(await elsewhere.query("SELECT 1 FROM pg_roles WHERE rolname LIKE 'sallyport%'")).toEqual([])
    await elsewhere.stop()
    expect(await roles()).toEqual([])
  })

  test('a role of that name that it did not make, and one that owns something', async () => {
    const { role } = await folder.made([...robot])
    await server.query(`COMMENT ON ROLE "${role}" IS 'ours'`)
    for (const words of [robot, [...robot, '--drop']]) expect((await folder.run(words)).errors).toContain('did not make')
    await server.query(`COMMENT ON ROLE "${role}" IS 'Made by sallyport upstream provision: agent robot, upstream orders.'`)
    await server.query(`CREATE TABLE of_robot (id int); ALTER TABLE of_robot OWNER TO "${role}"`, [], 'shop')
    for (const words of [robot, [...robot, '--drop']]) expect((await folder.run(words)).errors).toContain('owns 1 things')
    expect(await server.query('SELECT count(*)::int AS rows FROM of_robot', [], 'shop')).toEqual([{ rows: 0 }])
    await server.query('DROP TABLE of_robot', [], 'shop')
    await folder.run([...robot, '--drop'])
    expect(await roles()).toEqual([])
  })

  test('a name that leads out of the folder', async () => {
    const victim = join(folder.folder, 'victim.use')
    writeFileSync(victim, 'kept')
    expect((await folder.run(['--agent', '/../../victim', '--drop'])).code).toBe(2)
    expect(readFileSync(victim, 'utf8')).toBe('kept')
  })

  test('a role whose credential is elsewhere, unless it is to be rotated', async () => {
    await folder.made([...robot])
    const other = new ProvisionFolder(server)
    expect((await other.run(robot)).errors).toContain('--rotate')
    await other.made([...robot, '--rotate'])
    other.remove()
  })
})

test('the shared role’s search_path is taken over as names, never as SQL of the administrator’s', async () => {
  expect(quoteSearchPath('"$user", public')).toBe('"$user", "public"')
  expect(quoteSearchPath('Shop,"a""b; c" ,x$1')).toBe('"shop", "a""b; c", "x$1"')
  for (const text of ['', 'public;DROP/**/TABLE/**/orders', 'a b', '"a', 'a,,b', "a'b"]) expect(quoteSearchPath(text)).toBeNull()
  const app = `postgres://app:${ownerPassword}@127.0.0.1:${server.port}/shop`
  const hostile = "SELECT set_config('search_path', 'public;ALTER/**/ROLE/**/app/**/SUPERUSER', false)"
  expect(await as(app, hostile, 'ALTER ROLE CURRENT_USER SET search_path FROM CURRENT')).toBe('00000')
  await folder.made(robot)
  expect(await server.query("SELECT rolsuper FROM pg_roles WHERE rolname = 'app'")).toEqual([{ rolsuper: false }])
  await server.query(`ALTER ROLE app SET search_path = "Ö'x", public`)
  await folder.made(robot)
  expect(await as(folder.url('robot'), 'TABLE "select"')).toBe('00000')
  // What the role set for itself, for one database, goes.
  expect(
    await as(folder.url('robot'), writable, 'ALTER ROLE CURRENT_USER IN DATABASE shop SET default_transaction_read_only = off'),
  ).toBe('00000')
  await folder.made(robot)
  expect(await as(folder.url('robot'), 'CREATE TEMP TABLE x ()')).toBe('25006')
  await server.query('ALTER ROLE app RESET search_path')
})

test('doctor says for each agent whose rights its statements have', async () => {
  const doctor = async (): Promise<string> =>
    (await runCommandLine(['doctor', '--config', folder.configuration], { folder: folder.folder })).output
  const before = await doctor()
  expect(before).toContain('robot’s statements on orders run with the shared credential, though it may only read orders')
  expect(before).toContain('coder’s statements on orders run with the shared credential, since its scope')
  const { role } = await folder.made([...robot])
  expect(await doctor()).toMatch(/ok {4}robot’s statements on orders run as a role of its own.*a wrong description cannot write/)
  await asOwner(server, "CREATE FUNCTION definer() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'")
  expect(await doctor()).toContain('It may run definer(), with the rights of whoever owns that')
  await asOwner(server, 'DROP FUNCTION definer()')
  await server.query(`GRANT DELETE ON orders TO "${role}"`, [], 'shop')
  expect(await doctor()).toMatch(/BAD {3}robot’s.*more than its scope in 1 tables/)
  await folder.made([...robot, '--expires', '1d'])
  expect(await doctor()).toContain('It ends soon')
  await server.query(`ALTER ROLE "${role}" NOLOGIN`)
  expect(await doctor()).toContain('so its statements are refused')
})
