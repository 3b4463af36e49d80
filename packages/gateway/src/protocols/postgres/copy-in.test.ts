import { spawn } from 'node:child_process'
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { once } from 'node:events'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { decideByFirstWord, refusal } from '../../../../../tests/fakes/govern.ts'
import { describeMessage, RawClient } from '../../../../../tests/fakes/postgres-client.ts'
import { startPostgresGate, type PostgresGate } from '../../../../../tests/fakes/postgres-gate.ts'
import { PgChannel } from '../../../../../tests/fakes/sql-access.ts'
import {
  bindMessage,
  cancelRequest,
  copyDataMessage,
  copyDoneMessage,
  copyFailMessage,
  executeMessage,
  flushMessage,
  frame,
  int32,
  parseMessage,
  queryMessage,
  syncMessage,
} from './wire.ts'
import { roundsOf } from '../../../../../tests/breadth.ts'

setFlagsFromString('--expose-gc')

let gate: PostgresGate
beforeAll(async () => {
  gate = await startPostgresGate()
})
afterAll(() => gate.stop())
beforeEach(async () => {
  gate.fake.decide = (asked) => (/^copy .* from/i.test(asked.text) ? { kind: 'write' } : decideByFirstWord(asked))
  gate.fake.forget()
  gate.fake.outcomes.length = 0
  gate.fake.asked.length = 0
  await gate.server.query(
    'drop table if exists t cascade; drop table if exists u; create table t (a int primary key, b text); create table u (a int)',
  )
})

const data = (text: string): Buffer => copyDataMessage(Buffer.from(text))
const copy = 'copy t from stdin'
const extended = (sql: string): readonly Buffer[] => [
  parseMessage('', sql),
  bindMessage('', '', []),
  describeMessage('P', ''),
  executeMessage(''),
]
const rows = async (): Promise<number> => (await gate.server.query('select a from t')).length
const progress = (): Promise<readonly unknown[]> => gate.server.query('select pid from pg_stat_progress_copy')

const binary = Buffer.concat([
  Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'),
  int32(0),
  int32(0),
  Buffer.from([0, 2]),
  int32(4),
  int32(7),
  int32(1),
  Buffer.from('x'),
  Buffer.from([0xff, 0xff]),
])

const scripts: readonly (readonly [name: string, readies: number, messages: readonly Buffer[]])[] = [
  ['simple', 1, [queryMessage(copy), data('1\tx\n2\t'), data('y\n'), copyDoneMessage]],
  ['nothing but the end', 1, [queryMessage(copy), copyDoneMessage]],
  ['binary', 1, [queryMessage('copy t from stdin binary'), copyDataMessage(binary), copyDoneMessage]],
  ['CopyFail', 1, [queryMessage(copy), data('1\tx\n'), copyFailMessage('changed my mind')]],
  [
    'Flush and Sync are ignored while copying',
    1,
    [queryMessage(copy), flushMessage, syncMessage, data('1\tx\n'), syncMessage, flushMessage, data('2\ty\n'), copyDoneMessage],
  ],
  [
    'bad data, and more after it',
    2,
    [queryMessage(copy), data('1\tx\n'), data('bad\tx\n'), data('3\tz\n'), copyDoneMessage, queryMessage('select 1')],
  ],
  ['a duplicate at the end', 2, [queryMessage(copy), data('1\tx\n1\tx\n'), copyDoneMessage, queryMessage('select 1')]],
  [
    'two copies in one Query',
    1,
    [
      queryMessage(`${copy}; copy u from stdin; select count(*) from u`),
      data('1\tx\n'),
      copyDoneMessage,
      data('5\n6\n'),
      copyDoneMessage,
    ],
  ],
  [
    'in a transaction that rolls back',
    4,
    [
      queryMessage('begin'),
      queryMessage(copy),
      data('1\tx\n'),
      copyDoneMessage,
      queryMessage('select a from t'),
      queryMessage('rollback'),
    ],
  ],
  ['no such table', 2, [queryMessage('copy nowhere from stdin'), data('1\n'), copyDoneMessage, queryMessage('select 1')]],
  [
    'in a failed transaction',
    4,
    [
      queryMessage('begin'),
      queryMessage('select 1/0'),
      queryMessage(copy),
      data('1\tx\n'),
      copyDoneMessage,
      queryMessage('rollback'),
    ],
  ],
  ['extended', 1, [...extended(copy), data('1\tx\n'), copyDoneMessage, syncMessage]],
  [
    'extended, as libpq: a Sync before the data and one after',
    1,
    [...extended(copy), syncMessage, data('1\tx\n'), copyDoneMessage, syncMessage],
  ],
  [
    'extended, and a pipeline behind it',
    1,
    [...extended(copy), data('1\tx\n'), copyDoneMessage, ...extended('select a from t'), syncMessage],
  ],
  [
    'extended, bad data',
    2,
    [
      ...extended(copy),
      syncMessage,
      data('bad\tx\n'),
      data('2\tx\n'),
      copyDoneMessage,
      syncMessage,
      ...extended('select 1'),
      syncMessage,
    ],
  ],
  [
    'extended, CopyFail',
    2,
    [...extended(copy), data('1\tx\n'), copyFailMessage('no'), syncMessage, queryMessage('select count(*) from t')],
  ],
  ['extended, no such table', 2, [...extended('copy nowhere from stdin'), syncMessage, queryMessage('select 1')]],
]

async function say(client: RawClient, messages: readonly Buffer[], readies: number): Promise<readonly string[]> {
  client.send(...messages)
  const answers = await client.answers(readies)
  client.close()
  return answers
}

test.each(scripts)('answered as by the server: %s', async (_, readies, messages) => {
  const { port, superuser } = gate.server
  const direct = await say(await RawClient.open(port, superuser.user, superuser.password, 'postgres'), messages, readies)
  const there = await gate.server.query('table t')
  await gate.server.query('truncate t, u')
  expect(await say(await gate.raw(), messages, readies)).toEqual(direct)
  expect(await gate.server.query('table t')).toEqual(there)
})

test('decided before a byte of data goes: refused, the data is dropped, and the session goes on', async () => {
  gate.fake.decide = (asked) => (asked.text.startsWith('copy') ? { refused: refusal() } : decideByFirstWord(asked))
  const raw = await gate.raw()
  raw.send(queryMessage(copy), data('1\tx\n'), copyDoneMessage, queryMessage('select 1'))
  expect(await raw.answers(2)).toEqual(['E 42501', 'Z I', 'T', 'D 1', 'C SELECT 1', 'Z I'])
  raw.send(...extended(copy), syncMessage, data('1\tx\n'), copyDoneMessage, syncMessage)
  expect(await raw.answers(2)).toEqual(['E 42501', 'Z I', 'Z I'])
  expect(await rows()).toBe(0)
  raw.close()
})

test('what was decided as a read gets no data, and one that is asked about later does', async () => {
  gate.fake.decide = (asked) => ({ kind: asked.text.startsWith('copy t') ? 'read' : 'write' })
  const raw = await gate.raw()
  raw.send(queryMessage(copy), data('1\tx\n'), copyDoneMessage)
  expect(await raw.answers()).toEqual(['E 57014', 'Z I'])
  raw.send(queryMessage('/* it is one */ copy t from/**/stdin'), data('1\tx\n'), copyDoneMessage)
  expect(await raw.answers()).toEqual(['G', 'C COPY 1', 'Z I'])
  expect(gate.fake.outcomes).toEqual([
    { text: '/* it is one */ copy t from/**/stdin', outcome: { result: 'succeeded', rows: 1 } },
  ])
  raw.close()
})

test('a message that has no place in a copy ends the session, and nothing stays', async () => {
  for (const stray of [
    queryMessage('drop table t'),
    parseMessage('', 'drop table t'),
    frame(0x7a),
    Buffer.from([0x64, 0, 0, 0, 3]),
  ]) {
    const raw = await gate.raw()
    raw.send(queryMessage(copy), data('1\tx\n'), stray)
    expect(await raw.answers()).toEqual(['G', 'E 08P01', 'closed'])
  }
  await expect.poll(progress).toEqual([])
  expect(await rows()).toBe(0)
  await expect.poll(() => gate.fake.outcomes.map(({ outcome }) => outcome.result)).toEqual(Array(4).fill('unknown'))
})

test('a kill in the middle: not a byte more, and no row stays', async () => {
  const raw = await gate.raw()
  raw.send(queryMessage(copy), data('1\tx\n'))
  expect((await raw.next()).type).toBe('G')
  await expect.poll(progress).toHaveLength(1)
  gate.fake.kill('stopped')
  raw.send(data('2\ty\n'), copyDoneMessage)
  expect(await raw.answers()).toEqual(['E 57P01', 'closed'])
  await expect.poll(progress).toEqual([])
  expect(await rows()).toBe(0)
  expect(gate.fake.outcomes.map(({ outcome }) => outcome.result)).toEqual(['unknown'])
  gate.fake.release()
})

test('a client that dies in the middle, also within a message, leaves nothing', async () => {
  for (const last of [data('2\ty\n'), data('2\ty\n').subarray(0, 7)]) {
    const raw = await gate.raw()
    raw.send(queryMessage(copy), data('1\tx\n'), last)
    expect((await raw.next()).type).toBe('G')
    raw.close()
    await expect.poll(progress).toEqual([])
  }
  expect(await rows()).toBe(0)
})

test('a cancel in the middle ends the copy as the server ends it', async () => {
  const raw = await gate.raw()
  const key = raw.startMessages.find(({ type }) => type === 'K')?.bytes ?? Buffer.alloc(13)
  raw.send(queryMessage(copy), data('1\tx\n'))
  expect((await raw.next()).type).toBe('G')
  const other = new RawClient(gate.port)
  other.send(cancelRequest(key.readInt32BE(5), key.subarray(9)))
  expect((await other.next()).type).toBe('closed')
  // The server looks at it when the next data comes.
  const answers = raw.answers()
  const feed = setInterval(() => raw.send(data('9\tz\n')), 5)
  expect(await answers).toEqual(['E 57014', 'Z I'])
  clearInterval(feed)
  raw.send(queryMessage('select count(*) from t'))
  expect(await raw.answers()).toEqual(['T', 'D 0', 'C SELECT 1', 'Z I'])
  raw.close()
})

test.each(['simple', 'extended'])('counted: held until the rows are settled, %s', async (protocol) => {
  const messages = (text: string): readonly Buffer[] =>
    protocol === 'simple'
      ? [queryMessage(copy), data(text), copyDoneMessage]
      : [...extended(copy), syncMessage, data(text), copyDoneMessage, syncMessage]
  const begun = protocol === 'simple' ? ['G'] : ['1', '2', 'n', 'G']
  let settled = false
  const hold = (over: boolean) => () => ({
    kind: 'write' as const,
    counted: true,
    during: async ({ access }: Parameters<NonNullable<ReturnType<typeof decideByFirstWord>['during']>>[0]) => {
      if (access.kind === 'sql') await access.hold('')
    },
    settle: () => {
      settled = true
      return over ? refusal({ code: 'limit_exceeded' }) : null
    },
  })
  const raw = await gate.raw()
  gate.fake.decide = hold(true)
  raw.send(...messages('1\tx\n2\ty\n'))
  expect(await raw.answers()).toEqual([...begun, 'E 53400', 'Z I'])
  expect(await rows()).toBe(0)
  expect(settled).toBe(true)
  gate.fake.decide = hold(false)
  raw.send(...messages('bad\n3\tx\n'))
  expect(await raw.answers()).toEqual([...begun, 'E 22P02', 'Z I'])
  raw.send(...messages('1\tx\n2\ty\n'))
  expect(await raw.answers()).toEqual([...begun, 'C COPY 2', 'Z I'])
  expect(await rows()).toBe(2)
  gate.fake.decide = decideByFirstWord
  raw.send(queryMessage('begin'))
  await raw.answers()
  gate.fake.decide = hold(false)
  raw.send(...messages('5\tx\n'))
  expect(await raw.answers()).toEqual([...begun, 'C COPY 1', 'Z T'])
  gate.fake.decide = hold(true)
  raw.send(...messages('6\tx\n'))
  expect(await raw.answers()).toEqual([...begun, 'E 53400', 'Z E'])
  raw.close()
  expect(gate.fake.outcomes.map(({ outcome }) => (outcome.result === 'succeeded' ? outcome.rows : outcome.detail))).toEqual([
    'rolled back: limit_exceeded',
    'SQLSTATE 22P02',
    2,
    1,
    'rolled back: limit_exceeded',
  ])
})

test('however the data is cut, by messages and by the network, the same rows come', async () => {
  const lines = Array.from({ length: 60 }, (_, a) => `${a}\t${'é'.repeat(a)}\n`).join('')
  const all = Buffer.from(lines)
  const cuts = fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 12 })
  const cut = (bytes: Buffer, sizes: readonly number[]): readonly Buffer[] => {
    let at = 0
    const pieces = sizes.map((size) => bytes.subarray(at, (at += size)))
    return [...pieces, bytes.subarray(at)]
  }
  await fc.assert(
    fc.asyncProperty(cuts, cuts, fc.boolean(), async (messages, packets, simple) => {
      await gate.server.query('truncate t')
      const parts = cut(all, messages).map(copyDataMessage)
      const begin = simple ? [queryMessage(copy)] : extended(copy)
      const stream = Buffer.concat([...begin, ...parts, copyDoneMessage, ...(simple ? [] : [syncMessage])])
      const raw = await gate.raw()
      for (const packet of cut(stream, packets)) {
        raw.send(packet)
        await new Promise(setImmediate)
      }
      expect((await raw.answers()).slice(-2)).toEqual(['C COPY 60', 'Z I'])
      raw.close()
      expect(await gate.server.query('select sum(length(b)) as n, count(*) as c from t')).toEqual([{ n: '1770', c: '60' }])
    }),
    { numRuns: 40 },
  )
})

test('node-postgres copies in by its own messages', async () => {
  const client = await gate.client()
  const chunks = async function* (): AsyncIterable<Uint8Array> {
    for (let a = 0; a < 1_000; a += 1) yield Buffer.from(`${a}\tx\n`)
  }
  expect(await new PgChannel(client).copyIn(copy, chunks())).toBe(1_000)
  expect(client).toBeInstanceOf(pg.Client)
  expect(gate.fake.outcomes.map(({ outcome }) => outcome)).toEqual([{ result: 'succeeded', rows: 1_000 }])
  await client.end()
})

test('psql \\copy of much to a server that stopped reading costs bounded memory, and arrives whole', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-copy-'))
  const file = join(folder, 'rows')
  // 1 MB each.
  const blocks = roundsOf(100, 50)
  const out = createWriteStream(file)
  for (let block = 0; block < blocks; block += 1) {
    const text = Array.from({ length: 1_000 }, (_, a) => `${block * 1_000 + a}\t${'x'.repeat(1_040)}\n`).join('')
    if (!out.write(text)) await once(out, 'drain')
  }
  out.end()
  await once(out, 'finish')
  await gate.server.query(
    `create or replace function wait() returns trigger language plpgsql as $$begin
       if new.a = 1000 then perform pg_advisory_xact_lock(42); end if; return new; end$$;
     create trigger w before insert on t for each row execute function wait()`,
  )
  const blocker = new pg.Client({ connectionString: gate.server.url() })
  await blocker.connect()
  await blocker.query('begin; select pg_advisory_xact_lock(42)')
  const collect = z.function().parse(runInNewContext('gc'))
  // What is kept, without what only waits to be collected.
  const kept = (): number => {
    collect()
    return process.memoryUsage().arrayBuffers
  }
  const before = kept()
  let most = 0
  const child = spawn('psql', ['-X', '-c', `\\copy t from '${file}'`], {
    env: gate.environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const blocked = z.array(z.object({ pid: z.number() }))
  await expect
    .poll(async () => {
      most = Math.max(most, kept() - before)
      return blocked.parse(
        await gate.server.query("select pid from pg_stat_activity where wait_event_type = 'Lock' and query ilike 'copy%'"),
      )
    })
    .toHaveLength(1)
  await blocker.query('rollback')
  const sample = setInterval(() => (most = Math.max(most, kept() - before)), 20)
  const [code] = await once(child, 'exit')
  clearInterval(sample)
  expect([code, said]).toEqual([0, `COPY ${blocks * 1_000}\n`])
  expect(most).toBeLessThan(32 * 1024 * 1024)
  expect(await rows()).toBe(blocks * 1_000)
  await blocker.end()
  rmSync(folder, { recursive: true })
})
