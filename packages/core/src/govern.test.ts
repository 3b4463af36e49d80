import { describe, expect, it } from 'vitest'
import type { Asked, Attendance, Cleared, Refusal } from './asked.ts'
import { spendClearance } from './clearance.ts'
import { createGovern } from './govern.ts'
import type { CopyPlan, Operation, ResolvedOperation } from './operation.ts'
import { impactKinds, type ImpactKind } from './impact.ts'
import type { Scope } from './policy/scope.ts'
import { giveVerdict, type VerdictPorts } from './verdict.ts'
import { makeAsked, approvalOf, makeBench, scriptConnector, type Bench } from '../../../tests/fakes/ports.ts'

function operation(kind: ImpactKind, context: Operation['context'] = {}): Operation {
  return {
    action: `fake.${kind}`,
    resources: [{ type: 'table', name: 'orders', identity: '1', schemaHash: 'a' }],
    impact: { kind, reversible: kind !== 'destroy' && kind !== 'unknown' },
    why: 'a test',
    context,
  }
}
function resolved(kind: ImpactKind, copy: CopyPlan, rows: number): ResolvedOperation {
  return { ...operation(kind), impact: { kind, reversible: kind !== 'destroy', scope: { rows, exact: true } }, copy }
}
const drop = resolved('destroy', { kind: 'tables', tables: ['orders'], bytesEstimate: 1 }, 48_211)
const few = resolved('destroy', { kind: 'rows', rowsEstimate: 5 }, 5)

function attend(waitMs = 0): Attendance & { readonly notices: string[] } {
  const notices: string[] = []
  return { notices, waitMs, signal: new AbortController().signal, pending: ({ url }) => void notices.push(url) }
}
function verdictPorts(bench: Bench): VerdictPorts {
  const { clock, random, log, requests } = bench.ports
  return {
    clock,
    random,
    log,
    requests,
    policyHash: () => bench.ports.policy().hash,
    mode: () => bench.settings.mode,
    isEnrolled: () => Promise.resolve(true),
    quorumOf: () => null,
    grantMs: 900_000,
  }
}
function cleared(answer: Cleared | Refusal): Cleared {
  if (answer.outcome !== 'cleared') throw new Error(`refused: ${answer.message}`)
  return answer
}
function dropBench(): Bench {
  const connector = scriptConnector([operation('destroy')])
  connector.resolved = [drop]
  connector.snapshotRows = 48_211
  return makeBench(connector)
}

describe('govern', () => {
  it('clears a read at once, remembers it by key and counts it on the log', async () => {
    const bench = makeBench(scriptConnector([operation('read', { rememberable: true })]))
    const govern = createGovern(bench.ports)
    expect(govern.recall(bench.session, 'select')).toBe(false)
    expect(cleared(await govern.ask(makeAsked(bench, { key: 'select' }), attend())).kind).toBe('read')
    expect(govern.recall(bench.session, 'select')).toBe(true)
    expect(bench.log.reads).toHaveLength(2)
    expect(govern.recall({ ...bench.session }, 'select')).toBe(false)
  })

  it('waits for a log that is behind only on behalf of a read that it would recall', async () => {
    const bench = makeBench(scriptConnector([operation('read', { rememberable: true })]))
    const behind = Promise.resolve()
    bench.log.catchUp = () => behind
    const govern = createGovern(bench.ports)
    expect(govern.catchUp(bench.session, 'select')).toBeNull()
    await govern.ask(makeAsked(bench, { key: 'select' }), attend())
    expect(govern.catchUp(bench.session, 'select')).toBe(behind)
    expect(govern.catchUp({ ...bench.session }, 'select')).toBeNull()
    bench.may = ['read orders-db']
    expect(govern.catchUp(bench.session, 'select')).toBeNull()
    await govern.ask(makeAsked(bench, { key: 'select' }), attend())
    expect(govern.catchUp(bench.session, 'select')).toBe(behind)
    bench.killSwitch.pull('test')
    expect(govern.catchUp(bench.session, 'select')).toBeNull()
  })

  it('forgets a read when the policy changes, the switch is pulled or time passes', async () => {
    const bench = makeBench(scriptConnector([operation('read', { rememberable: true })]))
    const govern = createGovern(bench.ports)
    const remember = async (): Promise<void> => void (await govern.ask(makeAsked(bench, { key: 'select' }), attend()))
    await remember()
    bench.may = ['read orders-db']
    expect(govern.recall(bench.session, 'select')).toBe(false)
    await remember()
    bench.clock.advance(60_000)
    expect(govern.recall(bench.session, 'select')).toBe(false)
    await remember()
    bench.log.failing = true
    expect(govern.recall(bench.session, 'select')).toBe(false)
    expect(await govern.ask(makeAsked(bench, { key: 'select' }), attend())).toMatchObject({
      outcome: 'refused',
      code: 'log_unavailable',
    })
    bench.log.failing = false
    bench.killSwitch.pull('test')
    expect(govern.recall(bench.session, 'select')).toBe(false)
    expect(await govern.ask(makeAsked(bench, { key: 'select' }), attend())).toMatchObject({ outcome: 'refused', code: 'killed' })
  })

  it('makes the intent of a write durable before it is cleared, and clears exactly once', async () => {
    const bench = makeBench(scriptConnector([operation('write')]))
    const govern = createGovern(bench.ports)
    const { clearance } = cleared(await govern.ask(makeAsked(bench), attend()))
    expect(bench.log.types()).toEqual(['intent'])
    expect(() => spendClearance(clearance, 'cd'.repeat(32), 0)).toThrow(/not those/)
    expect(() => spendClearance(clearance, 'ab'.repeat(32), 0)).toThrow(/spent/)
    await govern.conclude(clearance, { result: 'failed', detail: '23505' })
    await govern.conclude(clearance, { result: 'succeeded' })
    expect(bench.log.types()).toEqual(['intent', 'outcome'])
  })

  it('runs nothing when the log cannot append', async () => {
    const bench = makeBench(scriptConnector([operation('write')]))
    bench.log.failing = true
    expect(await createGovern(bench.ports).ask(makeAsked(bench), attend())).toMatchObject({
      outcome: 'refused',
      code: 'log_unavailable',
    })
  })

  it('does not accept a forged or copied clearance', async () => {
    const bench = makeBench(scriptConnector([operation('write')]))
    const { clearance } = cleared(await createGovern(bench.ports).ask(makeAsked(bench), attend()))
    expect(() => spendClearance({ ...clearance }, 'ab'.repeat(32), 0)).toThrow(/not made by the gate/)
    expect(() => spendClearance(clearance, 'ab'.repeat(32), 1)).toThrow(/kill switch/)
  })

  it('lets what destroys wait, copies it after approval and uses the approval once', async () => {
    const bench = dropBench()
    const govern = createGovern(bench.ports)
    const first = attend()
    expect(await govern.ask(makeAsked(bench), first)).toMatchObject({
      code: 'approval_required',
      guards: ['destroy-needs-person'],
    })
    expect(first.notices).toHaveLength(1)
    const [request] = bench.opened
    if (request === undefined) throw new Error('no request')
    expect(request.question).toMatchObject({ rowsMax: 53_033, copy: 'tables', approvalsNeeded: 1 })
    await govern.ask(makeAsked(bench), attend())
    expect(bench.opened).toHaveLength(1)
    expect(await giveVerdict(verdictPorts(bench), request.id, approvalOf(request, 'ada'))).toMatchObject({ result: 'refused' })
    expect(await giveVerdict(verdictPorts(bench), request.id, approvalOf(request, 'bob'))).toMatchObject({ state: 'approved' })
    const answer = cleared(await govern.ask(makeAsked(bench), attend()))
    expect(answer.clearance.rowsMax).toBe(53_033)
    expect(bench.vault.snapshots).toHaveLength(1)
    expect(bench.log.types().slice(-2)).toEqual(['snapshot.sealed', 'intent'])
    expect(await govern.ask(makeAsked(bench), attend())).toMatchObject({ code: 'approval_required' })
    expect(bench.opened).toHaveLength(2)
  })

  it('waits for people while the client waits, and runs when they approve', async () => {
    const bench = dropBench()
    const govern = createGovern(bench.ports)
    const attendance = attend(10_000)
    const answer = govern.ask(makeAsked(bench), attendance)
    await expect.poll(() => attendance.notices.length).toBe(1)
    const [request] = bench.opened
    if (request === undefined) throw new Error('no request')
    await giveVerdict(verdictPorts(bench), request.id, approvalOf(request, 'bob'))
    expect((await answer).outcome).toBe('cleared')
  })

  it('does not hold a client whose wait ends before the delay could', async () => {
    const bench = dropBench()
    bench.settings.mode = 'solo'
    bench.settings.coolOffMs = 900_000
    const waited = bench.clock.nowMs()
    const attendance = attend(20_000)
    expect(await createGovern(bench.ports).ask(makeAsked(bench), attendance)).toMatchObject({ code: 'approval_required' })
    expect(attendance.notices).toHaveLength(1)
    expect(bench.clock.nowMs()).toBe(waited)
  })

  it('decides by what is in force when the delay is over, not when the client came', async () => {
    const losses: ((bench: Bench, standing: { scopes: readonly Scope[] }) => void)[] = [
      (bench) => void (bench.may = ['read orders-db']),
      (_bench, standing) => void (standing.scopes = []),
    ]
    for (const lose of losses) {
      const bench = dropBench()
      bench.settings.mode = 'solo'
      bench.settings.coolOffMs = 5_000
      const standing: { scopes: readonly Scope[] } = { scopes: [] }
      const ports = { ...bench.ports, standing: { of: () => ({ scopes: standing.scopes, endsMs: null }) } }
      if (lose === losses[1]) {
        bench.may = ['read orders-db']
        standing.scopes = [{ kinds: [...impactKinds], action: null, upstream: 'orders-db' }]
      }
      const attendance = attend(20_000)
      const answer = createGovern(ports).ask(makeAsked(bench), attendance)
      await expect.poll(() => attendance.notices.length).toBe(1)
      const [request] = bench.opened
      if (request === undefined) throw new Error('no request')
      await giveVerdict(verdictPorts(bench), request.id, approvalOf(request, 'ada'))
      await expect.poll(() => bench.clock.soonestMs).toBe(5_000)
      lose(bench, standing)
      bench.clock.advance(5_000)
      expect(await answer).toMatchObject({ outcome: 'refused', code: 'not_in_scope' })
      expect(bench.log.types()).not.toContain('intent')
    }
  })

  it('refuses after a rejection, and does not ask again at once', async () => {
    const bench = dropBench()
    const govern = createGovern(bench.ports)
    await govern.ask(makeAsked(bench), attend())
    const [request] = bench.opened
    if (request === undefined) throw new Error('no request')
    await giveVerdict(verdictPorts(bench), request.id, approvalOf(request, 'bob', 'reject'))
    expect(await govern.ask(makeAsked(bench), attend())).toMatchObject({ code: 'approval_rejected' })
    expect(bench.opened).toHaveLength(1)
  })

  it('voids an approval when the target, the policy or the bytes changed, or it expired', async () => {
    const changes: ((bench: Bench) => Partial<Asked>)[] = [
      (bench) => {
        bench.connector.resolved = [{ ...drop, resources: [{ type: 'table', name: 'orders', identity: '1', schemaHash: 'b' }] }]
        return {}
      },
      (bench) => {
        bench.connector.resolved = [{ ...drop, resources: [{ type: 'table', name: 'orders', identity: '2', schemaHash: 'a' }] }]
        return {}
      },
      (bench) => {
        bench.may = ['any orders-db', 'read orders-db']
        return {}
      },
      (bench) => {
        bench.clock.advance(3_600_001)
        return {}
      },
      (bench) => ({ payload: { ...makeAsked(bench).payload, bytesSha256: 'ff'.repeat(32) } }),
      (bench) => ({ payload: { ...makeAsked(bench).payload, settings: { role: 'other' } } }),
      (bench) => ({ session: { ...bench.session, subject: { agent: 'coder', owner: 'eve' } } }),
    ]
    for (const change of changes) {
      const bench = dropBench()
      const govern = createGovern(bench.ports)
      await govern.ask(makeAsked(bench), attend())
      const [request] = bench.opened
      if (request === undefined) throw new Error('no request')
      await giveVerdict(verdictPorts(bench), request.id, approvalOf(request, 'bob'))
      expect(await govern.ask(makeAsked(bench, change(bench)), attend())).toMatchObject({ code: 'approval_required' })
      expect(bench.vault.snapshots).toHaveLength(0)
    }
  })

  it('refuses when the copy fails or grew past what was approved, and leaves the approval unused', async () => {
    const bench = dropBench()
    const govern = createGovern(bench.ports)
    await govern.ask(makeAsked(bench), attend())
    const [request] = bench.opened
    if (request === undefined) throw new Error('no request')
    await giveVerdict(verdictPorts(bench), request.id, approvalOf(request, 'bob'))
    bench.vault.fail = true
    expect(await govern.ask(makeAsked(bench), attend())).toMatchObject({ code: 'vault_unavailable' })
    bench.vault.fail = false
    bench.connector.snapshotRows = 53_034
    expect(await govern.ask(makeAsked(bench), attend())).toMatchObject({ code: 'limit_exceeded' })
    bench.connector.snapshotRows = 53_033
    expect((await govern.ask(makeAsked(bench), attend())).outcome).toBe('cleared')
    expect(bench.log.types().filter((type) => type === 'intent')).toHaveLength(1)
  })

  it('runs few rows unasked until the budget is spent, counting what really changed', async () => {
    const connector = scriptConnector([operation('destroy')])
    connector.resolved = [few]
    connector.snapshotRows = 5
    const bench = makeBench(connector)
    bench.settings.rowsWithoutPrompt = 12
    const govern = createGovern(bench.ports)
    const one = cleared(await govern.ask(makeAsked(bench), attend()))
    expect(one.counted).toBe(true)
    connector.changed = 5
    expect(await govern.settle(one.clearance, bench.upstream)).toBeNull()
    const two = cleared(await govern.ask(makeAsked(bench), attend()))
    connector.changed = 11
    expect(await govern.settle(two.clearance, bench.upstream)).toMatchObject({ code: 'limit_exceeded' })
    expect(await govern.ask(makeAsked(bench), attend())).toMatchObject({ code: 'approval_required' })
  })

  it('does not flood people: a bounded number of questions an agent', async () => {
    const bench = dropBench()
    const govern = createGovern(bench.ports)
    for (let index = 0; index < 3; index += 1)
      await govern.ask(
        makeAsked(bench, { payload: { ...makeAsked(bench).payload, bytesSha256: `${index}`.repeat(64) } }),
        attend(),
      )
    expect(await govern.ask(makeAsked(bench), attend())).toMatchObject({ code: 'limit_exceeded' })
  })

  it('treats a describer that throws or returns nothing as unknown', async () => {
    const bench = makeBench(scriptConnector([]))
    const govern = createGovern(bench.ports)
    expect(await govern.ask(makeAsked(bench), attend())).toMatchObject({
      code: 'approval_required',
      guards: ['unknown-needs-people'],
    })
    bench.connector.describe = async () => {
      throw new Error('a fault')
    }
    expect(await govern.ask(makeAsked(bench), attend())).toMatchObject({
      code: 'approval_required',
      guards: ['unknown-needs-people'],
    })
  })

  it('withholds text that may hold a secret from the log', async () => {
    const bench = makeBench(scriptConnector([operation('write', { secretInText: true })]))
    await createGovern(bench.ports).ask(makeAsked(bench, { text: "ALTER ROLE x PASSWORD 'hunter2'" }), attend())
    expect(JSON.stringify(bench.log.events)).not.toContain('hunter2')
  })
})

describe('giveVerdict', () => {
  it('refuses a wrong challenge, a second verdict, an expired request, an agent, a changed policy', async () => {
    const bench = dropBench()
    await createGovern(bench.ports).ask(makeAsked(bench), attend())
    const [request] = bench.opened
    if (request === undefined) throw new Error('no request')
    const ports = verdictPorts(bench)
    const good = approvalOf(request, 'bob')
    expect(
      await giveVerdict(ports, request.id, { ...good, challenge: approvalOf(request, 'bob', 'reject').challenge }),
    ).toMatchObject({ result: 'refused' })
    expect(await giveVerdict(ports, request.id, approvalOf({ ...request, nonce: 'x' }, 'bob'))).toMatchObject({
      result: 'refused',
    })
    expect(
      await giveVerdict(ports, request.id, approvalOf({ ...request, question: { ...request.question, rowsMax: 1 } }, 'bob')),
    ).toMatchObject({ result: 'refused' })
    expect(await giveVerdict(ports, request.id, approvalOf(request, 'Coder'))).toMatchObject({ result: 'refused' })
    expect(await giveVerdict(ports, 'nothing', good)).toMatchObject({ result: 'refused' })
    bench.may = ['read orders-db']
    expect(await giveVerdict(ports, request.id, good)).toMatchObject({ result: 'refused' })
    bench.may = ['any orders-db']
    bench.clock.advance(3_600_001)
    expect(await giveVerdict(ports, request.id, good)).toMatchObject({ result: 'refused' })
    expect(bench.log.types().filter((type) => type === 'verdict')).toHaveLength(0)
  })
})
