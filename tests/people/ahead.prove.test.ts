import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import type { HttpPerson } from '../fakes/http-person.ts'
import { arrange, startGate, type AgentConnection, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

/** A real gate in team mode: what two people approve ahead runs unasked, as often as they said, each use with a copy and a grant of its own. */
let postgres: PostgresServer
let gate: TestGate
let ada: HttpPerson
let bob: HttpPerson
let grace: HttpPerson
let coder: AgentConnection

const empty = 'DELETE FROM scratch'
const goShape = z.object({ go: z.string() })
const requestsShape = z.object({ requests: z.array(z.object({ id: z.string(), state: z.string() })) })

const fill = (): Promise<void> =>
  arrange(postgres, 'INSERT INTO scratch SELECT n FROM generate_series(1, 20) n ON CONFLICT DO NOTHING')
const count = async (): Promise<unknown> => (await postgres.query('SELECT count(*)::int AS n FROM scratch'))[0]?.['n']

async function pendingBeside(other: string): Promise<string> {
  const { requests } = await gate.get('/api/v1/requests', requestsShape)
  return requests.find(({ id, state }) => state === 'pending' && id !== other)?.id ?? ''
}

/** The agent asks, bob says yes, the agent runs it. */
async function askAndRun(other = ''): Promise<string> {
  await fill()
  expect((await coder.run(empty)).sqlState).toBe('SP001')
  const request = await pendingBeside(other)
  await bob.approve(request)
  expect((await coder.run(empty)).sqlState).toBe('00000')
  return request
}

function askAhead(request: string, uses: number): ReturnType<HttpPerson['post']> {
  return bob.post(`/requests/${request}/ahead`, { uses, forMs: 3_600_000 })
}

beforeAll(async () => {
  postgres = await startPostgres()
  const agents = { coder: { owner: 'ada', may: ['any orders-db'] } }
  gate = await startGate({ postgres, agents, wait: '0ms', limits: { rowsWithoutPrompt: 5 } })
  await arrange(postgres, 'CREATE TABLE scratch (id int PRIMARY KEY)')
  ada = await gate.person('ada')
  bob = await gate.person('bob')
  grace = await gate.person('grace')
  coder = await gate.connect('coder')
})

afterAll(async () => {
  await coder?.close()
  await gate?.stop()
  await postgres?.stop()
})

describe('an approval given ahead', () => {
  let yes = ''
  let ahead = ''

  it('cannot be asked for before people said yes five times, nor by an agent', async () => {
    for (let time = 0; time < 4; time += 1) yes = await askAndRun()
    expect((await askAhead(yes, 2)).status).toBe(403)
    yes = await askAndRun()
    const stranger = await fetch(new URL(`/requests/${yes}/ahead`, gate.controlUrl), {
      method: 'POST',
      headers: { authorization: `Bearer ${await gate.issue('coder')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ uses: 2, forMs: 3_600_000 }),
    })
    expect(stranger.ok).toBe(false)
  })

  it('gives nothing by being asked for, nor by the owner, nor by one person', async () => {
    const asked = await askAhead(yes, 2)
    expect(asked).toMatchObject({ status: 200 })
    ahead = goShape.parse(asked.body).go.replace('/requests/', '')
    await askAndRun(ahead)
    expect((await ada.give(ahead, 'approve')).status).toBe(409)
    await grace.approve(ahead)
    await askAndRun(ahead)
    expect((await askAhead(yes, 2)).status).toBe(403)
  })

  it('runs unasked as often as two people said, with a copy each time, and then asks again', async () => {
    await bob.approve(ahead)
    const before = gate.events().filter(({ type }) => type === 'snapshot.sealed').length
    for (const use of [1, 2]) {
      await fill()
      expect(await coder.run(empty), `use ${use}`).toMatchObject({ sqlState: '00000' })
      expect(await count()).toBe(0)
    }
    const used = gate.events().filter(({ type, data }) => type === 'request.approved' && data['ahead'] === ahead)
    expect(used.map(({ data }) => data['approvers'])).toEqual([
      ['grace', 'bob'],
      ['grace', 'bob'],
    ])
    expect(gate.events().filter(({ type }) => type === 'snapshot.sealed').length).toBe(before + 2)
    await fill()
    expect((await coder.run(empty)).sqlState).toBe('SP001')
    expect(await count()).toBe(20)
  })

  it('fits nothing else: another statement asks, and what stood is gone once it was cancelled', async () => {
    await bob.approve(await pendingBeside(ahead))
    expect((await coder.run(empty)).sqlState).toBe('00000')
    const asked = await askAhead(yes, 5)
    const second = goShape.parse(asked.body).go.replace('/requests/', '')
    await grace.approve(second)
    await bob.approve(second)
    await fill()
    expect((await coder.run('DELETE FROM scratch WHERE id > 0')).sqlState).toBe('SP001')
    expect((await bob.cancel(second)).status).toBe(200)
    expect((await coder.run(empty)).sqlState).toBe('SP001')
    expect(await count()).toBe(20)
  })
})
