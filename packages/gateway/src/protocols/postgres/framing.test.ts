import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeMessage, type RawClient } from '../../../../../tests/fakes/postgres-client.ts'
import { startCuttingRelay, type CuttingRelay } from '../../../../../tests/fakes/cutting-relay.ts'
import { startPostgresGate, type PostgresGate } from '../../../../../tests/fakes/postgres-gate.ts'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'
import { ServerFlow } from './server-flow.ts'
import { bindMessage, closeMessage, executeMessage, flushMessage, parseMessage, queryMessage, syncMessage } from './wire.ts'

let gate: PostgresGate
let server: PostgresServer
let relay: CuttingRelay

beforeAll(async () => {
  server = await startPostgres()
  relay = await startCuttingRelay(server.port)
  const url = (database?: string): string => server.url(database).replace(`:${server.port}/`, `:${relay.port}/`)
  gate = await startPostgresGate({}, {}, { ...server, url })
  await server.query('create table t (a int primary key, b text)')
})
afterAll(async () => {
  await gate.stop()
  await relay.close()
  await server.stop()
})

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
  once('', 'select a, 4 from t'),
])
const scriptReadies = 11

interface Played {
  readonly answers: readonly string[]
  /** What govern was asked about, in order. */
  readonly decided: readonly string[]
}

async function play(raw: RawClient, cuts: readonly number[]): Promise<Played> {
  gate.fake.asked.length = 0
  let from = 0
  for (const cut of [...cuts, script.length]) {
    if (cut <= from) continue
    raw.socket.write(script.subarray(from, cut))
    from = cut
    await new Promise((resolve) => setImmediate(resolve))
  }
  const answers = await raw.answers(scriptReadies)
  return { answers, decided: gate.fake.asked.map(({ text }) => text) }
}

async function playAlone(cuts: readonly number[]): Promise<Played> {
  gate.fake.forget()
  const raw = await gate.raw()
  const played = await play(raw, cuts)
  raw.close()
  return played
}

const everywhere = Array.from({ length: script.length }, (_, index) => index)
const pieces = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 })

test('the same bytes give the same answers and the same decisions, however either side is cut', async () => {
  const expected = await playAlone([])
  expect(expected.answers.filter((line) => line.startsWith('E'))).toEqual(['E 42501', 'E 42501'])
  expect(expected.decided.length).toBeGreaterThan(8)
  expect(await playAlone(everywhere)).toEqual(expected)
  // Every byte of the server's by itself, start-up and the gate's own questions included.
  relay.cuts = [1]
  expect(await playAlone([])).toEqual(expected)
  expect(await playAlone(everywhere)).toEqual(expected)
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: script.length - 1 }), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(cuts, fc.option(pieces), async (ours, theirs) => {
      relay.cuts = theirs
      expect(await playAlone(ours.toSorted((left, right) => left - right))).toEqual(expected)
    }),
    { numRuns: 25 },
  )
  relay.cuts = null
})

test('cut in two at each offset in turn, one of eight at a time', async () => {
  const whole = await playAlone([])
  const first = Math.floor(Math.random() * 8) + 1
  const raw = await gate.raw()
  for (let cut = first; cut < script.length; cut += 8)
    expect((await play(raw, [cut])).answers, `cut at ${cut}`).toEqual(whole.answers)
  raw.close()
})

test('of the server’s bytes nothing is lost, doubled or held back, wherever they are cut in two', async () => {
  const raw = await gate.raw()
  const bytes: Buffer[] = []
  raw.socket.on('data', (chunk: Buffer) => bytes.push(chunk))
  await play(raw, [])
  raw.close()
  const stream = Buffer.concat(bytes)
  expect(stream.length).toBeGreaterThan(1_000)
  for (let cut = 0; cut <= stream.length; cut += 1) {
    const passed: Buffer[] = []
    const flow = new ServerFlow({
      toClient: (piece) => void passed.push(Buffer.from(piece)),
      toServer: () => undefined,
      batchFailed: () => undefined,
      transactionEnded: () => undefined,
      broken: (why) => expect.unreachable(why),
    })
    flow.outstanding = scriptReadies
    for (const part of [stream.subarray(0, cut), stream.subarray(cut)]) {
      const memory = Buffer.from(part)
      // Other bytes take its place, where nothing of it is kept.
      if (flow.receive(memory)) memory.fill(0)
    }
    expect(Buffer.concat(passed).equals(stream), `cut at ${cut}`).toBe(true)
    expect([flow.outstanding, flow.status]).toEqual([0, 0x49])
  }
})
