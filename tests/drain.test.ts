import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startPostgres, type PostgresServer } from './servers/postgres.ts'
import { arrange, startGate, type TestGate } from './servers/gate.ts'

/** A gate that is told to stop: what runs ends by itself, what is new is told to go elsewhere, and then it ends with 0. */
let postgres: PostgresServer
let gate: TestGate

beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({ postgres, drain: '2m' })
  await arrange(postgres, 'CREATE TABLE shelf (v int); INSERT INTO shelf VALUES (7); CREATE TABLE notes (id int PRIMARY KEY)')
})
afterAll(async () => {
  await gate.stop()
  await postgres.stop()
})

const waiting = async (): Promise<number> => {
  const rows = await postgres.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'app_use'")
  return rows.length
}

test('SIGTERM lets a read and a cleared write end, refuses the rest, and exits with 0', async () => {
  const [reader, writer, idle, handle] = [
    await gate.connect('coder'),
    await gate.connect('coder'),
    await gate.connect('coder'),
    await gate.issue('coder'),
  ]
  const lock = new pg.Client({ connectionString: postgres.url() })
  await lock.connect()
  await lock.query('BEGIN; LOCK TABLE shelf IN ACCESS EXCLUSIVE MODE; INSERT INTO notes VALUES (1)')
  const reading = reader.run('SELECT v FROM shelf')
  const writing = writer.run('INSERT INTO notes VALUES (1)')
  await vi.waitUntil(async () => (await waiting()) >= 2, 60_000)
  process.kill(gate.process.pid, 'SIGTERM')
  await vi.waitUntil(async () => (await idle.run('SELECT 1')).sqlState !== '00000', 60_000)
  expect(await idle.run('SELECT 2')).toMatchObject({ sqlState: '08006', message: 'This gate is stopping.' })
  await expect(gate.connect('coder', { handle })).rejects.toThrow('This gate is stopping.')
  await lock.query('ROLLBACK')
  await lock.end()
  expect(await reading).toMatchObject({ sqlState: '00000', rows: [{ v: 7 }] })
  expect(await writing).toMatchObject({ sqlState: '00000', rowCount: 1 })
  expect(await gate.process.ended).toEqual({ kind: 'code', code: 0 })
  const outcomes = gate.events().filter(({ type }) => type === 'outcome')
  expect(outcomes.map(({ data }) => data['result'])).toEqual(['succeeded'])
  expect(gate.events().at(-1)).toMatchObject({ type: 'gate.stopped' })
})
