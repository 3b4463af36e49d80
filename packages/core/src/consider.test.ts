import { describe, expect, it } from 'vitest'
import type { Attendance } from './asked.ts'
import { SallyportError } from './error.ts'
import { createGovern } from './govern.ts'
import type { CopyPlan, Operation, ResolvedOperation } from './operation.ts'
import type { ImpactKind } from './impact.ts'
import { makeAsked, makeBench, scriptConnector } from '../../../tests/fakes/ports.ts'

function operation(kind: ImpactKind, context: Operation['context'] = {}): Operation {
  const impact = { kind, reversible: kind !== 'destroy' }
  return { action: `fake.${kind}`, resources: [{ type: 'table', name: 'orders' }], impact, why: 'a test', context }
}

function resolved(copy: CopyPlan, rows: number): ResolvedOperation {
  return { ...operation('destroy'), impact: { kind: 'destroy', reversible: false, scope: { rows, exact: true } }, copy }
}

const attend: Attendance = { waitMs: 0, signal: new AbortController().signal, pending: () => undefined }

describe('what is to be prepared and not run', () => {
  it('a write that may run is on the log before it is said so; nothing is cleared', async () => {
    const bench = makeBench(scriptConnector([operation('write')]))
    const govern = createGovern(bench.ports)
    expect(await govern.consider(makeAsked(bench))).toMatchObject({ outcome: 'considered', may: 'now' })
    expect(bench.log.events.map(({ type, data }) => [type, data['outcome']])).toEqual([['decision', 'permit']])
    bench.log.failing = true
    expect(await govern.consider(makeAsked(bench))).toMatchObject({ outcome: 'refused', code: 'log_unavailable' })
  })

  it('what needs a copy, or people, may not yet: no copy is made and nobody is asked', async () => {
    const connector = scriptConnector([operation('destroy')])
    const bench = makeBench(connector)
    const govern = createGovern(bench.ports)
    for (const one of [
      resolved({ kind: 'rows', rowsEstimate: 5 }, 5),
      resolved({ kind: 'tables', tables: ['orders'], bytesEstimate: 1 }, 50_000),
    ]) {
      connector.resolved = [one]
      expect(await govern.consider(makeAsked(bench))).toEqual({ outcome: 'considered', may: 'not_yet', reads: false })
    }
    expect(bench.log.events).toEqual([])
  })

  it('what can never run is refused, and so is everything after a kill', async () => {
    const bench = makeBench(scriptConnector([operation('write')]))
    bench.may = ['read orders-db']
    const govern = createGovern(bench.ports)
    expect(await govern.consider(makeAsked(bench))).toMatchObject({ outcome: 'refused', code: 'not_in_scope' })
    expect(bench.log.types()).toEqual(['decision'])
    bench.killSwitch.pull('test')
    expect(await govern.consider(makeAsked(bench))).toMatchObject({ outcome: 'refused', code: 'killed' })
  })

  it('knows a read that recall would, counts nothing, and is not made to know one by being asked', async () => {
    const bench = makeBench(scriptConnector([operation('read', { rememberable: true })]))
    const govern = createGovern(bench.ports)
    await govern.consider(makeAsked(bench, { key: 'select' }))
    expect(govern.knows(bench.session, 'select')).toBe(false)
    await govern.ask(makeAsked(bench, { key: 'select' }), attend)
    const counted = bench.log.reads.length
    expect(govern.knows(bench.session, 'select')).toBe(true)
    expect(bench.log.reads).toHaveLength(counted)
    bench.clock.advance(60_000)
    expect(govern.knows(bench.session, 'select')).toBe(false)
  })
})

describe('confirm', () => {
  it('is asked of everything that a copy was made for, counted or not, and its no rolls back', async () => {
    const connector = scriptConnector([operation('destroy')])
    connector.resolved = [resolved({ kind: 'rows', rowsEstimate: 5 }, 5)]
    connector.snapshotRows = 5
    const bench = makeBench(connector)
    const seen: (readonly ResolvedOperation[])[] = []
    connector.confirm = (operations) => {
      seen.push(operations)
      return Promise.resolve()
    }
    const govern = createGovern(bench.ports)
    const cleared = await govern.ask(makeAsked(bench), attend)
    if (cleared.outcome !== 'cleared') throw new Error(cleared.message)
    expect(cleared.counted).toBe(true)
    expect(await govern.settle(cleared.clearance, bench.upstream)).toBeNull()
    expect(seen).toEqual([connector.resolved])
    connector.confirm = () => Promise.reject(new SallyportError('target_changed', 'Another.', 'It was rolled back.', 'Again.'))
    expect(await govern.settle(cleared.clearance, bench.upstream)).toMatchObject({
      outcome: 'refused',
      code: 'target_changed',
      notDone: 'It was rolled back.',
    })
    connector.confirm = () => Promise.reject(new Error('the connection broke'))
    expect(await govern.settle(cleared.clearance, bench.upstream)).toMatchObject({ outcome: 'refused' })
  })
})
