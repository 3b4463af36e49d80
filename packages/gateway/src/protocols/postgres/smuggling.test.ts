import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { SallyportError } from '@sallyport/core'
import { decideByFirstWord, refusal } from '../../../../../tests/fakes/govern.ts'
import {
  describe as describeAnswer,
  describeMessage,
  executeRows,
  functionCall,
} from '../../../../../tests/fakes/postgres-client.ts'
import { startPostgresGate, type PostgresGate } from '../../../../../tests/fakes/postgres-gate.ts'
import {
  bindMessage,
  executeMessage,
  flushMessage,
  frame,
  parseMessage,
  queryMessage,
  syncMessage,
  zeroTerminated,
} from './wire.ts'

let gate: PostgresGate

beforeAll(async () => {
  gate = await startPostgresGate()
})
afterAll(() => gate.stop())
beforeEach(async () => {
  gate.fake.decide = decideByFirstWord
  gate.fake.forget()
  gate.fake.outcomes.length = 0
  await gate.server.query(
    'drop table if exists t cascade; create table t (a int primary key, b text); insert into t values (100, null)',
  )
})

const once = (statement: string, sql: string, values: readonly string[] = []): Buffer =>
  Buffer.concat([
    parseMessage(statement, sql),
    bindMessage('', statement, values),
    describeMessage('P', ''),
    executeMessage(''),
    syncMessage,
  ])
const rows = async (): Promise<number> => (await gate.server.query('select a from t')).length

test('BEGIN; INSERT; DROP (refused); COMMIT never commits, simple protocol', async () => {
  const raw = await gate.raw()
  raw.send(queryMessage('begin'), queryMessage('insert into t values (1)'), queryMessage('drop table t'), queryMessage('commit'))
  expect(await raw.answers(4)).toEqual(['C BEGIN', 'Z T', 'C INSERT 0 1', 'Z T', 'E 42501', 'Z E', 'C ROLLBACK', 'Z I'])
  expect(await rows()).toBe(1)
  raw.close()
})

test('BEGIN; INSERT; DROP (refused); COMMIT never commits, extended protocol', async () => {
  const raw = await gate.raw()
  raw.send(once('', 'begin'), once('', 'insert into t values (1)'), once('', 'drop table t'), once('', 'commit'))
  const answers = await raw.answers(4)
  expect(answers.filter((line) => /^[CEZ]/.test(line))).toEqual([
    'C BEGIN',
    'Z T',
    'C INSERT 0 1',
    'Z T',
    'E 42501',
    'Z E',
    'C ROLLBACK',
    'Z I',
  ])
  expect(await rows()).toBe(1)
  raw.close()
})

test('a refusal in a batch undoes what the batch did before it, and skips to Sync', async () => {
  const raw = await gate.raw()
  raw.send(
    parseMessage('', 'insert into t values (1)'),
    bindMessage('', '', []),
    executeMessage(''),
    parseMessage('', 'drop table t'),
    bindMessage('', '', []),
    executeMessage(''),
    parseMessage('', 'insert into t values (2)'),
    bindMessage('', '', []),
    executeMessage(''),
    syncMessage,
  )
  expect(await raw.answers()).toEqual(['1', '2', 'C INSERT 0 1', 'E 42501', 'Z I'])
  expect(await rows()).toBe(1)
  raw.close()
})

test('nothing behind a held statement runs before it, or at all when it kills the batch', async () => {
  let letGo: () => void = () => undefined
  gate.fake.decide = (asked) =>
    asked.text.startsWith('drop')
      ? { refused: refusal(), during: () => new Promise((resolve) => (letGo = resolve)) }
      : decideByFirstWord(asked)
  const raw = await gate.raw()
  raw.send(queryMessage('drop table t'), queryMessage('insert into t values (7)'))
  await gate.fake.until(() => gate.fake.asked.at(-1)?.text === 'drop table t')
  const other = await gate.raw()
  other.send(queryMessage('select count(*) from t'))
  expect(await other.answers()).toContain('D 1')
  letGo()
  expect(await raw.answers(2)).toEqual(['E 42501', 'Z I', 'C INSERT 0 1', 'Z I'])
  raw.close()
  other.close()
})

test('a second Parse of a taken name, refused by the server, does not change what the gate believes', async () => {
  gate.fake.decide = (asked) =>
    asked.text.startsWith('truncate') ? { refused: refusal({ code: 'approval_required' }) } : decideByFirstWord(asked)
  const raw = await gate.raw()
  raw.send(once('', 'select 1'))
  await raw.answers()
  raw.send(
    parseMessage('s', 'truncate t'),
    syncMessage,
    parseMessage('s', 'select 1'),
    syncMessage,
    bindMessage('', 's', []),
    executeMessage(''),
    syncMessage,
  )
  expect(await raw.answers(3)).toEqual(['1', 'Z I', 'E 42P05', 'Z I', 'E SP001', 'Z I'])
  raw.send(parseMessage('s', 'select 1'), bindMessage('', 's', []), executeMessage(''), syncMessage)
  expect(await raw.answers()).toEqual(['E 42P05', 'Z I'])
  expect(await rows()).toBe(1)
  raw.close()
})

test('a Parse that the server skipped does not change what the gate believes', async () => {
  const raw = await gate.raw()
  raw.send(once('', 'select 1'))
  await raw.answers()
  raw.send(parseMessage('', 'delete from t'), syncMessage)
  await raw.answers()
  gate.fake.decide = (asked) => (asked.text.startsWith('delete') ? { refused: refusal() } : decideByFirstWord(asked))
  raw.send(
    describeMessage('P', 'none'),
    parseMessage('', 'select 1'),
    syncMessage,
    bindMessage('', '', []),
    executeMessage(''),
    syncMessage,
  )
  expect(await raw.answers(2)).toEqual(['E 34000', 'Z I', 'E 42501', 'Z I'])
  expect(await rows()).toBe(1)
  raw.close()
})

test('SQL PREPARE and DEALLOCATE cannot put other text behind a name', async () => {
  const raw = await gate.raw()
  raw.send(parseMessage('s', 'select 1'), bindMessage('', 's', []), executeMessage(''), syncMessage)
  await raw.answers()
  raw.send(
    queryMessage('deallocate s'),
    queryMessage('prepare s as delete from t'),
    bindMessage('', 's', []),
    executeMessage(''),
    syncMessage,
  )
  expect(await raw.answers(3)).toEqual(['C DEALLOCATE', 'Z I', 'C PREPARE', 'Z I', 'E 26000', 'Z I'])
  expect(await rows()).toBe(1)
  raw.close()
})

test('a portal of a read, closed and declared again as something else, does not run', async () => {
  gate.fake.decide = (asked) => ({ kind: /evil|declare/.test(asked.text) ? 'write' : 'read' })
  const raw = await gate.raw()
  raw.send(queryMessage('begin'), parseMessage('s', 'select 1'), syncMessage)
  await raw.answers(2)
  raw.send(once('', 'select 1'))
  await raw.answers()
  raw.send(bindMessage('p', 's', []), syncMessage)
  expect(await raw.answers()).toEqual(['2', 'Z T'])
  raw.send(queryMessage('close p'), queryMessage("declare p cursor for select setval('pg_catalog.evil', 1)"))
  await raw.answers(2)
  raw.send(
    queryMessage('rollback'),
    queryMessage('begin'),
    queryMessage('declare p cursor for select 2 /* evil */'),
    executeMessage('p'),
    syncMessage,
  )
  expect((await raw.answers(4)).at(-2)).toBe('E 34000')
  raw.close()
})

test('a statement bound in one batch and executed in the next is decided when it is executed, once', async () => {
  const raw = await gate.raw()
  raw.send(queryMessage('begin'))
  await raw.answers()
  raw.send(parseMessage('', 'insert into t values (5)'), bindMessage('', '', []), syncMessage, executeMessage(''), syncMessage)
  const answers = await raw.answers(2)
  expect(answers).toEqual(['1', '2', 'Z T', 'C INSERT 0 1', 'Z T'])
  raw.send(executeMessage(''), syncMessage, queryMessage('rollback'))
  // The server's own word for it: the portal has run.
  expect(await raw.answers(2)).toEqual(['E 55000', 'Z E', 'C ROLLBACK', 'Z I'])
  expect(gate.fake.outcomes.map(({ outcome }) => outcome.result)).toEqual(['succeeded'])
  raw.close()
})

test('a portal re-bound to other values between is decided with those values', async () => {
  gate.fake.decide = (asked) =>
    asked.payload.bindValues.some((value) => JSON.stringify(value).includes(Buffer.from('666').toString('base64')))
      ? { refused: refusal() }
      : { kind: 'write' }
  const raw = await gate.raw()
  raw.send(
    parseMessage('s', 'insert into t values ($1)'),
    bindMessage('p', 's', ['1']),
    bindMessage('p', 's', ['666']),
    executeMessage('p'),
    syncMessage,
  )
  const answers = await raw.answers()
  expect(answers.at(-2)).toBe('E 42501')
  expect(await gate.server.query('select a from t where a in (1, 666)')).toEqual([])
  raw.close()
})

test('partial Execute: a suspended portal goes on, a finished cleared one does not run again', async () => {
  const raw = await gate.raw()
  raw.send(
    queryMessage('begin'),
    parseMessage('r', 'select g from generate_series(1, 5) g'),
    bindMessage('pr', 'r', []),
    executeRows('pr', 2),
    syncMessage,
  )
  expect((await raw.answers(2)).slice(2)).toEqual(['1', '2', 'D 1', 'D 2', 's', 'Z T'])
  gate.fake.forget()
  raw.send(executeRows('pr', 2), syncMessage)
  expect(await raw.answers()).toEqual(['D 3', 'D 4', 's', 'Z T'])
  raw.send(
    parseMessage('w', 'insert into t select generate_series(1, 3) returning a'),
    bindMessage('pw', 'w', []),
    executeRows('pw', 2),
    syncMessage,
  )
  expect(await raw.answers()).toEqual(['1', '2', 'D 1', 'D 2', 's', 'Z T'])
  raw.send(executeRows('pw', 2), syncMessage)
  expect(await raw.answers()).toEqual(['D 3', 'C INSERT 0 1', 'Z T'])
  raw.close()
})

test('a Query after what was only prepared and flushed, as asyncpg prepares, is answered as by the server', async () => {
  const raw = await gate.raw()
  raw.send(parseMessage('s', 'select 1'), flushMessage)
  expect((await raw.next()).type).toBe('1')
  raw.send(queryMessage('select 2'))
  expect(await raw.answers()).toEqual(['T', 'D 2', 'C SELECT 1', 'Z I'])
  raw.send(bindMessage('', 's', []), executeMessage(''), syncMessage)
  expect(await raw.answers()).toEqual(['2', 'D 1', 'C SELECT 1', 'Z I'])
  raw.close()
})

test('Query inside an extended batch, unknown messages and impossible lengths end the session', async () => {
  for (const bytes of [
    [parseMessage('', 'select 1'), bindMessage('', '', []), executeMessage(''), queryMessage('select 1')],
    [parseMessage('', 'selec 1'), queryMessage('select 1')],
    [frame(0x7a)],
    [Buffer.from([0x51, 0x7f, 0xff, 0xff, 0xff])],
    [Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff])],
    [Buffer.from([0x51, 0, 0, 0, 3])],
  ]) {
    const raw = await gate.raw()
    raw.send(...bytes)
    const answers = await raw.answers()
    expect(answers.slice(-2)).toEqual(['E 08P01', 'closed'])
  }
})

test('function call, reserved names, malformed messages and hidden bytes are refused', async () => {
  const raw = await gate.raw()
  raw.send(functionCall())
  expect(await raw.answers()).toEqual(['E 0A000', 'Z I'])
  raw.send(parseMessage('sallyport_x', 'select 1'), syncMessage)
  expect(await raw.answers()).toEqual(['E 0A000', 'Z I'])
  raw.send(parseMessage('', 'select 1'), bindMessage('sallyport_x', '', []), syncMessage)
  expect(await raw.answers()).toEqual(['1', 'E 0A000', 'Z I'])
  raw.send(queryMessage('select 1\0; drop table t'))
  expect(await raw.answers()).toEqual(['E 08P01', 'Z I'])
  raw.send(frame(0x51, Buffer.from([0x73, 0xff, 0])))
  expect(await raw.answers()).toEqual(['E 08P01', 'Z I'])
  raw.send(frame(0x50, zeroTerminated('')), syncMessage)
  expect(await raw.answers()).toEqual(['E 08P01', 'Z I'])
  raw.send(queryMessage('select 1'))
  expect(await raw.answers()).toEqual(['T', 'D 1', 'C SELECT 1', 'Z I'])
  raw.close()
})

test('standard_conforming_strings and client_encoding: a change ends the session', async () => {
  for (const sql of ['set standard_conforming_strings = off', "set client_encoding = 'LATIN1'"]) {
    const raw = await gate.raw()
    raw.send(queryMessage(sql), queryMessage("insert into t values (9, 'a\\')"))
    expect((await raw.answers(2)).at(-1)).toBe('closed')
    expect(await rows()).toBe(1)
  }
})

test('a clearance for other bytes, or made before a kill, sends nothing', async () => {
  gate.fake.decide = () => ({ kind: 'write', forgedSha256: '0'.repeat(64) })
  const raw = await gate.raw()
  raw.send(queryMessage('insert into t values (1)'))
  expect(await raw.answers()).toEqual(['E 55000', 'Z I'])
  raw.send(once('', 'insert into t values (1)'))
  expect(await raw.answers()).toEqual(['E 55000', 'Z I'])
  raw.close()
  expect(await rows()).toBe(1)
  expect(gate.fake.outcomes.map(({ outcome }) => outcome.result)).toEqual(['failed', 'failed'])
})

test('a client that floods names is stopped', async () => {
  const raw = await gate.raw()
  for (let index = 0; index < 10_000; index += 1) raw.send(parseMessage(`s${index}`, 'select 1'))
  raw.send(parseMessage('one more', 'select 1'), syncMessage)
  const answers = await raw.answers()
  expect(answers.at(-2)).toBe('E 54000')
  raw.close()
})

test('conversations of govern never reach the client, and clobber nothing of it', async () => {
  gate.fake.decide = (asked) => ({
    kind: asked.text.startsWith('select') ? 'read' : 'write',
    during: async ({ access }) => {
      if (access.kind !== 'sql') return
      expect(await access.session.query('select $1::text, a from t order by a', ['v'])).toEqual([['v', '100']])
      await expect(access.session.query('select 1/0')).rejects.toBeInstanceOf(SallyportError)
      expect((await access.protect.query("select current_setting('application_name')"))[0]).toEqual(['sallyport protect'])
    },
  })
  const raw = await gate.raw()
  raw.send(
    parseMessage('', "insert into t values (100, 'x') on conflict (a) do update set b = excluded.b returning b"),
    bindMessage('', '', []),
    describeMessage('P', ''),
    executeMessage(''),
    syncMessage,
  )
  expect(await raw.answers()).toEqual(['1', '2', 'T', 'D x', 'C INSERT 0 1', 'Z I'])
  raw.send(
    parseMessage('', 'update t set b = 1'),
    bindMessage('', '', []),
    executeMessage(''),
    parseMessage('', 'update t set b = 2'),
    bindMessage('', '', []),
    executeMessage(''),
    syncMessage,
  )
  // Inside a batch a question of the gate's that fails takes the batch along, as any error there does.
  expect(await raw.answers()).toEqual(['1', '2', 'C UPDATE 1', 'E 58000', 'Z I'])
  expect(await gate.server.query('select b from t')).toEqual([{ b: 'x' }])
  raw.close()
})

test('the answers of a skipped batch carry one error', async () => {
  gate.fake.decide = (asked) => ({
    kind: 'write',
    during: async ({ access }) => (access.kind === 'sql' ? void (await access.session.query('select 1')) : undefined),
    ...(asked.text === '' ? {} : {}),
  })
  const raw = await gate.raw()
  raw.send(parseMessage('', 'insert into nowhere values (1)'), bindMessage('', '', []), executeMessage(''), syncMessage)
  expect(await raw.answers()).toEqual(['E 42P01', 'Z I'])
  raw.send(queryMessage('insert into t values (3)'))
  expect((await raw.answers()).map(String)).toEqual(['C INSERT 0 1', 'Z I'])
  expect(describeAnswer({ type: '1', bytes: Buffer.alloc(5) })).toBe('1')
  raw.close()
})

test('a key made before a setting changed is never asked with after it, wherever Sync stands', async () => {
  const raw = await gate.raw()
  const update = "update t set b = 'x' where a = 100"
  const keys = (): unknown[] => gate.fake.asked.filter(({ text }) => text === update).map(({ key }) => key)
  raw.send(queryMessage(update))
  await raw.answers(1)
  await expect
    .poll(async () => {
      raw.send(queryMessage(update))
      await raw.answers(1)
      return keys().at(-1)
    })
    .toBeTypeOf('string')
  const before = new Set(keys())
  raw.send(
    parseMessage('', 'set datestyle = german'),
    bindMessage('', '', []),
    executeMessage(''),
    parseMessage('', 'select 1'),
    syncMessage,
    queryMessage(update),
  )
  await raw.answers(2)
  raw.send(queryMessage(update))
  await raw.answers(1)
  for (const key of keys().slice(-2)) expect(before.has(key) && key !== null).toBe(false)
  raw.close()
})
