import { beforeEach, expect, test } from 'vitest'
import { makePeopleBench, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { challengeIn, enrolAnother, makeSignedIn, type makeSite, type Said, Visit } from '../../../../tests/fakes/visit.ts'

/** One stolen passkey removes everybody else at once, and it is not for good; nor is it enough to come back after being removed. */
let bench: PeopleBench
let site: ReturnType<typeof makeSite>
let ada: Visit
let bob: Visit

beforeEach(async () => {
  bench = makePeopleBench()
  bench.state.mode = 'team'
  const made = await makeSignedIn(bench)
  site = made.site
  ada = made.visit
  bob = await enrolAnother(site, ada, 'bob')
})

const names = async (): Promise<readonly string[]> => (await bench.ports.people.list()).map(({ name }) => name).toSorted()
const handleOf = async (name: string): Promise<string> =>
  (await bench.ports.people.ever()).find((one) => one.name === name)?.userHandle ?? ''

async function sign(visit: Visit, path: string): Promise<Said> {
  const asked = await visit.post(`${path}/options`, {})
  return asked.status === 200 ? visit.post(path, { response: visit.passkey.assert(challengeIn(asked)) }) : asked
}
const remove = async (by: Visit, name: string): Promise<number> =>
  (await sign(by, `/people/${await handleOf(name)}/remove`)).status
const confirm = async (by: Visit, name: string): Promise<number> =>
  (await sign(by, `/people/${await handleOf(name)}/confirm-removal`)).status

/** From a browser that nobody is signed in with. */
async function restore(passkeyOf: Visit, name: string): Promise<Said> {
  const visit = new Visit(site)
  await visit.get('/restore')
  const asked = await visit.post('/restore/options', { name })
  return visit.post('/restore', { name, response: passkeyOf.passkey.assert(challengeIn(asked)) })
}

test('of a team, removed by one alone: it holds at once, and any two of them answer it, however long after', async () => {
  const grace = await enrolAnother(site, ada, 'grace', bob)
  const dan = await enrolAnother(site, ada, 'dan', bob)
  for (const name of ['ada', 'grace', 'dan']) expect(await remove(bob, name)).toBe(200)
  expect(await names()).toEqual(['bob'])
  expect((await ada.signIn()).status).toBe(403)
  expect(bench.log.ofType('person.removed').map(({ data }) => data['waits'])).toEqual([true, true, true])
  // The one who did it stands by none of it a second time, and nobody else is left who could.
  await bob.get('/people')
  expect(await confirm(bob, 'ada')).toBe(403)
  bench.clock.shiftMs += 48 * 3_600_000
  expect((await restore(ada, 'ada')).status).toBe(403)
  expect((await restore(ada, 'Grace')).body).toMatchObject({ message: expect.stringContaining('grace is enrolled again') })
  expect((await restore(grace, 'ada')).status).toBe(200)
  expect(await names()).toEqual(['ada', 'bob', 'grace'])
  expect((await ada.signIn()).status).toBe(200)
  expect(await remove(ada, 'bob')).toBe(200)
  // Who is removed cannot come back alone, nor twice by one signature.
  expect((await restore(bob, 'bob')).status).toBe(403)
  await grace.signIn()
  expect(await confirm(grace, 'bob')).toBe(200)
  expect((await restore(ada, 'bob')).status).toBe(403)
  expect((await restore(bob, 'dan')).status).toBe(403)
  expect((await restore(dan, 'bob')).status).toBe(403)
  expect((await restore(ada, 'dan')).status).toBe(200)
  expect(bench.log.ofType('person.restored').map(({ data }) => [data['person'], data['by']])).toEqual([
    ['grace', 'ada'],
    ['ada', 'grace'],
    ['dan', 'ada'],
  ])
  expect(bench.log.ofType('removal.confirmed').map(({ data }) => [data['person'], data['by']])).toEqual([['bob', 'grace']])
})

test('what was approved, or handed over, before stays ended; and name and passkeys are those of before', async () => {
  await enrolAnother(site, ada, 'grace', bob)
  const ready = await bench.ask({}, { id: 'ready' })
  expect((await bob.verdict(ready, 'approve')).status).toBe(200)
  expect(await remove(ada, 'bob')).toBe(200)
  expect((await restore(ada, 'bob')).status).toBe(200)
  expect((await bench.ports.requests.get('ready'))?.state).toBe('cancelled')
  expect((await bench.ports.requests.findGrant('coder', ready.question.digest))?.state).toBe('void')
  expect((await bob.get('/people')).status).toBe(200)
  expect((await bench.ports.people.list()).find(({ name }) => name === 'bob')?.admission).toEqual({
    invitedBy: 'ada',
    confirmedBy: null,
  })
})

test('of two, there is nobody else to ask: either takes it back within a day, and not after', async () => {
  expect(await remove(bob, 'ada')).toBe(200)
  expect(bench.log.ofType('person.removed')[0]?.data['waits']).toBe(false)
  expect((await restore(ada, 'ada')).status).toBe(200)
  expect(await remove(bob, 'ada')).toBe(200)
  bench.clock.shiftMs += 24 * 3_600_000
  expect((await restore(ada, 'ada')).status).toBe(403)
  expect((await restore(bob, 'ada')).status).toBe(403)
  expect(await names()).toEqual(['bob'])
})

test('a stranger, another’s challenge, a replay and a clock set back take nothing back, and learn nothing of who was removed', async () => {
  await enrolAnother(site, ada, 'grace', bob)
  expect(await remove(ada, 'bob')).toBe(200)
  const mallory = new Visit(site)
  expect((await restore(mallory, 'bob')).text).toBe((await restore(mallory, 'nobody')).text)
  const visit = new Visit(site)
  await visit.get('/restore')
  const challenge = challengeIn(await visit.post('/restore/options', { name: 'grace' }))
  const response = ada.passkey.assert(challenge)
  expect((await visit.post('/restore', { name: 'bob', response })).status).toBe(403)
  expect((await visit.post('/restore', { name: 'grace', response })).status).toBe(403)
  expect((await visit.post('/restore', { name: 'grace', response })).status).toBe(403)
  expect(await names()).toEqual(['ada', 'grace'])
  bench.state.mode = 'solo'
  expect(await remove(ada, 'grace')).toBe(200)
  bench.clock.shiftMs -= 60_000
  expect((await restore(ada, 'grace')).status).toBe(403)
})
