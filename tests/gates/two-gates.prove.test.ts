import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { pullSwitch } from '../../packages/cli/src/switch-client.ts'
import { startSeveringRelay, type SeveringRelay } from '../fakes/severing-relay.ts'
import type { HttpPerson } from '../fakes/http-person.ts'
import { findProgram } from '../fakes/programs.ts'
import { arrange, startGate, type AgentConnection, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

/** Two gates, processes of their own, on one store; the second reaches it over a relay that can be cut. */
let postgres: PostgresServer
let relay: SeveringRelay
let here: TestGate
let there: TestGate
let bob: HttpPerson

const agents = Object.fromEntries(
  ['coder', 'victim', 'revoked', 'cut', 'hung', 'seen'].map((name) => [name, { owner: 'ada', may: ['any orders-db'] }]),
)

const stuckGate = findProgram('stuck-gate')
const sessionsShape = z.object({
  sessions: z.array(z.object({ subject: z.object({ agent: z.string() }), gate: z.string().optional() })),
})
const statusShape = z.object({
  gates: z.object({ gates: z.array(z.object({ isLive: z.boolean(), isOwn: z.boolean() })) }),
})

/** Never asked anything here: that a gate of a shared store takes it is enough, and store.test.ts tries what it does. */
const oidc = { issuer: 'https://id.example.com', clientId: 'sallyport', clientSecret: 'env:OIDC_SECRET' }

function settings(): Parameters<typeof startGate>[0] {
  const people = { breakGlass: ['bob'], people: { oidc } }
  return { postgres, agents, people, wait: '0ms', limits: { rowsWithoutPrompt: 0 }, environment: { OIDC_SECRET: 'of-the-tests' } }
}

function storeAt(port: number): string {
  return postgres.url('store').replace(`:${postgres.port}/`, `:${port}/`)
}

beforeAll(async () => {
  postgres = await startPostgres()
  await postgres.query('CREATE DATABASE store')
  relay = await startSeveringRelay(postgres.port)
  here = await startGate({ ...settings(), storeUrl: storeAt(postgres.port) })
  there = await startGate({ ...settings(), storeUrl: storeAt(relay.port) })
  await arrange(postgres, 'CREATE TABLE notes (id int PRIMARY KEY); INSERT INTO notes SELECT generate_series(1, 20)')
  await here.person('ada')
  bob = await here.person('bob')
})

afterAll(async () => {
  await Promise.all([here?.stop(), there?.stop()])
  await relay?.close()
  await postgres?.stop()
})

async function connectBoth(agent: string): Promise<readonly [AgentConnection, AgentConnection, string]> {
  const handle = await here.issue(agent)
  return [await here.connect(agent, { handle }), await there.connect(agent, { handle }), handle]
}

describe('two gates on one store', () => {
  it('lets an agent in at either with one handle', async () => {
    const [one, other] = await connectBoth('coder')
    expect((await one.run('SELECT count(*)::int AS n FROM notes')).rows).toEqual([{ n: 20 }])
    expect((await other.run('SELECT count(*)::int AS n FROM notes')).rows).toEqual([{ n: 20 }])
    await Promise.all([one.close(), other.close()])
  })

  it('runs what was approved once, however many try it at both', async () => {
    const [, , handle] = await connectBoth('coder')
    await arrange(postgres, 'CREATE TABLE counted (id int PRIMARY KEY, n int); INSERT INTO counted VALUES (1, 0)')
    // Run twice it would count twice, and it needs an approval each time.
    const statement = 'UPDATE counted SET n = n + 1'
    const asker = await there.connect('coder', { handle })
    expect((await asker.run(statement)).sqlState).not.toBe('00000')
    const id = await here.pendingRequest('coder')
    await bob.approve(id)
    const connections = await Promise.all(
      [here, there, here, there, here, there].map((gate) => gate.connect('coder', { handle })),
    )
    const runs = await Promise.all(connections.map((connection) => connection.run(statement)))
    expect(runs.filter(({ sqlState }) => sqlState === '00000')).toHaveLength(1)
    const intents = [...here.events(), ...there.events()].filter(({ type, data }) => type === 'intent' && data['request'] === id)
    expect(intents).toHaveLength(1)
    expect(await postgres.query('SELECT n FROM counted')).toEqual([{ n: 1 }])
    await Promise.all([asker, ...connections].map((connection) => connection.close()))
  })

  it('ends at the one what is killed at the other, before that is acknowledged', async () => {
    const [, other, handle] = await connectBoth('victim')
    expect((await other.run('SELECT 1')).sqlState).toBe('00000')
    const running = other.run('SELECT pg_sleep(60)')
    await expect
      .poll(() => postgres.query("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"))
      .toHaveLength(1)
    const killed = await pullSwitch(here.directory, { kind: 'agent', name: 'victim', reason: 'enough', drain: false })
    expect(killed).toMatchObject({ state: 'acknowledged', everywhere: true })
    expect((await running).sqlState).not.toBe('00000')
    await expect(there.connect('victim', { handle })).rejects.toThrow(/authentication failed/i)
    const again = here.connect('victim').then((connection) => connection.run('SELECT 1'))
    expect((await again.catch(() => ({ sqlState: 'refused' }))).sqlState).not.toBe('00000')
  })

  it('ends at the one the sessions of a handle that is revoked at the other', async () => {
    const [, other] = await connectBoth('revoked')
    const ended = new Promise((resolve) => other.client.once('end', resolve))
    const [row] = await postgres.query("SELECT id FROM sallyport.handles WHERE agent = 'revoked'", [], 'store')
    const listed = await here.get('/api/v1/sessions', sessionsShape)
    expect(listed.sessions.filter(({ subject }) => subject.agent === 'revoked').map(({ gate }) => gate)).toContain(undefined)
    await here.post(`/api/v1/handles/${String(row?.['id'])}/revoke`, {}, z.object({ revoked: z.literal(true) }))
    // Before the answer, not after it: what is sent now goes nowhere.
    expect((await other.run('SELECT 1')).sqlState).not.toBe('00000')
    await expect(ended).resolves.toBeUndefined()
    const isClosed = (): boolean =>
      there.events().some(({ type, data }) => type === 'session.closed' && data['reason'] === 'the handle was revoked')
    await expect.poll(isClosed).toBe(true)
  })

  it('tells people at the one what runs at the other, and which gates live', async () => {
    const [one, other] = await connectBoth('seen')
    const gatesOfSessions = async (): Promise<readonly boolean[]> =>
      (await here.get('/api/v1/sessions', sessionsShape)).sessions
        .filter(({ subject }) => subject.agent === 'seen')
        .map(({ gate }) => gate === undefined)
    await expect.poll(gatesOfSessions, { timeout: 20_000 }).toEqual([true, false])
    const { gates } = await there.get('/api/v1/status', statusShape)
    expect(gates.gates.filter(({ isLive }) => isLive)).toHaveLength(2)
    expect(gates.gates.filter(({ isOwn }) => isOwn)).toHaveLength(1)
    await Promise.all([one.close(), other.close()])
  })

  it('ends at the others what is killed at a gate whose own thread hangs, before that process has ended', async () => {
    const hanging = await startGate({ ...settings(), gatewayProgram: stuckGate, storeUrl: storeAt(postgres.port) })
    try {
      const [, other, handle] = await connectBoth('hung')
      const ended = new Promise((resolve) => other.client.once('end', resolve))
      const hangs = await hanging.connect('hung', { handle })
      void hangs.run('INSERT INTO notes VALUES (99) /* hang the gate */')
      await expect.poll(() => existsSync(join(hanging.directory, 'hangs')), { timeout: 20_000 }).toBe(true)
      const told = pullSwitch(hanging.directory, { kind: 'agent', name: 'hung', reason: 'it hangs', drain: false })
      await ended
      const kills = await postgres.query("SELECT name FROM sallyport.kills WHERE name = 'hung'", [], 'store')
      expect(kills).toHaveLength(1)
      expect(await told).toMatchObject({ state: 'process ended', durable: true })
      await expect(there.connect('hung', { handle })).rejects.toThrow(/authentication failed|kill switch/i)
    } finally {
      await hanging.crash()
    }
  })

  it('stops everything at a gate that is cut off from the store, and goes on by itself', async () => {
    const [one, other, handle] = await connectBoth('cut')
    const ended = new Promise((resolve) => other.client.once('end', resolve))
    relay.sever()
    await ended
    expect((await one.run('SELECT 1')).sqlState).toBe('00000')
    await expect(there.connect('cut', { handle })).rejects.toThrow(/store|kill switch/)
    relay.mend()
    await expect
      .poll(
        async () => {
          const back = await there.connect('cut', { handle }).catch(() => null)
          const ran = await back?.run('SELECT 1')
          await back?.close()
          return ran?.sqlState
        },
        { timeout: 60_000, interval: 200 },
      )
      .toBe('00000')
  })
})
