import { execFile, spawn } from 'node:child_process'
import { promisify } from 'node:util'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { decideByFirstWord } from '../../../../../tests/fakes/govern.ts'
import { RawClient } from '../../../../../tests/fakes/postgres-client.ts'
import { startPostgresGate, type PostgresGate } from '../../../../../tests/fakes/postgres-gate.ts'
import { cancelRequest, int32, queryMessage } from './wire.ts'

const run = promisify(execFile)
let gate: PostgresGate
let client: pg.Client

beforeAll(async () => {
  gate = await startPostgresGate({}, { waitMs: 1_000 })
})
afterAll(() => gate.stop())
beforeEach(async () => {
  gate.fake.decide = decideByFirstWord
  gate.fake.outcomes.length = 0
  await gate.server.query('drop table if exists t cascade; create table t (a int primary key, b text)')
  client = await gate.client()
})
afterEach(() => client.end())

const keyOf = (of: pg.Client): { pid: number; secret: number } => ({
  pid: z.number().parse(Reflect.get(of, 'processID')),
  secret: z.number().parse(Reflect.get(of, 'secretKey')),
})

/** Resolves when the gate has closed the cancel connection, so has dealt with it. */
async function cancel(pid: number, secret: number): Promise<void> {
  const raw = new RawClient(gate.port)
  raw.send(cancelRequest(pid, int32(secret)))
  expect((await raw.next()).type).toBe('closed')
}

test('node-postgres: simple, extended, named, cursor, errors', async () => {
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  expect((await client.query('select $1::int as one', [5])).rows).toEqual([{ one: 5 }])
  for (const value of [5, 6])
    expect((await client.query({ name: 'n', text: 'select $1::int as one', values: [value] })).rows).toEqual([{ one: value }])
  expect((await client.query("insert into t values (1,'x'),(2,'y') returning a")).rowCount).toBe(2)
  expect((await client.query('insert into t select g, $2 from generate_series(3,$1) g', [7, 'é'])).rowCount).toBe(5)
  for (const value of [10, 11]) await client.query({ name: 'w', text: 'insert into t values ($1)', values: [value] })
  await expect(client.query({ name: 'w', text: 'insert into t values ($1)', values: [11] })).rejects.toMatchObject({
    code: '23505',
  })
  await client.query({ name: 'w', text: 'insert into t values ($1)', values: [12] })
  await expect(client.query('drop table t')).rejects.toMatchObject({
    code: '42501',
    message: 'destroying waits for people',
    hint: 'Ask a person.',
  })
  await expect(client.query('insert into t where $1', [1])).rejects.toMatchObject({ code: '42601' })
  await expect(client.query('select 1/0')).rejects.toMatchObject({ code: '22012' })
  expect(gate.fake.outcomes.map(({ outcome }) => outcome)).toEqual([
    { result: 'succeeded', rows: 2 },
    { result: 'succeeded', rows: 5 },
    { result: 'succeeded', rows: 1 },
    { result: 'succeeded', rows: 1 },
    { result: 'failed', detail: 'SQLSTATE 23505' },
    { result: 'succeeded', rows: 1 },
    { result: 'failed', detail: 'SQLSTATE 42601' },
  ])
})

test('a remembered read is forwarded without being asked about again', async () => {
  await client.query('select a from t where a = 1')
  const before = gate.fake.asked.length
  await client.query('select a from t where a = 22')
  expect(gate.fake.asked).toHaveLength(before)
  await client.query('select a from t where a = $1', [1])
  await client.query('select a from t where a = $1', [2])
  expect(gate.fake.asked).toHaveLength(before + 1)
})

/** Sends a read that was remembered while the log is behind. `asked`: the catalog came to be known, or not, meanwhile, so that it was another key. */
async function readBehind(query: string | pg.QueryConfig, comesOf: 'recovers' | 'fails'): Promise<'waited' | 'asked'> {
  const { fake } = gate
  await client.query(query)
  const caughtUp = Promise.withResolvers<void>()
  caughtUp.promise.catch(() => undefined)
  const [waited, asked] = [fake.waited, fake.asked.length]
  fake.behind = caughtUp.promise
  let answered = false
  const answer = client.query(query).finally(() => (answered = true))
  await expect.poll(() => answered || fake.waited > waited).toBe(true)
  const hasWaited = fake.waited > waited && !answered && fake.asked.length === asked
  fake.behind = null
  if (comesOf === 'recovers') caughtUp.resolve()
  else caughtUp.reject(new Error('the disk failed'))
  expect((await answer).rows).toEqual([{ behind: 1 }])
  return hasWaited && fake.asked.length === asked ? 'waited' : 'asked'
}

test('a remembered read waits for a log that is behind and is asked about no more; when the log fails, it is asked about', async () => {
  const select = { name: 'behind', text: 'select $1::int as behind', values: [1] }
  for (const query of ['select 1 as behind', select])
    await expect.poll(() => readBehind(query, 'recovers'), { timeout: 30_000 }).toBe('waited')
  expect(await readBehind('select 1 as behind', 'fails')).toBe('asked')
})

test('what govern is asked carries text, bind values, settings and identity', async () => {
  await client.query('insert into t values ($1, $2)', [1, null])
  const asked = gate.fake.asked.at(-1)
  expect(asked?.decoded).toEqual({ sql: 'insert into t values ($1, $2)', bindValues: ['1', null] })
  expect(asked?.payload.bindValues).toEqual([
    { type: 0, format: 'text', value: Buffer.from('1').toString('base64') },
    { type: 0, format: 'text', value: null },
  ])
  expect(asked?.payload.settings).toMatchObject({ search_path: '"$user", public', current_user: 'postgres' })
  expect(asked?.upstream.identity).toMatch(/^\d{15,}:\d+$/)
})

test('settings are read again after SET, and nothing remembered before holds', async () => {
  await client.query('select a from t where a = 1')
  await client.query('create schema if not exists s2')
  await client.query('set search_path = s2, public')
  const before = gate.fake.asked.length
  await client.query('select a from t where a = 1')
  expect(gate.fake.asked).toHaveLength(before + 1)
  expect(gate.fake.asked.at(-1)?.payload.settings).toMatchObject({ search_path: 's2, public' })
  await client.query('begin')
  await client.query('set local search_path = public')
  await client.query('select a from t where a = 2')
  expect(gate.fake.asked.at(-1)?.payload.settings).toMatchObject({ search_path: 'public' })
  await client.query('commit')
  await client.query('update t set b = 1')
  expect(gate.fake.asked.at(-1)?.payload.settings).toMatchObject({ search_path: 's2, public' })
})

test('psql: notices, several statements, COPY TO STDOUT, \\d', async () => {
  await gate.server.query("insert into t values (1,'x')")
  const { stdout, stderr } = await run(
    'psql',
    [
      '-X',
      '-At',
      '-c',
      "do $$ begin raise notice 'hello'; end $$",
      '-c',
      'select 1; select 2',
      '-c',
      'copy t to stdout',
      '-c',
      '\\d t',
    ],
    { env: gate.environment },
  )
  expect(stdout).toContain('1\n2\n1\tx\n')
  expect(stdout).toContain('a|integer')
  expect(stderr).toContain('NOTICE:  hello')
})

test('pgbench in all three modes', async () => {
  gate.fake.decide = (asked) => (/drop|truncate|vacuum/i.test(asked.text) ? { kind: 'write' } : decideByFirstWord(asked))
  await run('pgbench', ['-i', '-q', '-I', 'dtGp', 'orders'], { env: gate.environment })
  for (const mode of ['simple', 'extended', 'prepared']) {
    const { stdout } = await run('pgbench', ['-n', '-M', mode, '-c', '4', '-t', '25', 'orders'], { env: gate.environment })
    expect(stdout).toContain('number of transactions actually processed: 100/100')
  }
})

test('COPY OUT of 100 MB to a reader that stopped costs bounded memory, and arrives whole', async () => {
  const raw = await gate.raw()
  raw.socket.removeAllListeners('data')
  raw.socket.pause()
  const before = process.memoryUsage().arrayBuffers
  raw.send(queryMessage("copy (select repeat('x', 1000) from generate_series(1, 100000)) to stdout"))
  let blocked: unknown[] = []
  while (blocked.length === 0)
    blocked = [
      ...(await gate.server.query(
        "select 1 from pg_stat_activity where query like 'copy (select%' and wait_event = 'ClientWrite'",
      )),
    ]
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024)
  let bytes = 0
  await new Promise<void>((resolve) => {
    raw.socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (chunk.toString('latin1', chunk.length - 6) === 'Z\0\0\0\x05I') resolve()
    })
    raw.socket.resume()
  })
  expect(bytes).toBeGreaterThan(100_000_000)
  raw.close()
})

test('cancel reaches the statement, by the key the gate gave, and no other key does', async () => {
  const killer = await gate.client()
  const running = client.query('select pg_sleep(60)')
  running.catch(() => undefined)
  await gate.fake.until(() => gate.fake.asked.some(({ text }) => text === 'select pg_sleep(60)'))
  let found: unknown[] = []
  while (found.length === 0)
    found = [
      ...(await gate.server.query("select pid from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'")),
    ]
  await cancel(keyOf(client).pid, keyOf(client).secret ^ 1)
  expect(
    await gate.server.query("select 1 from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'"),
  ).toHaveLength(1)
  await cancel(keyOf(client).pid, keyOf(client).secret)
  await expect(running).rejects.toMatchObject({ code: '57014' })
  await killer.end()
})

test('a session that waits for people tells so at once, and a cancel ends the wait', async () => {
  const notices: unknown[] = []
  client.on('notice', (notice) => notices.push(notice.code, notice.hint))
  gate.fake.decide = () => ({
    refused: {
      outcome: 'refused',
      code: 'approval_required',
      message: 'waits',
      notDone: 'Not run.',
      next: 'Look.',
      requestId: 'r1',
      requestUrl: 'http://x/r1',
      guards: [],
    },
    during: async (_upstream, attendance) => {
      attendance.pending({ id: 'r1', url: 'http://x/r1', summary: 'drops t', expiresAtMs: 0 })
      await new Promise((resolve) => attendance.signal.addEventListener('abort', resolve))
    },
  })
  const waiting = client.query('drop table t')
  waiting.catch(() => undefined)
  await new Promise<void>((resolve) => client.once('notice', () => resolve()))
  expect(notices).toEqual(['SP001', 'A person decides at http://x/r1'])
  await cancel(keyOf(client).pid, keyOf(client).secret)
  await expect(waiting).rejects.toMatchObject({ code: 'SP001', detail: 'Not run. Request r1.', hint: 'Look. http://x/r1' })
  gate.fake.decide = () => ({ kind: 'read' })
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

test('a cancel while the gate still decides stops the statement before it is sent', async () => {
  let decide: () => void = () => undefined
  const deciding = new Promise<void>((resolve) => (decide = resolve))
  gate.fake.decide = () => ({ kind: 'write', during: () => deciding })
  const running = client.query("insert into t values (77, 'never')")
  running.catch(() => undefined)
  await gate.fake.until(() => gate.fake.asked.some(({ text }) => text.includes("'never'")))
  await cancel(keyOf(client).pid, keyOf(client).secret)
  decide()
  await expect(running).rejects.toMatchObject({ code: '57014', message: 'canceling statement due to user request' })
  gate.fake.decide = () => ({ kind: 'read' })
  expect((await client.query('select count(*)::int as n from t where a = 77')).rows).toEqual([{ n: 0 }])
})

test('a kill stops what runs, tells why, and is unknown on the record', async () => {
  gate.fake.decide = (asked) => ({ kind: asked.text.includes('pg_sleep') ? 'write' : 'read' })
  const running = client.query('update t set b = pg_sleep(60)::text; select pg_sleep(60)')
  running.catch(() => undefined)
  let found: unknown[] = []
  while (found.length === 0)
    found = [
      ...(await gate.server.query(
        "select pid from pg_stat_activity where query like 'update t set b = pg_sleep%' and state = 'active'",
      )),
    ]
  gate.fake.kill('stopped by a person')
  await expect(running).rejects.toMatchObject({ code: '57P01', message: 'stopped by a person', severity: 'FATAL' })
  await gate.fake.until(() => gate.fake.outcomes.length > 0)
  expect(gate.fake.outcomes[0]?.outcome.result).toBe('unknown')
  while (found.length > 0)
    found = [
      ...(await gate.server.query(
        "select pid from pg_stat_activity where query like 'update t set b = pg_sleep%' and state = 'active'",
      )),
    ]
  await expect(gate.client()).rejects.toMatchObject({ code: '57P01' })
  gate.fake.release()
})

test('many notices and a flood of pipelined queries keep their order', async () => {
  const results = await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      client.query(index % 3 === 0 ? `insert into t values (${index})` : `select ${index} as n`),
    ),
  )
  results.forEach((result, index) => {
    if (index % 3 === 0) expect(result.rowCount).toBe(1)
    else expect(result.rows).toEqual([{ n: index }])
  })
})

test('a client that dies leaves no session and no running statement behind', async () => {
  const before = gate.fake.closed.length
  const child = spawn('psql', ['-X', '-c', "select 'gone', pg_sleep(60)"], { env: gate.environment, stdio: 'ignore' })
  await gate.fake.until(() => gate.fake.asked.at(-1)?.text === "select 'gone', pg_sleep(60)")
  child.kill('SIGKILL')
  await gate.fake.until(() => gate.fake.closed.length > before)
  let left: unknown[] = [1]
  while (left.length > 0)
    left = [
      ...(await gate.server.query(
        "select 1 from pg_stat_activity where query like 'select ''gone''%' and pid <> pg_backend_pid()",
      )),
    ]
  expect(gate.fake.closed.at(-1)?.reason).toBe('The client closed the connection.')
})
