import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { pullSwitch } from '../../packages/cli/src/switch-client.ts'
import { relayCountsShape, type RelayCounts } from '../fakes/counting-relay.ts'
import { Forked } from '../fakes/forked.ts'
import type { HttpPerson } from '../fakes/http-person.ts'
import { waitUntil } from '../fakes/own-processes.ts'
import { arrange, startGate, type AgentConnection, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { checksums, eventsOf, patience, textOf } from './evidence.ts'
import { openPsql, type Psql } from './psql.ts'

vi.setConfig(patience)

let postgres: PostgresServer
let relay: Forked
let gate: TestGate
let bob: HttpPerson
let bystander: Psql

beforeAll(async () => {
  postgres = await startPostgres()
  relay = new Forked(fileURLToPath(new URL('../fakes/counting-relay.ts', import.meta.url)), [String(postgres.port)])
  const { port } = await relay.next(z.object({ port: z.number() }))
  gate = await startGate({
    postgres,
    wait: '30s',
    agents: {
      runaway: { owner: 'ada', may: ['any orders-db'] },
      neighbour: { owner: 'ada', may: ['any orders-db'] },
      bystander: { owner: 'carol', may: ['any side-db'] },
    },
    // What the relay counts belongs to those who are killed; a bystander goes another way.
    upstreams: { 'orders-db': { port }, 'side-db': {} },
  })
  await arrange(
    postgres,
    `CREATE TABLE notes (id bigint PRIMARY KEY, body text); INSERT INTO notes SELECT n, 'note' FROM generate_series(1, 2000) n;
     CREATE TABLE marks (at bigserial PRIMARY KEY, what text)`,
  )
  await gate.person('ada')
  bob = await gate.person('bob')
  bystander = await openPsql(gate, 'bystander', { database: 'side-db' })
})

afterAll(async () => {
  await gate?.stop()
  await relay?.stop()
  await postgres?.stop()
})

const count = (): Promise<RelayCounts> => relay.ask({ ask: 'counts', afterNs: '0' }, relayCountsShape)

interface Running {
  readonly what: string
  readonly connection: AgentConnection
  /** The SQLSTATE that ended it. */
  readonly ended: Promise<string>
  answered(): number
}

/** Statement after statement, as fast as they are answered, until one fails. */
function runAway(what: string, connection: AgentConnection, next: (turn: number) => Parameters<AgentConnection['run']>): Running {
  let answered = 0
  const ended = (async () => {
    for (;;) {
      const { sqlState } = await connection.run(...next(answered))
      if (sqlState !== '00000') return sqlState
      answered += 1
    }
  })()
  return { what, connection, ended, answered: () => answered }
}

/** Everything that an agent can be in the middle of. */
async function runEverything(agent: string): Promise<readonly Running[]> {
  const open = (): Promise<AgentConnection> => gate.connect(agent)
  const transaction = await open()
  for (const sql of ['BEGIN', "INSERT INTO marks (what) VALUES ('uncommitted')"])
    expect(await transaction.run(sql)).toMatchObject({ sqlState: '00000' })
  const running = [
    runAway('reads', await open(), (turn) => [`SELECT count(*) FROM notes WHERE id > ${turn % 900}`]),
    runAway('prepared reads', await open(), (turn) => ['SELECT body FROM notes WHERE id = $1', [turn % 900]]),
    runAway('writes', await open(), () => ["INSERT INTO marks (what) VALUES ('committed')"]),
    runAway('a transaction', transaction, () => ['SELECT count(*) FROM marks']),
    runAway('a long answer', await open(), () => ['SELECT repeat(body, 200) FROM notes CROSS JOIN generate_series(1, 40)']),
    runAway('a long read', await open(), () => ['SELECT pg_sleep(600)']),
    runAway('a wait for people', await open(), () => ['DELETE FROM notes']),
  ]
  await waitUntil(
    'all of them to run',
    () => running.slice(0, 4).every((one) => one.answered() > 20) && eventsOf(gate, 'request.opened').length > 0,
  )
  return running
}

const killedShape = z.object({ sessionsEnded: z.number() })

/** Kills; `bytes` is what the relay has read of the gate's when the acknowledgement had been read here. */
async function kill(kind: string, id: string): Promise<{ readonly bytes: number; readonly sessionsEnded: number }> {
  const { sessionsEnded } = await gate.post('/api/v1/kill', { kind, id, reason: 'story' }, killedShape)
  return { bytes: (await count()).bytes, sessionsEnded }
}

/** The same by the switch's own listener and thread. */
async function pull(kind: string, name: string): Promise<{ readonly bytes: number }> {
  const said = await pullSwitch(gate.directory, { kind, name, reason: 'story', drain: false })
  expect(said).toMatchObject({ state: 'acknowledged', durable: true })
  return { bytes: (await count()).bytes }
}

describe('Promise 9, at every isolation level: after a kill is acknowledged no gate writes another operation’s byte of that agent to an upstream', () => {
  it('whatever it was in the middle of: reads, writes, transactions, waits', async () => {
    const handle = await gate.issue('runaway')
    const running = await runEverything('runaway')
    const before = await count()
    expect(before.bytes).toBeGreaterThan(5_000)
    const killed = await kill('agent', 'runaway')
    const atKill = await checksums(postgres, ['notes'])
    expect(killed.sessionsEnded).toBe(running.length)
    const states = await Promise.all(running.map(async ({ what, ended }) => `${what} ${await ended}`))
    expect(states.filter((state) => !/(57P01|08006)$/.test(state))).toEqual([])
    const marks = await checksums(postgres, ['marks'])
    // It comes back with its old handle, with a new one, with an approval: the upstream hears nothing of it.
    for (const one of [handle, await gate.issue('runaway').catch(() => handle)]) {
      for (let turn = 0; turn < 3; turn += 1) expect(await admitted('runaway', one)).toBe(false)
    }
    const [asked] = eventsOf(gate, 'request.opened')
    await bob.give(textOf(asked, 'request'), 'approve')
    expect(await admitted('runaway', handle)).toBe(false)
    const after = await count()
    expect(after).toMatchObject({ bytes: killed.bytes, open: 0 })
    // Cancel messages excepted: they end what the server was still at.
    expect(after.cancels).toBeGreaterThan(0)
    await waitUntilServerIdle()
    expect(await checksums(postgres, ['notes', 'marks'])).toEqual({ ...atKill, ...marks })
    expect((await postgres.query("SELECT 1 FROM marks WHERE what = 'uncommitted'")).length).toBe(0)
  })

  it('what was in flight is reported, and as unknown where nobody can tell', async () => {
    await waitUntil('an outcome of each intent', () => eventsOf(gate, 'outcome').length === eventsOf(gate, 'intent').length)
    const writes = eventsOf(gate, 'intent').filter((intent) => textOf(intent, 'text').includes("'committed'"))
    const results = eventsOf(gate, 'outcome')
      .filter(({ data }) => writes.some((intent) => intent.data['intent'] === data['intent']))
      .map((outcome) => textOf(outcome, 'result'))
    expect(results).toHaveLength(writes.length)
    const [row] = await postgres.query("SELECT count(*)::int AS count FROM marks WHERE what = 'committed'")
    const committed = Number(row?.['count'])
    const succeeded = results.filter((result) => result === 'succeeded').length
    const unknown = results.filter((result) => result === 'unknown').length
    expect(committed).toBeGreaterThanOrEqual(succeeded)
    expect(committed).toBeLessThanOrEqual(succeeded + unknown)
    const kills = eventsOf(gate, 'kill')
    expect(kills).toHaveLength(1)
    expect(kills[0]?.data).toMatchObject({ kind: 'agent', name: 'runaway', by: 'operator', reason: 'story' })
  })

  it('nobody else is stopped by it, and a restart does not forget it', async () => {
    expect(await bystander.run('SELECT count(*) FROM notes')).toMatchObject({ sqlState: '00000' })
    const neighbour = await openPsql(gate, 'neighbour')
    expect(await neighbour.run('SELECT 1')).toMatchObject({ sqlState: '00000' })
    await gate.crash()
    await gate.start()
    const { bytes } = await count()
    const handle = await gate.issue('runaway').catch(() => 'none')
    expect(await admitted('runaway', handle)).toBe(false)
    expect((await count()).bytes).toBe(bytes)
    expect(await bystander.run('SELECT 1')).toMatchObject({ sqlState: '00000' })
  })

  it('one session, or everything: the same silence', async () => {
    const [first, second] = [await gate.connect('neighbour'), await gate.connect('neighbour')]
    const running = runAway('first', first, (turn) => [`SELECT count(*) FROM notes WHERE id > ${turn % 900}`])
    await waitUntil('reads', () => running.answered() > 20)
    const { sessions } = await gate.get(
      '/api/v1/sessions',
      z.object({ sessions: z.array(z.object({ id: z.string(), openedAtMs: z.number() })) }),
    )
    const [eldest] = sessions.toSorted((left, right) => left.openedAtMs - right.openedAtMs)
    const one = await kill('session', eldest?.id ?? '')
    expect(await running.ended).toMatch(/57P01|08006/)
    expect((await count()).bytes).toBe(one.bytes)
    expect(await second.run('SELECT 1')).toMatchObject({ sqlState: '00000' })
    const more = runAway('second', second, (turn) => ['SELECT body FROM notes WHERE id = $1', [turn % 900]])
    await waitUntil('prepared reads', () => more.answered() > 20)
    const all = await pull('all', '')
    expect(await more.ended).toMatch(/57P01|08006/)
    expect((await bystander.run('SELECT 1')).sqlState).not.toBe('00000')
    expect(await count()).toMatchObject({ bytes: all.bytes, open: 0 })
  })

  it('only a person’s passkey releases it, and what was ended stays ended', async () => {
    const { kills } = await gate.get(
      '/api/v1/kills',
      z.object({ kills: z.array(z.object({ id: z.string(), scope: z.object({ kind: z.string() }) })) }),
    )
    expect(kills.map(({ scope }) => scope.kind).toSorted()).toEqual(['agent', 'all', 'session'])
    for (const { id } of kills) await expect(gate.post(`/api/v1/kills/${id}/release`, {}, z.unknown())).rejects.toThrow(/40[345]/)
    const old = bystander.handle
    await bob.signIn()
    for (const { id } of kills) expect((await bob.release(id)).status).toBe(200)
    expect(await admitted('bystander', old, 'side-db')).toBe(false)
    expect(await admitted('bystander', await gate.issue('bystander'), 'side-db')).toBe(true)
    const runaway = await openPsql(gate, 'runaway')
    expect(await runaway.run('SELECT 1')).toMatchObject({ sqlState: '00000' })
    // The question that was open at the kill is no way back in.
    expect((await checksums(postgres, ['notes']))['notes']).toContain('2000 rows')
    expect(eventsOf(gate, 'release')).toHaveLength(3)
  })
})

/** Whether the gate opens a session for this handle. */
async function admitted(agent: string, handle: string, database = 'orders-db'): Promise<boolean> {
  try {
    const connection = await gate.connect(agent, { handle, database })
    await connection.close()
    return true
  } catch {
    return false
  }
}

async function waitUntilServerIdle(): Promise<void> {
  const busy = "SELECT 1 FROM pg_stat_activity WHERE usename IN ('app_use', 'app_protect')"
  for (const deadlineMs = Date.now() + 120_000; (await postgres.query(busy)).length > 0;) {
    if (Date.now() > deadlineMs) throw new Error('the server still runs something of the gate’s')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
