import { beforeEach, expect, test } from 'vitest'
import { challengeOf } from '@sallyport/core'
import { makePeopleBench, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { challengeIn, enrolAnother, makeSignedIn, origin, type Visit } from '../../../../tests/fakes/visit.ts'

let bench: PeopleBench
let ada: Visit
let site: Awaited<ReturnType<typeof makeSignedIn>>['site']

beforeEach(async () => {
  bench = makePeopleBench()
  const made = await makeSignedIn(bench)
  ada = made.visit
  site = made.site
})

const stateOf = async (id: string): Promise<string | undefined> => (await bench.ports.requests.get(id))?.state

/** The refusal, and that it left no trace but on the log. */
async function expectRefused(said: { status: number; text: string }, status: number, id: string): Promise<void> {
  expect(said.status).toBe(status)
  expect(await stateOf(id)).toBe('pending')
  expect((await bench.ports.requests.get(id))?.approvals).toEqual([])
}

test('a good signature approves, and the approval can be verified again by anyone', async () => {
  const request = await bench.ask()
  const said = await ada.verdict(request, 'approve')
  expect(said.status).toBe(200)
  const approval = (await bench.ports.requests.get(request.id))?.approvals[0]
  expect(approval).toMatchObject({ person: 'ada', verdict: 'approve', challenge: challengeOf(request, 'approve') })
  expect(approval?.evidence).toMatchObject({ rpId: 'localhost', origin, id: ada.passkey.credentialId })
  expect(JSON.stringify(approval?.evidence)).toContain('clientDataJSON')
})

test('a replayed signature', async () => {
  const request = await bench.ask({ approvalsNeeded: 2 })
  const asked = await ada.challenge(request, 'approve')
  const response = ada.passkey.assert(challengeIn(asked))
  const first = await ada.post(`/requests/${request.id}/verdict`, { verdict: 'approve', reason: '', response })
  expect(first.status).toBe(200)
  const again = await ada.post(`/requests/${request.id}/verdict`, { verdict: 'approve', reason: '', response })
  expect(again.status).toBe(409)
  expect((await bench.ports.requests.get(request.id))?.approvals).toHaveLength(1)
  expect(bench.log.ofType('verdict.refused').at(-1)?.data['why']).toContain('No signature was asked for')
})

test('a replayed signature after asking for a fresh challenge: the counter tells', async () => {
  const request = await bench.ask({ approvalsNeeded: 2 })
  const response = ada.passkey.assert(challengeIn(await ada.challenge(request, 'reject')))
  // Used once for another purpose of the same challenge is impossible, so use it twice: the second ask gives the same challenge.
  await bench.ports.people.advanceCounter(ada.passkey.credentialId, 0, 1)
  await ada.challenge(request, 'reject')
  await expectRefused(
    await ada.post(`/requests/${request.id}/verdict`, { verdict: 'reject', reason: '', response }),
    403,
    request.id,
  )
  expect(bench.log.ofType('alarm').at(-1)?.data['why']).toContain('counter went backwards')
})

test('a counter that goes back is refused and rings', async () => {
  await ada.verdict(await bench.ask(), 'approve', { counter: 50 })
  const request = await bench.ask({ text: 'another' })
  await expectRefused(await ada.verdict(request, 'approve', { counter: 50 }), 403, request.id)
  expect(bench.log.ofType('alarm')).toHaveLength(1)
  await expectRefused(await ada.verdict(request, 'approve', { counter: 7 }), 403, request.id)
  expect(bench.log.ofType('alarm')).toHaveLength(2)
})

test('a forged signature with an old counter does not ring: the signature is looked at first', async () => {
  await ada.verdict(await bench.ask(), 'approve', { counter: 50 })
  const request = await bench.ask({ text: 'another' })
  const asked = await ada.challenge(request, 'approve')
  const response = { ...ada.passkey.assert('AAAA', { counter: 1 }) }
  await expectRefused(
    await ada.post(`/requests/${request.id}/verdict`, { verdict: 'approve', reason: '', response }),
    403,
    request.id,
  )
  expect(asked.status).toBe(200)
  expect(bench.log.ofType('alarm')).toHaveLength(0)
})

test('a signature for request A used on request B', async () => {
  const [a, b] = [await bench.ask(), await bench.ask({ text: 'DROP TABLE customers' })]
  const response = ada.passkey.assert(challengeIn(await ada.challenge(a, 'approve')))
  await ada.challenge(b, 'approve')
  await expectRefused(await ada.post(`/requests/${b.id}/verdict`, { verdict: 'approve', reason: '', response }), 403, b.id)
})

test('a challenge of request A asked for on request B', async () => {
  const [a, b] = [await bench.ask(), await bench.ask({ text: 'DROP TABLE customers' })]
  await ada.get(`/requests/${b.id}`)
  const said = await ada.post(`/requests/${b.id}/challenge`, { verdict: 'approve', reason: '', shown: challengeOf(a, 'approve') })
  await expectRefused(said, 409, b.id)
})

test.each([
  ['approve', 'reject'],
  ['reject', 'approve'],
] as const)('a signature to %s used to %s', async (signed, used) => {
  const request = await bench.ask()
  const response = ada.passkey.assert(challengeIn(await ada.challenge(request, signed)))
  await ada.challenge(request, used)
  await expectRefused(await ada.post(`/requests/${request.id}/verdict`, { verdict: used, reason: '', response }), 403, request.id)
})

test('a challenge that was asked for to reject is not there to approve', async () => {
  const request = await bench.ask()
  const response = ada.passkey.assert(challengeIn(await ada.challenge(request, 'reject')))
  await expectRefused(
    await ada.post(`/requests/${request.id}/verdict`, { verdict: 'approve', reason: '', response }),
    409,
    request.id,
  )
})

test('a signature for the sign-in used to approve', async () => {
  const request = await bench.ask()
  await ada.get(`/requests/${request.id}`)
  const other = await ada.post('/sign-in/options', { next: '/requests' })
  await ada.challenge(request, 'approve')
  const response = ada.passkey.assert(challengeIn(other))
  await expectRefused(
    await ada.post(`/requests/${request.id}/verdict`, { verdict: 'approve', reason: '', response }),
    403,
    request.id,
  )
})

test.each([
  ['without user verification', { userVerified: false }],
  ['without user presence', { userPresent: false }],
  ['made on another origin', { origin: 'http://localhost:9999' }],
  ['made on a name that looks like ours', { origin: 'https://localhost' }],
  ['made for another relying party', { rpId: 'example.test' }],
  ['made inside another page', { crossOrigin: true }],
  ['of the wrong type', { type: 'webauthn.create' }],
] as const)('a signature %s', async (_name, misdeeds) => {
  const request = await bench.ask()
  await expectRefused(await ada.verdict(request, 'approve', misdeeds), 403, request.id)
  expect(bench.log.ofType('verdict.refused')).toHaveLength(1)
})

test('an expired request, and a challenge left lying', async () => {
  const request = await bench.ask()
  const response = ada.passkey.assert(challengeIn(await ada.challenge(request, 'approve')))
  bench.clock.shiftMs += 3 * 60_000
  await expectRefused(
    await ada.post(`/requests/${request.id}/verdict`, { verdict: 'approve', reason: '', response }),
    409,
    request.id,
  )
  bench.clock.shiftMs += 12 * 60_000
  await expectRefused(await ada.verdict(request, 'approve'), 410, request.id)
})

test('it expires while the passkey is being touched', async () => {
  const request = await bench.ask({}, { expiresAtMs: bench.clock.nowMs() + 30_000 })
  const response = ada.passkey.assert(challengeIn(await ada.challenge(request, 'approve')))
  bench.clock.shiftMs += 31_000
  await expectRefused(
    await ada.post(`/requests/${request.id}/verdict`, { verdict: 'approve', reason: '', response }),
    410,
    request.id,
  )
})

test('the question changes between the page and the signature', async () => {
  const request = await bench.ask()
  const asked = await ada.challenge(request, 'approve')
  const changed = { ...request, question: { ...request.question, text: 'DROP DATABASE production' } }
  const get = bench.ports.requests.get.bind(bench.ports.requests)
  bench.ports.requests.get = async (id) => (id === request.id ? changed : get(id))
  const signed = { verdict: 'approve', reason: '', response: ada.passkey.assert(challengeIn(asked)) }
  const said = await ada.post(`/requests/${request.id}/verdict`, signed)
  expect(said.status).toBe(409)
  expect(said.text).toContain('no longer what was shown')
  // Asking again with what the old page showed does not help either.
  const again = await ada.post(`/requests/${request.id}/challenge`, {
    verdict: 'approve',
    reason: '',
    shown: challengeOf(request, 'approve'),
  })
  expect(again.status).toBe(409)
  bench.ports.requests.get = get
  expect(await stateOf(request.id)).toBe('pending')
})

test('the policy changed since it was asked', async () => {
  const request = await bench.ask()
  bench.state.policyHash = 'f'.repeat(64)
  await expectRefused(await ada.verdict(request, 'approve'), 409, request.id)
})

test('somebody else’s session: their challenge, my passkey; my challenge, their passkey', async () => {
  const grace = await enrolAnother(site, ada, 'grace')
  const request = await bench.ask()
  const adas = challengeIn(await ada.challenge(request, 'approve'))
  // Grace never asked for it.
  const byGrace = { verdict: 'approve', reason: '', response: grace.passkey.assert(adas) }
  await expectRefused(await grace.post(`/requests/${request.id}/verdict`, byGrace), 409, request.id)
  // Grace's passkey in ada's session would count as ada's: the way around four eyes.
  await expectRefused(
    await ada.post(`/requests/${request.id}/verdict`, { ...byGrace, response: grace.passkey.assert(adas) }),
    403,
    request.id,
  )
})

test('one person twice does not make two', async () => {
  const request = await bench.ask({ approvalsNeeded: 2 })
  expect((await ada.verdict(request, 'approve')).status).toBe(200)
  expect((await ada.verdict(request, 'approve')).status).toBe(409)
  expect(await stateOf(request.id)).toBe('pending')
  const grace = await enrolAnother(site, ada, 'grace')
  expect((await grace.verdict(request, 'approve')).status).toBe(200)
  expect(await stateOf(request.id)).toBe('approved')
})

test('in team mode the owner approves nothing, and is told so on the page', async () => {
  bench.state.mode = 'team'
  const request = await bench.ask()
  expect((await ada.get(`/requests/${request.id}`)).text).toContain('You own this agent. Somebody else has to approve')
  await expectRefused(await ada.verdict(request, 'approve'), 409, request.id)
})

test('when the log fails nothing is approved', async () => {
  const request = await bench.ask()
  const asked = await ada.challenge(request, 'approve')
  bench.log.failing = true
  const said = await ada.post(`/requests/${request.id}/verdict`, {
    verdict: 'approve',
    reason: '',
    response: ada.passkey.assert(challengeIn(asked)),
  })
  expect(said.status).toBe(503)
  expect(await stateOf(request.id)).toBe('pending')
})

test('verdicts are bounded a minute', async () => {
  const request = await bench.ask()
  await ada.get(`/requests/${request.id}`)
  const asked = { verdict: 'approve', reason: '', shown: challengeOf(request, 'approve') }
  const statuses = []
  for (let attempt = 0; attempt < 62; attempt += 1)
    statuses.push((await ada.post(`/requests/${request.id}/challenge`, asked)).status)
  expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(0)
  bench.clock.shiftMs += 60_000
  expect((await ada.post(`/requests/${request.id}/challenge`, asked)).status).toBe(200)
})

test('a reason is kept, whole and harmless', async () => {
  const request = await bench.ask()
  const asked = await ada.challenge(request, 'reject')
  const why = '<script>alert(1)</script> \u202E'
  await ada.post(`/requests/${request.id}/verdict`, {
    verdict: 'reject',
    reason: why,
    response: ada.passkey.assert(challengeIn(asked)),
  })
  const page = (await ada.get(`/requests/${request.id}`)).text
  expect(page).not.toContain('<script>alert')
  expect(page).not.toContain('\u202E')
})

test('a yes under conditions binds the grant to them, is shown, and is on the log', async () => {
  const request = await bench.ask()
  const notBeforeMs = bench.clock.nowMs() + 3_600_000
  expect((await ada.verdict(request, 'approve', {}, { rowsMax: 100, notBeforeMs })).status).toBe(200)
  const { agent } = request.question.subject
  expect(await bench.ports.requests.findGrant(agent, request.question.digest)).toMatchObject({ rowsMax: 100, notBeforeMs })
  expect((await ada.get(`/requests/${request.id}`)).text).toContain('for at most 100 rows, not before')
  expect(bench.log.ofType('verdict')[0]?.data['approval']).toMatchObject({ conditions: { rowsMax: 100, notBeforeMs } })
})

test.each([
  ['dropped', undefined],
  ['loosened', { rowsMax: 200, notBeforeMs: null }],
  ['another', { rowsMax: null, notBeforeMs: 9_999_999_999_999 }],
])('conditions %s between the passkey and the verdict', async (_name, conditions) => {
  const request = await bench.ask()
  const asked = await ada.challenge(request, 'approve', { rowsMax: 100, notBeforeMs: null })
  const response = ada.passkey.assert(challengeIn(asked))
  const body = { verdict: 'approve', reason: '', response, ...(conditions && { conditions }) }
  await expectRefused(await ada.post(`/requests/${request.id}/verdict`, body), 409, request.id)
})

test('conditions that nothing could hold are refused before the passkey is asked for', async () => {
  const request = await bench.ask({ rowsMax: null })
  const said = await ada.challenge(request, 'approve', { rowsMax: 5, notBeforeMs: null })
  expect([said.status, said.text]).toEqual([403, expect.stringContaining('Nothing here is counted in rows')])
  const other = await bench.ask({ rowsMax: 100, text: 'another' })
  expect((await ada.challenge(other, 'approve', { rowsMax: 101, notBeforeMs: null })).status).toBe(403)
})

test('where a group approves, nobody else does, and anybody says no', async () => {
  bench.state.mode = 'team'
  bench.state.owners = []
  bench.state.quorum = { group: 'dba', members: ['GRACE', 'linus'], count: 2 }
  const request = await bench.ask({ approvalsNeeded: 2, approversFrom: 'dba', subject: { agent: 'coder', owner: 'grace' } })
  const grace = await enrolAnother(site, ada, 'grace')
  const linus = await enrolAnother(site, ada, 'linus', grace)
  const said = await ada.verdict(request, 'approve')
  expect([said.status, said.text]).toEqual([409, expect.stringContaining('Only people of the group')])
  expect((await grace.verdict(request, 'approve')).status).toBe(409)
  expect((await linus.verdict(request, 'approve')).status).toBe(200)
  expect(await stateOf(request.id)).toBe('pending')
  expect((await linus.get(`/requests/${request.id}`)).text).toContain('Only people of the group <b>dba</b> count.')
  expect((await ada.verdict(request, 'reject')).status).toBe(200)
  expect(await stateOf(request.id)).toBe('rejected')
})

test('who left the group before the second approval no longer counts', async () => {
  bench.state.quorum = { group: 'dba', members: ['ada', 'grace'], count: 2 }
  const request = await bench.ask({ approvalsNeeded: 2, approversFrom: 'dba' })
  const grace = await enrolAnother(site, ada, 'grace')
  expect((await ada.verdict(request, 'approve')).status).toBe(200)
  bench.state.quorum = { group: 'dba', members: ['grace', 'linus'], count: 2 }
  expect((await grace.verdict(request, 'approve')).status).toBe(200)
  expect(await stateOf(request.id)).toBe('pending')
})
