import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { decideByFirstWord, refusal, type FakeVerdict } from '../../../../../tests/fakes/govern.ts'
import { describeMessage } from '../../../../../tests/fakes/postgres-client.ts'
import { startPostgresGate, type PostgresGate } from '../../../../../tests/fakes/postgres-gate.ts'
import type { Asked } from '@sallyport/core'
import { bindMessage, closeMessage, executeMessage, flushMessage, parseMessage, queryMessage, syncMessage } from './wire.ts'

/** Nothing of a statement reaches the server before it was decided: not its text, so no lock, no code that parsing runs, no error. */
let gate: PostgresGate
let letThrough = false

/** DELETE and DROP wait for people until they are let through. */
const people = (asked: Asked): FakeVerdict =>
  /delete|drop/i.test(asked.text)
    ? letThrough
      ? { kind: 'destroy' }
      : { refused: refusal({ code: 'approval_required' }) }
    : decideByFirstWord(asked)

beforeAll(async () => {
  gate = await startPostgresGate()
  await gate.server.query(
    `create table seen (what text); create sequence runs;
     create function tripwire(int) returns bool language plpgsql as $$begin perform nextval('runs'); return true; end$$;
     create function early(int) returns int immutable language plpgsql as $$begin perform nextval('runs'); return 1; end$$;
     create domain trapped as int check (tripwire(value))`,
  )
})
afterAll(() => gate.stop())
beforeEach(async () => {
  letThrough = false
  gate.fake.decide = people
  gate.fake.forget()
  gate.fake.outcomes.length = 0
  gate.fake.asked.length = 0
  gate.fake.considered.length = 0
  await gate.server.query(
    "drop table if exists t cascade; create table t (a int primary key, b text); insert into t values (1, 'x'); select setval('runs', 1, false)",
  )
})

const rows = async (): Promise<number> => (await gate.server.query('select a from t')).length
const hasRun = async (): Promise<unknown> => (await gate.server.query('select is_called from runs'))[0]?.['is_called']
const locks = async (): Promise<number> =>
  (await gate.server.query("select 1 from pg_locks where relation = 't'::regclass and pid <> pg_backend_pid()")).length

test('parsing runs code: a domain’s CHECK over a literal; through the gate it does not, before it is decided', async () => {
  const text = "select '{1}'::trapped[]"
  const direct = await gate.server.query(text)
  expect(direct).toHaveLength(1)
  expect(await hasRun()).toBe(true)
  await gate.server.query("select setval('runs', 1, false)")
  gate.fake.decide = (asked) => (asked.text === text ? { refused: refusal() } : decideByFirstWord(asked))
  const raw = await gate.raw()
  for (const batch of [
    [parseMessage('', text), syncMessage],
    [parseMessage('', text), describeMessage('S', ''), syncMessage],
    [parseMessage('', text), bindMessage('', '', []), describeMessage('P', ''), executeMessage(''), syncMessage],
  ]) {
    raw.send(...batch)
    expect(await raw.answers()).toEqual(['E 42501', 'Z I'])
  }
  gate.fake.decide = (asked) =>
    asked.text === text ? { refused: refusal({ code: 'approval_required' }) } : decideByFirstWord(asked)
  raw.send(parseMessage('s', text), syncMessage, describeMessage('S', 's'), syncMessage, bindMessage('', 's', []), syncMessage)
  expect(await raw.answers(3)).toEqual(['1', 'Z I', 'E 0A000', 'Z I', '2', 'Z I'])
  expect(await hasRun()).toBe(false)
  raw.close()
})

test('a function that planning folds runs at Bind, never at Parse and Describe: Describe of what waits runs nothing', async () => {
  gate.fake.decide = (asked) =>
    asked.text.startsWith('delete') ? { refused: refusal({ code: 'approval_required' }) } : decideByFirstWord(asked)
  const raw = await gate.raw()
  raw.send(parseMessage('s', 'delete from t where a = early(1) and b = $1 returning a'), describeMessage('S', 's'), syncMessage)
  expect(await raw.answers()).toEqual(['1', 't', 'T', 'Z I'])
  expect(await hasRun()).toBe(false)
  expect(await locks()).toBe(0)
  raw.close()
})

test('what waits for people is prepared by the gate, described, asked about with its values, and runs once it is cleared', async () => {
  const raw = await gate.raw()
  raw.send(parseMessage('s', 'delete from t where a = $1'), describeMessage('S', 's'), syncMessage)
  expect(await raw.answers()).toEqual(['1', 't', 'n', 'Z I'])
  expect(gate.fake.asked).toEqual([])
  expect(gate.fake.considered.map(({ text }) => text)).toEqual(['delete from t where a = $1'])
  const run = [bindMessage('', 's', ['1']), executeMessage(''), syncMessage]
  raw.send(...run)
  expect(await raw.answers()).toEqual(['E SP001', 'Z I'])
  expect(await gate.server.query("select 1 from pg_stat_activity where query like 'delete from t%'")).toEqual([])
  letThrough = true
  raw.send(...run)
  expect(await raw.answers()).toEqual(['2', 'C DELETE 1', 'Z I'])
  raw.send(...run, describeMessage('S', 's'), syncMessage)
  expect(await raw.answers(2)).toEqual(['2', 'C DELETE 0', 'Z I', 't', 'n', 'Z I'])
  expect(gate.fake.outcomes.map(({ outcome }) => outcome)).toEqual([
    { result: 'succeeded', rows: 1 },
    { result: 'succeeded', rows: 0 },
  ])
  raw.close()
})

test('unnamed: prepared in one batch, run in the next', async () => {
  const raw = await gate.raw()
  letThrough = false
  raw.send(parseMessage('', 'delete from t where a = $1'), syncMessage)
  expect(await raw.answers()).toEqual(['1', 'Z I'])
  letThrough = true
  raw.send(closeMessage('S', 'other'), bindMessage('', '', ['1']), executeMessage(''), syncMessage)
  expect(await raw.answers()).toEqual(['3', '2', 'C DELETE 1', 'Z I'])
  raw.close()
})

test('names are the server’s own: taken, closed, deallocated, discarded', async () => {
  const raw = await gate.raw()
  const drop = parseMessage('s', 'drop table t')
  raw.send(
    drop,
    syncMessage,
    drop,
    syncMessage,
    closeMessage('S', 's'),
    drop,
    syncMessage,
    parseMessage('s', 'select 1'),
    syncMessage,
  )
  expect(await raw.answers(4)).toEqual(['1', 'Z I', 'E 42P05', 'Z I', '3', '1', 'Z I', 'E 42P05', 'Z I'])
  raw.send(queryMessage('deallocate s'), drop, syncMessage, queryMessage('discard all'), bindMessage('', 's', []), syncMessage)
  expect(await raw.answers(4)).toEqual(['C DEALLOCATE', 'Z I', '1', 'Z I', 'C DISCARD ALL', 'Z I', 'E 26000', 'Z I'])
  expect(await rows()).toBe(1)
  raw.close()
})

test('no SQL reaches the text behind a withheld name', async () => {
  const raw = await gate.raw()
  raw.send(parseMessage('s', 'drop table t'), syncMessage, queryMessage('execute s'), queryMessage('execute s()'))
  await raw.answers(3)
  expect(await rows()).toBe(1)
  expect(await gate.server.query("select 1 from pg_stat_activity where query like 'drop table t%'")).toEqual([])
  raw.close()
})

test('a failed transaction answers as the server does', async () => {
  const raw = await gate.raw()
  raw.send(queryMessage('begin'), queryMessage('select 1/0'))
  await raw.answers(2)
  raw.send(parseMessage('a', 'delete from t'), syncMessage)
  expect(await raw.answers()).toEqual(['E 25P02', 'Z E'])
  raw.send(parseMessage('b', 'insert into t values (2)'), bindMessage('', 'b', []), executeMessage(''), syncMessage)
  expect(await raw.answers()).toEqual(['E 25P02', 'Z E'])
  raw.send(
    parseMessage('', 'rollback'),
    bindMessage('', '', []),
    executeMessage(''),
    parseMessage('d', 'delete from t'),
    syncMessage,
  )
  expect(await raw.answers()).toEqual(['1', '2', 'C ROLLBACK', '1', 'Z I'])
  raw.close()
})

test('a refusal of a Parse in a transaction aborts it, and what follows in the batch is skipped', async () => {
  gate.fake.decide = decideByFirstWord
  const raw = await gate.raw()
  raw.send(queryMessage('begin'), queryMessage('insert into t values (2)'))
  await raw.answers(2)
  raw.send(parseMessage('s', 'drop table t'), parseMessage('r', 'select 1'), syncMessage, bindMessage('', 'r', []), syncMessage)
  expect(await raw.answers(2)).toEqual(['E 42501', 'Z E', 'E 26000', 'Z E'])
  raw.send(queryMessage('commit'))
  expect(await raw.answers()).toEqual(['C ROLLBACK', 'Z I'])
  expect(await rows()).toBe(1)
  raw.close()
})

test('an error in the middle of a pipeline: what was prepared behind it is not there', async () => {
  const raw = await gate.raw()
  raw.send(
    parseMessage('one', 'select 1'),
    parseMessage('bad', 'insert into nowhere values (1)'),
    parseMessage('w', 'delete from t'),
    describeMessage('S', 'w'),
    syncMessage,
    bindMessage('', 'w', []),
    syncMessage,
    bindMessage('', 'one', []),
    executeMessage(''),
    syncMessage,
  )
  expect(await raw.answers(3)).toEqual(['1', 'E 42P01', 'Z I', 'E 26000', 'Z I', '2', 'D 1', 'C SELECT 1', 'Z I'])
  raw.close()
})

test('a withheld text that the server can not parse is told so at once; with a literal in it, where it runs, and can be asked about again', async () => {
  const raw = await gate.raw()
  raw.send(parseMessage('s', 'delete from nowhere'), syncMessage, describeMessage('S', 's'), syncMessage)
  expect(await raw.answers(2)).toEqual(['E 42P01', 'Z I', 'E 26000', 'Z I'])
  raw.send(parseMessage('s', "delete from nowhere where 'a' = 'b'"), syncMessage, describeMessage('S', 's'), syncMessage)
  expect(await raw.answers(2)).toEqual(['1', 'Z I', 'E 0A000', 'Z I'])
  letThrough = true
  for (let time = 0; time < 2; time += 1) {
    raw.send(bindMessage('', 's', []), executeMessage(''), syncMessage)
    expect(await raw.answers()).toEqual(['E 42P01', 'Z I'])
  }
  raw.close()
})

test('Flush without Sync is answered, and a pipeline of many keeps its order', async () => {
  const raw = await gate.raw()
  raw.send(parseMessage('w', 'delete from t where a = $1'), flushMessage)
  expect((await raw.next()).type).toBe('1')
  raw.send(describeMessage('S', 'w'), flushMessage)
  expect([(await raw.next()).type, (await raw.next()).type]).toEqual(['t', 'n'])
  letThrough = true
  raw.send(bindMessage('', 'w', ['1']), executeMessage(''), flushMessage)
  expect([(await raw.next()).type, (await raw.next()).type]).toEqual(['2', 'C'])
  raw.send(
    parseMessage('', 'select 7'),
    bindMessage('', '', []),
    executeMessage(''),
    parseMessage('i', 'insert into t values (7)'),
    closeMessage('S', 'w'),
    syncMessage,
  )
  expect(await raw.answers()).toEqual(['1', '2', 'D 7', 'C SELECT 1', '1', '3', 'Z I'])
  raw.close()
})

test('a kill while a Parse is considered: nothing of it goes', async () => {
  const raw = await gate.raw()
  gate.fake.decide = (asked) => {
    if (asked.text.startsWith('insert')) gate.fake.kill('stopped')
    return { kind: 'write' }
  }
  raw.send(parseMessage('s', 'insert into t values (2)'), syncMessage)
  expect(await raw.answers()).toEqual(['E 57P01', 'closed'])
  gate.fake.release()
})
