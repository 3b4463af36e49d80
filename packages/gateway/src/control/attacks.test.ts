import { beforeEach, describe, expect, test } from 'vitest'
import { makePeopleBench, operatorToken, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { challengeIn, enrolAnother, makeSignedIn, origin, port, Visit } from '../../../../tests/fakes/visit.ts'

let bench: PeopleBench
let ada: Visit
let site: Awaited<ReturnType<typeof makeSignedIn>>['site']

beforeEach(async () => {
  bench = makePeopleBench()
  const made = await makeSignedIn(bench)
  ada = made.visit
  site = made.site
})

const killAll = { kind: 'all', id: '*' }

describe('requests forged by other pages', () => {
  test.each([
    ['without the token', { 'x-csrf-token': null }],
    ['with a wrong token', { 'x-csrf-token': '0'.repeat(64) }],
    ['from another origin', { origin: 'https://evil.test' }],
    ['from another port of this machine', { origin: 'http://localhost:9999', 'sec-fetch-site': 'same-site' }],
    ['with an origin that only begins like ours', { origin: `${origin}.evil.test` }],
    ['without an origin', { origin: null }],
    ['from a sandboxed frame', { origin: 'null' }],
    ['that the browser says came from elsewhere', { 'sec-fetch-site': 'cross-site' }],
    ['as a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['as plain text, which needs no preflight', { 'content-type': 'text/plain' }],
  ])('%s', async (_name, headers) => {
    const said = await ada.post('/kill', killAll, headers)
    expect([403, 415]).toContain(said.status)
    expect(bench.kills).toEqual([])
  })

  test('with the token of a browser nobody signed in with', async () => {
    const stranger = new Visit(site)
    await stranger.get('/sign-in')
    expect((await ada.post('/kill', killAll, { 'x-csrf-token': stranger.csrf })).status).toBe(403)
    expect(bench.kills).toEqual([])
  })

  test('by a stranger on our own page: they may look at the sign-in and nothing else', async () => {
    await ada.post('/kill', { kind: 'agent', id: 'coder' })
    const kill = bench.kills[0]?.id ?? ''
    const stranger = new Visit(site)
    await stranger.get('/sign-in')
    const paths = [
      '/kill',
      `/kills/${kill}/challenge`,
      `/kills/${kill}/release`,
      '/people/invitations/options',
      '/people/invitations',
    ]
    for (const path of paths) expect([path, (await stranger.post(path, killAll)).status]).toEqual([path, 401])
    expect(bench.kills).toHaveLength(1)
  })

  test('by other methods', async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await site.app.request(`${origin}/kill`, { method, headers: { host: `localhost:${port}`, origin } })
      expect(answer.status).toBe(405)
    }
    expect((await ada.get('/kill')).status).toBe(404)
  })

  test('the real thing works', async () => {
    expect((await ada.post('/kill', killAll)).status).toBe(200)
    expect(bench.kills).toHaveLength(1)
  })
})

describe('sessions', () => {
  test('a planted cookie becomes nobody’s session', async () => {
    const planted = 'a'.repeat(64)
    const victim = new Visit(site)
    Object.assign(victim, { passkey: ada.passkey })
    victim.cookies.set('sallyport_session', planted)
    victim.cookies.set('sallyport_visit', planted)
    expect((await victim.signIn()).status).toBe(200)
    expect(victim.cookies.get('sallyport_session')).not.toBe(planted)
    const attacker = new Visit(site)
    attacker.cookies.set('sallyport_session', planted)
    expect((await attacker.get('/live')).status).toBe(303)
  })

  test('the victim’s passkey in the attacker’s session approves nothing', async () => {
    const mallory = await enrolAnother(site, ada, 'mallory')
    const request = await bench.ask()
    const asked = await mallory.challenge(request, 'approve')
    const said = await mallory.post(`/requests/${request.id}/verdict`, {
      verdict: 'approve',
      reason: '',
      response: ada.passkey.assert(challengeIn(asked)),
    })
    expect(said.status).toBe(403)
  })

  test('end when signed out, when idle, and in any case', async () => {
    const stolen = new Visit(site)
    stolen.cookies.set('sallyport_session', ada.cookies.get('sallyport_session') ?? '')
    expect((await stolen.get('/live')).status).toBe(200)
    await ada.get('/live')
    await ada.post('/sign-out', {})
    expect((await stolen.get('/live')).status).toBe(303)

    await ada.signIn()
    bench.clock.shiftMs += 29 * 60_000
    expect((await ada.get('/live')).status).toBe(200)
    bench.clock.shiftMs += 31 * 60_000
    expect((await ada.get('/live')).status).toBe(303)

    await ada.signIn()
    for (let passed = 0; passed < 8 * 60; passed += 20) {
      bench.clock.shiftMs += 20 * 60_000
      await ada.get('/live')
    }
    expect((await ada.get('/live')).status).toBe(303)
  })

  test('cookies are HttpOnly and SameSite=Strict, and hold no more than a number', async () => {
    const asked = new Visit(site)
    const page = await asked.get('/sign-in')
    expect(page.headers.get('set-cookie')).toMatch(/^sallyport_visit=[0-9a-f]{64}; .*HttpOnly; SameSite=Strict/)
    Object.assign(asked, { passkey: ada.passkey })
    const options = await asked.post('/sign-in/options', { next: '/live' })
    const said = await asked.post('/sign-in', { next: '/live', response: ada.passkey.assert(challengeIn(options)) })
    expect(said.headers.get('set-cookie')).toMatch(/^sallyport_session=[0-9a-f]{64}; .*HttpOnly; SameSite=Strict/)
  })

  test('a sign-in with a signature made elsewhere, replayed, or by nobody', async () => {
    await ada.post('/sign-out', {})
    expect((await ada.signIn({ origin: 'http://localhost:9999' })).status).toBe(403)
    expect((await ada.signIn({ userVerified: false })).status).toBe(403)
    const stranger = new Visit(site)
    expect((await stranger.signIn()).status).toBe(403)
    await ada.get('/sign-in')
    const options = await ada.post('/sign-in/options', { next: '/live' })
    const response = ada.passkey.assert(challengeIn(options))
    expect((await ada.post('/sign-in', { next: '/live', response })).status).toBe(200)
    await ada.get('/live')
    expect((await ada.post('/sign-in', { next: '/live', response })).status).toBe(403)
  })
})

describe('addresses', () => {
  test.each([
    'evil.test',
    `evil.test:${port}`,
    'localhost',
    'localhost:1',
    `localhost.evil.test:${port}`,
    `LOCALHOST.:${port}`,
    '',
  ])('host %j is not ours', async (host) => {
    const answer = await site.app.request(`${origin}/sign-in`, { headers: { host } })
    expect(answer.status).toBe(421)
    const api = await site.app.request(`${origin}/api/v1/requests`, {
      headers: { host, authorization: `Bearer ${operatorToken}` },
    })
    expect(api.status).toBe(421)
  })

  test('a bare address is sent to the name, and takes no posts', async () => {
    const page = await site.app.request(`http://127.0.0.1:${port}/live`, { headers: { host: `127.0.0.1:${port}` } })
    expect([page.status, page.headers.get('location')]).toEqual([307, `${origin}/`])
    const post = await site.app.request(`http://127.0.0.1:${port}/kill`, {
      method: 'POST',
      headers: { host: `127.0.0.1:${port}`, origin: `http://127.0.0.1:${port}` },
      body: '{}',
    })
    expect(post.status).toBe(421)
  })

  test.each([
    'https://evil.test/',
    '//evil.test',
    '/\\evil.test',
    '/requests/../..//evil.test',
    'javascript:alert(1)',
    '/sign-out',
    '/live?x=//evil',
  ])('a sign-in does not lead to %j', async (next) => {
    const page = await new Visit(site).get(`/sign-in?next=${encodeURIComponent(next)}`)
    expect(page.text).toContain('name="next" value="/requests"')
    expect((await ada.signIn({}, next)).body['go']).toBe('/requests')
  })

  test.each([
    '/assets/../app.ts',
    '/assets/%2e%2e%2fapp.ts',
    '/assets/page.js%00',
    '/assets/',
    '/requests/..%2f..%2fetc',
    '/requests/%00',
    `/requests/${'x'.repeat(5000)}`,
    '/.env',
    '/api',
    '/nothing',
  ])('nothing is at %j', async (path) => {
    const said = await ada.get(path)
    expect([401, 404]).toContain(said.status)
    expect(said.text).not.toMatch(/\bat .*\.ts:|node_modules|Error:/)
  })

  test('a stranger learns nothing of which requests there are', async () => {
    const request = await bench.ask()
    const stranger = new Visit(site)
    for (const id of [request.id, '0'.repeat(32)]) {
      expect((await stranger.get(`/requests/${id}`)).headers.get('location')).toBe(
        `/sign-in?next=${encodeURIComponent(`/requests/${id}`)}`,
      )
      expect((await stranger.get(`/requests/${id}/version`)).status).toBe(401)
      await stranger.get('/sign-in')
      expect((await stranger.post(`/requests/${id}/cancel`, {})).status).toBe(401)
      expect((await stranger.post(`/requests/${id}/challenge`, {})).status).toBe(401)
    }
    expect((await stranger.get('/live/stream')).status).toBe(401)
    expect((await bench.ports.requests.get(request.id))?.state).toBe('pending')
  })
})

describe('answers', () => {
  test.each(['/live', '/requests', '/people', '/sign-in', '/enrol', '/nothing', '/assets/page.js'])(
    '%s carries every header',
    async (path) => {
      const { headers, text } = await ada.get(path)
      const csp = headers.get('content-security-policy') ?? ''
      for (const rule of [
        `default-src 'none'`,
        `frame-ancestors 'none'`,
        `base-uri 'none'`,
        `form-action 'none'`,
        `trusted-types 'none'`,
      ])
        expect(csp).toContain(rule)
      expect(csp).not.toContain('unsafe')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('x-frame-options')).toBe('DENY')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(text).not.toMatch(/\son[a-z]+="/)
      expect(text).not.toMatch(/\sstyle="/)
    },
  )

  test('each answer has its own nonce', async () => {
    const nonces = await Promise.all([1, 2].map(async () => (await ada.get('/live')).headers.get('content-security-policy')))
    expect(nonces[0]).not.toBe(nonces[1])
  })

  test('an error inside says nothing of the inside', async () => {
    bench.ports.requests.list = async () => {
      throw new Error('SQLITE_CORRUPT at /var/lib/secret.db password=hunter2')
    }
    const said = await ada.get('/requests')
    expect(said.status).toBe(500)
    expect(said.text).not.toMatch(/SQLITE|hunter2|secret/)
  })

  test('a body beyond the limit, and one that is not what it should be', async () => {
    expect((await ada.post('/kill', { kind: 'agent', id: 'x'.repeat(70_000) })).status).toBe(413)
    for (const body of [
      '',
      '[]',
      'null',
      '{"kind":"all","id":"x"}',
      '{"kind":"all","id":"*","by":"root"}',
      '{"__proto__":{"kind":"all"}}',
      '['.repeat(20_000),
    ]) {
      expect((await ada.post('/kill', body)).status).toBe(400)
    }
    expect(bench.kills).toEqual([])
  })

  test('a stranger’s attempts are bounded a minute, and hold up neither other browsers nor who is signed in', async () => {
    const stranger = new Visit(site)
    await stranger.get('/sign-in')
    const statuses = []
    for (let attempt = 0; attempt < 65; attempt += 1)
      statuses.push((await stranger.post('/sign-in/options', { next: '/live' })).status)
    expect(statuses.at(-1)).toBe(429)
    const other = new Visit(site)
    await other.get('/sign-in')
    expect((await other.post('/sign-in/options', { next: '/live' })).status).toBe(200)
    expect((await ada.post('/kill', killAll)).status).toBe(200)
  })
})

describe('killing and releasing', () => {
  test('a kill takes no passkey, a release takes one over exactly this kill', async () => {
    await ada.post('/kill', { kind: 'agent', id: 'coder' })
    await ada.post('/kill', { kind: 'agent', id: 'reporter' })
    const [first, second] = bench.kills.map(({ id }) => id)
    const signature = ada.passkey.assert(challengeIn(await ada.post(`/kills/${first ?? ''}/challenge`, {})))
    expect((await ada.post(`/kills/${second ?? ''}/release`, { response: signature })).status).toBe(409)
    await ada.post(`/kills/${second ?? ''}/challenge`, {})
    expect((await ada.post(`/kills/${second ?? ''}/release`, { response: signature })).status).toBe(403)
    expect((await ada.post(`/kills/${first ?? ''}/release`, {})).status).toBe(400)
    expect(bench.kills).toHaveLength(2)
    const good = ada.passkey.assert(challengeIn(await ada.post(`/kills/${first ?? ''}/challenge`, {})), { counter: 9 })
    expect((await ada.post(`/kills/${first ?? ''}/release`, { response: good })).status).toBe(200)
    expect((await ada.post(`/kills/${first ?? ''}/release`, { response: good })).status).toBe(404)
    expect(bench.kills.map(({ id }) => id)).toEqual([second])
    expect(bench.releases[0]).toMatchObject({ person: 'ada', statement: { purpose: 'sallyport release', kill: first } })
  })
})
