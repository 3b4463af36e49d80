import { beforeEach, expect, test } from 'vitest'
import { makePeopleBench, operatorToken, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { makeSignedIn, makeSite, port } from '../../../../tests/fakes/visit.ts'

let bench: PeopleBench
let site: ReturnType<typeof makeSite>

beforeEach(() => {
  bench = makePeopleBench()
  site = makeSite(bench)
})

async function call(
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
  const answer = await site.app.request(`http://127.0.0.1:${port}${path}`, {
    ...init,
    headers: {
      host: `127.0.0.1:${port}`,
      authorization: `Bearer ${operatorToken}`,
      'content-type': 'application/json',
      ...headers,
    },
  })
  return { status: answer.status, text: await answer.text() }
}

test('requests, one request, sessions, kills, snapshots, status', async () => {
  const request = await bench.ask()
  const list = await call('/api/v1/requests')
  expect(JSON.parse(list.text)).toMatchObject({
    requests: [
      {
        id: request.id,
        state: 'pending',
        summary: 'deletes 48,211 rows in 3 tables; 2 views depend on it',
        agent: 'coder',
        url: `http://localhost:${port}/requests/${request.id}`,
      },
    ],
  })
  expect(JSON.parse((await call(`/api/v1/requests/${request.id}`)).text)).toMatchObject({
    question: { text: request.question.text },
    approvals: [],
  })
  for (const path of ['sessions', 'kills', 'snapshots', 'status']) expect((await call(`/api/v1/${path}`)).status).toBe(200)
  expect((await call('/api/v1/requests/unknown')).status).toBe(404)
})

test('kill, handles, undo, cancel', async () => {
  const request = await bench.ask()
  expect(JSON.parse((await call('/api/v1/kill', { kind: 'agent', id: 'coder', reason: 'runaway' })).text)).toMatchObject({
    kill: { scope: { kind: 'agent', id: 'coder' }, by: 'operator' },
  })
  expect(JSON.parse((await call('/api/v1/handles', { agent: 'coder' })).text)).toHaveProperty('handle')
  expect((await call('/api/v1/handles', { agent: 'nobody' })).status).toBe(403)
  expect((await call('/api/v1/handles', { agent: 'coder', ttlMs: 365 * 86_400_000 })).status).toBe(400)
  expect((await call('/api/v1/handles/handle-1/revoke', {})).status).toBe(200)
  expect((await call('/api/v1/handles/other/revoke', {})).status).toBe(404)
  expect(JSON.parse((await call('/api/v1/undo', { snapshotId: 'a'.repeat(64) })).text)).toMatchObject({ verified: true })
  expect(JSON.parse((await call(`/api/v1/requests/${request.id}/cancel`, {})).text)).toEqual({ cancelled: true })
  expect((await bench.ports.requests.get(request.id))?.state).toBe('cancelled')
})

test('a first link, until somebody is enrolled', async () => {
  expect(JSON.parse((await call('/api/v1/enrolment-links', {})).text)).toMatchObject({
    url: expect.stringMatching(/^http:\/\/localhost:\d+\/enrol#[0-9a-f]{64}$/),
  })
  await makeSignedIn(bench)
  expect((await call('/api/v1/enrolment-links', {})).status).toBe(409)
})

test('the operator’s token gives no verdict, releases nothing, and opens no page', async () => {
  const request = await bench.ask()
  await call('/api/v1/kill', { kind: 'all', id: '*' })
  const [kill] = bench.kills
  const tries = [
    `/api/v1/requests/${request.id}/verdict`,
    `/api/v1/requests/${request.id}/approve`,
    `/api/v1/requests/${request.id}/challenge`,
    `/api/v1/kills/${kill?.id ?? ''}/release`,
    '/api/v1/release',
  ]
  for (const path of tries) expect((await call(path, { verdict: 'approve', reason: '' })).status).toBe(404)
  const host = { host: `localhost:${port}`, origin: `http://localhost:${port}` }
  for (const path of [`/requests/${request.id}/verdict`, `/kills/${kill?.id ?? ''}/release`]) {
    const answer = await site.app.request(`http://localhost:${port}${path}`, {
      method: 'POST',
      headers: { ...host, authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' },
      body: '{}',
    })
    expect(answer.status).toBe(403)
  }
  expect((await bench.ports.requests.get(request.id))?.state).toBe('pending')
  expect(bench.kills).toHaveLength(1)
})

test.each([
  ['no token', { authorization: '' }],
  ['a wrong token', { authorization: 'Bearer operator-token-of-the-tests-0123456780' }],
  ['the token with more behind it', { authorization: `Bearer ${operatorToken}x` }],
  ['another scheme', { authorization: `Basic ${operatorToken}` }],
])('%s', async (_name, headers) => {
  expect((await call('/api/v1/kill', { kind: 'all', id: '*' }, headers)).status).toBe(401)
  expect(bench.kills).toEqual([])
})

test('a person’s cookie opens nothing here', async () => {
  const { visit } = await makeSignedIn(bench)
  const cookie = [...visit.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  expect((await call('/api/v1/requests', undefined, { cookie, authorization: '' })).status).toBe(401)
})

test.each([{ origin: `http://localhost:${port}` }, { 'sec-fetch-site': 'same-origin' }])(
  'a browser with the right token is refused: %j',
  async (headers) => {
    expect((await call('/api/v1/kill', { kind: 'all', id: '*' }, headers)).status).toBe(403)
  },
)

test('wrong tokens are bounded, and don’t lock the operator out', async () => {
  const statuses = []
  for (let attempt = 0; attempt < 70; attempt += 1)
    statuses.push((await call('/api/v1/requests', undefined, { authorization: 'Bearer wrong-token-wrong-token' })).status)
  expect(statuses.at(-1)).toBe(429)
  expect((await call('/api/v1/requests')).status).toBe(200)
})

test('events as lines, from any place', async () => {
  for (let index = 0; index < 5; index += 1)
    await bench.log.append({ type: 'decision', atMs: index, agent: 'coder', data: { n: index } })
  const lines = (await call('/api/v1/events?after=2')).text.trim().split('\n')
  expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([
    { index: 3, type: 'decision', agent: 'coder' },
    { index: 4, data: { n: 4 } },
  ])
})
