import { beforeEach, describe, expect, test } from 'vitest'
import type { AccessRequest, Question } from './access-request.ts'
import type { Asked, Cleared, Govern, Outcome, Refusal } from './asked.ts'
import { createGovern } from './govern.ts'
import { SallyportError } from './error.ts'
import type { ResolvedOperation } from './operation.ts'
import { makePlanQuestion } from './plan.ts'
import type { Log, Requests } from './ports.ts'
import { recover } from './recovery.ts'
import { cancelRequest, giveVerdict, type VerdictPorts } from './verdict.ts'
import { approvalOf, makeAsked, makeBench, scriptConnector, type Bench } from '../../../tests/fakes/ports.ts'

let bench: Bench
let govern: Govern

const tables = ['orders', 'lines', 'notes'] as const
type Table = (typeof tables)[number]

function dropOf(table: string): ResolvedOperation {
  return {
    action: 'fake.drop',
    resources: [{ type: 'table', name: table, identity: table, schemaHash: 'a' }],
    impact: { kind: 'destroy', reversible: false, scope: { rows: 10, exact: true } },
    why: 'a test',
    context: {},
    copy: { kind: 'tables', tables: [table], bytesEstimate: 1 },
  }
}

/** What the agent sends for one table, through a connector that reads it so. */
async function send(table: Table | 'other', identity?: string): Promise<Cleared | Refusal> {
  const operation = dropOf(table)
  const [resource] = operation.resources
  bench.connector.operations = [operation]
  bench.connector.resolved = [
    identity === undefined || resource === undefined ? operation : { ...operation, resources: [{ ...resource, identity }] },
  ]
  const asked: Asked = makeAsked(bench, { text: `DROP TABLE ${table}` })
  const sent = { ...asked, payload: { ...asked.payload, bytesSha256: Buffer.from(table.padEnd(32)).toString('hex') } }
  return govern.ask(sent, { pending: () => undefined, waitMs: 0, signal: new AbortController().signal })
}

async function run(table: Table, result: Outcome['result'] = 'succeeded'): Promise<string> {
  const cleared = await send(table)
  if (cleared.outcome === 'refused') return `${cleared.code}: ${cleared.message}`
  await govern.conclude(cleared.clearance, { result, detail: 'as the test says' })
  return result
}

function verdictPorts(requests: Requests = bench.ports.requests): VerdictPorts {
  return {
    clock: bench.clock,
    random: bench.ports.random,
    log: bench.log,
    requests,
    grantMs: 900_000,
    policyHash: () => bench.ports.policy().hash,
    mode: () => bench.settings.mode,
    isEnrolled: () => Promise.resolve(true),
    quorumOf: () => null,
  }
}

async function askEach(...names: readonly Table[]): Promise<readonly AccessRequest[]> {
  for (const name of names) expect(await send(name)).toMatchObject({ code: 'approval_required' })
  return bench.opened.slice(-names.length)
}

/** As the gate declares it for an agent. */
async function open(question: Question): Promise<AccessRequest> {
  const { random, requests } = bench.ports
  const made = { id: random.hex(16), nonce: random.hex(32), session: 'handle h', question, createdAtMs: bench.clock.nowMs() }
  const plan = { ...made, state: 'pending', approvals: [], notBeforeMs: null, endedBy: null } as const
  await requests.open({ ...plan, expiresAtMs: bench.clock.nowMs() + 3_600_000 })
  const opened = await requests.get(made.id)
  if (opened === null) throw new Error('the plan was not kept')
  return opened
}

async function declare(...names: readonly Table[]): Promise<AccessRequest> {
  return open(makePlanQuestion(await askEach(...names), 'move to the new schema'))
}

async function approve(plan: AccessRequest, person = 'bob'): Promise<unknown> {
  return giveVerdict(verdictPorts(), plan.id, approvalOf(plan, person))
}

beforeEach(() => {
  bench = makeBench(scriptConnector([]))
  bench.settings.pendingMax = 10
  govern = createGovern(bench.ports)
})

describe('one verdict on a plan', () => {
  test('lets each step run once, in its order, and nothing else', async () => {
    const plan = await declare('orders', 'lines')
    expect(await run('orders')).toContain('approval_required')
    expect(await approve(plan)).toMatchObject({ state: 'approved' })
    expect(await run('lines')).toContain('step 1 has not run')
    expect(await run('orders')).toBe('succeeded')
    expect(await run('lines')).toBe('succeeded')
    for (const table of tables) expect(await run(table)).toContain('approval_required')
    const approved = bench.log.events.filter(({ type }) => type === 'request.approved').map(({ data }) => data['plan'] ?? null)
    expect(approved).toEqual([null, plan.id, plan.id])
  })

  test('needs as many people as its worst step, and never its owner', async () => {
    const [first, second] = await askEach('orders', 'lines')
    if (first === undefined || second === undefined) throw new Error('nothing was asked')
    const two = { ...second, question: { ...second.question, approvalsNeeded: 2, delayMs: 60_000 } }
    const question = makePlanQuestion([first, two], 'r')
    expect(question).toMatchObject({ approvalsNeeded: 2, delayMs: 60_000, copy: 'tables', rowsMax: null })
    const plan = await declare('orders', 'lines')
    expect(await approve(plan, 'ada')).toMatchObject({ result: 'refused', why: expect.stringContaining('own this agent') })
    expect(await approve(plan, 'coder')).toMatchObject({ result: 'refused' })
    expect(await run('orders')).toContain('approval_required')
  })

  test('signs every step whole: another text, bound, or order is another signature', async () => {
    const [first, second] = await askEach('orders', 'lines')
    if (first === undefined || second === undefined) throw new Error('nothing was asked')
    const plan = await open(makePlanQuestion([first, second], 'r'))
    for (const members of [
      [second, first],
      [first, { ...second, question: { ...second.question, text: 'DROP TABLE notes' } }],
      [first, { ...second, question: { ...second.question, rowsMax: 1_000_000 } }],
      [first, { ...second, nonce: 'another' }],
    ]) {
      const other = { ...plan, question: makePlanQuestion(members, 'r') }
      expect(await approve(other)).toMatchObject({ result: 'refused', why: expect.stringContaining('something else') })
    }
  })

  test('does not count for a step that became another question, or ended', async () => {
    const plan = await declare('orders', 'lines')
    const [step] = plan.question.steps ?? []
    await bench.ports.requests.end(step?.request ?? '', ['pending'], 'cancelled', 'eve')
    expect(await approve(plan)).toMatchObject({ result: 'refused', why: expect.stringContaining('Step 1 has ended') })
    const forged = { ...plan.question, steps: (plan.question.steps ?? []).map((one) => ({ ...one, challenge: '0'.repeat(64) })) }
    expect(await approve(await open(forged))).toMatchObject({ result: 'refused' })
    expect(await run('lines')).toContain('approval_required')
  })

  test('asks anew about a step whose target is another now, and lets none after it run meanwhile', async () => {
    const plan = await declare('orders', 'lines')
    await approve(plan)
    expect(await send('orders', 'a replaced table')).toMatchObject({ code: 'approval_required' })
    expect(await run('lines')).toContain('step 1 has not run')
  })
})

describe('a plan ends', () => {
  test.each(['failed', 'unknown'] as const)('with a step that %s', async (result) => {
    await approve(await declare('orders', 'lines', 'notes'))
    expect(await run('orders', result)).toBe(result)
    for (const later of ['lines', 'notes'] as const) expect(await run(later)).toContain('approval_required')
    expect(bench.log.events.filter(({ type }) => type === 'grant.void')).toHaveLength(2)
  })

  test('while a step still runs, the next one waits', async () => {
    await approve(await declare('orders', 'lines'))
    const cleared = await send('orders')
    expect(await run('lines')).toContain('not known yet')
    if (cleared.outcome !== 'cleared') throw new Error(cleared.message)
    await govern.conclude(cleared.clearance, { result: 'succeeded' })
    expect(await run('lines')).toBe('succeeded')
  })

  test('with a no, which is a no to each step', async () => {
    const plan = await declare('orders', 'lines')
    expect(await giveVerdict(verdictPorts(), plan.id, approvalOf(plan, 'bob', 'reject'))).toMatchObject({ state: 'rejected' })
    for (const table of ['orders', 'lines'] as const) expect(await run(table)).toContain('approval_rejected')
  })

  test('when anybody cancels it, after its first step', async () => {
    const plan = await declare('orders', 'lines')
    await approve(plan)
    expect(await run('orders')).toBe('succeeded')
    expect(await cancelRequest(verdictPorts(), plan.id, 'eve')).toBe(true)
    expect(await run('lines')).toContain('approval_required')
  })

  test('when it was cancelled and the gate stopped before its steps were', async () => {
    const plan = await declare('orders', 'lines')
    await approve(plan)
    expect(await bench.ports.requests.end(plan.id, ['approved'], 'cancelled', 'eve')).toBe(true)
    expect(await run('orders')).toContain('approval_required')
  })

  test('by a kill while its step is on the way', async () => {
    await approve(await declare('orders', 'lines'))
    const log = bench.log
    const pulling: Log = {
      append: async (event) => {
        if (event.type === 'intent') bench.killSwitch.pull('a test')
        return log.append(event)
      },
      appendRead: () => undefined,
    }
    govern = createGovern({ ...bench.ports, log: pulling })
    expect(await run('orders')).toContain('killed')
    bench.killSwitch.reason = null
    expect(await run('lines')).toContain('approval_required')
  })
})

describe('after a stop of the gate', () => {
  /** The gate stops for good once so many requests were approved in the store. */
  function stopAfter(count: number): Requests {
    const { requests } = bench.ports
    let approved = 0
    return {
      ...requests,
      approve: async (id, notBeforeMs, grant) => {
        if (approved === count) throw new Error('power cut')
        approved += 1
        return requests.approve(id, notBeforeMs, grant)
      },
    }
  }

  async function restart(): Promise<void> {
    const events = [...bench.log.events]
    async function* read(): AsyncGenerator<(typeof events)[number], void> {
      yield* events
    }
    await recover(verdictPorts(), read())
    govern = createGovern(bench.ports)
  }

  test.each([0, 1, 2])('at %i of its approvals the plan is as approved as without it', async (count) => {
    const plan = await declare('orders', 'lines')
    await expect(giveVerdict(verdictPorts(stopAfter(count)), plan.id, approvalOf(plan, 'bob'))).rejects.toThrow('power cut')
    await restart()
    expect(await run('orders')).toBe('succeeded')
    expect(await run('lines')).toBe('succeeded')
    expect(await run('lines')).toContain('approval_required')
  })

  test('while a step ran, nothing after it runs', async () => {
    await approve(await declare('orders', 'lines'))
    expect(await send('orders')).toMatchObject({ outcome: 'cleared' })
    await restart()
    expect(await run('lines')).toContain('approval_required')
  })

  test('while the steps after one that failed were ended, none of them runs', async () => {
    await approve(await declare('orders', 'lines'))
    const { requests } = bench.ports
    govern = createGovern({ ...bench.ports, requests: { ...requests, voidGrant: () => Promise.reject(new Error('power cut')) } })
    expect(await run('orders', 'failed')).toBe('failed')
    await restart()
    expect(await run('lines')).toContain('approval_required')
  })

  test('on an old image of the store, a plan of which a step ran is not approved again', async () => {
    const plan = await declare('orders', 'lines')
    const members = await Promise.all((plan.question.steps ?? []).map(({ request }) => bench.ports.requests.get(request)))
    await approve(plan)
    expect(await run('orders')).toBe('succeeded')
    const old = makeBench(bench.connector)
    for (const one of [...members, plan])
      if (one !== null) await old.ports.requests.open({ ...one, state: 'pending', approvals: [] })
    bench = { ...old, log: bench.log, ports: { ...old.ports, log: bench.log } }
    await restart()
    for (const table of ['orders', 'lines'] as const) expect(await run(table)).toContain('approval_required')
  })
})

test.each([
  ['one step', (members: readonly AccessRequest[]) => members.slice(0, 1)],
  ['one step twice', ([first]: readonly AccessRequest[]) => (first === undefined ? [] : [first, first])],
  ['no step', () => []],
  [
    'another agent’s',
    ([first, second]: readonly AccessRequest[]) => change(first, second, { subject: { agent: 'x', owner: 'ada' } }),
  ],
  ['another upstream', ([first, second]: readonly AccessRequest[]) => change(first, second, { upstream: 'other-db' })],
  ['another policy', ([first, second]: readonly AccessRequest[]) => change(first, second, { policyHash: 'other' })],
  ['other people', ([first, second]: readonly AccessRequest[]) => change(first, second, { approversFrom: 'dba' })],
  ['a request for scope', ([first, second]: readonly AccessRequest[]) => change(first, second, { protocol: 'sallyport' })],
  ['a book', ([first, second]: readonly AccessRequest[]) => change(first, second, { text: 'x'.repeat(49_000) })],
] as const)('a plan of %s is none', async (_name, alter) => {
  const members = alter(await askEach('orders', 'lines'))
  expect(() => makePlanQuestion(members, 'r')).toThrow(SallyportError)
})

function change(
  first: AccessRequest | undefined,
  second: AccessRequest | undefined,
  to: Partial<Question>,
): readonly AccessRequest[] {
  return first === undefined || second === undefined ? [] : [first, { ...second, question: { ...second.question, ...to } }]
}
