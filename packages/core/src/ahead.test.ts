import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import type { AccessRequest, AskedOperation, Question } from './access-request.ts'
import { answerAhead, findAheadFault, findYeses, makeAheadQuestion, type AheadWanted } from './ahead.ts'
import { createGovern } from './govern.ts'
import { impactKinds } from './impact.ts'
import type { ResolvedOperation } from './operation.ts'
import { findRoutines } from './routine.ts'
import { cancelRequest, giveVerdict, type VerdictPorts } from './verdict.ts'
import { approvalOf, makeAsked, makeBench, scriptConnector, type Bench } from '../../../tests/fakes/ports.ts'

const hourMs = 3_600_000
const week: AheadWanted = { uses: 2, forMs: 7 * 24 * hourMs }

let bench: Bench
let used: Map<string, number>

function ports(): Bench['ports'] {
  const ahead = {
    grantMs: 900_000,
    use: async (request: string, usesMax: number) => {
      const before = used.get(request) ?? 0
      if (before < usesMax) used.set(request, before + 1)
      return before < usesMax
    },
  }
  return { ...bench.ports, ahead }
}

function verdictPorts(): VerdictPorts {
  const { clock, log, ports: own, settings } = bench
  return {
    clock,
    random: own.random,
    log,
    requests: own.requests,
    grantMs: 900_000,
    policyHash: () => own.policy().hash,
    mode: () => settings.mode,
    isEnrolled: () => Promise.resolve(true),
    quorumOf: () => null,
  }
}

interface Sent {
  readonly rows?: number
  readonly text?: string
  readonly schemaHash?: string
}

/** What a job sends again and again: runs, or is asked about. */
async function run({ rows = 5000, text = 'DELETE', schemaHash = 'a' }: Sent = {}): Promise<string> {
  const operation: ResolvedOperation = {
    action: 'fake.delete',
    resources: [{ type: 'table', name: 'old_orders', identity: '1', schemaHash }],
    impact: {
      kind: 'destroy',
      reversible: false,
      scope: { rows, exact: true },
    },
    why: 'a test',
    context: {},
    copy: { kind: 'rows', rowsEstimate: rows },
  }
  bench.connector.operations = [operation]
  bench.connector.resolved = [operation]
  const asked = makeAsked(bench, { text })
  const sent = {
    ...asked,
    payload: {
      ...asked.payload,
      bytesSha256: Buffer.from(text.padEnd(32)).toString('hex'),
    },
  }
  const govern = createGovern(ports())
  const said = await govern.ask(sent, {
    pending: () => undefined,
    waitMs: 0,
    signal: new AbortController().signal,
  })
  if (said.outcome === 'refused') return said.code
  await govern.conclude(said.clearance, { result: 'succeeded', detail: '' })
  return 'ran'
}

const yes = async (request: AccessRequest | undefined, person: string): Promise<unknown> =>
  request === undefined ? null : giveVerdict(verdictPorts(), request.id, approvalOf(request, person))

async function approveOften(times = 5, sent: Sent = {}): Promise<AccessRequest> {
  for (let asked = 0; asked < times; asked += 1) {
    expect(await run(sent)).toBe('approval_required')
    await yes(bench.opened.at(-1), 'bob')
    expect(await run(sent)).toBe('ran')
  }
  const last = bench.opened.at(-1)
  if (last === undefined) throw new Error('nothing was asked')
  return last
}

/** As the gate puts it to people. */
async function put(known: AccessRequest, wanted = week): Promise<AccessRequest> {
  const { requests, random } = bench.ports
  const yeses = findYeses(await requests.list(), known.question.digest, bench.clock.nowMs())
  const { mode, coolOffMs } = bench.settings
  const policyHash = bench.ports.policy().hash
  const question = makeAheadQuestion(yeses ?? [], wanted, {
    mode,
    coolOffMs,
    quorum: null,
    policyHash,
  })
  const request: AccessRequest = {
    id: random.hex(16),
    nonce: random.hex(32),
    session: 'person bob',
    question,
    state: 'pending',
    approvals: [],
    createdAtMs: bench.clock.nowMs(),
    expiresAtMs: bench.clock.nowMs() + hourMs,
    notBeforeMs: null,
    endedBy: null,
  }
  await requests.open(request)
  return request
}

async function approveAhead(wanted = week): Promise<AccessRequest> {
  const asked = await put(await approveOften(), wanted)
  await yes(asked, 'bob')
  await yes(asked, 'grace')
  return asked
}

beforeEach(() => {
  bench = makeBench(scriptConnector([]))
  used = new Map()
})

test('exactly what people always said yes to runs so often without a prompt, and each use is on the log', async () => {
  const ahead = await approveAhead()
  expect([await run(), await run()]).toEqual(['ran', 'ran'])
  expect(await run()).toBe('approval_required')
  const approved = bench.log.events.filter(({ type, data }) => type === 'request.approved' && data['ahead'] !== undefined)
  expect(approved.map(({ data }) => [data['ahead'], data['approvers']])).toEqual(
    Array.from({ length: 2 }, () => [ahead.id, ['bob', 'grace']]),
  )
})

test('it is offered where the same bytes were approved five times, and nothing milder would do', async () => {
  const reliefs = async (): Promise<readonly string[]> =>
    findRoutines(await bench.ports.requests.list(), bench.clock.nowMs(), 1_000_000).map(({ relief }) => relief.kind)
  await approveOften(4)
  expect(await reliefs()).toEqual(['none'])
  await approveOften(1)
  expect(await reliefs()).toEqual(['ahead'])
})

describe('it is no hole in the guard', () => {
  test.each<[string, Sent]>([
    ['another text', { text: 'DELETE MORE' }],
    ['one row more than was ever approved', { rows: 5001 }],
    ['a table of another shape', { schemaHash: 'b' }],
  ])('%s is asked about', async (_name, sent) => {
    await approveAhead()
    expect(await run(sent)).toBe('approval_required')
    expect(used.size).toBe(0)
  })

  test('whoever cancels it ends it, and what it let run and has not run', async () => {
    const ahead = await approveAhead()
    const before = bench.opened.length
    bench.settings.pendingMax = 10
    // Taken, and not run: the agent went away.
    const [waiting] = (await bench.ports.requests.list()).filter(
      ({ question }) => question.digest === ahead.question.ahead?.digest,
    )
    const fresh: AccessRequest = {
      ...(waiting ?? ahead),
      id: 'f'.repeat(32),
      state: 'pending',
      approvals: [],
      notBeforeMs: null,
    }
    await bench.ports.requests.open(fresh)
    expect((await answerAhead(ports(), fresh, bench.ports.policy().hash)).state).toBe('approved')
    await cancelRequest(verdictPorts(), ahead.id, 'eve')
    expect(await run()).toBe('approval_required')
    expect(bench.opened.length).toBe(before + 1)
  })

  test('after its time, under another policy, or once its grant was voided (a kill, an approver who is removed)', async () => {
    const ahead = await approveAhead({ uses: 50, forMs: hourMs })
    expect(await run()).toBe('ran')
    const grant = await bench.ports.requests.findGrant('coder', ahead.question.digest)
    await bench.ports.requests.voidGrant(grant?.id ?? '')
    expect(await run()).toBe('approval_required')
  })

  test('after its time', async () => {
    await approveAhead({ uses: 50, forMs: hourMs })
    bench.clock.advance(hourMs + 1)
    expect(await run()).toBe('approval_required')
  })

  test('under another policy', async () => {
    await approveAhead()
    bench.may = ['any orders-db', 'read orders-db']
    expect(await run()).toBe('approval_required')
  })

  test('before enough people said yes; and the owner is none of them in a team', async () => {
    const asked = await put(await approveOften())
    expect(asked.question.approvalsNeeded).toBe(2)
    expect(await yes(asked, 'ada')).toMatchObject({
      result: 'refused',
      why: expect.stringContaining('own this agent'),
    })
    expect(await yes(asked, 'bob')).toMatchObject({ state: 'pending' })
    expect(await run()).toBe('approval_required')
  })

  test('alone the cool-off comes first, and each use keeps its own', async () => {
    bench.settings.mode = 'solo'
    const question = (await put(await approveWaiting())).question
    expect(question).toMatchObject({
      approvalsNeeded: 1,
      delayMs: bench.settings.coolOffMs,
    })
  })

  test('not on fewer than five, not with a no, a condition, a code or broken glass among them', async () => {
    const known = await approveOften()
    const all = await bench.ports.requests.list()
    const now = bench.clock.nowMs()
    const { digest } = known.question
    expect(findYeses(all, digest, now)).toHaveLength(5)
    expect(findYeses(all.slice(1), digest, now)).toBeNull()
    expect(findYeses(all, digest, now + 31 * 24 * hourMs)).toBeNull()
    for (const more of [
      { verdict: 'reject' },
      { method: 'totp' },
      { breakGlass: true },
      { conditions: { rowsMax: 1, notBeforeMs: null } },
    ] as const) {
      const [first, ...others] = all
      const approvals = first?.approvals.map((one) => ({ ...one, ...more })) ?? []
      expect(findYeses(first === undefined ? [] : [{ ...first, approvals }, ...others], digest, now)).toBeNull()
    }
  })

  test.each([
    ['no use', { uses: 0, forMs: hourMs }],
    ['too many', { uses: 51, forMs: hourMs }],
    ['half a use', { uses: 1.5, forMs: hourMs }],
    ['too long', { uses: 1, forMs: 7 * 24 * hourMs + 1 }],
    ['for ever', { uses: 1, forMs: Number.POSITIVE_INFINITY }],
  ])('%s is refused', async (_name, wanted) => {
    const known = await approveOften()
    await expect(put(known, wanted)).rejects.toThrow(/It is for/)
  })

  test('never what escalates or cannot be read, nor what no copy puts back, nor without knowing which thing', () => {
    const operation = fc.record({
      kind: fc.constantFrom(...impactKinds),
      reversible: fc.boolean(),
      identity: fc.constantFrom(null, '1'),
    })
    const copies = fc.constantFrom('none', 'rows', 'tables', 'moved', 'impossible', 'restore_point')
    const guards = fc.constantFrom([], ['destroy-needs-person'], ['irreversible-needs-people'], ['a guard of ours'])
    fc.assert(
      fc.property(fc.array(operation, { minLength: 1, maxLength: 3 }), copies, guards, (list, copy, asking) => {
        const allowed = findAheadFault(questionOf(list, copy, asking)) === null
        if (!allowed) return
        for (const { kind, reversible, identity } of list) {
          expect(identity).not.toBeNull()
          expect(['read', 'write', 'disrupt', 'destroy']).toContain(kind)
          expect(reversible || (kind === 'destroy' && (copy === 'rows' || copy === 'tables'))).toBe(true)
        }
        expect(['destroy-needs-person', undefined]).toContain(asking[0])
      }),
    )
  })
})

/** In solo mode what destroys waits for its cool-off each time. */
async function approveWaiting(): Promise<AccessRequest> {
  for (let asked = 0; asked < 5; asked += 1) {
    expect(await run()).toBe('approval_required')
    await yes(bench.opened.at(-1), 'ada')
    bench.clock.advance(bench.settings.coolOffMs + 1)
    expect(await run()).toBe('ran')
  }
  const last = bench.opened.at(-1)
  if (last === undefined) throw new Error('nothing was asked')
  return last
}

function questionOf(
  list: readonly {
    readonly kind: AskedOperation['kind']
    readonly reversible: boolean
    readonly identity: string | null
  }[],
  copy: Question['copy'],
  guards: readonly string[],
): Question {
  return {
    digest: 'd',
    subject: { agent: 'coder', owner: 'ada' },
    protocol: 'postgres',
    upstream: 'orders-db',
    environment: 'production',
    text: 't',
    bindValues: [],
    operations: list.map(({ kind, reversible, identity }) => ({
      action: 'x.y',
      kind,
      reversible,
      why: '',
      resources: [{ type: 'table', name: 't', identity, schemaHash: null }],
      rows: 1,
      bytes: null,
      tables: [],
      dependants: [],
    })),
    rowsMax: 2,
    copy,
    approvalsNeeded: 1,
    delayMs: 0,
    guards,
    policyHash: 'p',
  }
}
