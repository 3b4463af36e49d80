import { connect } from 'node:net'
import pg from 'pg'
import { SallyportError } from '@sallyport/core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RawClient } from '../../../../../tests/fakes/postgres-client.ts'
import { startPostgresGate, type PostgresGate } from '../../../../../tests/fakes/postgres-gate.ts'
import { cancelRequest, gssCode, int32, queryMessage, readErrorFields, sslCode, startupMessage } from './wire.ts'
import { casesOf, inDepth } from '../../../../../tests/breadth.ts'

let gate: PostgresGate
/** Long enough that a slow machine does not take what is thrown out at once for what was waited for. */
const startupTimeoutMs = 5_000

beforeAll(async () => {
  gate = await startPostgresGate({ upstreams: ['orders', 'nowhere'] }, { startupTimeoutMs })
})
afterAll(() => gate.stop())

/** Milliseconds until the gate has closed a connection that said only this. */
async function closedAfter(bytes: Buffer): Promise<number> {
  const from = performance.now()
  const socket = connect(gate.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.resume()
  if (bytes.length > 0) socket.write(bytes)
  await new Promise((resolve) => socket.once('close', resolve))
  return performance.now() - from
}

const start = (pairs: readonly (readonly [string, string])[] = []): Buffer =>
  startupMessage(new Map([['user', 'robot'], ['database', 'orders'], ...pairs]))

test('garbage, half a message, a 2 GB length and nothing are dropped in time', async () => {
  const patient = await Promise.all([
    closedAfter(Buffer.alloc(0)),
    closedAfter(start().subarray(0, 10)),
    closedAfter(start()),
    closedAfter(Buffer.concat([start(), Buffer.from([0x70, 0, 0])])),
  ])
  for (const ms of patient) expect(ms).toBeLessThan(startupTimeoutMs + 20_000)
  for (const bytes of [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    int32(2_000_000_000),
    Buffer.alloc(100_000, 0x41),
    Buffer.concat([start(), Buffer.from([0x70, 0x7f, 0xff, 0xff, 0xff])]),
    Buffer.concat([start(), queryMessage('select 1')]),
  ]) {
    expect(await closedAfter(bytes)).toBeLessThan(startupTimeoutMs)
  }
  const client = await gate.client()
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await client.end()
})

test('half a message in a session ends it in time, and another session goes on', async () => {
  const raw = await gate.raw()
  const from = performance.now()
  raw.send(queryMessage('select 1').subarray(0, 8))
  expect(await raw.answers()).toEqual(['E 57014', 'closed'])
  expect(performance.now() - from).toBeLessThan(60_000)
})

test('SSLRequest and GSSENCRequest are answered N outside framing; bytes sent ahead of the answer are not taken', async () => {
  const socket = connect(gate.port, '127.0.0.1')
  for (const code of [sslCode, gssCode]) {
    socket.write(Buffer.concat([int32(8), int32(code)]))
    const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
    expect(answer.toString()).toBe('N')
  }
  socket.destroy()
  expect(await closedAfter(Buffer.concat([int32(8), int32(sslCode), start()]))).toBeLessThan(startupTimeoutMs)
})

test.each(
  casesOf(
    [
      [0, [], null, 4],
      [0, ['_pq_.x'], 0, 4],
      [2, [], null, 32],
      [2, ['_pq_.x', '_pq_.y'], 2, 32],
      [9_999, [], 2, 32],
    ] as const,
    2,
  ),
)('protocol 3.%i with options %j is agreed on', async (minor, options, told, secretBytes) => {
  const raw = new RawClient(gate.port)
  const packet = Buffer.from(start(options.map((name) => [name, '1'] as const)))
  packet.writeInt32BE(196_608 + minor, 4)
  raw.send(packet)
  if (told !== null) {
    const answer = await raw.next()
    expect(answer.type).toBe('v')
    expect(answer.bytes.readInt32BE(5)).toBe(196_608 + told)
    expect(answer.bytes.toString('latin1', 13)).toBe(options.map((name) => `${name}\0`).join(''))
  }
  await raw.authenticate(gate.secret)
  const key = (await raw.untilReady()).find(({ type }) => type === 'K')?.bytes ?? Buffer.alloc(0)
  expect(key.length - 9).toBe(secretBytes)
  // A statement that runs until it is cancelled, by the whole key alone.
  raw.send(queryMessage('select pg_sleep(60)'))
  const active = "select pid from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'"
  await expect.poll(async () => (await gate.server.query(active)).length).toBe(1)
  const [running] = await gate.server.query(active)
  expect(running).toEqual({ pid: key.readInt32BE(5) })
  for (const secret of [Buffer.alloc(secretBytes), key.subarray(9, -1), Buffer.concat([key.subarray(9), Buffer.alloc(1)])]) {
    await closedAfter(cancelRequest(key.readInt32BE(5), secret))
    expect(await gate.server.query(active)).toHaveLength(1)
  }
  await closedAfter(cancelRequest(key.readInt32BE(5), key.subarray(9)))
  expect(await raw.answers()).toEqual(['T', 'E 57014', 'Z I'])
  raw.close()
})

test('a wrong handle, an unknown agent and a known one are told apart by nothing', async () => {
  const ask = async (user: string, password: string): Promise<string> => {
    const client = new pg.Client({ host: '127.0.0.1', port: gate.port, user, password, database: 'orders' })
    return client.connect().then(
      () => 'in',
      (error: unknown) =>
        error instanceof pg.DatabaseError ? `${error.code} ${error.message.replace(user, 'NAME')} ${error.hint}` : String(error),
    )
  }
  const wrong = await ask('robot', 'wrong')
  expect(wrong).toContain('28P01')
  expect(await ask('nobody', 'wrong')).toBe(wrong)
  const salts = async (user: string): Promise<string> => {
    const raw = new RawClient(gate.port)
    raw.send(startupMessage(new Map([['user', user]])))
    const first = (await raw.next()).bytes.toString('latin1')
    raw.close()
    return first
  }
  expect(await salts('robot')).toBe(await salts('nobody'))
  expect(gate.fake.door.filter((line) => line.includes('the proof fits no handle'))).toHaveLength(2)
  expect(gate.fake.door.join()).not.toContain('wrong')
})

test('any of an agent’s handles opens the door', async () => {
  const second = gate.fake.issue('robot')
  const raw = await RawClient.open(gate.port, 'robot', second, 'orders')
  expect(raw.startMessages.at(-1)?.type).toBe('Z')
  raw.close()
})

test('start-up settings that part the gate’s reading from the server’s, replication, and unknown upstreams are refused with a reason', async () => {
  for (const pair of [
    ['standard_conforming_strings', 'off'],
    ['search_path', 'evil'],
    ['replication', 'database'],
  ] as const) {
    const raw = new RawClient(gate.port)
    raw.send(start([pair]))
    const answer = await raw.next()
    expect(readErrorFields(answer.bytes).get('C')).toBe('0A000')
    expect((await raw.next()).type).toBe('closed')
  }
  await expect(RawClient.open(gate.port, 'robot', gate.secret, 'secret-db').then((raw) => raw.answers())).resolves.toEqual([
    'closed',
  ])
  const raw = new RawClient(gate.port)
  raw.send(
    startupMessage(
      new Map([
        ['user', 'robot'],
        ['database', 'nowhere'],
      ]),
    ),
  )
  await raw.authenticate(gate.secret)
  expect(readErrorFields((await raw.next()).bytes).get('C')).toBe('42501')
  expect(gate.fake.sessionsOpen).toBe(0)
})

test('an application name reaches the server; the key of another session cancels nothing', async () => {
  const raw = await RawClient.open(gate.port, 'robot', gate.secret, 'orders', [['application_name', 'my-agent']])
  raw.send(queryMessage("select current_setting('application_name')"))
  expect(await raw.answers()).toContain('D my-agent')
  expect(await closedAfter(cancelRequest(1, Buffer.alloc(4)))).toBeLessThan(startupTimeoutMs)
  raw.close()
})

// The strict figure is measured by tests/hostile/run.ts, on a machine with nothing else to do; here nobody may be starved.
test.each(inDepth('garbage does not starve 50 good clients'))('%s', async () => {
  const clients: pg.Client[] = []
  while (clients.length < 50) clients.push(await gate.client())
  const p99 = async (): Promise<number> => {
    const times: number[] = []
    for (let round = 0; round < 15; round += 1) {
      await Promise.all(
        clients.map(async (client) => {
          const from = performance.now()
          await client.query('select 1')
          times.push(performance.now() - from)
        }),
      )
    }
    return times.toSorted((left, right) => left - right)[Math.floor(times.length * 0.99)] ?? 0
  }
  await p99()
  const quiet = await p99()
  const stop = new AbortController()
  const pest = async (bytes: Buffer): Promise<void> => {
    while (!stop.signal.aborted) await closedAfter(bytes)
  }
  const pests = [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    int32(2_000_000_000),
    start().subarray(0, 10),
    Buffer.alloc(0),
    Buffer.alloc(60_000, 0x50),
  ].map((bytes) => pest(bytes))
  const disturbed = await p99()
  stop.abort()
  await Promise.all(pests)
  expect(disturbed - quiet).toBeLessThan(10_000)
  await Promise.all(clients.map((client) => client.end()))
})

test('a session is answered, and reads, while it is written down; what is no read waits for that, and never runs when the log fails', async () => {
  const own = async (): Promise<number> => {
    const sql = "SELECT count(*)::int AS open FROM pg_stat_activity WHERE application_name = 'written down'"
    return Number((await gate.server.query(sql))[0]?.['open'])
  }
  const rows = async (): Promise<number> =>
    Number((await gate.server.query('SELECT count(*)::int AS n FROM written_down'))[0]?.['n'])
  await gate.server.query('CREATE TABLE written_down (id int)')
  await gate.server.query('GRANT ALL ON written_down TO PUBLIC')
  try {
    for (const fails of [false, true]) {
      const recorded = Promise.withResolvers<void>()
      gate.fake.recorded = () => recorded.promise
      const raw = await gate.raw([['application_name', 'written down']])
      raw.send(queryMessage('select 1'))
      expect(await raw.answers()).toEqual(['T', 'D 1', 'C SELECT 1', 'Z I'])
      const asked = gate.fake.asked.length
      raw.send(queryMessage('insert into written_down values (1)'))
      await expect.poll(() => gate.fake.asked.length).toBeGreaterThan(asked)
      expect(await rows()).toBe(0)
      if (fails) recorded.reject(new SallyportError('log_unavailable', 'The log failed.', 'Nothing was run.', 'Mend the disk.'))
      else recorded.resolve()
      expect((await raw.answers())[0]).toMatch(fails ? /^E/ : /^C INSERT/)
      if (!fails) await gate.server.query('DELETE FROM written_down')
      raw.close()
      await expect.poll(own).toBe(0)
      expect(await rows()).toBe(0)
    }
  } finally {
    gate.fake.recorded = () => Promise.resolve()
  }
})
