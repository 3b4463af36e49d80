import { beforeEach, describe, expect, test } from 'vitest'
import { configurationOfTests, makePeopleBench, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { challengeIn, makeSignedIn, type makeSite, origin, port, Visit } from '../../../../tests/fakes/visit.ts'
import { rates } from './limits.ts'

let bench: PeopleBench
let site: ReturnType<typeof makeSite>
let ada: Visit

beforeEach(async () => {
  bench = makePeopleBench()
  const made = await makeSignedIn(bench)
  site = made.site
  ada = made.visit
  // Two requests of the log: one within scope, one refused.
  const about = { session: 's-1', agent: 'coder', atMs: 1 }
  const operation = { action: 'postgres.update', kind: 'write', reversible: true, why: '', copy: 'none', rows: 1, resources: [] }
  await bench.log.append({ type: 'session.opened', ...about, data: { upstream: 'orders-db' } })
  await bench.log.append({ type: 'intent', ...about, data: { grant: null, operations: [{ ...operation, kind: 'read' }] } })
  await bench.log.append({ type: 'decision', ...about, data: { outcome: 'deny', code: 'not_in_scope', operations: [operation] } })
})

const wider = configurationOfTests.replace('read orders-db', 'any orders-db')
const expecting = (line: string): string => `${wider}expect: [${line}]\n`
const waits = (): ReturnType<typeof bench.ports.control.configuration.proposal> => bench.ports.control.configuration.proposal()

describe('another policy', () => {
  test('is tried: what it gives, what it keeps to, and what the log’s requests would have got; nothing is changed by it', async () => {
    const tried = await ada.post('/console/policy/try', { text: expecting('coder asks destroy on orders-db') })
    expect(tried.body).toMatchObject({
      unread: 0,
      trial: {
        outcome: 'read',
        gives: 'wider',
        widenings: ['agents: coder may do more: any orders-db'],
        expectations: [{ text: 'coder asks destroy on orders-db', holds: true, kept: true }],
        rehearsal: { judged: 2, same: 1, milder: 1, changes: [{ before: { outcome: 'refused' }, after: { outcome: 'runs' } }] },
      },
    })
    expect([waits(), bench.log.ofType('configuration.proposed')]).toEqual([null, []])
    const mistaken = await ada.post('/console/policy/try', { text: 'version: 2' })
    expect(mistaken.body).toMatchObject({
      trial: { outcome: 'mistakes', lines: expect.arrayContaining([expect.stringContaining('line 1')]) },
    })
    const guarded = await ada.post('/console/policy/try', { text: `${wider}guards: "permit (principal, action, resource);"\n` })
    expect(guarded.body).toMatchObject({ trial: { outcome: 'mistakes', lines: [expect.stringContaining('policy:')] } })
  })

  test('is proposed only when it keeps to what it says is expected, whatever the page let through', async () => {
    const unmet = await ada.post('/console/policy/propose', { text: expecting('coder is refused write on orders-db') })
    expect(unmet.body).toMatchObject({ outcome: 'unmet', lines: [expect.stringContaining('does not hold: it runs')] })
    expect((await ada.post('/console/policy/propose', { text: 'version: 2' })).body).toMatchObject({ outcome: 'mistakes' })
    expect((await ada.post('/console/policy/propose', { text: configurationOfTests })).body).toEqual({ outcome: 'same' })
    expect(waits()).toBeNull()
    // A name that is nobody's would be refused whatever the policy says.
    const vain = await ada.post('/console/policy/propose', { text: expecting('codr is refused write on orders-db') })
    expect(vain.body).toMatchObject({ outcome: 'mistakes', lines: [expect.stringContaining('no agent is called "codr"')] })
  })

  test('ends in a proposal that names who typed it and takes a passkey; what is in force stays', async () => {
    const proposed = await ada.post('/console/policy/propose', { text: wider })
    expect(proposed.body).toMatchObject({ outcome: 'proposed', widenings: [expect.stringContaining('coder may do more')] })
    expect(waits()).toMatchObject({ by: 'ada', acceptances: [], notBeforeMs: null, text: wider })
    expect(bench.log.ofType('configuration.proposed')[0]?.data).toMatchObject({ by: 'ada' })
    expect(bench.ports.control.configuration.textInForce).toBe(configurationOfTests)
    const page = await ada.get('/configuration')
    expect(page.text).toContain('Proposed by <b>ada</b> in the console')
    expect((await ada.get('/console/data/policy')).body).toMatchObject({ proposal: { by: 'ada' }, path: '/etc/sallyport.yaml' })
    const path = `/configuration/${waits()?.digest ?? ''}`
    expect((await ada.post(`${path}/accept`, { response: ada.passkey.assert('x') })).status).toBe(409)
    const asked = await ada.post(`${path}/options`, {})
    expect((await ada.post(`${path}/accept`, { response: ada.passkey.assert(challengeIn(asked)) })).status).toBe(200)
    expect((await ada.get('/configuration')).text).toContain('Put the text below into /etc/sallyport.yaml. It takes hold')
  })

  test('that came in untried, by a file, is accepted by nobody while it does not keep to what it expects', async () => {
    bench.state.file = expecting('coder is refused write on orders-db')
    await ada.post('/configuration/reread', {})
    const path = `/configuration/${waits()?.digest ?? ''}`
    const asked = await ada.post(`${path}/options`, {})
    expect([asked.status, asked.text]).toEqual([409, expect.stringContaining('does not hold: it runs')])
    expect(waits()?.acceptances).toEqual([])
    bench.state.file = expecting('coder asks destroy on orders-db')
    await ada.post('/configuration/reread', {})
    expect(waits()?.text).toContain('coder asks destroy')
    expect((await ada.post(`/configuration/${waits()?.digest ?? ''}/options`, {})).status).toBe(200)
  })

  test('a change that another page offers is put into the text in force, and nothing more', async () => {
    const draft = await ada.post('/console/policy/draft', { kind: 'rows', rows: 3000 })
    expect(draft.body['text']).toContain('rowsWithoutPrompt: 3000')
    expect((await ada.post('/console/policy/draft', { kind: 'rows', rows: -1 })).status).toBe(400)
    expect((await ada.post('/console/policy/draft', { kind: 'remove_scope', agent: 'coder', lines: ['any x'] })).status).toBe(409)
    expect((await ada.post('/console/policy/draft', { kind: 'mode', mode: 'solo' })).status).toBe(400)
    expect(waits()).toBeNull()
  })
})

describe('attacks on these routes', () => {
  const posts = [
    ['/console/policy/try', { text: wider }],
    ['/console/policy/propose', { text: wider }],
    ['/console/policy/draft', { kind: 'rows', rows: 9 }],
    ['/console/keeping', { what: 'drill', name: 'orders-db' }],
  ] as const
  const gets = [
    '/console/data/policy',
    '/console/data/policy/text',
    '/console/data/keeping/a1',
    '/console/data/requests',
    '/console/data/vault',
  ]

  test.each(posts)(
    '%s: not from another page, not by a stranger, not by an account alone, not under another host’s name',
    async (path, body) => {
      expect((await ada.post(path, body, { origin: 'http://evil.example' })).status).toBe(403)
      expect((await ada.post(path, body, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
      expect((await ada.post(path, body, { 'x-csrf-token': null })).status).toBe(403)
      expect((await ada.post(path, body, { 'content-type': 'text/plain' })).status).toBe(415)
      expect((await ada.post(path, body, { host: 'evil.example' })).status).toBe(421)
      const stranger = new Visit(site)
      await stranger.get('/sign-in')
      expect((await stranger.post(path, body)).status).toBe(401)
      expect((await ada.post(path, { ...body, more: 1 })).status).toBe(400)
      expect((await ada.post(path, JSON.stringify({ text: 'x'.repeat(70_000) }))).status).toBe(413)
      expect(waits()).toBeNull()
    },
  )

  test.each(gets)('%s: not by a stranger, nor read by another page', async (path) => {
    expect((await new Visit(site).get(path)).status).toBe(401)
    expect((await ada.get(path, { 'sec-fetch-site': 'same-site' })).status).toBe(403)
    expect((await site.app.request(`${origin}${path}`, { headers: { host: `rebound.example:${port}` } })).status).toBe(421)
  })

  test('nobody keeps a processor busy with trials', async () => {
    // The bucket fills up again while this runs: it is asked until it says no, however slow this machine is.
    const answers: number[] = []
    while (answers.at(-1) !== 429 && answers.length < 10 * rates.trials)
      answers.push((await ada.post('/console/policy/try', { text: 'version: 2' })).status)
    expect(answers.at(-1)).toBe(429)
    expect(answers.length).toBeGreaterThan(rates.trials)
  })
})
