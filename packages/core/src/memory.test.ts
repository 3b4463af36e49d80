import { describe, expect, it } from 'vitest'
import type { Asked, Attendance } from './asked.ts'
import { decide, type DecisionFacts } from './decide.ts'
import { createGovern } from './govern.ts'
import { DecisionMemory } from './memory.ts'
import type { Operation } from './operation.ts'
import type { Session } from './session.ts'
import { makeAsked, makeBench, scriptConnector, type Bench } from '../../../tests/fakes/ports.ts'

function operation(kind: 'read' | 'write', context: Operation['context']): Operation {
  const resources = [{ type: 'table', name: 'orders', identity: '1', schemaHash: 'a' }]
  return { action: `fake.${kind}`, resources, impact: { kind, reversible: true }, why: 'a test', context }
}
const write = operation('write', { foldable: true })
const attendance: Attendance = { waitMs: 0, signal: new AbortController().signal, pending: () => undefined }

function openBench(operations: readonly Operation[] = [write]): { bench: Bench; described: () => number } {
  const connector = scriptConnector(operations)
  return { bench: makeBench(connector), described: () => connector.describes }
}

function ask(bench: Bench, over: Partial<Asked> = {}): Asked {
  const remembered = { key: 'catalog 1 update orders', keyNamesCatalog: true }
  return makeAsked(bench, { text: 'UPDATE orders SET a = 1 WHERE id = 2', ...remembered, ...over })
}
const another = (bench: Bench, over: Partial<Session> = {}): Session => ({ ...bench.session, id: 'another', ...over })

describe('what is remembered of plain statements', () => {
  it('serves every session of the same agent of the same owner on the same upstream, and nobody else', async () => {
    const { bench, described } = openBench()
    const govern = createGovern(bench.ports)
    await govern.ask(ask(bench), attendance)
    await govern.ask(ask(bench, { session: another(bench) }), attendance)
    expect(described()).toBe(1)
    const { subject } = bench.session
    const others: Partial<Session>[] = [
      { subject: { ...subject, agent: 'other' } },
      { subject: { ...subject, owner: 'eve' } },
      { upstream: 'other-db' },
      { protocol: 'other' },
    ]
    for (const [index, over] of others.entries()) {
      await govern.ask(ask(bench, { session: another(bench, over) }), attendance)
      expect(described()).toBe(2 + index)
    }
  })

  it('is waited for while another session looks it up, and for no longer than a second', async () => {
    const { bench, described } = openBench()
    const { connector } = bench
    const looking = Promise.withResolvers<void>()
    connector.describe = async () => {
      connector.describes += 1
      if (connector.describes === 1) await looking.promise
      return connector.operations
    }
    const govern = createGovern(bench.ports)
    const first = govern.ask(ask(bench), attendance)
    const second = govern.ask(ask(bench, { session: another(bench) }), attendance)
    const gone = new AbortController()
    const third = govern.ask(ask(bench, { session: another(bench, { id: 'third' }) }), { ...attendance, signal: gone.signal })
    await expect.poll(described).toBe(1)
    gone.abort()
    await third
    expect(described()).toBe(2)
    bench.clock.advance(1_000)
    expect((await second).outcome).toBe('cleared')
    looking.resolve()
    expect((await first).outcome).toBe('cleared')
  })

  it('is asked for anew under another key: another catalog, search_path, role or text', async () => {
    const { bench, described } = openBench()
    const govern = createGovern(bench.ports)
    await govern.ask(ask(bench), attendance)
    await govern.ask(ask(bench, { key: 'catalog 2 update orders' }), attendance)
    expect(described()).toBe(2)
    await govern.ask(ask(bench, { key: null }), attendance)
    expect(described()).toBe(3)
  })

  it('stays with its session, for seconds and no longer however often it is used, when the key does not name the catalog', async () => {
    const { bench, described } = openBench()
    const govern = createGovern(bench.ports)
    const plain = ask(bench, { keyNamesCatalog: false })
    await govern.ask(plain, attendance)
    await govern.ask({ ...plain, session: another(bench) }, attendance)
    expect(described()).toBe(2)
    for (let step = 0; step < 4; step += 1) {
      bench.clock.advance(600)
      await govern.ask(plain, attendance)
    }
    expect(described()).toBe(3)
  })

  it('ends within a minute even while the catalog stays the same', async () => {
    const { bench, described } = openBench()
    const govern = createGovern(bench.ports)
    await govern.ask(ask(bench), attendance)
    bench.clock.advance(60_000)
    await govern.ask(ask(bench), attendance)
    expect(described()).toBe(2)
  })

  it('is gone with the policy, and with any kill; the decision is made anew each time', async () => {
    const { bench, described } = openBench()
    const govern = createGovern(bench.ports)
    await govern.ask(ask(bench), attendance)
    bench.may = ['read orders-db']
    expect(await govern.ask(ask(bench), attendance)).toMatchObject({ outcome: 'refused', code: 'not_in_scope' })
    expect(described()).toBe(2)
    bench.may = ['any orders-db']
    expect((await govern.ask(ask(bench), attendance)).outcome).toBe('cleared')
    bench.killSwitch.pull('test')
    expect(await govern.ask(ask(bench), attendance)).toMatchObject({ outcome: 'refused', code: 'killed' })
    bench.killSwitch.reason = null
    const before = described()
    expect((await govern.ask(ask(bench), attendance)).outcome).toBe('cleared')
    expect(described()).toBe(before + 1)
  })

  it('puts the bytes and binds of each statement on the log, whatever was remembered', async () => {
    const { bench, described } = openBench()
    const govern = createGovern(bench.ports)
    const { payload } = ask(bench)
    const digests = new Set<unknown>()
    for (const over of [
      { bytesSha256: '11'.repeat(32) },
      { bytesSha256: '22'.repeat(32) },
      { bytesSha256: '22'.repeat(32), bindValues: ['1'] },
      { bytesSha256: '22'.repeat(32), bindValues: ['2'] },
    ]) {
      const answer = await govern.ask(ask(bench, { payload: { ...payload, ...over } }), attendance)
      if (answer.outcome !== 'cleared') throw new Error(answer.message)
      expect(answer.clearance.bytesSha256).toBe(over.bytesSha256)
      const intent = bench.log.events.at(-1)
      expect(intent).toMatchObject({ type: 'intent', data: { bytesSha256: over.bytesSha256, digest: answer.clearance.digest } })
      digests.add(answer.clearance.digest)
    }
    expect(described()).toBe(1)
    expect(digests.size).toBe(4)
  })

  it('never serves what only its own session has, nor what is no plain write', async () => {
    for (const kept of [
      { ...write, copy: { kind: 'none' as const }, temporary: true },
      { ...write, context: {}, copy: { kind: 'none' as const } },
      { ...write, impact: { kind: 'write' as const, reversible: false }, copy: { kind: 'none' as const } },
      { ...write, copy: { kind: 'rows' as const, rowsEstimate: 1 } },
    ]) {
      const { bench, described } = openBench()
      bench.connector.resolved = [kept]
      const govern = createGovern(bench.ports)
      await govern.ask(ask(bench), attendance)
      await govern.ask(ask(bench, { session: another(bench) }), attendance)
      expect(described()).toBe(2)
    }
  })

  it('gives each session its own read: on the log under its own name before it is recalled there', async () => {
    const { bench, described } = openBench([operation('read', { rememberable: true })])
    const govern = createGovern(bench.ports)
    const session = another(bench)
    await govern.ask(ask(bench), attendance)
    expect(govern.recall(session, 'catalog 1 update orders')).toBe(false)
    await govern.ask(ask(bench, { session }), attendance)
    expect(described()).toBe(1)
    expect(govern.recall(session, 'catalog 1 update orders')).toBe(true)
    expect(bench.log.events.map(({ type, session: of }) => [type, of])).toEqual([
      ['statement', bench.session.id],
      ['statement', 'another'],
    ])
  })

  it('is looked up once for many that ask at once, and each for itself when that fails', async () => {
    const { bench, described } = openBench()
    const govern = createGovern(bench.ports)
    const sessions = ['a', 'b', 'c', 'd'].map((id) => another(bench, { id }))
    const all = await Promise.all(sessions.map((session) => govern.ask(ask(bench, { session }), attendance)))
    expect(all.map(({ outcome }) => outcome)).toEqual(['cleared', 'cleared', 'cleared', 'cleared'])
    expect(described()).toBe(1)
    expect(new Set(bench.log.events.map(({ data }) => data['intent'])).size).toBe(4)
    const failing = openBench()
    failing.bench.connector.describe = async () => {
      throw new Error('a fault')
    }
    const other = createGovern(failing.bench.ports)
    const refused = await Promise.all(sessions.map((session) => other.ask(ask(failing.bench, { session }), attendance)))
    expect(refused.every(({ outcome }) => outcome === 'refused')).toBe(true)
  })
})

describe('DecisionMemory', () => {
  it('says what decide would say, whatever differs from the last time', () => {
    const { bench } = openBench()
    const memory = new DecisionMemory()
    const operations = [
      { ...operation('write', {}), impact: { kind: 'destroy' as const, reversible: false, scope: { rows: 5, exact: true } } },
    ]
    const destroying = operations.map((one) => ({ ...one, copy: { kind: 'rows' as const, rowsEstimate: 5 } }))
    const facts: DecisionFacts = {
      upstream: 'orders-db',
      environment: 'production',
      mode: 'team',
      approvers: [],
      delayed: false,
      copyProven: false,
      rowsSpent: 0,
      rowsWithoutPrompt: 10,
      drilled: true,
      coolOffMs: 0,
    }
    const { subject } = bench.session
    const variants: readonly Partial<DecisionFacts>[] = [
      {},
      { rowsSpent: 6 },
      { approvers: ['bob'], rowsSpent: 6 },
      { approvers: ['ada'], rowsSpent: 6 },
      { rowsSpent: 6 },
      { rowsWithoutPrompt: 4 },
      { environment: 'staging', rowsSpent: 6 },
      { mode: 'solo', rowsSpent: 6, coolOffMs: 5 },
      { copyProven: true },
      { upstream: 'other-db' },
      { delayed: true },
      { drilled: false },
      {},
    ]
    for (const may of [['any orders-db'], ['read orders-db']]) {
      bench.may = may
      const policy = bench.ports.policy()
      for (const variant of [...variants, ...variants.toReversed()]) {
        for (const asking of [subject, { ...subject, agent: 'other' }]) {
          const now = { ...facts, ...variant }
          expect(memory.decide(destroying, asking, now, policy)).toEqual(decide(destroying, asking, now, policy))
        }
      }
    }
  })
})
