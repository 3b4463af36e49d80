import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Session, SqlRow } from '@sallyport/core'
import { FakeGate } from '../../../../../tests/fakes/govern.ts'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'
import { GateChannel } from '../../protocols/postgres/gate-channel.ts'
import type { Backend } from '../../protocols/postgres/index.ts'
import { readSettings } from '../../protocols/postgres/meaning.ts'
import { connectTarget, type Connected } from './connect.ts'
import { openPostgresUpstreams, type OpenPostgresUpstreams } from './index.ts'
import { OwnLine } from './protect.ts'
import { readTarget } from './target.ts'
import { WarmPool } from './warm-pool.ts'

let server: PostgresServer
let pool: WarmPool
let nowMs = 0
const never = new AbortController().signal

beforeAll(async () => {
  server = await startPostgres(['max_connections=25', 'superuser_reserved_connections=3'])
  await server.query("CREATE ROLE shared LOGIN PASSWORD 'p'; CREATE ROLE least LOGIN PASSWORD 'p'")
})
afterAll(() => server?.stop())
beforeEach(async () => {
  // Those of the last test.
  while ((await backends()).length > 0) await new Promise((resolve) => setTimeout(resolve, 20))
  pool = new WarmPool(2, () => nowMs)
})

// Whatever a failed test left would be in the way of the next one.
afterEach(() => pool.close())

/** Process ids of what the roles of this test hold on the server. */
async function backends(): Promise<readonly number[]> {
  const rows = await server.query("SELECT pid FROM pg_stat_activity WHERE usename IN ('shared', 'least') ORDER BY backend_start")
  return rows.map(({ pid }) => Number(pid))
}

function dial(settings: Readonly<Record<string, string>> = {}, role = 'shared'): (signal: AbortSignal) => Promise<Connected> {
  const target = readTarget('orders', `postgres://${role}:p@127.0.0.1:${server.port}/postgres`)
  return (signal) =>
    connectTarget('orders', target, {
      settings: new Map(Object.entries(settings)),
      signal,
      timeoutMs: 3_000,
      weakAuthentication: false,
    })
}

/** One is taken and thrown away, so that others are made ahead; their process ids. */
async function warmUp(key = 'a', how = dial()): Promise<readonly number[]> {
  const first = await pool.take(key, how, never)
  first.socket.destroy()
  await expect.poll(() => pool.size).toBe(2)
  return (await backends()).filter((pid) => pid !== first.pid)
}

test('what is handed out was authenticated before it was asked for, once, and is made up for', async () => {
  const ahead = await warmUp()
  const taken = await Promise.all([pool.take('a', dial(), never), pool.take('a', dial(), never), pool.take('a', dial(), never)])
  const pids = taken.map(({ pid }) => pid)
  expect(pids.filter((pid) => ahead.includes(pid))).toHaveLength(2)
  expect(new Set(pids).size).toBe(3)
  await expect.poll(() => pool.size).toBe(2)
  const again = await pool.take('a', dial(), never)
  expect([...ahead, ...pids]).not.toContain(again.pid)
  for (const { socket } of [...taken, again]) socket.destroy()
  pool.close()
})

test('nothing of what the gate asked is left in it, and what it told is what it would tell a session', async () => {
  await warmUp()
  const [ready, fresh] = [await pool.take('a', dial(), never), await dial()(never)]
  expect(fresh.told).toBeNull()
  const [asked, now] = await Promise.all([ready, fresh].map((one) => askAll(one)))
  // But for the names of the statements that ask.
  expect(now?.told).toEqual(ready.told?.map((value, place, all) => (place === all.length - 2 ? null : value)))
  expect(asked).toEqual(now)
  for (const { socket } of [ready, fresh]) socket.destroy()
  pool.close()
})

/** What its session can see of itself: prepared statements but this one, portals, temporary schema, transaction; and what sessions ask first. */
async function askAll(connected: Connected): Promise<{ readonly state: SqlRow | undefined; readonly told: SqlRow | undefined }> {
  const channel = new GateChannel(new OwnLine(connected))
  const [state] = await channel.query(
    `SELECT (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors WHERE name = ''), pg_my_temp_schema()::text,
     now() = statement_timestamp(), (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')`,
  )
  const [told] = await channel.query(readSettings)
  return { state, told: told?.map((value, place) => (place === told.length - 2 ? null : value)) }
}

test('only for the same role with the same settings; all together they are no more than allowed', async () => {
  const shared = await warmUp('a', dial({ application_name: 'one' }))
  const other = await pool.take('b', dial({ application_name: 'two' }), never)
  const least = await pool.take('c', dial({ application_name: 'one' }, 'least'), never)
  expect(shared).not.toContain(other.pid)
  expect(other.parameters.get('application_name')).toBe('two')
  expect(shared).not.toContain(least.pid)
  await expect.poll(() => pool.size).toBe(2)
  // What was made for the first had to go.
  await expect.poll(async () => (await backends()).length).toBe(4)
  expect((await backends()).filter((pid) => shared.includes(pid))).toEqual([])
  for (const { socket } of [other, least]) socket.destroy()
  pool.close()
})

test.each([
  ['a setting of the role', 'ALTER ROLE shared SET work_mem = 12345', 'ALTER ROLE shared RESET ALL', /^ok 12345kB$/],
  [
    'a setting of the role in this database',
    'ALTER ROLE shared IN DATABASE postgres SET work_mem = 12346',
    'ALTER ROLE shared IN DATABASE postgres RESET ALL',
    /^ok 12346kB$/,
  ],
  [
    'a setting of the database',
    'ALTER DATABASE postgres SET work_mem = 12347',
    'ALTER DATABASE postgres RESET ALL',
    /^ok 12347kB$/,
  ],
  ['a login taken away', 'ALTER ROLE shared NOLOGIN', 'ALTER ROLE shared LOGIN', /28000/],
  [
    'a role whose time is over',
    "ALTER ROLE shared VALID UNTIL '2001-01-01'",
    "ALTER ROLE shared VALID UNTIL 'infinity'",
    /28P01/,
  ],
  [
    'a right to connect taken away',
    'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC',
    'GRANT CONNECT ON DATABASE postgres TO PUBLIC',
    /42501/,
  ],
  ['a membership taken back', 'GRANT pg_monitor TO shared', 'REVOKE pg_monitor FROM shared', /^ok/],
])('%s: what was made before it is not handed out after it', async (_, change, back, expected) => {
  const ahead = await warmUp()
  await server.query(change)
  try {
    const came = await pool.take('a', dial(), never).catch((error: unknown) => String(error))
    if (typeof came === 'string') expect(came).toMatch(expected)
    else {
      expect(ahead).not.toContain(came.pid)
      expect(`ok ${await workMemory(came)}`).toMatch(expected)
      came.socket.destroy()
    }
    await expect.poll(async () => (await backends()).some((pid) => ahead.includes(pid))).toBe(false)
  } finally {
    pool.close()
    await server.query(back)
  }
})

async function workMemory(connected: Connected): Promise<string> {
  const [row] = await new GateChannel(new OwnLine(connected)).query("SELECT current_setting('work_mem')")
  return row?.[0] ?? ''
}

async function freshTimezone(): Promise<string | undefined> {
  const fresh = await dial()(never)
  fresh.socket.destroy()
  return fresh.parameters.get('TimeZone')
}

test('the server reads its settings again: what it then says of them is what the client is told', async () => {
  const ahead = await warmUp()
  await server.query("ALTER SYSTEM SET timezone = 'Asia/Tokyo'")
  await server.query('SELECT pg_reload_conf()')
  // The server tells its idle backends before it lets the next one begin.
  await expect.poll(freshTimezone).toBe('Asia/Tokyo')
  try {
    // An idle backend hears of it with the next thing that it is asked.
    const came = await pool.take('a', dial(), never)
    expect(ahead).not.toContain(came.pid)
    expect(came.parameters.get('TimeZone')).toBe('Asia/Tokyo')
    came.socket.destroy()
  } finally {
    pool.close()
    await server.query('ALTER SYSTEM RESET timezone')
    await server.query('SELECT pg_reload_conf()')
  }
})

test('one that the server ended is not handed out; one that is old is replaced; what nobody wants is kept no more', async () => {
  const first = await warmUp()
  await server.query(`SELECT pg_terminate_backend(${first[0]})`)
  await expect.poll(() => pool.size).toBe(1)
  nowMs += 30_000
  pool.sweep()
  await expect.poll(() => pool.size).toBe(2)
  nowMs += 40_000
  pool.sweep()
  await expect.poll(backends).not.toContain(first[1])
  await expect.poll(() => pool.size).toBe(2)
  nowMs += 700_000
  pool.sweep()
  expect(pool.size).toBe(0)
  await expect.poll(backends).toEqual([])
  pool.close()
})

test('it is dropped at once, with what is on its way, and nothing takes its place', async () => {
  let begun: () => void = () => undefined
  let dials = 0
  const counted = (signal: AbortSignal): Promise<Connected> => {
    dials += 1
    if (dials > 3) begun()
    return dial()(signal)
  }
  await warmUp('a', counted)
  const isMaking = new Promise<void>((resolve) => (begun = resolve))
  const taken = await pool.take('a', counted, never)
  await isMaking
  pool.drop()
  expect(pool.size).toBe(0)
  await expect.poll(backends).toEqual([taken.pid])
  taken.socket.destroy()
  const late = await pool.take('a', counted, never)
  // What was to be made for this one a moment later is not made any more.
  pool.drop()
  const before = dials
  const other = await pool.take('b', dial(), never)
  await expect.poll(() => pool.size).toBe(2)
  expect(dials).toBe(before)
  for (const { socket } of [late, other]) socket.destroy()
  pool.close()
})

test('a place is given up when the server has none left, and a role’s own limit counts', async () => {
  await server.query('ALTER ROLE shared CONNECTION LIMIT 3')
  try {
    const ahead = await warmUp()
    const taken: Connected[] = []
    // Two places of three are taken by what was made ahead, and then by what is made for these: they are given up.
    for (const name of ['x', 'y', 'z']) taken.push(await pool.take(name, dial({ application_name: name }), never))
    expect((await backends()).filter((pid) => ahead.includes(pid))).toEqual([])
    await expect(pool.take('w', dial({ application_name: 'w' }), never)).rejects.toThrow('53300')
    for (const { socket } of taken) socket.destroy()
  } finally {
    pool.close()
    await server.query('ALTER ROLE shared CONNECTION LIMIT -1')
  }
})

test('a session of another agent, or of one that may only read, never gets what was made for another', async () => {
  const { gate } = new FakeGate()
  const changes: (() => void)[] = []
  const url = (role: string): string => `postgres://${role}:p@127.0.0.1:${server.port}/postgres`
  const upstreams: OpenPostgresUpstreams = openPostgresUpstreams(
    [
      {
        name: 'orders',
        environment: 'production',
        useUrl: url('shared'),
        protectUrl: server.url(),
        asUrls: new Map([['reader', url('least')]]),
        warm: 4,
      },
    ],
    { ...gate.killSwitch, onChange: (listener) => void changes.push(listener) },
  )
  const open = (agent: string, readOnly = false): Promise<Backend> =>
    upstreams.open('orders', { session: sessionOf(agent), settings: new Map(), readOnly, signal: never })
  const who = async (): Promise<readonly unknown[]> =>
    (await server.query("SELECT usename AS role FROM pg_stat_activity WHERE usename IN ('shared', 'least')")).map(
      ({ role }) => role,
    )
  await server.query('GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC')
  ;(await open('coder')).destroy()
  await expect.poll(who).toEqual(['shared', 'shared', 'shared', 'shared'])
  const ahead = await backends()
  const reader = await open('reader')
  const readOnly = await open('coder', true)
  await expect.poll(async () => (await who()).length).toBe(6)
  expect((await who()).filter((role) => role === 'least').length).toBeGreaterThanOrEqual(1)
  expect((await backends()).filter((pid) => !ahead.includes(pid)).length).toBeGreaterThanOrEqual(2)
  reader.destroy()
  readOnly.destroy()
  // A kill, whoever is meant: nothing is ready after it.
  for (const change of changes) change()
  await expect.poll(backends).toEqual([])
  upstreams.close()
})

function sessionOf(agent: string): Session {
  return {
    id: `session of ${agent}`,
    subject: { agent, owner: 'o' },
    handleId: 'h',
    protocol: 'postgres',
    upstream: 'orders',
    openedAtMs: 0,
    peer: '',
  }
}
