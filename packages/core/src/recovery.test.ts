import { approvalJson } from './verdict.ts'
import { beforeEach, describe, expect, test } from 'vitest'
import type { AccessRequest, Approval } from './access-request.ts'
import type { Attendance, Cleared, Refusal } from './asked.ts'
import type { Event } from './event.ts'
import { createGovern } from './govern.ts'
import type { GovernPorts } from './govern-ports.ts'
import type { Operation, ResolvedOperation } from './operation.ts'
import type { Requests } from './ports.ts'
import { recover, type Recovery } from './recovery.ts'
import { cancelRequest, giveVerdict, type VerdictPorts } from './verdict.ts'
import { approvalOf, makeAsked, makeBench, MemoryLog, scriptConnector, type Bench } from '../../../tests/fakes/ports.ts'

const drop: ResolvedOperation = {
  action: 'fake.drop',
  resources: [{ type: 'table', name: 'orders', identity: '1', schemaHash: 'a' }],
  impact: { kind: 'destroy', reversible: false, scope: { rows: 10, exact: true } },
  why: 'a test',
  context: {},
  copy: { kind: 'tables', tables: ['orders'], bytesEstimate: 1 },
}
const insert: Operation = { ...drop, action: 'fake.insert', impact: { kind: 'write', reversible: true } }

let bench: Bench

/** One run of a gate on the bench's store: its ports may be worse than the bench's. */
function ask(ports: GovernPorts = bench.ports): Promise<Cleared | Refusal> {
  const attendance: Attendance = { pending: () => undefined, waitMs: 0, signal: new AbortController().signal }
  return createGovern(ports).ask(makeAsked(bench), attendance)
}

const grantMs = 900_000

function verdictPorts(requests: Requests = bench.ports.requests, log = bench.log): VerdictPorts {
  return {
    clock: bench.clock,
    random: bench.ports.random,
    log,
    requests,
    grantMs,
    policyHash: () => bench.ports.policy().hash,
    mode: () => bench.settings.mode,
    isEnrolled: () => Promise.resolve(true),
    quorumOf: () => null,
  }
}

/** The next start of a gate, on a log that says this. */
async function restart(events: readonly Event[] = [...bench.log.events], requests?: Requests): Promise<Recovery> {
  async function* read(): AsyncGenerator<Event, void> {
    yield* events
  }
  return recover(verdictPorts(requests), read())
}

async function openRequest(): Promise<AccessRequest> {
  expect(await ask()).toMatchObject({ outcome: 'refused', code: 'approval_required' })
  const [request] = bench.opened
  if (request === undefined) throw new Error('no request was opened')
  return request
}

async function openAndApprove(): Promise<AccessRequest> {
  const request = await openRequest()
  expect(await giveVerdict(verdictPorts(), request.id, approvalOf(request, 'bob'))).toMatchObject({ state: 'approved' })
  return request
}

/** The gate stops for good at this method: what came before is done, what comes after never happens. */
function crashAt(method: 'consume' | 'approve' | 'addApproval', when: 'before' | 'after'): Requests {
  const { requests } = bench.ports
  const crash = (): never => {
    throw new Error('power cut')
  }
  switch (method) {
    case 'consume':
      return {
        ...requests,
        consume: async (grant, intent) => (when === 'before' ? crash() : (await requests.consume(grant, intent), crash())),
      }
    case 'approve':
      return {
        ...requests,
        approve: async (id, notBeforeMs, grant) =>
          when === 'before' ? crash() : (await requests.approve(id, notBeforeMs, grant), crash()),
      }
    case 'addApproval':
      return {
        ...requests,
        addApproval: async (id, approval) => (when === 'before' ? crash() : (await requests.addApproval(id, approval), crash())),
      }
  }
}

beforeEach(() => {
  const connector = scriptConnector([drop])
  connector.resolved = [drop]
  bench = makeBench(connector)
})

test('a run that ended well leaves nothing to do', async () => {
  await openAndApprove()
  const cleared = await ask()
  if (cleared.outcome !== 'cleared') throw new Error(cleared.message)
  expect(
    await restart([
      ...bench.log.events,
      { type: 'outcome', atMs: 0, data: { intent: cleared.clearance.intent, result: 'succeeded' } },
    ]),
  ).toEqual({ unknown: [], givenBack: [], applied: [] })
})

describe('an approval', () => {
  test('consumed without an intent on the log is given back, and runs without asking again', async () => {
    await openAndApprove()
    expect(await ask({ ...bench.ports, requests: crashAt('consume', 'after') })).toMatchObject({ outcome: 'refused' })
    const { givenBack, unknown } = await restart()
    expect([givenBack.length, unknown.length]).toEqual([1, 0])
    expect(bench.log.types()).toContain('grant.returned')
    expect(await ask()).toMatchObject({ outcome: 'cleared' })
    expect(bench.opened).toHaveLength(1)
  })

  test('is given back once: another start finds nothing', async () => {
    await openAndApprove()
    await ask({ ...bench.ports, requests: crashAt('consume', 'after') })
    await restart()
    expect((await restart()).givenBack).toEqual([])
  })

  test('whose intent is on the log is used up, whatever came of it: unknown, and asked about anew', async () => {
    await openAndApprove()
    expect(await ask()).toMatchObject({ outcome: 'cleared' })
    const { unknown, givenBack } = await restart()
    expect([unknown.length, givenBack.length]).toEqual([1, 0])
    expect(bench.log.events.at(-1)).toMatchObject({ type: 'outcome', data: { intent: unknown[0], result: 'unknown' } })
    expect(await ask()).toMatchObject({ outcome: 'refused', code: 'approval_required' })
    expect(bench.opened).toHaveLength(2)
  })

  test('stays used up at the start after the next, which reads the log from later on', async () => {
    await openAndApprove()
    await ask()
    await restart()
    expect(await restart([])).toEqual({ unknown: [], givenBack: [], applied: [] })
    expect(await ask()).toMatchObject({ outcome: 'refused', code: 'approval_required' })
  })

  test('of an old image of the store is not good again: the log says that it was used', async () => {
    await openAndApprove()
    const cleared = await ask()
    if (cleared.outcome !== 'cleared') throw new Error(cleared.message)
    const [consumed] = await bench.ports.requests.consumedGrants()
    if (consumed === undefined) throw new Error('nothing was consumed')
    // The store as it was before the run, beside the log as it is now.
    await bench.ports.requests.giveBack(consumed.id)
    const { givenBack } = await restart([
      ...bench.log.events,
      { type: 'outcome', atMs: 0, data: { intent: cleared.clearance.intent, result: 'succeeded' } },
    ])
    expect(givenBack).toEqual([])
    expect(await ask()).toMatchObject({ outcome: 'refused', code: 'approval_required' })
  })

  /** What people were asked, in a store of before anybody answered, beside the log of after. */
  async function forgetAnswer(request: AccessRequest): Promise<void> {
    const old = makeBench(bench.connector)
    await old.ports.requests.open({ ...request, state: 'pending', approvals: [], notBeforeMs: null, endedBy: null })
    bench = { ...old, log: bench.log, ports: { ...old.ports, log: bench.log } }
  }

  test('of a store so old that it still waits for the verdict is not made a second time', async () => {
    const request = await openAndApprove()
    expect(await ask()).toMatchObject({ outcome: 'cleared' })
    await forgetAnswer(request)
    const { applied } = await restart()
    expect(applied).toEqual([])
    expect(await ask()).toMatchObject({ outcome: 'refused', code: 'approval_required' })
  })

  test('that was cancelled is not good again in a store so old that it still waits for the verdict', async () => {
    const request = await openAndApprove()
    expect(await cancelRequest(verdictPorts(), request.id, 'eve')).toBe(true)
    await forgetAnswer(request)
    expect((await restart()).applied).toEqual([])
    expect(await ask()).toMatchObject({ outcome: 'refused', code: 'approval_required' })
  })

  test('that was void stays void', async () => {
    const request = await openAndApprove()
    const grant = await bench.ports.requests.findGrant('coder', request.question.digest)
    await bench.ports.requests.voidGrant(grant?.id ?? '')
    await restart()
    expect(await ask()).toMatchObject({ outcome: 'refused' })
  })
})

describe('a verdict that is on the log', () => {
  const halves = [
    ['addApproval', 'before'],
    ['addApproval', 'after'],
    ['approve', 'before'],
    ['approve', 'after'],
  ] as const

  test.each(halves)('counts although the gate died at %s, %s it', async (method, when) => {
    const request = await openRequest()
    await expect(giveVerdict(verdictPorts(crashAt(method, when)), request.id, approvalOf(request, 'bob'))).rejects.toThrow(
      'power cut',
    )
    const { applied } = await restart()
    expect(applied).toEqual(method === 'approve' && when === 'after' ? [] : [request.id])
    expect(await ask()).toMatchObject({ outcome: 'cleared' })
  })

  test('is applied once, however often the gate starts', async () => {
    const request = await openRequest()
    await expect(
      giveVerdict(verdictPorts(crashAt('addApproval', 'before')), request.id, approvalOf(request, 'bob')),
    ).rejects.toThrow('power cut')
    const events = [...bench.log.events]
    expect((await restart(events)).applied).toHaveLength(1)
    expect((await restart(events)).applied).toHaveLength(0)
    expect((await bench.ports.requests.get(request.id))?.approvals).toHaveLength(1)
  })

  test('a rejection ends the request', async () => {
    const request = await openRequest()
    const dying = verdictPorts({ ...bench.ports.requests, end: async () => Promise.reject(new Error('power cut')) })
    await expect(giveVerdict(dying, request.id, approvalOf(request, 'bob', 'reject'))).rejects.toThrow('power cut')
    await restart()
    expect((await bench.ports.requests.get(request.id))?.state).toBe('rejected')
  })

  test('for a request that the store has lost changes nothing', async () => {
    const request = await openRequest()
    const approval: Approval = approvalOf(request, 'bob')
    const verdict: Event = { type: 'verdict', atMs: 0, data: { request: 'lost', approval: approvalJson(approval) } }
    expect((await restart([verdict])).applied).toEqual([])
  })

  test('that was cancelled before the start stays cancelled', async () => {
    const request = await openAndApprove()
    const events = [...bench.log.events]
    await bench.ports.requests.end(request.id, ['approved'], 'cancelled', 'eve')
    expect((await restart(events)).applied).toEqual([])
    expect(await ask()).toMatchObject({ outcome: 'refused', code: 'approval_required' })
  })
})

test('writes that needed nobody are unknown too, each by its own intent', async () => {
  bench.connector.operations = [insert]
  bench.connector.resolved = [{ ...drop, ...insert, copy: { kind: 'none' } }]
  await ask()
  await ask()
  const { unknown } = await restart()
  expect(new Set(unknown).size).toBe(2)
  expect(
    bench.log.events.filter(({ data }) => data['result'] === 'unknown').map(({ session, agent }) => [session, agent]),
  ).toEqual([
    ['session-1', 'coder'],
    ['session-1', 'coder'],
  ])
})

test('a start whose own findings cannot be written down does not go on', async () => {
  await openAndApprove()
  await ask()
  const events = [...bench.log.events]
  const full = new MemoryLog()
  full.failing = true
  async function* read(): AsyncGenerator<Event, void> {
    yield* events
  }
  await expect(recover(verdictPorts(bench.ports.requests, full), read())).rejects.toMatchObject({ code: 'log_unavailable' })
})

test('a log that does not say what it should stops the start', async () => {
  await expect(restart([{ type: 'intent', atMs: 0, data: {} }])).rejects.toThrow('intent')
  await expect(restart([{ type: 'verdict', atMs: 0, data: { request: 1 } }])).rejects.toThrow('request')
})
