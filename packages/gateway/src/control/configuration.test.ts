import { beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { configurationOfTests, makePeopleBench, operatorToken, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { challengeIn, enrolAnother, makeSignedIn, type makeSite, port, type Said, Visit } from '../../../../tests/fakes/visit.ts'

let bench: PeopleBench
let site: ReturnType<typeof makeSite>
let ada: Visit

beforeEach(async () => {
  bench = makePeopleBench()
  const made = await makeSignedIn(bench)
  site = made.site
  ada = made.visit
})

const wider = configurationOfTests.replace('read orders-db', 'any orders-db')
const proposal = (): ReturnType<typeof bench.ports.control.configuration.proposal> => bench.ports.control.configuration.proposal()
const pathOf = (verb: string): string => `/configuration/${proposal()?.digest ?? ''}/${verb}`

async function proposeWider(): Promise<void> {
  bench.state.file = wider
  expect((await ada.post('/configuration/reread', {})).status).toBe(200)
}

async function accept(visit: Visit): Promise<Said> {
  const asked = await visit.post(pathOf('options'), {})
  if (asked.status !== 200) return asked
  return visit.post(pathOf('accept'), { response: visit.passkey.assert(challengeIn(asked)) })
}

describe('a file that gives more than what is in force', () => {
  test('is shown whole, with what it gives and what changed, and nothing of it is markup', async () => {
    bench.state.file = wider
      .replace('coder:', '"<img src=x>": { owner: eve, may: [] }\n  coder:')
      .replace('"<img src=x>"', 'eves')
    bench.state.file += '# <script>alert(1)</script> \u202Egnp\n'
    await ada.post('/configuration/reread', {})
    const page = await ada.get('/configuration')
    expect(page.text).toContain('agents: coder may do more')
    expect(page.text).toContain('agents: eves was added')
    expect(page.text).toContain('+   coder: { owner: ada, may: [any orders-db] }')
    expect(page.text).toContain('-   coder: { owner: ada, may: [read orders-db] }')
    expect(page.text).not.toContain('<script>alert')
    expect(page.text).toContain('⟦U+202E⟧')
    expect(bench.log.ofType('configuration.proposed')).toHaveLength(1)
    // Read again it is the same one.
    await ada.post('/configuration/reread', {})
    expect(bench.log.ofType('configuration.proposed')).toHaveLength(1)
  })

  test('in solo mode one passkey accepts it, after a cool-off in which anybody can withdraw it', async () => {
    await proposeWider()
    expect((await accept(ada)).status).toBe(200)
    const nowMs = bench.clock.nowMs()
    expect(proposal()?.notBeforeMs).toBeGreaterThan(nowMs + 590_000)
    expect(bench.log.ofType('configuration.accepted')[0]?.data).toMatchObject({
      by: 'ada',
      missing: 0,
      challenge: expect.any(String),
    })
    expect((await ada.get('/configuration')).text).toContain('anybody here can withdraw it')
    expect((await ada.post(pathOf('withdraw'), {})).status).toBe(200)
    expect(proposal()).toBeNull()
    expect(bench.log.ofType('configuration.withdrawn')).toHaveLength(1)
  })

  test('in a team it takes two people, and one person twice is one', async () => {
    bench.state.mode = 'team'
    const bob = await enrolAnother(site, ada, 'bob')
    await proposeWider()
    expect((await accept(ada)).status).toBe(200)
    expect(proposal()?.notBeforeMs).toBeNull()
    expect((await ada.get('/configuration')).text).toContain('Somebody else has to accept it too')
    const again = await accept(ada)
    expect([again.status, again.text]).toEqual([expect.any(Number), expect.stringContaining('You have accepted this already')])
    expect(again.status).not.toBe(200)
    expect(proposal()?.acceptances).toHaveLength(1)
    expect((await accept(bob)).status).toBe(200)
    expect(proposal()?.notBeforeMs).not.toBeNull()
  })

  test('what changed under the page is not what was accepted', async () => {
    await proposeWider()
    const stale = pathOf('accept')
    const challenge = challengeIn(await ada.post(pathOf('options'), {}))
    bench.state.file = wider.replace('owner: ada', 'owner: eve')
    await ada.post('/configuration/reread', {})
    expect((await ada.post(stale, { response: ada.passkey.assert(challenge) })).status).toBe(409)
    // Nor does the signature fit the new one.
    expect((await ada.post(pathOf('accept'), { response: ada.passkey.assert(challenge) })).status).toBe(409)
    expect(proposal()?.acceptances).toEqual([])
  })

  test('a signature is good once, in its own session, by a person', async () => {
    bench.state.mode = 'team'
    const bob = await enrolAnother(site, ada, 'bob')
    await proposeWider()
    const challenge = challengeIn(await ada.post(pathOf('options'), {}))
    expect((await bob.post(pathOf('accept'), { response: ada.passkey.assert(challenge) })).status).toBe(409)
    const response = ada.passkey.assert(challenge)
    expect((await ada.post(pathOf('accept'), { response }, { origin: 'https://evil.test' })).status).toBe(403)
    expect((await ada.post(pathOf('accept'), { response })).status).toBe(200)
    expect((await ada.post(pathOf('accept'), { response })).status).toBe(409)
    const stranger = new Visit(site)
    await stranger.get('/enrol')
    for (const verb of ['options', 'withdraw']) expect((await stranger.post(pathOf(verb), {})).status).toBe(401)
    expect((await stranger.post('/configuration/reread', {})).status).toBe(401)
  })

  test('is not accepted where the log cannot have it', async () => {
    await proposeWider()
    bench.log.failing = true
    expect((await accept(ada)).status).toBe(503)
    bench.log.failing = false
    expect(proposal()?.acceptances).toEqual([])
  })

  test('the operator’s token proposes, and accepts nothing', async () => {
    bench.state.file = wider
    const post = (path: string): Promise<Response> =>
      Promise.resolve(
        site.app.request(`http://127.0.0.1:${port}${path}`, {
          method: 'POST',
          headers: { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json', host: `127.0.0.1:${port}` },
          body: '{}',
        }),
      )
    const said = z.object({ outcome: z.string(), widenings: z.array(z.string()) })
    expect(said.parse(await (await post('/api/v1/configuration/reread')).json())).toEqual({
      outcome: 'proposed',
      widenings: ['agents: coder may do more: any orders-db'],
    })
    expect((await post('/api/v1/configuration/accept')).status).toBe(404)
    expect((await post(pathOf('accept'))).status).not.toBe(200)
    expect(proposal()?.acceptances).toEqual([])
  })
})

test.each([
  ['same', configurationOfTests, 'same'],
  ['narrower', configurationOfTests.replace('read orders-db', ''), 'narrower'],
  ['mistaken', 'version: 2', 'mistakes'],
])('a file that is %s proposes nothing', async (_what, file, outcome) => {
  bench.state.file = file
  expect((await bench.ports.control.configuration.reread()).outcome).toBe(outcome)
  expect(proposal()).toBeNull()
})
