import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { refusal, type FakeVerdict } from '../../../../../tests/fakes/govern.ts'
import { startPostgresGate, type PostgresGate } from '../../../../../tests/fakes/postgres-gate.ts'
import { describeMessage } from '../../../../../tests/fakes/postgres-client.ts'
import { bindMessage, closeMessage, executeMessage, parseMessage, queryMessage, syncMessage } from './wire.ts'

let gate: PostgresGate

beforeAll(async () => {
  gate = await startPostgresGate()
})
afterAll(() => gate.stop())

const counted = (over: Partial<Extract<FakeVerdict, { kind: string }>> = {}): FakeVerdict => ({
  kind: 'destroy',
  counted: true,
  during: async ({ access }) => {
    if (access.kind !== 'sql') return
    await access.hold('')
    await access.hold('lock table t in share row exclusive mode')
  },
  ...over,
})

beforeEach(async () => {
  gate.fake.outcomes.length = 0
  gate.fake.decide = (asked) =>
    /^\s*(delete|update|drop)/.test(asked.text) || asked.text.includes('; ')
      ? counted()
      : { kind: asked.text.startsWith('insert') ? 'write' : 'read' }
  await gate.server.query(
    'drop table if exists u; drop table if exists t cascade; create table t (a int primary key, b text); insert into t select generate_series(1, 10)',
  )
})

const rows = async (): Promise<number> => (await gate.server.query('select a from t')).length
const extended = (sql: string): Buffer =>
  Buffer.concat([
    parseMessage('', sql),
    bindMessage('', '', []),
    describeMessage('P', ''),
    executeMessage(''),
    closeMessage('P', ''),
    syncMessage,
  ])

test('a held statement outside a transaction: committed before the client is told, status I', async () => {
  const raw = await gate.raw()
  raw.send(queryMessage('delete from t where a < 3 returning a'), queryMessage('select count(*) from t'))
  expect(await raw.answers(2)).toEqual(['T', 'D 1', 'D 2', 'C DELETE 2', 'Z I', 'T', 'D 8', 'C SELECT 1', 'Z I'])
  raw.send(extended('delete from t where a = 3 returning a'))
  expect(await raw.answers()).toEqual(['1', '2', 'T', 'D 3', 'C DELETE 1', '3', 'Z I'])
  expect(await rows()).toBe(7)
  expect(gate.fake.outcomes.map(({ outcome }) => outcome)).toEqual([
    { result: 'succeeded', rows: 2 },
    { result: 'succeeded', rows: 1 },
  ])
  raw.close()
})

test('settle says no: rolled back, nothing of the answer reaches the client', async () => {
  gate.fake.decide = () => counted({ settle: () => refusal({ code: 'limit_exceeded' }) })
  const raw = await gate.raw()
  raw.send(queryMessage('delete from t returning a'))
  expect(await raw.answers()).toEqual(['E 53400', 'Z I'])
  raw.send(extended('delete from t returning a'))
  expect(await raw.answers()).toEqual(['1', 'E 53400', 'Z I'])
  expect(await rows()).toBe(10)
  expect(gate.fake.outcomes.map(({ outcome }) => outcome.result)).toEqual(['failed', 'failed'])
  raw.close()
})

test('settle says no inside the agent’s transaction: it is aborted and never commits', async () => {
  const raw = await gate.raw()
  raw.send(queryMessage('begin'), queryMessage('insert into t values (11)'))
  await raw.answers(2)
  gate.fake.decide = (asked) =>
    asked.text.startsWith('delete') ? counted({ settle: () => refusal({ code: 'limit_exceeded' }) }) : { kind: 'read' }
  raw.send(extended('delete from t returning a'), queryMessage('select 1'), queryMessage('commit'))
  expect(await raw.answers(3)).toEqual(['1', 'E 53400', 'Z E', 'E 25P02', 'Z E', 'C ROLLBACK', 'Z I'])
  expect(await rows()).toBe(10)
  raw.close()
})

test('held inside the agent’s transaction: the agent commits, or rolls back to its own savepoint', async () => {
  const raw = await gate.raw()
  raw.send(queryMessage('begin'), queryMessage('savepoint mine'), queryMessage('delete from t where a = 1'))
  expect(await raw.answers(3)).toEqual(['C BEGIN', 'Z T', 'C SAVEPOINT', 'Z T', 'C DELETE 1', 'Z T'])
  raw.send(queryMessage('rollback to mine'), queryMessage('delete from t where a = 2'), queryMessage('commit'))
  expect(await raw.answers(3)).toEqual(['C ROLLBACK', 'Z T', 'C DELETE 1', 'Z T', 'C COMMIT', 'Z I'])
  expect(await gate.server.query('select a from t where a in (1, 2)')).toEqual([{ a: 1 }])
  raw.close()
})

test('a held statement that fails: its error, status as without a gate', async () => {
  const raw = await gate.raw()
  raw.send(queryMessage('update t set a = 1'), queryMessage('select 1'))
  expect(await raw.answers(2)).toEqual(['E 23505', 'Z I', 'T', 'D 1', 'C SELECT 1', 'Z I'])
  raw.send(queryMessage('begin'), queryMessage('update t set a = 1'), queryMessage('rollback'))
  expect(await raw.answers(3)).toEqual(['C BEGIN', 'Z T', 'E 23505', 'Z E', 'C ROLLBACK', 'Z I'])
  raw.send(extended('update t set a = 1'))
  expect(await raw.answers()).toEqual(['1', '2', 'n', 'E 23505', 'Z I'])
  expect(gate.fake.outcomes.map(({ outcome }) => outcome.detail)).toEqual(['SQLSTATE 23505', 'SQLSTATE 23505', 'SQLSTATE 23505'])
  raw.close()
})

test('a commit that fails is the error of the statement', async () => {
  await gate.server.query('create table u (a int references t deferrable initially deferred); insert into u values (5)')
  const raw = await gate.raw()
  raw.send(queryMessage('update t set a = 50 where a = 5'), queryMessage('select 1'))
  expect((await raw.answers(2)).slice(0, 2)).toEqual(['E 23503', 'Z I'])
  expect(gate.fake.outcomes.map(({ outcome }) => outcome)).toEqual([{ result: 'failed', detail: 'SQLSTATE 23503 at commit' }])
  raw.close()
})

test('more than 1 MiB of RETURNING before the rows are counted: rolled back', async () => {
  await gate.server.query("update t set b = repeat('x', 200000)")
  const raw = await gate.raw()
  raw.send(queryMessage('delete from t returning b'))
  expect(await raw.answers()).toEqual(['E 54000', 'Z I'])
  expect(await rows()).toBe(10)
  raw.close()
})

test('what could end the gate’s transaction is not held', async () => {
  const raw = await gate.raw()
  for (const sql of [
    'delete from t; commit',
    'delete from t; COM/**/MIT; rollback',
    'commit; delete from t',
    'delete from t; begin; delete from t',
    "delete from t; prepare transaction 'x'",
  ]) {
    raw.send(queryMessage(sql))
    expect(await raw.answers()).toEqual(['E 0A000', 'Z I'])
  }
  expect(await rows()).toBe(10)
  gate.fake.outcomes.length = 0
  raw.send(queryMessage('delete from t where a = 1; delete from t where a = 2'))
  expect(await raw.answers()).toEqual(['C DELETE 1', 'C DELETE 1', 'Z I'])
  expect(gate.fake.outcomes.map(({ outcome }) => outcome)).toEqual([{ result: 'succeeded', rows: 2 }])
  raw.close()
})

test('a statement that ends the transaction that holds it, by a way no word shows: unknown, and the session ends', async () => {
  gate.fake.decide = () => counted()
  const raw = await gate.raw()
  raw.send(queryMessage('/* x */ commit'))
  expect(await raw.answers()).toEqual(['E 58000', 'closed'])
  expect(gate.fake.outcomes[0]?.outcome.result).toBe('unknown')
})

test('refused after holding: rolled back, and the lock is gone', async () => {
  gate.fake.decide = () => ({
    refused: refusal(),
    during: async ({ access }) => (access.kind === 'sql' ? access.hold('lock table t') : undefined),
  })
  const raw = await gate.raw()
  raw.send(queryMessage('drop table t'))
  expect(await raw.answers()).toEqual(['E 42501', 'Z I'])
  expect(
    await gate.server.query("select 1 from pg_locks where relation = 't'::regclass and mode = 'AccessExclusiveLock'"),
  ).toEqual([])
  raw.close()
})

test('a kill while a held statement runs: rolled back by the server, unknown on the record', async () => {
  gate.fake.decide = () => counted()
  const raw = await gate.raw()
  raw.send(queryMessage('delete from t where pg_sleep(60) is not null'))
  let found: unknown[] = []
  while (found.length === 0)
    found = [
      ...(await gate.server.query(
        "select 1 from pg_stat_activity where query like 'delete from t where pg_sleep%' and state = 'active'",
      )),
    ]
  gate.fake.kill('stopped')
  expect(await raw.answers()).toEqual(['E 57P01', 'closed'])
  await gate.fake.until(() => gate.fake.outcomes.length > 0)
  expect(gate.fake.outcomes[0]?.outcome.result).toBe('unknown')
  while (found.length > 0)
    found = [
      ...(await gate.server.query(
        "select 1 from pg_stat_activity where query like 'delete from t where pg_sleep%' and state = 'active'",
      )),
    ]
  expect(await rows()).toBe(10)
  gate.fake.release()
})
