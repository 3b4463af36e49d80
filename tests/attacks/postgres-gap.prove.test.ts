import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { HttpPerson } from '../fakes/http-person.ts'
import { arrange, startGate, type AgentConnection, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'

/**
 * SQL locks tables, not names. A reader's lock holds the approved statement up when all checks are done, and while it waits somebody puts another table
 * first in its search path: the server looks the name up once more, and drops that one.
 */
let postgres: PostgresServer
let gate: TestGate
let carol: HttpPerson
let agent: AgentConnection
let reader: pg.Client

beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({ postgres, wait: '0ms', agents: { coder: { owner: 'ada', may: ['any orders-db'] } } })
  await postgres.query('ALTER ROLE app_use SET search_path = one, public')
  await gate.person('ada')
  carol = await gate.person('carol')
})
afterAll(async () => {
  await gate?.stop()
  await postgres?.stop()
})
beforeEach(async () => {
  await arrange(
    postgres,
    `DROP SCHEMA IF EXISTS one CASCADE; CREATE SCHEMA one; DROP TABLE IF EXISTS public.orders;
     CREATE TABLE public.orders (id int); INSERT INTO public.orders VALUES (1), (2)`,
  )
  agent = await gate.connect('coder')

  reader = new pg.Client({ connectionString: postgres.url() })
  await reader.connect()
})

afterEach(async () => {
  await agent.close()
  await reader.end()
})

const waitsForLock = (): Promise<number> =>
  postgres
    .query("SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND relation = 'public.orders'::regclass")
    .then((rows) => rows.length)

async function approve(sql: string): Promise<void> {
  const asked = await agent.run(sql)
  expect(asked.sqlState).toBe('SP001')
  await carol.approve(/[0-9a-f]{32}/.exec(asked.hint)?.[0] ?? '')
}

test.each([
  ['alone', false],
  ['in a transaction of the agent’s', true],
])('another table dropped in the place of the approved one is rolled back, %s', async (_, inTransaction) => {
  await approve('DROP TABLE orders')
  if (inTransaction) await agent.run('BEGIN')
  await reader.query('BEGIN; SELECT count(*) FROM public.orders')
  const dropping = agent.run('DROP TABLE orders')
  await expect.poll(waitsForLock).toBe(1)
  await arrange(postgres, 'CREATE TABLE one.orders (id int); INSERT INTO one.orders VALUES (7)')
  await reader.query('COMMIT')
  expect(await dropping).toMatchObject({
    sqlState: '55000',
    message: expect.stringContaining('Another than public.orders came to be dropped'),
  })
  if (inTransaction) expect(await agent.run('COMMIT')).toMatchObject({ sqlState: '00000' })
  expect(
    await postgres.query('SELECT (SELECT sum(id)::int FROM one.orders) AS one, (SELECT sum(id)::int FROM public.orders) AS two'),
  ).toEqual([{ one: 7, two: 3 }])
  expect(gate.events().findLast(({ type }) => type === 'outcome')?.data).toMatchObject({
    result: 'failed',
    detail: 'rolled back: target_changed',
  })
})

test('nobody in the gap: the approved one is dropped', async () => {
  await approve('DROP TABLE orders')
  await reader.query('BEGIN; SELECT count(*) FROM public.orders')
  const dropping = agent.run('DROP TABLE orders')
  await expect.poll(waitsForLock).toBe(1)
  await reader.query('COMMIT')
  expect(await dropping).toMatchObject({ sqlState: '00000' })
  expect(await postgres.query("SELECT to_regclass('public.orders') AS gone")).toEqual([{ gone: null }])
})
