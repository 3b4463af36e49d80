import { beforeEach, describe, expect, test } from 'vitest'
import { sha256Hex } from '@sallyport/core'
import { configurationOfTests, makePeopleBench, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { SoftwarePasskey } from '../../../../tests/fakes/passkey.ts'
import {
  challengeIn,
  confirmInvitation,
  enrolAnother,
  invite,
  makeSignedIn,
  type makeSite,
  origin,
  type Said,
  Visit,
} from '../../../../tests/fakes/visit.ts'

let bench: PeopleBench
let site: ReturnType<typeof makeSite>
let ada: Visit
let bob: Visit

/** Team mode, and two people. */
beforeEach(async () => {
  bench = makePeopleBench()
  bench.state.mode = 'team'
  const made = await makeSignedIn(bench)
  site = made.site
  ada = made.visit
  bob = await enrolAnother(site, ada, 'bob')
})

const names = async (): Promise<readonly string[]> => (await bench.ports.people.list()).map(({ name }) => name)
const handleOf = async (name: string): Promise<string> =>
  (await bench.ports.people.ever()).find((one) => one.name === name)?.userHandle ?? ''

async function sign(visit: Visit, path: string): Promise<Said> {
  const asked = await visit.post(`${path}/options`, {})
  return asked.status === 200 ? visit.post(path, { response: visit.passkey.assert(challengeIn(asked)) }) : asked
}

async function remove(by: Visit, name: string): Promise<Said> {
  return sign(by, `/people/${await handleOf(name)}/remove`)
}

describe('a person who was removed', () => {
  test('is signed out at once, signs in no more, and approves nothing', async () => {
    const request = await bench.ask()
    const asked = await bob.challenge(request, 'approve')
    expect((await remove(ada, 'bob')).status).toBe(200)
    expect(await names()).toEqual(['ada'])
    const response = bob.passkey.assert(challengeIn(asked))
    expect((await bob.post(`/requests/${request.id}/verdict`, { verdict: 'approve', reason: '', response })).status).not.toBe(200)
    expect((await bob.signIn()).status).toBe(403)
    expect((await bob.post('/kill', { kind: 'all', id: '*' })).status).toBe(401)
    expect((await bench.ports.requests.get(request.id))?.approvals).toEqual([])
    expect(bench.log.ofType('person.removed')[0]?.data).toMatchObject({ person: 'bob', by: 'ada', cancelled: [] })
    expect((await ada.get('/people')).text).toContain('bob was removed by ada')
  })

  test('had approved: what has not run is cancelled, what waits for another counts without them', async () => {
    const grace = await enrolAnother(site, ada, 'grace', bob)
    const [ready, waiting] = [await bench.ask({}, { id: 'ready' }), await bench.ask({ approvalsNeeded: 2 }, { id: 'waiting' })]
    expect((await bob.verdict(ready, 'approve')).status).toBe(200)
    expect((await bob.verdict(waiting, 'approve')).status).toBe(200)
    expect((await remove(grace, 'bob')).status).toBe(200)
    expect((await bench.ports.requests.get(ready.id))?.state).toBe('cancelled')
    expect((await bench.ports.requests.findGrant('coder', ready.question.digest))?.state).toBe('void')
    expect(bench.log.ofType('request.cancelled').map(({ data }) => data)).toEqual([{ request: 'ready', by: 'grace' }])
    // Two were asked for: one who is left, and one who is gone, are one.
    expect((await grace.verdict(waiting, 'approve')).status).toBe(200)
    expect((await bench.ports.requests.get(waiting.id))?.state).toBe('pending')
  })

  test('had made or confirmed invitations: they let nobody in', async () => {
    const grace = await enrolAnother(site, ada, 'grace', bob)
    const [made, stoodBy] = [await invite(bob), await invite(ada)]
    await confirmInvitation(grace, made)
    await confirmInvitation(bob, stoodBy)
    expect((await remove(ada, 'bob')).status).toBe(200)
    for (const link of [made, stoodBy]) expect((await new Visit(site).enrol(link, 'mallory')).status).toBe(410)
    expect(await names()).toEqual(['ada', 'grace'])
  })

  test('had accepted a wider configuration: it counts no longer', async () => {
    bench.state.file = configurationOfTests.replace('read orders-db', 'any orders-db')
    await ada.post('/configuration/reread', {})
    const path = `/configuration/${bench.ports.control.configuration.proposal()?.digest ?? ''}`
    const accept = async (visit: Visit): Promise<Said> => {
      const asked = await visit.post(`${path}/options`, {})
      return visit.post(`${path}/accept`, { response: visit.passkey.assert(challengeIn(asked)) })
    }
    expect([(await accept(bob)).status, (await accept(ada)).status]).toEqual([200, 200])
    expect(bench.ports.control.configuration.proposal()?.notBeforeMs).not.toBeNull()
    expect((await remove(ada, 'bob')).status).toBe(200)
    expect(bench.ports.control.configuration.proposal()).toMatchObject({ notBeforeMs: null, acceptances: [{ person: 'ada' }] })
  })

  test('leaves nobody the only one who counts: who is left lets nobody in, and widens nothing alone', async () => {
    expect((await remove(ada, 'bob')).status).toBe(200)
    const link = await invite(ada)
    expect((await new Visit(site).enrol(link, 'mallory')).status).toBe(403)
    expect((await confirmInvitation(ada, link)).status).toBe(403)
    // Under the same name, or with the same key, they are not another person.
    bench.state.mode = 'solo'
    expect((await bob.enrol(await invite(ada), 'bobby')).status).not.toBe(200)
    expect((await new Visit(site).enrol(await invite(ada), 'Bob')).status).toBe(409)
    expect(await names()).toEqual(['ada'])
  })

  test('is never the last one, however many are removed at once', async () => {
    const statuses = (await Promise.all([remove(ada, 'bob'), remove(bob, 'ada')])).map(({ status }) => status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(1)
    expect(await names()).toHaveLength(1)
    const [left] = await names()
    expect((await remove(left === 'ada' ? ada : bob, left ?? '')).status).toBe(409)
  })

  test('takes a passkey over exactly this, in a session that asked for it', async () => {
    const path = `/people/${await handleOf('ada')}/remove`
    const challenge = challengeIn(await bob.post(`${path}/options`, {}))
    expect((await ada.post(path, { response: bob.passkey.assert(challenge) })).status).toBe(409)
    expect((await bob.post(`/people/${await handleOf('bob')}/remove`, { response: bob.passkey.assert(challenge) })).status).toBe(
      409,
    )
    expect((await bob.post(path, { response: ada.passkey.assert(challenge) })).status).toBe(403)
    expect((await bob.post(path, { response: bob.passkey.assert(challenge) })).status).toBe(409)
    const stranger = new Visit(site)
    await stranger.get('/enrol')
    expect((await stranger.post(`${path}/options`, {})).status).toBe(401)
    expect((await bob.post('/people/nobody/remove/options', {})).status).toBe(404)
    expect(await names()).toEqual(['ada', 'bob'])
  })
})

describe('passkeys of one person', () => {
  const unlock = '/people/me/unlock'
  const create = '/people/me/passkeys'

  async function add(visit: Visit, name: string, made = new SoftwarePasskey(origin)): Promise<Said> {
    await sign(visit, unlock)
    const asked = await visit.post(`${create}/options`, { name })
    return asked.status === 200 ? visit.post(create, { name, response: made.register(challengeIn(asked)) }) : asked
  }

  test('another one, after one they have: both sign in, and the log knows both', async () => {
    const second = new SoftwarePasskey(origin)
    expect((await add(ada, 'the key on my keyring', second)).status).toBe(200)
    const [person] = await bench.ports.people.list()
    expect(person?.passkeys.map(({ name }) => name)).toEqual(['', 'the key on my keyring'])
    expect(bench.log.ofType('passkey.added')[0]?.data).toMatchObject({
      person: 'ada',
      credential: person?.passkeys[1]?.credentialId,
      by: person?.passkeys[0]?.credentialId,
      publicKey: person?.passkeys[1]?.publicKey,
    })
    const elsewhere = new Visit(site)
    await elsewhere.get('/sign-in')
    const asked = await elsewhere.post('/sign-in/options', { next: '/people/me' })
    const said = await elsewhere.post('/sign-in', { next: '/people/me', response: second.assert(challengeIn(asked)) })
    expect(said.body).toEqual({ go: '/people/me' })
    expect((await elsewhere.get('/people/me')).text).toContain('the key on my keyring')
  })

  test('none without one they have, once for each, and in the session that used it', async () => {
    expect((await ada.post(`${create}/options`, { name: 'x' })).status).toBe(409)
    await sign(ada, unlock)
    expect((await bob.post(`${create}/options`, { name: 'x' })).status).toBe(409)
    const asked = await ada.post(`${create}/options`, { name: 'x' })
    expect((await ada.post(`${create}/options`, { name: 'x' })).status).toBe(409)
    const response = new SoftwarePasskey(origin).register(challengeIn(asked))
    expect((await bob.post(create, { name: 'x', response })).status).toBe(409)
    expect((await ada.post(create, { name: 'y', response })).status).toBe(409)
    expect((await ada.post(create, { name: 'x', response })).status).toBe(409)
    expect((await bench.ports.people.list()).every(({ passkeys }) => passkeys.length === 1)).toBe(true)
  })

  test('somebody else’s does not become theirs', async () => {
    await sign(ada, unlock)
    const asked = await ada.post(`${create}/options`, { name: 'bobs' })
    const response = bob.passkey.register(challengeIn(asked))
    expect((await ada.post(create, { name: 'bobs', response })).status).toBe(409)
    expect(bench.log.ofType('alarm')).toHaveLength(1)
    expect((await bench.ports.people.list())[0]?.passkeys).toHaveLength(1)
  })

  test('one is removed, by another; never the last, nor somebody else’s', async () => {
    await add(ada, 'second')
    const [adas, bobs] = await bench.ports.people.list()
    const pathOf = (id: string | undefined): string => `${create}/${sha256Hex(id ?? '')}/remove`
    expect((await sign(ada, pathOf(bobs?.passkeys[0]?.credentialId))).status).toBe(404)
    expect((await sign(bob, pathOf(bobs?.passkeys[0]?.credentialId))).status).toBe(409)
    expect((await sign(ada, pathOf(adas?.passkeys[1]?.credentialId))).status).toBe(200)
    expect((await sign(ada, pathOf(adas?.passkeys[0]?.credentialId))).status).toBe(409)
    expect(bench.log.ofType('passkey.removed')).toHaveLength(1)
    expect((await bench.ports.people.list()).map(({ passkeys }) => passkeys.length)).toEqual([1, 1])
  })
})
