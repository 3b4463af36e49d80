import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import type { HttpPerson } from '../fakes/http-person.ts'
import { arrange, startGate, type Ran, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'

/** An agent asks how its requests stand, and for more scope for a time. People give it; nothing that an agent can reach does. */
const answerShape = z.object({ id: z.string(), state: z.string(), next: z.string(), reasons: z.array(z.string()) })
const accessShape = z.object({ outcome: z.string(), request: z.union([answerShape, z.string()]) })
let postgres: PostgresServer
let gate: TestGate
let ada: HttpPerson
let bob: HttpPerson
let carol: HttpPerson

beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({
    postgres,
    http: true,
    wait: '0s',
    agents: {
      coder: { owner: 'ada', may: ['any orders-db'] },
      reader: { owner: 'ada', may: ['read orders-db'] },
      nobody: { owner: 'ada', may: [] },
    },
  })
  await arrange(postgres, 'CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 10)')
  ada = await gate.person('ada')
  bob = await gate.person('bob')
  carol = await gate.person('carol')
})
afterAll(async () => {
  await gate?.stop()
  await postgres?.stop()
})

function ask(path: string, agent: string, handle: string, init: RequestInit = {}): Promise<Response> {
  const authorization = `Basic ${Buffer.from(`${agent}:${handle}`).toString('base64')}`
  return fetch(`http://127.0.0.1:${gate.httpPort}${path}`, {
    ...init,
    headers: { authorization, 'content-type': 'application/json' },
  })
}

const more = { may: ['write orders-db'], minutes: 30, reason: 'back-fill of column x' }

async function askAccess(
  agent: string,
  handle: string,
  wanted: object = more,
): Promise<{ status: number; outcome: string; id: string }> {
  const answer = await ask('/access', agent, handle, { method: 'POST', body: JSON.stringify(wanted) })
  if (answer.status !== 200) return { status: answer.status, outcome: await answer.text(), id: '' }
  const { outcome, request } = accessShape.parse(await answer.json())
  return { status: 200, outcome, id: typeof request === 'string' ? request : request.id }
}

async function run(agent: string, handle: string, sql: string): Promise<Ran> {
  const connection = await gate.connect(agent, { handle })
  const ran = await connection.run(sql)
  await connection.close()
  return ran
}

test('an agent sees how its own request stands, and what to do next', async () => {
  const handle = await gate.issue('coder')
  await run('coder', handle, 'DROP TABLE t')
  const id = await gate.pendingRequest('coder')
  const look = async (wait = 0): Promise<z.infer<typeof answerShape>> =>
    answerShape.parse(await (await ask(`/requests/${id}?wait=${wait}`, 'coder', handle)).json())
  expect(await look()).toMatchObject({ state: 'pending', next: expect.stringContaining('Wait') })
  // Long polling: the answer comes with the verdict, not with the time.
  const waiting = look(60)
  await bob.give(id, 'reject', 'use the other table')
  expect(await waiting).toMatchObject({ state: 'rejected', reasons: ['use the other table'] })
  // Nobody else's, and nobody who is nobody. What there is and what there is not look alike.
  const other = await ask(`/requests/${id}`, 'reader', await gate.issue('reader'))
  const none = await ask(`/requests/${'0'.repeat(32)}`, 'coder', handle)
  expect([other.status, none.status]).toEqual([404, 404])
  expect(await other.text()).toBe(await none.text())
  expect((await ask(`/requests/${id}`, 'coder', 'sp_wrong')).status).toBe(401)
  expect((await fetch(`http://127.0.0.1:${gate.httpPort}/requests/${id}`)).status).toBe(401)
  // Nothing here decides.
  for (const path of [`/requests/${id}/verdict`, `/requests/${id}/cancel`, `/requests/${id}`])
    expect((await ask(path, 'coder', handle, { method: 'POST', body: '{}' })).status).toBeGreaterThanOrEqual(400)
})

test('more scope comes from two people, for a time, and guards hold all the same', async () => {
  const handle = await gate.issue('reader')
  const insert = 'INSERT INTO t VALUES (11)'
  expect((await run('reader', handle, insert)).sqlState).toBe('42501')
  const asked = await askAccess('reader', handle)
  expect(asked.outcome).toBe('asked')
  expect((await askAccess('reader', handle)).id).toBe(asked.id)
  // Its owner is none of the two.
  expect((await ada.give(asked.id, 'approve')).status).toBe(409)
  await bob.approve(asked.id)
  // One is not enough, for whatever the agent tries meanwhile.
  expect((await askAccess('reader', handle)).outcome).toBe('asked')
  expect((await run('reader', handle, insert)).sqlState).toBe('42501')
  await carol.approve(asked.id)
  // Approved is not begun: other words, other agents and a part of the agent begin nothing.
  expect((await askAccess('reader', handle, { ...more, minutes: 31 })).outcome).toBe('asked')
  expect((await askAccess('coder', await gate.issue('coder'))).outcome).toBe('asked')
  expect((await run('reader', handle, insert)).sqlState).toBe('42501')
  expect(await askAccess('reader', handle)).toMatchObject({ outcome: 'granted', id: asked.id })
  expect((await run('reader', handle, insert)).sqlState).toBe('00000')
  // What destroys is neither within it, nor let off by it.
  expect((await run('reader', handle, 'DROP TABLE t')).sqlState).toBe('42501')
  expect((await run('reader', handle, 'DELETE FROM t')).sqlState).toBe('42501')
  // Asked again it is the same, and lasts no longer.
  expect(await askAccess('reader', handle)).toMatchObject({ outcome: 'granted', id: asked.id })
  const held = await gate.connect('reader', { handle })
  expect((await held.run('SELECT 1')).sqlState).toBe('00000')
  await gate.post(`/api/v1/standing/${asked.id}/end`, {}, z.object({ ended: z.literal(true) }))
  expect((await held.run('INSERT INTO t VALUES (12)')).sqlState).not.toBe('00000')
  await held.close()
  expect((await run('reader', handle, insert)).sqlState).toBe('42501')
  // It is over: the same words ask people anew.
  const again = await askAccess('reader', handle)
  expect([again.outcome, again.id === asked.id]).toEqual(['asked', false])
})

test('scope for an agent that has none: every guard holds for it too', async () => {
  const handle = await gate.issue('nobody')
  const asked = await askAccess('nobody', handle, { may: ['any orders-db'], minutes: 5, reason: 'a look' })
  await bob.approve(asked.id)
  await carol.approve(asked.id)
  expect((await askAccess('nobody', handle, { may: ['any orders-db'], minutes: 5, reason: 'a look' })).outcome).toBe('granted')
  expect((await run('nobody', handle, 'SELECT count(*) FROM t')).sqlState).toBe('00000')
  expect((await run('nobody', handle, 'DROP TABLE t')).sqlState).toBe('SP001')
  await gate.post('/api/v1/kill', { kind: 'agent', id: 'nobody', reason: 'a test' }, z.looseObject({}))
  expect(await gate.get('/api/v1/standing', z.object({ standing: z.array(z.unknown()) }))).toEqual({ standing: [] })
  expect((await askAccess('nobody', handle)).status).toBe(401)
})

test('a plan is approved once, runs in its order, and covers nothing else', async () => {
  await arrange(postgres, 'CREATE TABLE p1 (id int); CREATE TABLE p2 (id int); CREATE TABLE p3 (id int)')
  const handle = await gate.issue('coder')
  const [first, second, third] = ['DROP TABLE p1', 'DROP TABLE p2', 'DROP TABLE p3'] as const
  const ids: string[] = []
  for (const sql of [first, second]) {
    await run('coder', handle, sql)
    ids.push(await gate.pendingRequest('coder'))
  }
  const declare = (requests: readonly string[], agent = 'coder', by = handle): Promise<Response> =>
    ask('/plans', agent, by, { method: 'POST', body: JSON.stringify({ requests, reason: 'old tables' }) })
  // Nobody else's requests, none twice, none that is not there, and a plan is no step.
  expect((await declare(ids, 'reader', await gate.issue('reader'))).status).toBe(403)
  expect((await declare([ids[0] ?? '', ids[0] ?? ''])).status).toBe(400)
  expect((await declare([ids[0] ?? '', '0'.repeat(32)])).status).toBe(403)
  const plan = answerShape.parse(await (await declare(ids)).json())
  expect(answerShape.parse(await (await declare(ids)).json()).id).toBe(plan.id)
  expect((await declare([ids[0] ?? '', plan.id])).status).toBe(400)
  expect(plan).toMatchObject({ state: 'pending' })
  // The owner counts for it as little as for its steps.
  expect((await ada.give(plan.id, 'approve')).status).toBe(409)
  await bob.approve(plan.id)
  expect((await run('coder', handle, second)).sqlState).not.toBe('00000')
  expect((await run('coder', handle, third)).sqlState).toBe('SP001')
  expect((await run('coder', handle, first)).sqlState).toBe('00000')
  expect((await run('coder', handle, second)).sqlState).toBe('00000')
  expect((await run('coder', handle, third)).sqlState).toBe('SP001')
  const left = await postgres.query("SELECT string_agg(relname, ' ') AS names FROM pg_class WHERE relname ~ '^p[123]$'")
  expect(left).toEqual([{ names: 'p3' }])
})

test.each([
  ['no reason', { ...more, reason: ' ' }, 400],
  ['too long a time', { ...more, minutes: 1441 }, 400],
  ['two upstreams', { ...more, may: ['read orders-db', 'read other-db'] }, 400],
  ['an upstream that is not there', { ...more, may: ['read other-db'] }, 403],
  ['no scope', { ...more, may: ['everything'] }, 400],
  ['something else besides', { ...more, approve: true }, 400],
  ['a book', { ...more, reason: 'x'.repeat(20_000) }, 413],
])('%s is refused before people are asked', async (_name, wanted, status) => {
  const before = gate.events().filter(({ type }) => type === 'request.opened').length
  expect((await askAccess('reader', await gate.issue('reader'), wanted)).status).toBe(status)
  expect(gate.events().filter(({ type }) => type === 'request.opened')).toHaveLength(before)
})
