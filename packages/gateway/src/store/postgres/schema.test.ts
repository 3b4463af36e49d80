import { afterAll, beforeAll, expect, it } from 'vitest'
import { testRequests } from '../../../../../tests/conformance/requests.ts'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'
import { openConnection, type Connection } from './connection.ts'
import { openRequests } from './requests.ts'
import { migrate, migrations, type Migration } from './schema.ts'
import { findEnded, openVerdictWaiters } from './verdict-waiters.ts'
import { inDepth } from '../../../../../tests/breadth.ts'

let server: PostgresServer
let count = 0
const opened: Connection[] = []
const newest = migrations.at(-1)?.version ?? 0

beforeAll(async () => {
  server = await startPostgres()
})
afterAll(async () => {
  await Promise.all(opened.map((connection) => connection.close()))
  await server.stop()
})

async function connect(name?: string): Promise<{ readonly connection: Connection; readonly name: string }> {
  const made = name ?? `schema_${count++}`
  if (name === undefined) await server.query(`CREATE DATABASE ${made}`)
  const connection = openConnection(server.url(made), 'gate')
  opened.push(connection)
  return { connection, name: made }
}

function next(worksFrom: number, sql: string): Migration {
  return { version: newest + 1, worksFrom, sql }
}

async function versionOf(connection: Connection): Promise<number> {
  return Number((await connection.run('SELECT max(version) AS version FROM schema_steps')).rows[0]?.['version'])
}

it.each(inDepth('is made once, however many gates start at the same time'))('%s', async () => {
  const { connection, name } = await connect()
  const others = await Promise.all([connect(name), connect(name), connect(name)])
  await Promise.all([connection, ...others.map((other) => other.connection)].map((one) => migrate(one)))
  expect((await connection.run('SELECT version FROM schema_steps ORDER BY version')).rows.map(({ version }) => version)).toEqual(
    migrations.map(({ version }) => version),
  )
})

it('grows from each version before it', async () => {
  for (const [index] of migrations.entries()) {
    const { connection } = await connect()
    await migrate(connection, migrations.slice(0, index + 1))
    await migrate(connection)
    expect(await versionOf(connection)).toBe(newest)
  }
})

it('leaves nothing behind of a step that fails', async () => {
  const { connection } = await connect()
  await migrate(connection)
  const broken = next(1, 'CREATE TABLE half (n int); SELECT 1 / 0')
  await expect(migrate(connection, [...migrations, broken])).rejects.toMatchObject({ code: 'store_unavailable' })
  expect(await versionOf(connection)).toBe(newest)
  expect((await connection.run("SELECT to_regclass('half') AS half")).rows).toEqual([{ half: null }])
})

it('refuses a schema that a newer version made and that this one does not work with, and changes nothing', async () => {
  const { connection } = await connect()
  await migrate(connection, [...migrations, next(newest + 1, 'ALTER TABLE grants RENAME COLUMN state TO how')])
  await expect(migrate(connection)).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining(`this one knows ${newest}`),
    next: expect.stringContaining('newer version'),
  })
  expect(await versionOf(connection)).toBe(newest + 1)
})

// Every step says from where on it works: the statements of a gate of that version are tried on the schema after it.
testRequests('a gate of this version on the schema of a next one that adds', async () => {
  const { connection, name } = await connect()
  const adds = 'ALTER TABLE grants ADD COLUMN more text; ALTER TABLE requests ADD COLUMN more text; CREATE TABLE yet_more (n int)'
  await migrate(connection, [...migrations, next(1, adds)])
  await migrate(connection)
  const waiters = openVerdictWaiters((ids) => findEnded(connection, ids))
  const requests = openRequests(connection, 'gate', waiters)
  return { requests, reopen: async () => openRequests((await connect(name)).connection, 'gate', waiters) }
})

it('only adds, unless a step says from where on it works', () => {
  const taking = /\b(DROP|RENAME|ALTER\s+COLUMN|SET\s+NOT\s+NULL|TRUNCATE|DELETE)\b/i
  const silent = migrations.filter(({ version, worksFrom, sql }) => taking.test(sql) && worksFrom < version)
  expect(silent).toEqual([])
})
