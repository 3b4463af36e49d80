import { beforeEach, expect, test } from 'vitest'
import type { Json } from '@sallyport/core'
import { makePeopleBench, operatorToken, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { makeSignedIn, makeSite, port, Visit } from '../../../../tests/fakes/visit.ts'

let bench: PeopleBench
let site: ReturnType<typeof makeSite>
let ada: Visit

const operations: Json = [{ action: 'postgres.drop_table', kind: 'destroy', resources: [{ name: 'public.orders' }] }]

beforeEach(async () => {
  bench = makePeopleBench()
  ;({ site, visit: ada } = await makeSignedIn(bench, 'ada'))
  const about = { session: 'session-1', agent: 'coder' }
  const { log } = bench
  await log.append({
    ...about,
    type: 'session.opened',
    atMs: 1,
    data: { owner: 'ada', protocol: 'postgres', upstream: 'orders-db', peer: '::1' },
  })
  await log.append({
    ...about,
    type: 'statement',
    atMs: 2,
    data: { statement: 'k', text: 'select \u202e1 -- <script>alert(1)</script>', operations: [] },
  })
  await log.append({
    type: 'reads',
    atMs: 3,
    data: { reads: [{ session: 'session-1', agent: 'coder', key: 'k', count: 12, firstAtMs: 2, lastAtMs: 3 }] },
  })
  await log.append({
    ...about,
    type: 'intent',
    atMs: 4,
    data: { intent: 'i', text: 'drop table orders', operations, approvers: ['bo'], request: 'request-1', snapshot: 'copy-1' },
  })
  await log.append({ ...about, type: 'outcome', atMs: 9, data: { intent: 'i', result: 'succeeded', rows: 0 } })
  await log.append({ ...about, type: 'session.closed', atMs: 10, data: { reason: 'the client left' } })
  await log.append({ type: 'undo', atMs: 20, data: { intent: 'i', snapshot: 'copy-1', rows: 7, by: 'ada' } })
})

test('a list and a story, as pages that show hostile text as what it is', async () => {
  const list = await ada.get('/sessions')
  expect(list.status).toBe(200)
  expect(list.text).toContain('coder on orders-db')
  expect(list.text).toContain('href="/sessions/session-1"')
  const story = await ada.get('/sessions/session-1')
  expect(story.text).toContain('12 times')
  expect(story.text).toContain('approved by bo')
  expect(story.text).toContain('7 rows')
  expect(story.text).toContain('⟦U+202E⟧')
  expect(story.text).not.toContain('\u202e')
  expect(story.text).not.toContain('<script>alert')
  expect((await ada.get('/sessions/nobody')).status).toBe(404)
  expect((await ada.get('/sessions?agent=reporter')).text).toContain('No session yet')
})

test('the same as JSON, for a person and for the command line', async () => {
  const json = { accept: 'application/json' }
  expect((await ada.get('/sessions', json)).body).toMatchObject({
    sinceIndex: 0,
    sessions: [{ id: 'session-1', reads: 12, ran: 1 }],
  })
  const { body } = await ada.get('/sessions/session-1', json)
  expect(body).toMatchObject({
    story: {
      id: 'session-1',
      agent: 'coder',
      closedWhy: 'the client left',
      leftOut: null,
      steps: [
        { kind: 'opened' },
        { kind: 'read', times: 12 },
        { kind: 'ran', result: 'succeeded', durationMs: 5 },
        { kind: 'closed' },
        { kind: 'undone' },
      ],
    },
  })
  const headers = { host: `127.0.0.1:${port}`, authorization: `Bearer ${operatorToken}` }
  const answer = await site.app.request(`http://127.0.0.1:${port}/api/v1/stories/session-1`, { headers })
  expect(await answer.json()).toEqual(body)
})

test('nobody who is not signed in learns what is on the log', async () => {
  for (const path of ['/sessions', '/sessions/session-1']) {
    const headers = { host: `localhost:${port}` }
    const page = await site.app.request(`http://localhost:${port}${path}`, { headers: { ...headers, accept: 'text/html' } })
    expect([page.status, page.headers.get('location')]).toEqual([303, `/sign-in?next=${encodeURIComponent(path)}`])
    const json = await site.app.request(`http://localhost:${port}${path}`, {
      headers: { ...headers, accept: 'application/json' },
    })
    expect(json.status).toBe(401)
    expect(await json.text()).not.toContain('orders')
  }
})

test('what runs at other gates is listed by their names, as the text that it is, and is no story of this gate', async () => {
  const session = { id: 'session-9', handleId: 'h', protocol: 'postgres', upstream: 'orders-db', openedAtMs: 1, peer: '::1' }
  const elsewhere = [{ ...session, subject: { agent: 'far', owner: 'ada' }, gate: 'gate-<b>\u202e2' }]
  const roll = { schema: 4, leaseMs: 4_000, gates: [] }
  const gates = { list: async () => roll, sessionsElsewhere: async () => elsewhere }
  const shared = { ...bench, ports: { ...bench.ports, control: { ...bench.ports.control, gates } } }
  const far = new Visit(makeSite(shared))
  for (const [name, value] of ada.cookies) far.cookies.set(name, value)
  const page = await far.get('/sessions')
  expect(page.text).toContain('At other gates now')
  expect(page.text).not.toContain('gate-<b>')
  expect(page.text).not.toContain('\u202e')
  expect((await far.get('/sessions?agent=coder')).text).not.toContain('At other gates now')
  expect((await far.get('/live')).text).toContain('at gate')
  expect((await far.get('/sessions/session-9')).status).toBe(404)
})
