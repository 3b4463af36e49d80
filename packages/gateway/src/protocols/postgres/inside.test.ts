import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { refusal, type FakeVerdict } from '../../../../../tests/fakes/govern.ts'
import { startPostgresGate, type PostgresGate } from '../../../../../tests/fakes/postgres-gate.ts'
import { bindMessage, executeMessage, parseMessage, queryMessage, syncMessage } from './wire.ts'

/** The gate asks the server something in the middle of a client's batch, where a Sync would end the client's transaction. */
let gate: PostgresGate
beforeAll(async () => {
  gate = await startPostgresGate()
})
afterAll(() => gate.stop())
beforeEach(async () => {
  gate.fake.decide = looking
  gate.fake.asked.length = 0
  gate.fake.outcomes.length = 0
  await gate.server.query('drop table if exists t; create table t (a int primary key)')
})

const looking = (): FakeVerdict => ({
  kind: 'write',
  during: async ({ access }) => {
    if (access.kind === 'sql') await access.session.query('select count(*) from t')
  },
})
const once = (sql: string): readonly Buffer[] => [parseMessage('', sql), bindMessage('', '', []), executeMessage('')]
const rows = async (): Promise<number> => (await gate.server.query('select a from t')).length

test('what ran before is seen, and lasts only when the whole batch does', async () => {
  const raw = await gate.raw()
  raw.send(...once('insert into t values (1)'), ...once('insert into t select a + 1 from t'), syncMessage)
  expect(await raw.answers()).toEqual(['1', '2', 'C INSERT 0 1', '1', '2', 'C INSERT 0 1', 'Z I'])
  raw.send(...once('insert into t values (3)'), ...once('insert into t values (1)'), syncMessage)
  expect((await raw.answers()).slice(-2)).toEqual(['E 23505', 'Z I'])
  expect(await rows()).toBe(2)
  raw.close()
})

test('a refusal after a look takes what ran before it along', async () => {
  gate.fake.decide = ({ text }) =>
    text.includes('2') ? { refused: refusal(), ...looking() } : text === 'commit' ? { kind: 'write' } : looking()
  const raw = await gate.raw()
  raw.send(
    ...once('insert into t values (1)'),
    ...once('insert into t values (2)'),
    ...once('insert into t values (3)'),
    syncMessage,
  )
  expect(await raw.answers()).toEqual(['1', '2', 'C INSERT 0 1', 'E 42501', 'Z I'])
  raw.send(
    queryMessage('begin'),
    ...once('insert into t values (4)'),
    ...once('insert into t values (2)'),
    syncMessage,
    queryMessage('commit'),
  )
  expect((await raw.answers(3)).slice(-3)).toEqual(['Z E', 'C ROLLBACK', 'Z I'])
  expect(await rows()).toBe(0)
  raw.close()
})

test('settings that changed in the batch are those that the next statement of it is decided under', async () => {
  const raw = await gate.raw()
  raw.send(...once("set search_path = 'elsewhere'"), ...once('insert into public.t values (1)'), syncMessage)
  expect((await raw.answers()).at(-1)).toBe('Z I')
  expect(gate.fake.asked.at(-1)?.payload.settings).toMatchObject({ search_path: 'elsewhere' })
  raw.close()
})

test.each(['set standard_conforming_strings = off', "set client_encoding = 'LATIN1'"])(
  '%s in the middle of a batch ends the session before anything is read otherwise here than there',
  async (setting) => {
    const raw = await gate.raw()
    raw.send(...once(setting), ...once("insert into t select length('\\')"), syncMessage)
    expect((await raw.answers()).slice(-2)).toEqual(['E 08P01', 'closed'])
    expect(await rows()).toBe(0)
  },
)

test('an error of the client’s own is told once, and nothing behind it is asked about or run', async () => {
  const raw = await gate.raw()
  raw.send(
    ...once('insert into t values (1)'),
    ...once('insert into t values (1)'),
    ...once('insert into t values (2)'),
    syncMessage,
  )
  expect(await raw.answers()).toEqual(['1', '2', 'C INSERT 0 1', '1', '2', 'E 23505', 'Z I'])
  expect(gate.fake.outcomes.map(({ outcome }) => outcome.result)).not.toContain('unknown')
  expect(await rows()).toBe(0)
  raw.close()
})

test('a kill while the gate looks ends it: nothing more is written, and the look does not hang', async () => {
  gate.fake.decide = ({ text }) => ({
    kind: 'write',
    during: async ({ access }) => {
      if (access.kind !== 'sql' || !text.includes('2')) return
      const asked = access.session.query('select pg_sleep(60)')
      gate.fake.kill('enough')
      await asked
    },
  })
  const raw = await gate.raw()
  raw.send(...once('insert into t values (1)'), ...once('insert into t values (2)'), syncMessage)
  expect((await raw.answers()).slice(-2)).toEqual(['E 57P01', 'closed'])
  await gate.fake.until(() => gate.fake.sessionsOpen === 0)
  gate.fake.release()
  expect(await rows()).toBe(0)
})
