import { beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { makePeopleBench, operatorToken, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { enrolAnother, makeSignedIn, origin, port, type Visit } from '../../../../tests/fakes/visit.ts'

let bench: PeopleBench
let site: Awaited<ReturnType<typeof makeSignedIn>>['site']
let lovelace: Visit
let bob: Visit

/** The configuration says "ada", who enrolled under another name of hers: to the gate she is somebody else than the owner. */
beforeEach(async () => {
  bench = makePeopleBench()
  bench.state.mode = 'team'
  const made = await makeSignedIn(bench, 'Lovelace')
  site = made.site
  lovelace = made.visit
  bob = await enrolAnother(site, lovelace, 'bob')
})

const missing = 'nobody is enrolled under that name'

async function warnings(): Promise<readonly string[]> {
  const headers = { host: `localhost:${port}`, authorization: `Bearer ${operatorToken}` }
  const answer = await site.app.request(`${origin}/api/v1/status`, { headers })
  return z.object({ warnings: z.array(z.string()) }).parse(await answer.json()).warnings
}

test('an owner under another name does not approve what their own agent asks, nor does anybody until it is clear who the owner is', async () => {
  const request = await bench.ask()
  for (const visit of [lovelace, bob]) {
    // Before the passkey is asked for.
    const said = await visit.challenge(request, 'approve')
    expect([said.status, said.text]).toEqual([403, expect.stringContaining(missing)])
    expect((await visit.get(`/requests/${request.id}`)).text).toContain('Until somebody is, nobody can approve; you can reject.')
  }
  expect(await bench.ports.requests.get(request.id)).toMatchObject({ state: 'pending', approvals: [] })
  expect(bench.log.ofType('verdict')).toEqual([])
  expect(bench.log.ofType('verdict.refused').map(({ data }) => data['person'])).toEqual(['Lovelace', 'bob'])
})

test('the second half alone is refused as well: what was asked for while the owner was known counts no more', async () => {
  const request = await bench.ask({ subject: { agent: 'coder', owner: 'Lovelace' } })
  const asked = await bob.challenge(request, 'approve')
  expect(asked.status).toBe(200)
  const { people } = bench.ports
  const list = async (): ReturnType<typeof people.list> => (await people.list()).filter(({ name }) => name === 'bob')
  Object.assign(bench.ports, { people: { ...people, list } })
  const { challenge } = z.object({ publicKey: z.object({ challenge: z.string() }) }).parse(asked.body).publicKey
  const response = bob.passkey.assert(challenge)
  const said = await bob.post(`/requests/${request.id}/verdict`, { verdict: 'approve', reason: '', response })
  expect([said.status, said.text]).toEqual([403, expect.stringContaining(missing)])
})

test('anybody may still reject', async () => {
  const request = await bench.ask()
  expect((await bob.verdict(request, 'reject')).status).toBe(200)
  expect((await bench.ports.requests.get(request.id))?.state).toBe('rejected')
})

test('every page and the operator’s status say so, by owner, until the owner is enrolled; then others approve', async () => {
  bench.state.owners.push({ agent: 'deployer', owner: 'bob' })
  const sentence = 'ada owns coder, reporter, and nobody is enrolled under that name'
  expect(await warnings()).toEqual([expect.stringContaining(sentence)])
  for (const path of ['/people', '/requests', '/live']) expect((await bob.get(path)).text).toContain(sentence)
  const ada = await enrolAnother(site, lovelace, 'Ada.', bob)
  expect(await warnings()).toEqual([])
  expect((await bob.get('/people')).text).not.toContain(missing)
  const request = await bench.ask()
  expect((await ada.verdict(request, 'approve')).status).toBe(409)
  expect((await bob.verdict(request, 'approve')).status).toBe(200)
  expect((await bench.ports.requests.get(request.id))?.state).toBe('approved')
})

test('solo mode has no owner to tell apart: no warning, and approvals work', async () => {
  bench.state.mode = 'solo'
  expect(await warnings()).toEqual([])
  expect((await lovelace.verdict(await bench.ask(), 'approve')).status).toBe(200)
})

test('an owner’s name is shown with every character visible', async () => {
  const request = await bench.ask({ subject: { agent: 'coder', owner: 'ad\u202Ea' } })
  const said = await bob.verdict(request, 'approve')
  expect(said.status).toBe(403)
  expect(said.text).not.toContain('\u202E')
  expect((await bob.get(`/requests/${request.id}`)).text).not.toContain('\u202E')
})
