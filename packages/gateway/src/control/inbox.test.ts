import { requestDetailShape, requestsShape } from '@sallyport/console'
import type { AccessRequest, Approval } from '@sallyport/core'
import { beforeEach, expect, test } from 'vitest'
import { makePeopleBench, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { approvalOf } from '../../../../tests/fakes/ports.ts'
import { makeSignedIn, type Visit } from '../../../../tests/fakes/visit.ts'

let bench: PeopleBench
let ada: Visit

beforeEach(async () => {
  bench = makePeopleBench()
  ada = (await makeSignedIn(bench)).visit
})

const add = (request: AccessRequest, person: string, more: Partial<Approval> = {}): Promise<boolean> =>
  bench.ports.requests.addApproval(request.id, { ...approvalOf(request, person), ...more })
const detailOf = async ({ id }: AccessRequest): Promise<ReturnType<typeof requestDetailShape.parse>> =>
  requestDetailShape.parse((await ada.get(`/console/data/requests/${id}`)).body)

test('who of which group has said yes, under which conditions, and whose yes counts for nothing', async () => {
  bench.state.mode = 'team'
  bench.state.quorum = { group: 'leads', members: ['bob', 'eve'], count: 2 }
  const request = await bench.ask({ approvalsNeeded: 2, approversFrom: 'leads' })
  await add(request, 'bob', { conditions: { rowsMax: 100, notBeforeMs: null }, reason: 'but slowly' })
  await add(request, 'mallory')
  await add(request, 'ada')
  await add(request, 'eve', { breakGlass: true })
  const detail = await detailOf(request)
  expect(detail.quorum).toEqual({ group: 'leads', members: ['bob', 'eve'] })
  expect(
    detail.approvals.map(({ person, counts, brokeGlass, conditions }) => [person, counts, brokeGlass, conditions?.rowsMax]),
  ).toEqual([
    ['bob', true, false, 100],
    ['mallory', false, false, undefined],
    // The owner, in a team.
    ['ada', false, false, undefined],
    ['eve', true, true, undefined],
  ])
})

test('a plan is shown step by step, each with the request that it is', async () => {
  const step = await bench.ask()
  const { question } = step
  const plan = await bench.ask({
    digest: 'f'.repeat(64),
    text: 'move to the new schema',
    steps: [
      {
        request: step.id,
        challenge: 'b'.repeat(64),
        protocol: 'postgres',
        text: question.text,
        bindValues: [],
        operationsCount: 1,
        rowsMax: 7,
        copy: 'tables',
      },
    ],
  })
  expect((await detailOf(plan)).steps).toMatchObject([
    { request: step.id, text: question.text, operationsCount: 1, state: 'pending' },
  ])
  expect((await detailOf(step)).steps).toEqual([])
})

test('like requests have one mark, and what is always asked is there with why it stays a question', async () => {
  for (const text of ['DROP TABLE orders', 'DROP TABLE orders CASCADE', 'drop table orders'])
    await bench.ask({ text, digest: text.padEnd(64, '0') })
  await bench.ask({ upstream: 'billing', digest: '9'.repeat(64) })
  const view = requestsShape.parse((await ada.get('/console/data/requests')).body)
  expect(new Set(view.requests.map(({ like }) => like)).size).toBe(2)
  expect(view.routines).toMatchObject([{ agent: 'coder', asked: 3, relief: { kind: 'none' } }])
  expect([view.standing, view.reviews]).toEqual([[], []])
})
