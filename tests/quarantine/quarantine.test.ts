import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import type { HttpPerson } from '../fakes/http-person.ts'
import { arrange, startGate, type Ran, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { eventsOf, patience, textOf, undo } from '../stories/evidence.ts'
import { inDepth } from '../breadth.ts'

vi.setConfig(patience)

/** DROP as a move out of reach: what the agent dropped is there, whole, until its time is over, and nobody the agent can be may enter (DESIGN §13). */

let postgres: PostgresServer
let gate: TestGate
let ada: HttpPerson

beforeAll(async () => {
  postgres = await startPostgres()
  await postgres.query('CREATE DATABASE kept')
  gate = await startGate({
    postgres,
    mode: 'solo',
    wait: '0ms',
    upstreams: { 'orders-db': { quarantine: '1s' }, 'kept-db': { quarantine: '7d', database: 'kept' } },
    agents: { coder: { owner: 'ada', may: ['any orders-db', 'any kept-db'] } },
  })
  ada = await gate.person('ada')
})

const things = `DROP TABLE IF EXISTS orders CASCADE; DROP SCHEMA IF EXISTS shop CASCADE;
  CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text); INSERT INTO orders (what) SELECT 'order ' || n FROM generate_series(1, 300) n;
  CREATE SCHEMA shop; COMMENT ON SCHEMA shop IS 'the shop'; GRANT USAGE ON SCHEMA shop TO PUBLIC; CREATE TABLE shop.items (id int PRIMARY KEY, of int);
  CREATE TABLE shop.lines (id int PRIMARY KEY, item int REFERENCES shop.items); CREATE VIEW shop.seen AS SELECT id FROM shop.items;
  INSERT INTO shop.items SELECT n, n FROM generate_series(1, 40) n; INSERT INTO shop.lines SELECT n, n FROM generate_series(1, 20) n`

beforeEach(async () => {
  for (const database of ['postgres', 'kept']) await arrange(postgres, things, database)
})

afterAll(async () => {
  await gate?.stop()
  await postgres?.stop()
})

const shape = z.object({
  quarantined: z.array(z.object({ upstream: z.string(), id: z.string(), things: z.array(z.string()), bytes: z.number() })),
})
const inside = async (): Promise<z.infer<typeof shape>['quarantined']> =>
  (await gate.get('/api/v1/quarantine', shape)).quarantined

/** Where a table is now, whoever looks: its oid and its schema. */
async function placeOf(table: string, database = 'kept'): Promise<unknown> {
  const [row] = await postgres.query(
    'SELECT c.oid::text AS oid, n.nspname::text AS schema FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = $1',
    [table],
    database,
  )
  return row
}

/** Asks, has it approved, and sends it again. */
async function dropApproved(sql: string, database = 'kept-db'): Promise<{ readonly asked: string; readonly ran: Ran }> {
  const connection = await gate.connect('coder', { database })
  expect((await connection.run(sql)).sqlState).not.toBe('00000')
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

async function runAs(statements: readonly string[], database = 'kept-db'): Promise<readonly string[]> {
  const connection = await gate.connect('coder', { database })
  const states: string[] = []
  for (const sql of statements) states.push((await connection.run(sql)).sqlState)
  await connection.close()
  return states
}

/**
 * Drops something that is kept for a second, and gets something into its way before that is over; its schema's name. On a slow machine the gate may have
 * been first: then once more.
 */
async function dropAndObstruct(drop: string, table: string, obstruct: (schema: string) => string): Promise<string> {
  const failures: unknown[] = []
  while (failures.length < triesMax) {
    expect((await dropApproved(drop, 'orders-db')).ran.sqlState).toBe('00000')
    const place = z
      .object({ schema: z.string() })
      .optional()
      .parse(await placeOf(table, 'postgres'))
    try {
      if (place === undefined) throw new Error(`${table} was gone at once`)
      await postgres.query(obstruct(place.schema))
      return place.schema
    } catch (error) {
      failures.push(error)
    }
    await expect.poll(() => placeOf(table, 'postgres')).toBeUndefined()
    await arrange(postgres, things)
  }
  throw new AggregateError(failures, 'nothing could be put into its way')
}
const triesMax = 10

const newestSnapshot = (): string => textOf(eventsOf(gate, 'snapshot.sealed').at(-1), 'snapshot')

describe('DROP TABLE', () => {
  it('moves the table out of reach, for the very statement that was approved; undo moves it back as it was', async () => {
    const before = await placeOf('orders')
    const { asked, ran } = await dropApproved('DROP TABLE orders')
    expect(asked).toContain('300 rows written since the server began to count')
    expect(asked).toContain('dropped for good after 7 days')
    expect(ran).toMatchObject({ sqlState: '00000' })
    const [room] = await inside()
    expect(room).toMatchObject({ upstream: 'kept-db', things: ['public.orders'] })
    const away = { ...Object(before), schema: room?.id }
    expect(await placeOf('orders')).toEqual(away)
    const tries = [
      'SELECT count(*) FROM orders',
      `SELECT count(*) FROM ${room?.id}.orders`,
      `INSERT INTO ${room?.id}.orders (what) VALUES ('x')`,
      `CREATE TABLE ${room?.id}.mine ()`,
      `DROP TABLE ${room?.id}.orders`,
    ]
    expect(await runAs(tries)).not.toContain('00000')
    expect(await placeOf('orders')).toEqual(away)
    expect(await undo(gate, newestSnapshot())).toMatchObject({ rows: 300, verified: true })
    expect(await placeOf('orders')).toEqual(before)
    expect(await inside()).toEqual([])
    expect(await runAs(["INSERT INTO orders (what) VALUES ('the next')", 'SELECT count(*) FROM orders'])).toEqual([
      '00000',
      '00000',
    ])
  })

  it.each(inDepth('a transaction that is rolled back leaves the table where it was'))('%s', async () => {
    const before = await placeOf('orders')
    const connection = await gate.connect('coder', { database: 'kept-db' })
    await connection.run('DROP TABLE orders')
    await ada.approve(await gate.pendingRequest('coder'))
    expect((await connection.run('BEGIN')).sqlState).toBe('00000')
    expect((await connection.run('DROP TABLE orders')).sqlState).toBe('00000')
    await connection.run('ROLLBACK')
    await connection.close()
    expect(await placeOf('orders')).toEqual(before)
    expect(await inside()).toEqual([])
  })

  it('whatever took its name meanwhile is left alone: the undo refuses, and nothing is lost', async () => {
    expect((await dropApproved('DROP TABLE orders')).ran.sqlState).toBe('00000')
    await arrange(postgres, "CREATE TABLE orders (id int, another text); INSERT INTO orders VALUES (1, 'newer')", 'kept')
    await expect(undo(gate, newestSnapshot())).rejects.toThrow('something else now has the name')
    expect(await postgres.query('SELECT another FROM orders', [], 'kept')).toEqual([{ another: 'newer' }])
    expect(await inside()).toHaveLength(1)
    await arrange(postgres, 'DROP TABLE orders', 'kept')
    expect(await undo(gate, newestSnapshot())).toMatchObject({ rows: 300, verified: true })
  })

  it('what others depend on is dropped at once, from a copy that can be put back, and people are told so', async () => {
    await arrange(postgres, 'CREATE VIEW what AS SELECT what FROM orders', 'kept')
    const { asked, ran } = await dropApproved('DROP TABLE orders CASCADE')
    expect(asked).toContain('dropped at once and not quarantined, since view public.what would go with it')
    expect(ran.sqlState).toBe('00000')
    expect(await inside()).toEqual([])
    expect(await undo(gate, newestSnapshot())).toMatchObject({ rows: 300, verified: true })
  })
})

describe.each(inDepth('DROP SCHEMA'))('%s', () => {
  it('moves all of it, takes it from its owner, and brings all of it back', async () => {
    const before = [await placeOf('items'), await placeOf('lines'), await placeOf('seen')]
    const { ran } = await dropApproved('DROP SCHEMA shop CASCADE')
    expect(ran).toMatchObject({ sqlState: '00000' })
    const [room] = await inside()
    expect(room).toMatchObject({ things: ['"shop"'] })
    expect(await runAs(['SELECT count(*) FROM shop.items', `SELECT count(*) FROM ${room?.id}.items`])).toEqual(['42P01', '42501'])
    expect(await undo(gate, newestSnapshot())).toMatchObject({ rows: 60, verified: true })
    expect([await placeOf('items'), await placeOf('lines'), await placeOf('seen')]).toEqual(before)
    const [schema] = await postgres.query(
      "SELECT pg_get_userbyid(nspowner)::text AS owner, obj_description(oid, 'pg_namespace') AS comment FROM pg_namespace WHERE nspname = 'shop'",
      [],
      'kept',
    )
    expect(schema).toEqual({ owner: 'app_use', comment: 'the shop' })
    expect(await runAs(['SELECT count(*) FROM shop.seen'])).toEqual(['00000'])
  })
})

describe('when its time is over', () => {
  it('the gate drops it for good, on the log before it goes, and the copy in the vault is still there', async () => {
    expect((await dropApproved('DROP TABLE orders', 'orders-db')).ran.sqlState).toBe('00000')
    await expect.poll(() => placeOf('orders', 'postgres')).toBeUndefined()
    await expect.poll(() => eventsOf(gate, 'quarantine.purged').length).toBe(1)
    expect(eventsOf(gate, 'quarantine.purge')).toMatchObject([{ data: { upstream: 'orders-db', things: ['public.orders'] } }])
    expect(await undo(gate, newestSnapshot())).toMatchObject({ rows: 300, verified: true })
  })

  it.each(inDepth('what came to depend on it from outside keeps it there, and that is on the log'))('%s', async () => {
    const peek = (schema: string): string => `CREATE VIEW public.peeking AS SELECT id FROM ${schema}.items`
    await dropAndObstruct('DROP SCHEMA shop CASCADE', 'items', peek)
    const place = await placeOf('items', 'postgres')
    await expect.poll(() => eventsOf(gate, 'quarantine.kept').length).toBeGreaterThan(0)
    expect(await placeOf('items', 'postgres')).toEqual(place)
    await postgres.query('DROP VIEW public.peeking')
    await expect.poll(() => placeOf('items', 'postgres')).toBeUndefined()
  })

  it('what an agent put under such a name, or into such a place, is nothing that people approved to drop', async () => {
    await arrange(
      postgres,
      `CREATE SCHEMA sallyport_quarantine_0123456789ab; CREATE TABLE sallyport_quarantine_0123456789ab.accounts (id int);
       COMMENT ON SCHEMA sallyport_quarantine_0123456789ab IS 'sallyport keeps accounts here until 2020-01-01T00:00:00.000Z'`,
    )
    // As if it had been quick enough, before the gate shut the place.
    const moveIn = (schema: string): string =>
      `CREATE TABLE public.customers (id int); ALTER TABLE public.customers OWNER TO app_use; ALTER TABLE public.customers SET SCHEMA ${schema}`
    const schema = await dropAndObstruct('DROP TABLE orders', 'orders', moveIn)
    const before = eventsOf(gate, 'quarantine.purged').length
    await expect.poll(() => textOf(eventsOf(gate, 'quarantine.kept').at(-1), 'why')).toContain('customers came into it')
    expect(await placeOf('accounts', 'postgres')).toMatchObject({ schema: 'sallyport_quarantine_0123456789ab' })
    await postgres.query(`DROP TABLE ${schema}.customers`)
    await expect.poll(() => eventsOf(gate, 'quarantine.purged').length).toBe(before + 1)
    expect(await placeOf('accounts', 'postgres')).toMatchObject({ schema: 'sallyport_quarantine_0123456789ab' })
  })

  it.each(inDepth('and while a kill is in force nothing goes'))('%s', async () => {
    await dropAndKill()
    const purged = eventsOf(gate, 'quarantine.purged').length
    await expect.poll(async () => (await gate.get('/api/v1/quarantine', due)).quarantined.some((one) => one.due)).toBe(true)
    // The time of more than one look of the gate at a thing that is due.
    for (let look = 0; look < 3; look += 1) await gate.get('/api/v1/quarantine', due)
    expect(eventsOf(gate, 'quarantine.purged').length).toBe(purged)
    await releaseAll()
    await expect.poll(() => placeOf('orders', 'postgres')).toBeUndefined()
  })
})

/** Drops what is kept for a second, and kills before that is over; on a slow machine the second may be over first: then once more. */
async function dropAndKill(): Promise<void> {
  for (let tries = 0; tries < triesMax; tries += 1) {
    expect((await dropApproved('DROP TABLE orders', 'orders-db')).ran.sqlState).toBe('00000')
    await gate.post('/api/v1/kill', { kind: 'upstream', id: 'orders-db', reason: 'a test' }, z.unknown())
    const { quarantined } = await gate.get('/api/v1/quarantine', due)
    if (quarantined.some((one) => !one.due)) return
    await releaseAll()
    await expect.poll(() => placeOf('orders', 'postgres')).toBeUndefined()
    await arrange(postgres, things)
  }
  throw new Error('its time was over before each kill')
}

async function releaseAll(): Promise<void> {
  const { kills } = await gate.get('/api/v1/kills', z.object({ kills: z.array(z.object({ id: z.string() })) }))
  for (const { id } of kills) await ada.release(id)
}

const due = z.object({ quarantined: z.array(z.object({ due: z.boolean() })) })
