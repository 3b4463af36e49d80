import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Session, SqlChannel } from '@sallyport/core'
import { FakeGate } from '../../../../../tests/fakes/govern.ts'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'
import { GateChannel } from '../../protocols/postgres/gate-channel.ts'
import type { Backend } from '../../protocols/postgres/index.ts'
import { openPostgresUpstreams } from './index.ts'
import { ServerFlow } from '../../protocols/postgres/server-flow.ts'

let server: PostgresServer
let elsewhere: PostgresServer
const { killSwitch } = new FakeGate().gate

beforeAll(async () => {
  ;[server, elsewhere] = await Promise.all([startPostgres(), startPostgres()])
  for (const one of [server, elsewhere])
    await one.query("CREATE ROLE least LOGIN PASSWORD 'p'; CREATE ROLE closed NOLOGIN PASSWORD 'p'")
  await server.query('CREATE DATABASE other')
})
afterAll(async () => {
  await Promise.all([server?.stop(), elsewhere?.stop()])
})

const urlOf = (role: string, port = server.port, database = 'postgres'): string =>
  `postgres://${role}:p@127.0.0.1:${port}/${database}`

async function open(agent: string, own: Readonly<Record<string, string>>): Promise<Backend> {
  const upstreams = openPostgresUpstreams(
    [
      {
        name: 'orders',
        environment: 'production',
        useUrl: server.url(),
        protectUrl: server.url(),
        asUrls: new Map(Object.entries(own)),
        connectTimeoutMs: 3_000,
      },
    ],
    killSwitch,
  )
  const session: Session = {
    id: 's',
    subject: { agent, owner: 'o' },
    handleId: 'h',
    protocol: 'postgres',
    upstream: 'orders',
    openedAtMs: 0,
    peer: '',
  }
  return upstreams.open('orders', {
    session,
    settings: new Map(),
    readOnly: false,
    signal: new AbortController().signal,
  })
}

/** The agent's own connection, to be asked on. */
function talk(backend: Backend): SqlChannel {
  const flow = new ServerFlow({
    toClient: () => undefined,
    toServer: () => undefined,
    batchFailed: () => undefined,
    transactionEnded: () => undefined,
    broken: () => undefined,
  })
  backend.attend({ data: (chunk) => flow.receive(chunk), drained: () => undefined, closed: () => flow.end() })
  return new GateChannel({
    enter: async () => {
      await flow.quiet()
      return 'between'
    },
    write: async (bytes, readies) => {
      flow.outstanding += readies
      backend.converse(bytes)
    },
    take: (taker) => {
      flow.taker = taker
    },
    pause: () => backend.pause(),
    resume: () => backend.resume(),
  })
}

async function whoIs(agent: string, own: Readonly<Record<string, string>>): Promise<string | null | undefined> {
  const backend = await open(agent, own)
  try {
    return (await talk(backend).query('SELECT current_user::text'))[0]?.[0]
  } finally {
    backend.destroy()
    backend.protect.close()
  }
}

test('the agent that has a role of its own runs as that, all others as the shared one', async () => {
  const own = { reader: urlOf('least') }
  expect(await whoIs('reader', own)).toBe('least')
  expect(await whoIs('coder', own)).toBe('postgres')
  expect(await whoIs('constructor', own)).toBe('postgres')
})

test('its cancel reaches its own backend', async () => {
  const backend = await open('reader', { reader: urlOf('least') })
  const channel = talk(backend)
  const sleeping = channel.query('SELECT pg_sleep(60)').then(() => 'it slept', String)
  await expect
    .poll(() => server.query("SELECT 1 FROM pg_stat_activity WHERE usename = 'least' AND wait_event = 'PgSleep'"))
    .toHaveLength(1)
  backend.cancel()
  expect(await sleeping).toContain('57014')
  backend.destroy()
})

test.each([
  ['another database of the same server', () => urlOf('least', server.port, 'other')],
  ['the same database name on another server', () => urlOf('least', elsewhere.port)],
])('a role whose URL leads to %s is not used, and its connection is closed', async (_, url) => {
  await expect(open('reader', { reader: url() })).rejects.toMatchObject({ code: 'target_changed' })
  for (const one of [server, elsewhere])
    await expect.poll(() => one.query("SELECT 1 FROM pg_stat_activity WHERE usename = 'least'")).toEqual([])
})

test.each([
  ['may not log in', () => urlOf('closed')],
  ['is not there', () => urlOf('nobody')],
])('a role that %s is no reason to take the shared one', async (_, url) => {
  await expect(open('reader', { reader: url() })).rejects.toMatchObject({ code: 'upstream_unavailable' })
})

test('a role that may not ask what the server is, is not trusted to be on it', async () => {
  await server.query('REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC')
  await expect(open('reader', { reader: urlOf('least') })).rejects.toMatchObject({ code: 'target_changed' })
  await server.query('GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC')
})
