import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { refusal } from '../../../../../tests/fakes/govern.ts'
import { startPostgresGate, type PostgresGate } from '../../../../../tests/fakes/postgres-gate.ts'
import { describeMessage } from '../../../../../tests/fakes/postgres-client.ts'
import { bindMessage, executeMessage, flushMessage, parseMessage, queryMessage, syncMessage } from './wire.ts'

/** Bind runs the functions of what is bound: of what is no plain read the server must not see it before its run was cleared. */
let gate: PostgresGate
beforeAll(async () => {
  gate = await startPostgresGate()
  await gate.server.query(
    `create sequence seen; create function peek() returns int language sql immutable as $$ select nextval('seen')::int $$`,
  )
})
afterAll(() => gate.stop())
beforeEach(async () => {
  gate.fake.outcomes.length = 0
  gate.fake.asked.length = 0
  gate.fake.decide = ({ text }) => ({ kind: text.startsWith('select 1') || text === 'commit' ? 'read' : 'write' })
  await gate.server.query("drop table if exists t; create table t (a int primary key); select setval('seen', 1, false)")
})

const rows = async (): Promise<number> => (await gate.server.query('select a from t')).length
const bindInto = (portal: string, value: string): readonly Buffer[] => [
  parseMessage('w', 'insert into t values ($1)'),
  bindMessage(portal, 'w', [value]),
]

test('nothing of it reaches the server before Execute: not at Bind, Describe, Flush or Sync', async () => {
  const raw = await gate.raw()
  const peeking = parseMessage('', 'insert into t select peek()')
  raw.send(queryMessage('begin'), peeking, bindMessage('p', '', []), describeMessage('P', 'p'), flushMessage, syncMessage)
  expect((await raw.answers(2)).slice(2)).toEqual(['1', '2', 'n', 'Z T'])
  expect(await gate.server.query('select is_called from seen')).toEqual([{ is_called: false }])
  raw.send(executeMessage('p'), syncMessage, queryMessage('commit'))
  expect(await raw.answers(2)).toEqual(['C INSERT 0 1', 'Z T', 'C COMMIT', 'Z I'])
  expect(await rows()).toBe(1)
  expect(gate.fake.asked.filter(({ text }) => text.includes('peek'))).toHaveLength(1)
  raw.close()
})

test('refused at Execute: nothing ran, and what ran before it in the batch is undone', async () => {
  gate.fake.decide = ({ payload, text }) =>
    JSON.stringify(payload.bindValues).includes(Buffer.from('2').toString('base64'))
      ? { refused: refusal() }
      : { kind: text.startsWith('select') ? 'read' : 'write' }
  const raw = await gate.raw()
  raw.send(...bindInto('p', '1'), bindMessage('q', 'w', ['2']), executeMessage('p'), executeMessage('q'), syncMessage)
  expect(await raw.answers()).toEqual(['1', '2', '2', 'C INSERT 0 1', 'E 42501', 'Z I'])
  expect(await rows()).toBe(0)
  raw.close()
})

test('what is bound to it is what it is asked about, and each runs once', async () => {
  const raw = await gate.raw()
  raw.send(...bindInto('p', '1'), bindMessage('q', 'w', ['2']), executeMessage('q'), executeMessage('p'), syncMessage)
  expect(await raw.answers()).toEqual(['1', '2', '2', 'C INSERT 0 1', 'C INSERT 0 1', 'Z I'])
  const asked = gate.fake.asked.filter(({ text }) => text.startsWith('insert'))
  expect(asked.map(({ payload }) => JSON.stringify(payload.bindValues))).toEqual([
    expect.stringContaining(Buffer.from('2').toString('base64')),
    expect.stringContaining(Buffer.from('1').toString('base64')),
  ])
  expect(gate.fake.outcomes.map(({ outcome }) => outcome.result)).toEqual(['succeeded', 'succeeded'])
  raw.close()
})

test('it ends with its transaction, with a failed batch, and when its statement is another one', async () => {
  const raw = await gate.raw()
  raw.send(...bindInto('p', '1'), syncMessage, executeMessage('p'), syncMessage)
  expect(await raw.answers(2)).toEqual(['1', '2', 'Z I', 'E 34000', 'Z I'])
  raw.send(queryMessage('begin'), bindMessage('p', 'w', ['1']), parseMessage('', 'selec'), syncMessage)
  raw.send(queryMessage('rollback'), executeMessage('p'), syncMessage)
  expect((await raw.answers(4)).slice(-2)).toEqual(['E 34000', 'Z I'])
  raw.send(queryMessage('begin'), parseMessage('', 'insert into t values (1)'), bindMessage('p', '', []))
  raw.send(parseMessage('', 'insert into t values (2)'), executeMessage('p'), syncMessage, queryMessage('rollback'))
  expect((await raw.answers(3)).filter((line) => line.startsWith('E'))).toEqual(['E 0A000'])
  expect(await rows()).toBe(0)
  raw.close()
})

test('Binds that are never executed are bounded', async () => {
  const raw = await gate.raw()
  const long = 'x'.repeat(300_000)
  raw.send(parseMessage('w', 'insert into t select length($1)'))
  for (let index = 0; index < 5; index += 1) raw.send(bindMessage(`p${index}`, 'w', [long]))
  raw.send(syncMessage)
  expect(await raw.answers()).toEqual(['1', '2', '2', '2', 'E 54000', 'Z I'])
  raw.close()
})
