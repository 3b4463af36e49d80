import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { z } from 'zod'
import pg from 'pg'
import type { HttpPerson } from '../fakes/http-person.ts'
import { startGate, type Ran, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { eventsOf, patience, textOf, undo } from '../stories/evidence.ts'
import { casesOf, inDepth } from '../breadth.ts'

vi.setConfig(patience)

/** DROP DATABASE as a move out of reach: no transaction holds its steps together, and at none of them is the data lost or out of everybody's reach for good. */
let postgres: PostgresServer
let gate: TestGate
let ada: HttpPerson

beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({
    postgres,
    mode: 'solo',
    wait: '0ms',
    upstreams: { 'orders-db': { quarantine: '7d' }, 'brief-db': { quarantine: '1s' } },
    agents: { coder: { owner: 'ada', may: ['any orders-db', 'any brief-db'] } },
  })
  ada = await gate.person('ada')
  await postgres.query('ALTER ROLE app_protect CREATEDB; ALTER ROLE app_use CREATEDB')
})
beforeEach(async () => {
  for (const { name } of await postgres.query("SELECT datname AS name FROM pg_database WHERE datname ~ '^(shop|sallyport)'"))
    await postgres.query(`DROP DATABASE "${String(name)}" WITH (FORCE)`)
  await postgres.query('CREATE DATABASE shop OWNER app_use')
  await postgres.query("COMMENT ON DATABASE shop IS 'the shop'")
  await postgres.query('CREATE TABLE items AS SELECT generate_series(1, 50) AS id', [], 'shop')
})
afterAll(async () => {
  await gate?.stop()
  await postgres?.stop()
})

const shape = z.object({ quarantined: z.array(z.object({ id: z.string(), things: z.array(z.string()), bytes: z.number() })) })
const inside = async (): Promise<z.infer<typeof shape>['quarantined']> =>
  (await gate.get('/api/v1/quarantine', shape)).quarantined
const newestSnapshot = (): string => textOf(eventsOf(gate, 'snapshot.sealed').at(-1), 'snapshot')

async function dropApproved(sql: string, database = 'orders-db'): Promise<{ readonly asked: string; readonly ran: Ran }> {
  const connection = await gate.connect('coder', { database })
  const first = await connection.run(sql)
  expect(first.sqlState).toBe('SP001')
  const request = await gate.pendingRequest('coder')
  const { question } = await gate.get(
    `/api/v1/requests/${request}`,
    z.object({ question: z.object({ operations: z.array(z.object({ why: z.string() })) }) }),
  )
  await ada.approve(request)
  const ran = await connection.run(sql)
  await connection.close()
  return { asked: question.operations.map(({ why }) => why).join('; '), ran }
}

/** Of the database with these oid: where it is, and who may what with it. */
async function stateOf(oid: unknown): Promise<unknown> {
  const [row] = await postgres.query(
    `SELECT datname::text AS name, pg_get_userbyid(datdba)::text AS owner, datallowconn AS open, shobj_description(oid, 'pg_database') AS comment
     FROM pg_database WHERE oid::text = $1`,
    [oid],
  )
  return row
}
async function oidOf(name: string): Promise<string | null> {
  const [row] = await postgres.query('SELECT oid::text AS oid FROM pg_database WHERE datname = $1', [name])
  return row === undefined ? null : String(row['oid'])
}
const untouched = { name: 'shop', owner: 'app_use', open: true, comment: 'the shop' }
const rows = (): Promise<readonly object[]> => postgres.query('SELECT count(*)::int AS n FROM items', [], 'shop')

/** Two looks at once, as those of the gate and of a person are. */
const lookTwice = (): Promise<unknown> => Promise.all([inside(), inside(), inside()])

/** What a gate that ended between two steps leaves behind: the mark as it was then, made long ago. */
async function age(id: string, step: 'moving' | 'moved'): Promise<void> {
  const [row] = await postgres.query("SELECT shobj_description(oid, 'pg_database') AS mark FROM pg_database WHERE datname = $1", [
    id,
  ])
  const mark = { ...Object(JSON.parse(String(row?.['mark']))), sallyport: step, atMs: 0 }
  await postgres.query(`COMMENT ON DATABASE "${id}" IS '${JSON.stringify(mark)}'`)
}

test('the very statement drops an empty one; the database is out of everybody’s reach, whole, and undo puts it back', async () => {
  const oid = await oidOf('shop')
  const { asked, ran } = await dropApproved('DROP DATABASE shop')
  expect(asked).toContain('no copy of it is made')
  expect(asked).toContain('after 7 days it is gone for good')
  expect(ran).toMatchObject({ sqlState: '00000' })
  expect(await oidOf('shop')).toBeNull()
  const [room] = await inside()
  expect(room).toMatchObject({ things: ['"shop"'] })
  expect(await stateOf(oid)).toMatchObject({ name: room?.id, owner: 'app_protect', open: false })
  const connection = await gate.connect('coder')
  for (const sql of [
    `DROP DATABASE ${room?.id}`,
    `ALTER DATABASE ${room?.id} RENAME TO shop`,
    `ALTER DATABASE ${room?.id} ALLOW_CONNECTIONS true`,
  ])
    expect((await connection.run(sql)).sqlState).not.toBe('00000')
  await connection.close()
  expect(await undo(gate, newestSnapshot())).toMatchObject({ tables: ['shop'], verified: true })
  expect(await stateOf(oid)).toEqual(untouched)
  expect(await rows()).toEqual([{ n: 50 }])
  expect(await inside()).toEqual([])
})

test('whatever has its name meanwhile is left alone', async () => {
  const oid = await oidOf('shop')
  await dropApproved('DROP DATABASE shop')
  await postgres.query('CREATE DATABASE shop')
  await expect(undo(gate, newestSnapshot())).rejects.toThrow('something else now has the name')
  expect(await inside()).toHaveLength(1)
  await postgres.query('DROP DATABASE shop')
  await undo(gate, newestSnapshot())
  expect(await stateOf(oid)).toEqual(untouched)
})

test.each(inDepth('connections in the way: refused with the reason, and ended where the statement says FORCE'))(
  '%s',
  async () => {
    const other = new pg.Client({ connectionString: postgres.url('shop') })
    other.on('error', () => undefined)
    await other.connect()
    const connection = await gate.connect('coder')
    const refused = await connection.run('DROP DATABASE shop')
    await connection.close()
    expect(refused.sqlState).not.toBe('00000')
    expect(`${refused.message} ${refused.hint}`).toContain('connections to it are open')
    expect(await stateOf(await oidOf('shop'))).toEqual(untouched)
    await other.end()
    const own = new pg.Client({
      host: '127.0.0.1',
      port: postgres.port,
      user: 'app_use',
      password: 'test-role',
      database: 'shop',
    })
    own.on('error', () => undefined)
    await own.connect()
    expect((await dropApproved('DROP DATABASE shop WITH (FORCE)')).ran).toMatchObject({ sqlState: '00000' })
    expect(await inside()).toHaveLength(1)
    await own.end().catch(() => undefined)
  },
)

test.each(
  casesOf(
    [
      ['renamed, and nothing put in its place', 'moving', false],
      ['an empty one put in its place, and not noted', 'moving', true],
      ['all moved, and the statement never ran', 'moved', true],
    ] as const,
    1,
  ),
)('a gate that ended when it was %s: put back at the next look', async (_name, step, hasPlaceholder) => {
  const oid = await oidOf('shop')
  await dropApproved('DROP DATABASE shop')
  const id = (await inside())[0]?.id ?? ''
  if (hasPlaceholder) await postgres.query('CREATE DATABASE shop OWNER app_use ALLOW_CONNECTIONS false')
  await age(id, step)
  await lookTwice()
  expect(await inside()).toEqual([])
  await expect.poll(() => stateOf(oid), { timeout: 60_000 }).toEqual(untouched)
  expect(await rows()).toEqual([{ n: 50 }])
  expect(await postgres.query("SELECT 1 FROM pg_database WHERE datname ~ '^sallyport'")).toEqual([])
})

test.each(inDepth('one that ended before it was renamed leaves it closed for a moment, and no longer'))('%s', async () => {
  const oid = await oidOf('shop')
  await dropApproved('DROP DATABASE shop')
  const id = (await inside())[0]?.id ?? ''
  await age(id, 'moving')
  await postgres.query(`ALTER DATABASE "${id}" RENAME TO shop`).catch(() => undefined)
  expect(await inside()).toEqual([])
  await expect.poll(() => stateOf(oid), { timeout: 60_000 }).toEqual(untouched)
})

test.each(inDepth('what somebody opened in its place is not dropped for it, and it stays where it is'))('%s', async () => {
  const oid = await oidOf('shop')
  await dropApproved('DROP DATABASE shop')
  const id = (await inside())[0]?.id ?? ''
  await postgres.query('CREATE DATABASE shop OWNER app_use')
  const newer = await oidOf('shop')
  await age(id, 'moved')
  expect(await inside()).toHaveLength(1)
  expect(await oidOf('shop')).toBe(newer)
  expect(await stateOf(oid)).toMatchObject({ name: id })
})

test('where the gate could not put it back it is not moved: the protect credential may make no database', async () => {
  await postgres.query('ALTER ROLE app_protect NOCREATEDB')
  const connection = await gate.connect('coder')
  const refused = await connection.run('DROP DATABASE shop')
  await connection.close()
  await postgres.query('ALTER ROLE app_protect CREATEDB')
  expect(refused.sqlState).not.toBe('00000')
  expect(await stateOf(await oidOf('shop'))).toEqual(untouched)
})

test.each(inDepth('when its time is over it is dropped for good: it alone, and no newer one of its name'))('%s', async () => {
  const oid = await oidOf('shop')
  expect((await dropApproved('DROP DATABASE shop', 'brief-db')).ran).toMatchObject({ sqlState: '00000' })
  await postgres.query('CREATE DATABASE shop OWNER app_use')
  const newer = await oidOf('shop')
  await expect.poll(() => stateOf(oid), { timeout: 60_000 }).toBeUndefined()
  expect(await oidOf('shop')).toBe(newer)
  await expect.poll(() => eventsOf(gate, 'quarantine.purged').length, { timeout: 60_000 }).toBeGreaterThan(0)
  await expect(undo(gate, newestSnapshot())).rejects.toThrow('not in quarantine any more')
})
