import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { refusal, type FakeVerdict } from '../../../../../tests/fakes/govern.ts'
import { startPostgresGate, type PostgresGate } from '../../../../../tests/fakes/postgres-gate.ts'
import { describeMessage } from '../../../../../tests/fakes/postgres-client.ts'
import { bindMessage, closeMessage, executeMessage, flushMessage, parseMessage, queryMessage, syncMessage } from './wire.ts'

/** Several statements that are counted before they last, in one write and under one Sync. */
let gate: PostgresGate
beforeAll(async () => {
  gate = await startPostgresGate()
})
afterAll(() => gate.stop())

const counted = (over: Partial<Extract<FakeVerdict, { kind: string }>> = {}): FakeVerdict => ({
  kind: 'destroy',
  counted: true,
  during: async ({ access }) => {
    if (access.kind === 'sql') await access.hold('lock table t in share row exclusive mode')
  },
  ...over,
})
const tooMany = (): FakeVerdict => counted({ settle: () => refusal({ code: 'limit_exceeded' }) })

beforeEach(async () => {
  gate.fake.outcomes.length = 0
  gate.fake.forget()
  gate.fake.decide = ({ text }) => {
    if (/forbidden/.test(text)) return { refused: refusal() }
    if (/too many/.test(text)) return tooMany()
    if (/^\s*(delete|update)/.test(text)) return counted()
    return { kind: /^\s*(insert|create)/.test(text) ? 'write' : 'read' }
  }
  await gate.server.query(
    'drop table if exists u; drop table if exists t cascade; create table t (a int primary key, b text); insert into t select generate_series(1, 10)',
  )
})

const rows = async (): Promise<number> => (await gate.server.query('select a from t')).length
const results = (): readonly string[] => gate.fake.outcomes.map(({ outcome }) => outcome.result)
const once = (sql: string): Buffer =>
  Buffer.concat([parseMessage('', sql), bindMessage('', '', []), describeMessage('P', ''), executeMessage('')])

test('three deletes: each is answered in its place, all are committed at Sync, and each has its outcome', async () => {
  const raw = await gate.raw()
  raw.send(
    once('delete from t where a = 1'),
    once('delete from t where a in (2, 3) returning a'),
    once('delete from t where a = 4'),
    closeMessage('P', ''),
    syncMessage,
    queryMessage('select count(*) from t'),
  )
  expect(await raw.answers(2)).toEqual(
    '1,2,n,C DELETE 1,1,2,T,D 2,D 3,C DELETE 2,1,2,n,C DELETE 1,3,Z I,T,D 6,C SELECT 1,Z I'.split(','),
  )
  expect(await rows()).toBe(6)
  expect(gate.fake.outcomes.map(({ outcome }) => outcome)).toEqual([1, 2, 1].map((n) => ({ result: 'succeeded', rows: n })))
  raw.close()
})

test('what was not to last when the last one is refused does not: reads and plain writes before it go too', async () => {
  const raw = await gate.raw()
  raw.send(
    once('insert into t values (20)'),
    once('select 1'),
    once('delete from t where a = 1'),
    once('insert into t values (21)'),
    once('delete from t where a = 2 /* too many */'),
    once('delete from t where a = 3'),
    syncMessage,
  )
  const answers = await raw.answers()
  expect(answers.slice(-3)).toEqual(['1', 'E 53400', 'Z I'])
  expect(answers.filter((line) => line.startsWith('C'))).toEqual(['C INSERT 0 1', 'C SELECT 1', 'C DELETE 1', 'C INSERT 0 1'])
  expect(await rows()).toBe(10)
  raw.send(once('delete from t where a = 1'), once('forbidden'), syncMessage, queryMessage('select count(*) from t'))
  expect((await raw.answers(2)).slice(-6)).toEqual(['E 42501', 'Z I', 'T', 'D 10', 'C SELECT 1', 'Z I'])
  expect(results().filter((result) => result === 'succeeded')).toEqual(['succeeded'])
  raw.close()
})

test.each([
  ['a counted one', 'update t set a = 3 where a = 4', '23505'],
  ['a plain write', 'insert into t values (5)', '23505'],
  ['a read', 'select 1/0', '22012'],
])('%s fails in the middle: everything is undone, and skipped until Sync', async (_, sql, state) => {
  const raw = await gate.raw()
  // Remembered, so that it passes by the fast path.
  if (sql.startsWith('select')) {
    raw.send(once(sql), syncMessage)
    await raw.answers()
  }
  raw.send(once('delete from t where a = 1'), once(sql), once('delete from t where a = 2'), once('select 2'), syncMessage)
  const answers = await raw.answers()
  expect(answers.slice(0, 4)).toEqual(['1', '2', 'n', 'C DELETE 1'])
  expect(answers.slice(-2)).toEqual([`E ${state}`, 'Z I'])
  expect(answers.filter((line) => line.startsWith('E'))).toHaveLength(1)
  expect(await rows()).toBe(10)
  await expect.poll(results).not.toContain('succeeded')
  raw.send(once('delete from t where a = 1'), syncMessage)
  expect((await raw.answers()).at(-1)).toBe('Z I')
  expect(await rows()).toBe(9)
  raw.close()
})

test('a commit that fails at Sync is told there, and every outcome says so', async () => {
  await gate.server.query('create table u (a int references t deferrable initially deferred); insert into u values (5)')
  const raw = await gate.raw()
  raw.send(once('delete from t where a = 4'), once('delete from t where a = 5'), syncMessage, queryMessage('select 1'))
  const answers = await raw.answers(2)
  expect(answers.slice(4, 12)).toEqual(['1', '2', 'n', 'C DELETE 1', 'E 23503', 'Z I', 'T', 'D 1'])
  expect(await rows()).toBe(10)
  expect(gate.fake.outcomes.map(({ outcome }) => outcome.detail)).toEqual(Array(2).fill('SQLSTATE 23503 at commit'))
  raw.close()
})

test('what ran in the batch before the first counted one is part of it, and lasts with it', async () => {
  const raw = await gate.raw()
  raw.send(once('insert into t values (30)'), once('delete from t where a = 30'), once('insert into t values (31)'), syncMessage)
  expect((await raw.answers()).filter((line) => /^[CEZ]/.test(line))).toEqual([
    'C INSERT 0 1',
    'C DELETE 1',
    'C INSERT 0 1',
    'Z I',
  ])
  expect(await gate.server.query('select a from t where a >= 30')).toEqual([{ a: 31 }])
  raw.close()
})

test('after the agent’s own BEGIN in the same batch: the transaction is the agent’s, and goes on past Sync', async () => {
  const raw = await gate.raw()
  raw.send(once('begin'), once('insert into t values (40)'), once('delete from t where a = 1'), once('delete from t where a = 2'))
  raw.send(syncMessage, queryMessage('rollback'))
  expect((await raw.answers(2)).filter((line) => /^[CEZ]/.test(line))).toEqual([
    'C BEGIN',
    'C INSERT 0 1',
    'C DELETE 1',
    'C DELETE 1',
    'Z T',
    'C ROLLBACK',
    'Z I',
  ])
  expect(await rows()).toBe(10)
  raw.send(once('begin'), once('delete from t where a = 1'), once('delete from t where a = 2'), once('commit'), syncMessage)
  expect((await raw.answers()).filter((line) => /^[CEZ]/.test(line))).toEqual([
    'C BEGIN',
    'C DELETE 1',
    'C DELETE 1',
    'C COMMIT',
    'Z I',
  ])
  expect(await rows()).toBe(8)
  raw.close()
})

test('nobody ends the transaction in which rows are counted: by text, remembered, commented or bound before', async () => {
  const raw = await gate.raw()
  raw.send(once('commit'), syncMessage, once('commit'), syncMessage)
  await raw.answers(2)
  for (const control of ['commit', '/* a */ commit', 'begin', 'savepoint s', 'rollback', 'start transaction', 'abort', 'end']) {
    raw.send(once('delete from t where a = 1'), once(control), once('delete from t where a = 2 /* too many */'), syncMessage)
    expect((await raw.answers()).slice(-2), control).toEqual(['E 0A000', 'Z I'])
  }
  const early = [parseMessage('c', 'commit'), bindMessage('c', 'c', [])]
  raw.send(...early, once('delete from t where a = 1'), executeMessage('c'), once('delete from t /* too many */'), syncMessage)
  expect((await raw.answers()).at(-1)).toBe('Z I')
  expect(await rows()).toBe(10)
  expect(results()).not.toContain('succeeded')
  raw.close()
})

test('Flush in the middle is answered before Sync comes, and nothing lasts when the client goes without it', async () => {
  const raw = await gate.raw()
  raw.send(once('delete from t where a = 1'), flushMessage)
  const come: string[] = []
  while (!come.includes('C')) come.push((await raw.next()).type)
  raw.send(once('delete from t where a = 2'), flushMessage)
  while (come.filter((type) => type === 'C').length < 2) come.push((await raw.next()).type)
  expect(come.join('')).toBe('12nC12nC')
  raw.close()
  await gate.fake.until(() => gate.fake.outcomes.length === 2)
  expect(gate.fake.outcomes.map(({ outcome }) => outcome.detail)).toEqual(
    Array(2).fill('rolled back: the session ended before its Sync'),
  )
  expect(await rows()).toBe(10)
})

test('nobody is waited for while a batch is open: the request is told at once', async () => {
  const waits: number[] = []
  const { decide } = gate.fake
  gate.fake.decide = (asked) => ({
    ...decide(asked),
    during: async (upstream, attendance) => {
      waits.push(attendance.waitMs)
      await decide(asked).during?.(upstream, attendance)
    },
  })
  const raw = await gate.raw()
  raw.send(once('delete from t where a = 1'), once('delete from t where a = 2'), syncMessage)
  await raw.answers()
  raw.send(queryMessage('begin'), queryMessage('delete from t where a = 3'), queryMessage('rollback'))
  await raw.answers(3)
  expect(waits.map((waitMs) => waitMs > 0)).toEqual([true, false, true, false, false])
  raw.close()
})

test('statements prepared by name, used many times in one batch', async () => {
  const raw = await gate.raw()
  const one = (a: number): Buffer => Buffer.concat([bindMessage('', 'd', [String(a)]), executeMessage('')])
  raw.send(
    parseMessage('d', 'delete from t where a = $1'),
    ...Array.from({ length: 10 }, (_, index) => one(index + 1)),
    syncMessage,
  )
  expect((await raw.answers()).filter((line) => /^[CEZ]/.test(line))).toEqual([...Array<string>(10).fill('C DELETE 1'), 'Z I'])
  expect(await rows()).toBe(0)
  raw.close()
})
