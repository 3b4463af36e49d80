import { beforeEach, describe, expect, test } from 'vitest'
import { digestJson, type Json } from '@sallyport/core'
import { z } from 'zod'
import { makePeopleBench, type PeopleBench } from '../../../../tests/fakes/people.ts'
import {
  challengeIn,
  confirmInvitation,
  enrolAnother,
  invitationOf,
  invite,
  makeSignedIn,
  makeSite,
  origin,
  type Said,
  Visit,
} from '../../../../tests/fakes/visit.ts'
import { verifyAssertion } from './passkeys.ts'

let bench: PeopleBench
let site: ReturnType<typeof makeSite>
let ada: Visit

/** Team mode, and only the first person. */
beforeEach(async () => {
  bench = makePeopleBench()
  bench.state.mode = 'team'
  const made = await makeSignedIn(bench)
  site = made.site
  ada = made.visit
})

const names = async (): Promise<readonly string[]> => (await bench.ports.people.list()).map(({ name }) => name)
const confirmations = (): number =>
  bench.log.ofType('configuration.applied').filter(({ data }) => data['what'] === 'invitation confirmed').length

/** Both halves of an enrolment, with the second kept back. */
async function beginEnrolment(link: string, name: string): Promise<() => Promise<Said>> {
  const visit = new Visit(site)
  await visit.get('/enrol')
  const body = { token: new URL(link).hash.slice(1), name }
  const response = visit.passkey.register(challengeIn(await visit.post('/enrol/options', body)))
  return () => visit.post('/enrol', { ...body, response })
}

describe('an owner who would be two people', () => {
  let bob: Visit
  beforeEach(async () => {
    bob = await enrolAnother(site, ada, 'bob')
  })

  test('invites a second name alone: the link enrols nobody, and says what is missing', async () => {
    const link = await invite(ada)
    const said = await new Visit(site).enrol(link, 'adas other key')
    expect(said.status).toBe(403)
    expect(said.text).toContain('This invitation waits: somebody enrolled, other than who made it, has to confirm it')
    expect(said.text).toContain('Nobody was enrolled.')
    expect(await names()).toEqual(['ada', 'bob'])
    expect(bench.log.ofType('person.enrolled')).toHaveLength(2)
  })

  test('confirms their own: neither with their session and key, nor with one of the two halves', async () => {
    const link = await invite(ada)
    const path = `/people/invitations/${invitationOf(link)}/confirm`
    const own = await confirmInvitation(ada, link)
    expect([own.status, own.text]).toEqual([403, expect.stringContaining('somebody else who is enrolled has to confirm')])
    const bobs = challengeIn(await bob.post(`${path}/options`, {}))
    // Bob's challenge signed by ada's key, in his session and in hers; then his signature in her session.
    expect((await bob.post(path, { response: ada.passkey.assert(bobs) })).status).toBe(403)
    expect((await ada.post(path, { response: ada.passkey.assert(bobs) })).status).toBe(409)
    expect((await ada.post(path, { response: bob.passkey.assert(bobs) })).status).toBe(409)
    expect(confirmations()).toBe(0)
    expect((await new Visit(site).enrol(link, 'mallory')).status).toBe(403)
  })

  test('uses a signature of the other one that was for something else', async () => {
    const [one, other] = [await invite(ada), await invite(ada)]
    const pathOf = (link: string): string => `/people/invitations/${invitationOf(link)}/confirm`
    const request = await bench.ask()
    const gathered = [
      challengeIn(await bob.post('/people/invitations/options', {})),
      challengeIn(await bob.challenge(request, 'reject')),
      challengeIn(await bob.post(`${pathOf(other)}/options`, {})),
    ]
    for (const challenge of gathered) {
      await bob.post(`${pathOf(one)}/options`, {})
      expect((await bob.post(pathOf(one), { response: bob.passkey.assert(challenge) })).status).toBe(403)
    }
    expect(bench.log.ofType('verdict.refused').at(-1)?.data).toMatchObject({ what: 'invitation confirmed', person: 'bob' })
    expect((await new Visit(site).enrol(one, 'mallory')).status).toBe(403)
    // What was signed for the other link is good for the other link only.
    expect((await confirmInvitation(bob, other)).status).toBe(200)
    expect((await new Visit(site).enrol(one, 'mallory')).status).toBe(403)
  })

  test('uses a link that was confirmed once, twice', async () => {
    const link = await invite(ada)
    await confirmInvitation(bob, link)
    expect((await new Visit(site).enrol(link, 'grace')).status).toBe(200)
    expect((await new Visit(site).enrol(link, 'mallory')).status).toBe(410)
    expect((await confirmInvitation(bob, link)).status).toBe(410)
    expect(await names()).toEqual(['ada', 'bob', 'grace'])
  })

  test('takes the signature without a session, a token, or a person behind it', async () => {
    const link = await invite(ada)
    const path = `/people/invitations/${invitationOf(link)}/confirm`
    const stranger = new Visit(site)
    await stranger.get('/enrol')
    for (const [visit, headers, status] of [
      [stranger, {}, 401],
      [bob, { 'x-csrf-token': stranger.csrf }, 403],
      [bob, { origin: 'https://evil.test' }, 403],
    ] as const) {
      expect((await visit.post(`${path}/options`, {}, headers)).status).toBe(status)
      expect((await visit.post(`/people/invitations/${invitationOf(link)}/withdraw`, {}, headers)).status).toBe(status)
    }
    const challenge = challengeIn(await bob.post(`${path}/options`, {}))
    expect((await bob.post(path, { response: bob.passkey.assert(challenge, { userVerified: false }) })).status).toBe(403)
    expect((await bob.post(path, { response: bob.passkey.assert(challenge) })).status).toBe(409)
    expect(confirmations()).toBe(0)
  })

  test('enrols first and has it confirmed after: what was begun before is judged when it ends', async () => {
    const link = await invite(ada)
    await confirmInvitation(bob, link)
    const finish = await beginEnrolment(link, 'mallory')
    await bob.post(`/people/invitations/${invitationOf(link)}/withdraw`, {})
    expect((await finish()).status).toBe(410)
    expect(await names()).toEqual(['ada', 'bob'])
  })
})

describe('links made while there was nobody to ask', () => {
  test('do not slip through once a second person is enrolled', async () => {
    const [one, other] = [await invite(ada), await invite(ada)]
    expect((await new Visit(site).enrol(one, 'bob')).status).toBe(200)
    expect((await new Visit(site).enrol(other, 'mallory')).status).toBe(403)
    expect(await names()).toEqual(['ada', 'bob'])
  })

  test('nor when both enrolments were begun before: one gets in, in whichever order and at once', async () => {
    const [one, other] = [await invite(ada), await invite(ada)]
    const finishes = [await beginEnrolment(one, 'bob'), await beginEnrolment(other, 'mallory')]
    const statuses = (await Promise.all(finishes.map((finish) => finish()))).map(({ status }) => status)
    expect(statuses.toSorted((left, right) => left - right)).toEqual([200, 403])
    expect(await names()).toHaveLength(2)
  })

  test('the store itself refuses, whatever the pages thought', async () => {
    const [one, other] = [await invite(ada), await invite(ada)]
    const [first] = await bench.ports.people.list()
    const enrol = (link: string, name: string, credentialId: string): Promise<string> =>
      bench.ports.people.enrol(
        { name, userHandle: name, enrolledAtMs: 1, passkeys: [{ ...passkeyOf(first), credentialId }] },
        invitationOf(link),
        bench.clock.nowMs(),
        2,
      )
    expect(await enrol(one, 'bob', 'bobs')).toBe('enrolled')
    expect(await enrol(other, 'mallory', 'mallorys')).toBe('unconfirmed')
    const { links } = bench.ports
    expect(await links.confirm(invitationOf(other), 'Ada ', bench.clock.nowMs())).toBe('own')
    expect(await links.confirm(invitationOf(other), 'mallory', bench.clock.nowMs())).toBe('stranger')
    expect(await links.confirm(invitationOf(one), 'bob', bench.clock.nowMs())).toBe('link_invalid')
    expect(await links.confirm(invitationOf(other), 'bob', bench.clock.nowMs() + 60 * 60_000)).toBe('link_invalid')
    expect(await enrol(other, 'mallory', 'mallorys')).toBe('unconfirmed')
    expect(await links.confirm(invitationOf(other), 'bob', bench.clock.nowMs())).toBe('confirmed')
    expect(await links.confirm(invitationOf(other), 'bob', bench.clock.nowMs())).toBe('already')
    for (const person of ['ADA', 'a ghost']) {
      const tokenSha256 = digestJson(person)
      const written = { tokenSha256, invitedBy: 'ada', createdAtMs: 1, expiresAtMs: bench.clock.nowMs() + 60_000, usedAtMs: null }
      await links.create({ ...written, confirmation: { person, atMs: 1 }, withdrawnAtMs: null })
      const newcomer = { name: 'eve', userHandle: 'eve', enrolledAtMs: 1, passkeys: [] }
      expect(await bench.ports.people.enrol(newcomer, tokenSha256, bench.clock.nowMs(), 2)).toBe('unconfirmed')
    }
    expect(await enrol(other, 'mallory', 'mallorys')).toBe('enrolled')
  })

  test('what cannot take place asks for no passkey and is not on the log', async () => {
    const [one, other] = [await invite(ada), await invite(ada)]
    const finishes = [await beginEnrolment(one, 'bob'), await beginEnrolment(other, 'mallory')]
    const statuses = []
    for (const finish of finishes) statuses.push((await finish()).status)
    expect(statuses).toEqual([200, 403])
    expect(bench.log.ofType('person.enrolled').map(({ data }) => data['person'])).toEqual(['ada', 'bob'])
    expect(bench.log.ofType('alarm')).toEqual([])
    const visit = new Visit(site)
    await visit.get('/enrol')
    expect((await visit.post('/enrol/options', { token: new URL(other).hash.slice(1), name: 'mallory' })).status).toBe(403)
  })

  test('nor when made in solo mode, and the mode is team by the time they are used', async () => {
    const bob = await enrolAnother(site, ada, 'bob')
    bench.state.mode = 'solo'
    const link = await invite(ada)
    bench.state.mode = 'team'
    expect((await new Visit(site).enrol(link, 'mallory')).status).toBe(403)
    expect((await confirmInvitation(bob, link)).status).toBe(200)
    expect((await new Visit(site).enrol(link, 'grace')).status).toBe(200)
  })
})

describe('an invitation with two people behind it', () => {
  let bob: Visit
  beforeEach(async () => {
    bob = await enrolAnother(site, ada, 'bob')
  })

  test('enrols, and anyone can check offline who stood by it', async () => {
    const link = await invite(ada)
    expect((await confirmInvitation(bob, link)).status).toBe(200)
    expect((await new Visit(site).enrol(link, 'grace')).status).toBe(200)
    const enrolled = bench.log.ofType('person.enrolled')
    const last = enrolled.at(-1)?.data ?? {}
    expect(last).toMatchObject({ person: 'grace', invitedBy: 'ada', confirmedBy: 'bob', link: invitationOf(link) })
    expect(JSON.stringify(bench.log.events)).not.toContain(new URL(link).hash.slice(1))
    const acts = bench.log.ofType('configuration.applied').filter(({ data }) => textOf(data).includes(invitationOf(link)))
    expect(acts.map(({ data }) => [data['what'], data['by']])).toEqual([
      ['invitation', 'ada'],
      ['invitation confirmed', 'bob'],
    ])
    for (const { data } of acts) {
      const by = z.string().parse(enrolled.find(({ data: person }) => person['person'] === data['by'])?.data['publicKey'])
      expect(await isSignedBy(by, data)).toBe(true)
      expect(
        await isSignedBy(by, {
          ...data,
          statement: { ...z.record(z.string(), z.json()).parse(data['statement']), expiresAtMs: 1 },
        }),
      ).toBe(false)
    }
    expect(acts[1]?.data['statement']).toMatchObject({ person: 'bob', invitedBy: 'ada', tokenSha256: invitationOf(link) })
  })

  test('is on the log before it counts: no log, no confirmation', async () => {
    const link = await invite(ada)
    bench.log.failing = true
    expect((await confirmInvitation(bob, link)).status).toBe(503)
    bench.log.failing = false
    expect((await new Visit(site).enrol(link, 'grace')).status).toBe(403)
    expect((await confirmInvitation(bob, link)).status).toBe(200)
  })

  test('takes one confirmation: the second is refused, and of two at once one counts', async () => {
    const grace = await enrolAnother(site, ada, 'grace', bob)
    const link = await invite(ada)
    const statuses = (await Promise.all([bob, grace].map((visit) => confirmInvitation(visit, link)))).map(({ status }) => status)
    expect(statuses.toSorted((left, right) => left - right)).toEqual([200, 409])
    expect((await confirmInvitation(grace, link)).status).toBe(409)
    expect((await bench.ports.links.find(invitationOf(link)))?.confirmation?.person).toMatch(/bob|grace/)
  })

  test('lives for an hour and no longer, and the signatures say until when', async () => {
    const link = await invite(ada)
    const madeAtMs = bench.clock.nowMs()
    bench.clock.shiftMs += 25 * 60_000
    expect((await confirmInvitation(bob, link)).status).toBe(200)
    bench.clock.shiftMs += 25 * 60_000
    await Promise.all([ada, bob].map((visit) => visit.get('/people')))
    const finish = await beginEnrolment(link, 'grace')
    bench.clock.shiftMs += 1 * 60_000
    const found = await bench.ports.links.find(invitationOf(link))
    expect(Math.abs((found?.expiresAtMs ?? 0) - madeAtMs - 60 * 60_000)).toBeLessThan(5_000)
    const signed = bench.log.ofType('configuration.applied').map(({ data }) => data['statement'])
    expect(signed.slice(-2)).toEqual([
      expect.objectContaining({ expiresAtMs: found?.expiresAtMs }),
      expect.objectContaining({ expiresAtMs: found?.expiresAtMs }),
    ])
    bench.clock.shiftMs += 10 * 60_000
    expect((await finish()).status).toBe(409)
    expect((await new Visit(site).enrol(link, 'grace')).status).toBe(410)
    expect(await names()).toEqual(['ada', 'bob'])
  })

  test('one made for nobody else lives ten minutes', async () => {
    bench.state.mode = 'solo'
    const link = await invite(ada)
    bench.clock.shiftMs += 11 * 60_000
    expect((await new Visit(site).enrol(link, 'grace')).status).toBe(410)
  })

  test('survives a restart of the listener, and so does its waiting', async () => {
    const [one, other] = [await invite(ada), await invite(ada)]
    await confirmInvitation(bob, one)
    site = makeSite(bench)
    expect((await new Visit(site).enrol(other, 'mallory')).status).toBe(403)
    expect((await new Visit(site).enrol(one, 'grace')).status).toBe(200)
  })

  test('can be withdrawn by anybody enrolled, confirmed or not, and then enrols nobody', async () => {
    const [one, other] = [await invite(ada), await invite(ada)]
    await confirmInvitation(bob, one)
    const withdraw = (visit: Visit, link: string): Promise<Said> =>
      visit.post(`/people/invitations/${invitationOf(link)}/withdraw`, {})
    expect((await withdraw(ada, one)).status).toBe(200)
    expect((await withdraw(bob, other)).status).toBe(200)
    expect((await withdraw(bob, other)).status).toBe(410)
    expect((await confirmInvitation(bob, other)).status).toBe(410)
    for (const link of [one, other]) expect((await new Visit(site).enrol(link, 'mallory')).status).toBe(410)
    expect(bench.log.ofType('configuration.applied').at(-1)?.data).toMatchObject({ what: 'invitation withdrawn', by: 'bob' })
  })

  test('is shown to all with what each may do', async () => {
    const link = await invite(ada)
    const confirm = `/people/invitations/${invitationOf(link)}/confirm`
    const [own, others] = [(await ada.get('/people')).text, (await bob.get('/people')).text]
    expect(own).toContain('waits for a second person')
    expect(own).not.toContain(confirm)
    expect(own).toContain('Withdraw')
    expect(others).toContain(confirm)
    expect(others).toContain('Invited by <b>ada</b>')
    expect(others).toContain('invited by ada alone')
    await confirmInvitation(bob, link)
    const after = (await ada.get('/people')).text
    expect(after).toContain('Confirmed by bob')
    expect(after).not.toContain(confirm)
  })

  test('does not drown: a bounded number is open at once', async () => {
    for (let made = 0; made < 20; made += 1) await invite(ada)
    const refused = await ada.post('/people/invitations/options', {})
    expect([refused.status, refused.text]).toEqual([429, expect.stringContaining('20 invitations are open already')])
  })

  test.each(['0'.repeat(64), 'x', '..%2f', ''])('of id %j is nothing', async (id) => {
    for (const act of ['withdraw', 'confirm', 'confirm/options']) {
      const said = await bob.post(`/people/invitations/${id}/${act}`, {})
      expect([400, 404, 410]).toContain(said.status)
    }
  })
})

test('the terminal’s link is nobody’s invitation: it is neither shown, confirmed nor withdrawn', async () => {
  bench = makePeopleBench()
  bench.state.mode = 'team'
  const made = await makeSignedIn(bench)
  const before = await bench.ports.links.open(bench.clock.nowMs())
  const terminal = { tokenSha256: 'a'.repeat(64), invitedBy: null, createdAtMs: 1, expiresAtMs: bench.clock.nowMs() + 60_000 }
  await bench.ports.links.create({ ...terminal, usedAtMs: null, confirmation: null, withdrawnAtMs: null })
  expect(before).toEqual([])
  expect((await made.visit.get('/people')).text).not.toContain('Open invitations')
  for (const act of ['withdraw', 'confirm/options'])
    expect((await made.visit.post(`/people/invitations/${terminal.tokenSha256}/${act}`, {})).status).toBe(410)
})

test('in solo mode one passkey is enough, and the page says what that means later', async () => {
  bench.state.mode = 'solo'
  await enrolAnother(site, ada, 'bob')
  await enrolAnother(site, ada, 'grace')
  expect(await names()).toEqual(['ada', 'bob', 'grace'])
  expect((await ada.get('/people')).text).toContain('counts as a second person when this becomes team mode')
})

test('the first of a team is told what inviting the second alone means', async () => {
  expect((await ada.get('/people')).text).toContain('If that were you again with another passkey')
  await enrolAnother(site, ada, 'bob')
  expect((await ada.get('/people')).text).toContain('nobody here lets people in alone')
})

const actShape = z.object({
  statement: z.json(),
  credential: z.string(),
  evidence: z.object({
    id: z.string(),
    response: z.object({ clientDataJSON: z.string(), authenticatorData: z.string(), signature: z.string() }),
  }),
})

/** As anyone would with the log alone: the statement's digest is the challenge, and the key is the one that was enrolled. */
async function isSignedBy(publicKey: string, data: { readonly [key: string]: Json }): Promise<boolean> {
  const { statement, credential, evidence } = actShape.parse(data)
  const { clientDataJSON, authenticatorData, signature } = evidence.response
  const passkey = {
    credentialId: credential,
    publicKey,
    counter: 0,
    transports: [],
    name: '',
    synced: false,
    aaguid: '',
    addedAtMs: 0,
  }
  const response = { clientDataJSON, authenticatorData, signature }
  const assertion = { id: evidence.id, rawId: evidence.id, type: 'public-key' as const, response }
  const people = { ...bench.ports.people, advanceCounter: async () => true }
  return (await verifyAssertion(people, [passkey], assertion, digestJson(statement), origin)).result === 'verified'
}

function textOf(data: { readonly [key: string]: Json }): string {
  return JSON.stringify(data['statement'] ?? null)
}

function passkeyOf(person: Awaited<ReturnType<PeopleBench['ports']['people']['list']>>[number] | undefined) {
  const [passkey] = person?.passkeys ?? []
  if (passkey === undefined) throw new Error('no passkey')
  return passkey
}
