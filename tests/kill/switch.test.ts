import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { pullSwitch } from '../../packages/cli/src/switch-client.ts'
import { relayCountsShape, type RelayCounts } from '../fakes/counting-relay.ts'
import { Forked } from '../fakes/forked.ts'
import { findProgram } from '../fakes/programs.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { inDepth } from '../breadth.ts'

const countingRelay = fileURLToPath(new URL('../fakes/counting-relay.ts', import.meta.url))
const stuckGate = findProgram('stuck-gate')

let postgres: PostgresServer
let relay: Forked
let gate: TestGate

beforeAll(async () => {
  postgres = await startPostgres()
  relay = new Forked(countingRelay, [String(postgres.port)])
  const { port } = await relay.next(z.object({ port: z.number() }))
  gate = await startGate({
    postgres,
    agents: {
      runaway: { owner: 'ada', may: ['any orders-db'] },
      spinner: { owner: 'ada', may: ['any orders-db'] },
      reader: { owner: 'bob', may: ['any orders-db'] },
    },
    upstreams: { 'orders-db': { port } },
    gatewayProgram: stuckGate,
  })
  await arrange(postgres, 'CREATE TABLE marks (what text)')
}, 120_000)

afterAll(async () => {
  await gate?.stop()
  await relay?.stop()
  await postgres?.stop()
})

const count = (): Promise<RelayCounts> => relay.ask({ ask: 'counts', afterNs: '0' }, relayCountsShape)

test.each(inDepth('with --drain a read that runs may end, and nothing else does: no write, nothing new, nothing sent ahead'))(
  '%s',
  async () => {
    const [reading, writing, idle] = [await gate.connect('reader'), await gate.connect('reader'), await gate.connect('reader')]
    const read = reading.run("SELECT pg_sleep(5), 'drained' AS what")
    const ahead = reading.run("SELECT 'ahead'")
    const write = writing.run("INSERT INTO marks SELECT 'drained' FROM pg_sleep(600)")
    const running = "SELECT 1 FROM pg_stat_activity WHERE usename = 'app_use' AND state = 'active'"
    await expect.poll(async () => (await postgres.query(running)).length, { timeout: 20_000 }).toBe(2)
    // The server may have it a moment before the gate is through with it, and what it still holds is no read that runs.
    const isDown = (): boolean => gate.events().some(({ data }) => JSON.stringify(data).includes('pg_sleep(5)'))
    await expect.poll(isDown, { timeout: 20_000 }).toBe(true)
    const told = await pullSwitch(gate.directory, { kind: 'agent', name: 'reader', reason: 'enough', drain: true })
    expect(told).toMatchObject({ state: 'acknowledged', sessions: 3, durable: true })
    const atKill = await count()
    expect((await write).sqlState).toMatch(/57P01|08006/)
    expect((await idle.run('SELECT 1')).sqlState).toMatch(/57P01|08006/)
    expect(await read).toMatchObject({ sqlState: '00000', rows: [{ what: 'drained' }] })
    expect((await ahead).sqlState).toMatch(/57P01|08006/)
    await expect.poll(async () => (await count()).open, { timeout: 20_000 }).toBe(0)
    expect((await count()).bytes).toBe(atKill.bytes)
    expect(await postgres.query('SELECT what FROM marks')).toEqual([])
    await expect(gate.connect('reader')).rejects.toThrow(/password|stopped|kill/i)
  },
  120_000,
)

// A thread that waits and one that keeps a processor are the same to whoever asks it; the other five seconds of work are the long proof's.
const hangs: readonly (readonly [string, string, string])[] = [
  ['waits', 'runaway', 'block the gate'],
  ...inDepth('is busy').map((how): readonly [string, string, string] => [how, 'spinner', 'hang the gate']),
]

test.each(hangs)(
  'a gate that hangs (it %s) is killed all the same: no byte after the acknowledgement, and a restart does not forget it',
  async (_how, agent, words) => {
    const ended = gate.process.ended
    await postgres.query('DELETE FROM marks')
    rmSync(join(gate.directory, 'hangs'), { force: true })
    const [busy, hanging] = [await gate.connect(agent), await gate.connect(agent)]
    expect(await busy.run("INSERT INTO marks VALUES ('before')")).toMatchObject({ sqlState: '00000' })
    void hanging.run(`INSERT INTO marks VALUES ('hang') /* ${words} */`)
    await expect.poll(() => existsSync(join(gate.directory, 'hangs')), { timeout: 20_000 }).toBe(true)
    const waiting = busy.run("INSERT INTO marks VALUES ('after')")
    // The people's API is of no use now: its listener is on the thread that hangs.
    const told = await pullSwitch(gate.directory, { kind: 'agent', name: agent, reason: 'it hangs', drain: false })
    const atKill = await count()
    expect(told).toMatchObject({ state: 'process ended', durable: true })
    await ended
    expect((await waiting).sqlState).toBe('08006')
    await expect.poll(async () => (await count()).open, { timeout: 20_000 }).toBe(0)
    expect((await count()).bytes).toBe(atKill.bytes)
    expect(await postgres.query('SELECT what FROM marks')).toEqual([{ what: 'before' }])
    await gate.crash()
    await gate.start()
    const { bytes } = await count()
    const handle = await gate.issue(agent).catch(() => 'none')
    await expect(gate.connect(agent, { handle })).rejects.toThrow(/password|stopped|kill/i)
    expect((await count()).bytes).toBe(bytes)
    expect(gate.events().filter(({ type, data }) => type === 'kill' && data['name'] === agent)).toHaveLength(1)
  },
  120_000,
)
