import { beforeEach, expect, test } from 'vitest'
import { challengeOf } from '@sallyport/core'
import { makePeopleBench, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { challengeIn, enrolAnother, makeSignedIn, type Said, type Visit } from '../../../../tests/fakes/visit.ts'

/** One named person stands for all who should approve: what that takes the place of, and what it never does. */
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

const minutes = 60_000
const subject = { agent: 'coder', owner: 'olga' }

async function breakGlass(person: Visit, id: string, over: object = {}): Promise<Said> {
  const request = await bench.ports.requests.get(id)
  if (request === null) throw new Error('no such request')
  const shown = challengeOf(request, 'approve', undefined, true)
  await person.get(`/requests/${id}`)
  const body = { verdict: 'approve', reason: 'production is down', breakGlass: true, ...over }
  const asked = await person.post(`/requests/${id}/challenge`, { ...body, shown })
  if (asked.status !== 200) return asked
  return person.post(`/requests/${id}/verdict`, { ...body, response: person.passkey.assert(challengeIn(asked)) })
}

async function review(person: Visit, id: string): Promise<Said> {
  await person.get(`/requests/${id}`)
  const asked = await person.post(`/requests/${id}/review/options`, {})
  return asked.status === 200
    ? person.post(`/requests/${id}/review`, { response: person.passkey.assert(challengeIn(asked)) })
    : asked
}

beforeEach(() => {
  bench.state.mode = 'team'
  bench.state.owners = []
  bench.state.quorum = { group: 'dba', members: ['linus', 'olga'], count: 2 }
  bench.state.breakers.push('Ada', 'olga')
})

test('one person stands for several, after the cool-off; it rings, and somebody else looks at it before the next', async () => {
  const olga = await enrolAnother(site, ada, 'olga')
  const request = await bench.ask({ approvalsNeeded: 2, subject })
  const fromMs = bench.clock.nowMs()
  expect((await breakGlass(ada, request.id)).status).toBe(200)
  const broken = await bench.ports.requests.get(request.id)
  expect(broken).toMatchObject({ state: 'approved', approvals: [{ person: 'ada', breakGlass: true }] })
  expect(broken?.notBeforeMs).toBeGreaterThanOrEqual(fromMs + 15 * minutes)
  expect(bench.log.ofType('alarm')[0]?.data).toMatchObject({ kind: 'break_glass', request: request.id, person: 'ada' })
  const page = (await olga.get(`/requests/${request.id}`)).text
  expect(page).toContain('nobody else has looked at it yet')
  const next = await bench.ask({ approvalsNeeded: 2, subject, digest: '9'.repeat(64), text: 'another' })
  expect((await breakGlass(ada, next.id)).text).toContain('Nobody has looked at what you last broke glass for')
  // Neither who broke it, nor whose agent it was for.
  expect([(await review(ada, request.id)).status, (await review(olga, request.id)).status]).toEqual([403, 403])
  const linus = await enrolAnother(site, ada, 'linus', olga)
  expect((await review(linus, request.id)).status).toBe(200)
  expect(bench.log.ofType('glass.reviewed')[0]?.data).toMatchObject({ request: request.id, person: 'ada', by: 'linus' })
  expect((await review(linus, request.id)).status).toBe(409)
  expect((await breakGlass(ada, next.id)).status).toBe(200)
})

test('what one person would do for anyway waits for nothing', async () => {
  await enrolAnother(site, ada, 'olga')
  const request = await bench.ask({ approvalsNeeded: 1, subject })
  expect((await breakGlass(ada, request.id)).status).toBe(200)
  expect((await bench.ports.requests.get(request.id))?.notBeforeMs).toBeLessThanOrEqual(bench.clock.nowMs())
})

test.each([
  ['by the owner', 'olga', {}, 'You own this agent'],
  ['by somebody who may not', 'linus', {}, 'none of those who may break glass'],
  ['with conditions', 'ada', { conditions: { rowsMax: 1, notBeforeMs: null } }, ''],
  ['as a no', 'ada', { verdict: 'reject' }, ''],
] as const)('%s it is refused, and nothing is broken', async (_name, name, over, why) => {
  const olga = await enrolAnother(site, ada, 'olga')
  const linus = await enrolAnother(site, ada, 'linus', olga)
  const request = await bench.ask({ approvalsNeeded: 2, subject })
  const said = await breakGlass({ ada, olga, linus }[name], request.id, over)
  expect(said.status).not.toBe(200)
  expect(said.text).toContain(why)
  expect(await stateOf(request.id)).toBe('pending')
  expect(bench.log.ofType('alarm')).toEqual([])
})

test('no scope for agents comes of it', async () => {
  await enrolAnother(site, ada, 'olga')
  const request = await bench.ask({ approvalsNeeded: 2, subject, protocol: 'sallyport' })
  expect((await breakGlass(ada, request.id)).text).toContain('not for scope')
  expect(await stateOf(request.id)).toBe('pending')
})

test('a plain approval, sent as broken glass, and the other way round', async () => {
  const olga = await enrolAnother(site, ada, 'olga')
  await enrolAnother(site, ada, 'linus', olga)
  bench.state.quorum = null
  const request = await bench.ask({ approvalsNeeded: 2, subject })
  const response = ada.passkey.assert(challengeIn(await ada.challenge(request, 'approve')))
  const sent = { verdict: 'approve', reason: '', response, breakGlass: true }
  expect((await ada.post(`/requests/${request.id}/verdict`, sent)).status).toBe(409)
  expect(await stateOf(request.id)).toBe('pending')
})
