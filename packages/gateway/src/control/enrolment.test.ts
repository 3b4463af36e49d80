import { beforeEach, expect, test } from 'vitest'
import { makePeopleBench, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { challengeIn, enrolAnother, makeSignedIn, makeSite, Visit } from '../../../../tests/fakes/visit.ts'
import { createFirstLink } from './api-routes.ts'

let bench: PeopleBench
beforeEach(() => {
  bench = makePeopleBench()
})

const names = async (): Promise<readonly string[]> => (await bench.ports.people.list()).map(({ name }) => name)

test('the terminal’s link enrols the first person, once, and the log knows', async () => {
  const site = makeSite(bench)
  const { url } = await createFirstLink(site.site)
  expect((await new Visit(site).enrol(url, 'ada')).status).toBe(200)
  expect((await new Visit(site).enrol(url, 'mallory')).status).toBe(410)
  expect(await names()).toEqual(['ada'])
  expect(bench.log.ofType('person.enrolled')[0]?.data).toMatchObject({ person: 'ada', invitedBy: null })
})

test('a link’s secret is kept nowhere', async () => {
  const site = makeSite(bench)
  const token = new URL((await createFirstLink(site.site)).url).hash.slice(1)
  await new Visit(site).enrol(`http://localhost/enrol#${token}`, 'ada')
  expect(JSON.stringify(bench.log.events)).not.toContain(token)
  expect(await bench.ports.links.find(token)).toBeNull()
})

test('two links from the terminal still make only one first person', async () => {
  const site = makeSite(bench)
  const [one, other] = [await createFirstLink(site.site), await createFirstLink(site.site)]
  await new Visit(site).enrol(one.url, 'ada')
  expect((await new Visit(site).enrol(other.url, 'mallory')).status).toBe(403)
  await expect(createFirstLink(site.site)).rejects.toThrow('Somebody is enrolled already')
  expect(await names()).toEqual(['ada'])
})

test('two browsers race with two links: the store lets one in, and the log says that the other did not', async () => {
  const site = makeSite(bench)
  const tokens = [await createFirstLink(site.site), await createFirstLink(site.site)].map(({ url }) => new URL(url).hash.slice(1))
  const visits = [new Visit(site), new Visit(site)] as const
  const finishes = []
  for (const [index, visit] of visits.entries()) {
    const body = { token: tokens[index] ?? '', name: `person ${index}` }
    await visit.get('/enrol')
    const response = visit.passkey.register(challengeIn(await visit.post('/enrol/options', body)))
    finishes.push(() => visit.post('/enrol', { ...body, response }))
  }
  const statuses = (await Promise.all(finishes.map((finish) => finish()))).map(({ status }) => status)
  expect(statuses.toSorted((left, right) => left - right)).toEqual([200, 403])
  expect(await names()).toHaveLength(1)
  expect(bench.log.ofType('alarm')[0]?.data['why']).toContain('did not take place')
})

test('a link that ran out, a made-up one, a malformed one', async () => {
  const site = makeSite(bench)
  const { url } = await createFirstLink(site.site)
  bench.clock.shiftMs += 11 * 60_000
  expect((await new Visit(site).enrol(url, 'ada')).status).toBe(410)
  expect((await new Visit(site).enrol(`http://localhost/enrol#${'0'.repeat(64)}`, 'ada')).status).toBe(410)
  expect((await new Visit(site).enrol('http://localhost/enrol#x', 'ada')).status).toBe(400)
  expect(await names()).toEqual([])
})

test.each([
  ['without user verification', { userVerified: false }],
  ['from another origin', { origin: 'http://localhost:9999' }],
  ['for another relying party', { rpId: 'example.test' }],
] as const)('a passkey made %s', async (_name, misdeeds) => {
  const site = makeSite(bench)
  expect((await new Visit(site).enrol((await createFirstLink(site.site)).url, 'ada', misdeeds)).status).toBe(403)
  expect(await names()).toEqual([])
})

test('a name that is somebody’s, an agent’s, the operator’s, or misleads', async () => {
  const { site, visit } = await makeSignedIn(bench)
  const asked = await visit.post('/people/invitations/options', {})
  const made = await visit.post('/people/invitations', { response: visit.passkey.assert(challengeIn(asked)) })
  for (const name of ['Ada', ' ada ', 'ＡＤＡ', 'coder', 'operator']) {
    expect((await new Visit(site).enrol(String(made.body['result']), name)).status).toBe(409)
  }
  for (const name of ['', '\u202Eada', 'a\u200Bda', '<b>', 'x'.repeat(65), '  ']) {
    expect((await new Visit(site).enrol(String(made.body['result']), name)).status).toBe(400)
  }
  expect((await new Visit(site).enrol(String(made.body['result']), 'Zoë O’Neill')).status).toBe(200)
})

test('an invitation takes a passkey, works once, and names who invited', async () => {
  const { site, visit } = await makeSignedIn(bench)
  expect((await visit.post('/people/invitations', { response: visit.passkey.assert('AAAA') })).status).toBe(409)
  await enrolAnother(site, visit, 'grace')
  expect(bench.log.ofType('person.enrolled').at(-1)?.data).toMatchObject({ person: 'grace', invitedBy: 'ada' })
})

test('one device does not become a second person', async () => {
  const { site, visit } = await makeSignedIn(bench)
  const asked = await visit.post('/people/invitations/options', {})
  const made = await visit.post('/people/invitations', { response: visit.passkey.assert(challengeIn(asked)) })
  const token = new URL(String(made.body['result'])).hash.slice(1)
  const second = new Visit(site)
  await second.get('/enrol')
  const options = await second.post('/enrol/options', { token, name: 'ada two' })
  expect(options.text).toContain(visit.passkey.credentialId)
  // A hostile authenticator does not care about the list; the store does.
  const response = visit.passkey.register(challengeIn(options))
  expect((await second.post('/enrol', { token, name: 'ada two', response })).status).toBe(409)
  expect(await names()).toEqual(['ada'])
})

test('the name and the link that were asked for are the ones that are enrolled', async () => {
  const site = makeSite(bench)
  const visit = new Visit(site)
  const token = new URL((await createFirstLink(site.site)).url).hash.slice(1)
  await visit.get('/enrol')
  const response = visit.passkey.register(challengeIn(await visit.post('/enrol/options', { token, name: 'ada' })))
  expect((await visit.post('/enrol', { token, name: 'root', response })).status).toBe(409)
})

test('when the log fails nobody is enrolled', async () => {
  const site = makeSite(bench)
  const { url } = await createFirstLink(site.site)
  bench.log.failing = true
  expect((await new Visit(site).enrol(url, 'ada')).status).toBe(503)
  expect(await names()).toEqual([])
})
