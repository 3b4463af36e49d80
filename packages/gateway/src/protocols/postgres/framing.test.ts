import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeMessage, type RawClient } from '../../../../../tests/fakes/postgres-client.ts'
import { startPostgresGate, type PostgresGate } from '../../../../../tests/fakes/postgres-gate.ts'
import { bindMessage, closeMessage, executeMessage, flushMessage, parseMessage, queryMessage, syncMessage } from './wire.ts'

let gate: PostgresGate

beforeAll(async () => {
  gate = await startPostgresGate()
  await gate.server.query('create table t (a int primary key, b text)')
})
afterAll(() => gate.stop())

const once = (statement: string, sql: string, values: readonly string[] = []): Buffer =>
  Buffer.concat([
    parseMessage(statement, sql),
    bindMessage('', statement, values),
    describeMessage('P', ''),
    executeMessage(''),
    syncMessage,
  ])

const script = Buffer.concat([
  queryMessage('select 1'),
  queryMessage('begin'),
  once('', 'insert into t values ($1, $2)', ['1', 'x'.repeat(300)]),
  parseMessage('n', 'select b from t where a = $1'),
  describeMessage('S', 'n'),
  syncMessage,
  bindMessage('', 'n', ['1']),
  executeMessage(''),
  flushMessage,
  closeMessage('S', 'n'),
  syncMessage,
  queryMessage('drop table t'),
  queryMessage('rollback'),
  once('', 'drop table t'),
  queryMessage('set datestyle = iso'),
  queryMessage('select 2; select 3'),
  once('', 'select 4'),
])
const scriptReadies = 10

async function play(raw: RawClient, cuts: readonly number[]): Promise<readonly string[]> {
  let from = 0
  for (const cut of [...cuts, script.length]) {
    if (cut <= from) continue
    raw.socket.write(script.subarray(from, cut))
    from = cut
    await new Promise((resolve) => setImmediate(resolve))
  }
  return raw.answers(scriptReadies)
}

test('the same bytes give the same answers however they are cut', async () => {
  const whole = await gate.raw()
  const expected = await play(whole, [])
  whole.close()
  expect(expected.filter((line) => line.startsWith('E'))).toEqual(['E 42501', 'E 42501'])
  const cutEverywhere = await gate.raw()
  expect(
    await play(
      cutEverywhere,
      Array.from({ length: script.length }, (_, index) => index),
    ),
  ).toEqual(expected)
  cutEverywhere.close()
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 1, max: script.length - 1 }), { maxLength: 12 }), async (cuts) => {
      const raw = await gate.raw()
      const answers = await play(
        raw,
        cuts.toSorted((left, right) => left - right),
      )
      raw.close()
      expect(answers).toEqual(expected)
    }),
    { numRuns: 25 },
  )
})
