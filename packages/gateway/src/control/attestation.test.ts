import { beforeAll, beforeEach, expect, test } from 'vitest'
import { Maker } from '../../../../tests/fakes/maker.ts'
import { makePeopleBench, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { makeSite, Visit } from '../../../../tests/fakes/visit.ts'
import type { Statement } from '../../../../tests/fakes/passkey.ts'
import { createFirstLink } from './api-routes.ts'

const listed = 'ee882879-721c-4913-9775-3dfcce97072a'
const unlisted = '2fc0579f-8113-47ea-b116-bb5a8db9202a'
let bench: PeopleBench
let maker: Maker
let stranger: Maker

beforeAll(async () => {
  ;[maker, stranger] = await Promise.all([Maker.open('Maker'), Maker.open('Stranger')])
})
beforeEach(() => {
  bench = makePeopleBench()
})

async function enrol(statement?: Statement): Promise<{ status: number; text: string; people: readonly string[] }> {
  const ports = { ...bench.ports, attestation: { models: new Set([listed]), authorities: [maker.pem] } }
  const site = makeSite({ ...bench, ports })
  const link = (await createFirstLink(site.site)).url
  const { status, text } = await new Visit(site).enrol(link, 'ada', statement === undefined ? {} : { statement })
  return { status, text, people: (await bench.ports.people.list()).map(({ name }) => name) }
}

test('a passkey of a model that is listed is let in, and the log says which', async () => {
  expect(await enrol(await maker.state(listed))).toMatchObject({ status: 200, people: ['ada'] })
  expect(bench.log.ofType('person.enrolled')[0]?.data['aaguid']).toBe(listed)
})

test('the browser is asked for the maker’s statement, and only where somebody wants it', async () => {
  const ask = async (attestation?: { models: Set<string>; authorities: string[] }): Promise<string> => {
    const site = makeSite({ ...bench, ports: { ...bench.ports, ...(attestation && { attestation }) } })
    const token = new URL((await createFirstLink(site.site)).url).hash.slice(1)
    const visit = new Visit(site)
    await visit.get('/enrol')
    return (await visit.post('/enrol/options', { token, name: 'ada' })).text
  }
  expect(await ask()).toContain('"attestation":"none"')
  expect(await ask({ models: new Set([listed]), authorities: [maker.pem] })).toContain('"attestation":"direct"')
})

const refused: readonly (readonly [string, () => Statement | undefined | Promise<Statement>, string])[] = [
  ['that says nothing of its make', () => undefined, 'Nothing proves which model'],
  ['of a model that is not listed', () => maker.state(unlisted), `Passkeys of this model (${unlisted}) are not let in`],
  [
    'that is a program and vouches for itself',
    () => ({ aaguid: listed, certificates: [], key: null }),
    'Nothing proves which model',
  ],
  ['of somebody who is no trusted maker', () => stranger.state(listed), 'by nobody who is trusted here'],
  ['whose certificate is of another model', () => maker.state(unlisted, listed), 'by nobody who is trusted here'],
  [
    'that shows a listed one’s certificate without its key',
    async () => ({ ...(await maker.state(listed)), key: null }),
    'by nobody who is trusted',
  ],
]

test.each(refused)('a passkey %s is refused, and nobody is enrolled', async (_name, make, why) => {
  const { status, text, people } = await enrol(await make())
  expect(status).toBe(403)
  expect(text).toContain(why)
  expect(people).toEqual([])
})
