import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { asOwner, makeShop, ownerPassword, ProvisionFolder } from '../../../../tests/fakes/provisioned.ts'
import { findPostgresBinaries, startPostgres, type PostgresServer } from '../../../../tests/servers/postgres.ts'
import { findBinaries } from '../playground/binaries.ts'
import { findUnprivilegedUser } from '../playground/os-user.ts'
import { casesOf, inDepth } from '../../../../tests/breadth.ts'

/** As on a managed server: nobody is a superuser, the administrator has CREATEROLE and is a member of the owner, or not even that. */
const folder = mkdtempSync(join(tmpdir(), 'sallyport-binaries-'))
chmodSync(folder, 0o755)
const newest = (): string => dirname(findBinaries(findUnprivilegedUser(), join(folder, 'native')).postgres)
const robot = ['--agent', 'robot'] as const

afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function as(url: string, sql: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query("SELECT set_config('default_transaction_read_only', 'off', false)")
    await client.query(sql)
    return '00000'
  } catch (error) {
    return error instanceof pg.DatabaseError ? (error.code ?? '') : String(error)
  } finally {
    await client.end()
  }
}

describe.each(
  casesOf(
    [
      ['the system’s PostgreSQL', findPostgresBinaries],
      ['PostgreSQL 18', newest],
    ] as const,
    1,
  ),
)('on %s', (_, binaries) => {
  let server: PostgresServer
  let site: ProvisionFolder
  const urlOf = (role: string): string => `postgres://${role}:${ownerPassword}@127.0.0.1:${server.port}/shop`

  beforeAll(async () => {
    server = await startPostgres([], binaries())
    await makeShop(server)
    const inherit = Number((await server.query('SHOW server_version_num'))[0]?.['server_version_num']) >= 160_000
    await server.query(
      `CREATE ROLE dba LOGIN CREATEROLE PASSWORD '${ownerPassword}'; GRANT app TO dba${inherit ? ' WITH INHERIT TRUE' : ''};
       CREATE ROLE guest LOGIN CREATEROLE PASSWORD '${ownerPassword}'`,
    )
    await asOwner(server, 'CREATE TABLE orders (id serial PRIMARY KEY, total int); CREATE VIEW cheap AS TABLE orders')
    await server.query('CREATE TABLE of_postgres (id int)', [], 'shop')
  })
  afterEach(() => site.remove())
  afterAll(() => server?.stop())
  test('a superuser makes, proves and drops it', async () => {
    site = new ProvisionFolder(server)
    const made = await site.made([...robot, '--revoke-public'])
    expect(made.proof.filter(({ verdict }) => verdict !== 'held' && verdict !== 'absent')).toEqual([])
    expect(made.missing).toEqual([])
    expect(await site.run([...robot, '--drop'])).toMatchObject({ code: 0 })
  })

  test('an administrator that is a member of the owner does all of it, and says what it may not', async () => {
    site = new ProvisionFolder(server)
    const end = await site.run([...robot, '--json'], urlOf('dba'))
    const made: { missing: string[]; role: string; proof: { verdict: string }[] } = JSON.parse(end.output)
    // The role is there and proved; the exit code says that something is missing.
    expect(end.code).toBe(1)
    expect(made.missing).toEqual([
      expect.stringContaining('public.of_postgres'),
      expect.stringContaining('What postgres makes later'),
    ])
    expect(made.proof.filter(({ verdict }) => verdict === 'open')).toEqual([])
    const url = site.url('robot')
    expect(await as(url, 'SELECT * FROM orders, cheap')).toBe('00000')
    expect(await as(url, 'INSERT INTO orders DEFAULT VALUES')).toBe('42501')
    await asOwner(server, 'CREATE TABLE IF NOT EXISTS later (id int)')
    expect(await as(url, 'SELECT * FROM later')).toBe('00000')
    // Again, with more of its own meanwhile, and out again.
    await server.query(`GRANT DELETE ON orders TO "${made.role}"`, [], 'shop')
    expect((await site.run([...robot, '--json', '--rotate'], urlOf('dba'))).output).toContain('"state":"renewed"')
    expect(await as(site.url('robot'), 'DELETE FROM orders')).toBe('42501')
    const client = new pg.Client({ connectionString: site.url('robot') })
    const ended = new Promise<void>((resolve) => client.on('error', () => resolve()))
    await client.connect()
    expect((await site.run([...robot, '--drop'], urlOf('dba'))).output).toContain('1 of its sessions ended')
    await ended
    expect(await server.query("SELECT rolname FROM pg_roles WHERE rolname LIKE 'sallyport%'")).toEqual([])
    const members = await server.query("SELECT 1 FROM pg_auth_members WHERE member = 'dba'::regrole AND roleid <> 'app'::regrole")
    expect(members).toEqual([])
  })

  test.each(inDepth('an administrator that may hand nothing out says so'))('%s', async () => {
    site = new ProvisionFolder(server)
    const end = await site.run(robot, urlOf('guest'))
    expect(end.code).toBe(1)
    expect(end.errors).toContain('guest may hand out nothing')
    expect(await server.query("SELECT 1 FROM pg_roles WHERE rolname LIKE 'sallyport%'")).toEqual([])
    // What it was given to hand out, it hands out.
    await asOwner(server, 'GRANT SELECT ON orders TO guest WITH GRANT OPTION')
    expect((await site.run(robot, urlOf('guest'))).output).toContain('MISSING: Not readable')
    expect(await as(site.url('robot'), 'SELECT * FROM orders')).toBe('00000')
    expect(await as(site.url('robot'), 'SELECT * FROM cheap')).toBe('42501')
    // And what was passed on by somebody who is not the owner goes with the rest, whoever drops it.
    expect((await site.run(robot, server.url('shop'))).code).toBe(0)
    expect((await site.run([...robot, '--drop'], server.url('shop'))).code).toBe(0)
    expect(await server.query("SELECT 1 FROM pg_roles WHERE rolname LIKE 'sallyport%'")).toEqual([])
  })
})
