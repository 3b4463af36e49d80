import { describe, expect, it } from 'vitest'
import { makeAsked, makeBench, scriptConnector } from '../../../../tests/fakes/ports.ts'
import type { Attendance } from '../asked.ts'
import type { Event } from '../event.ts'
import { createGovern } from '../govern.ts'
import type { ImpactKind } from '../impact.ts'
import type { CopyPlan, ResolvedOperation } from '../operation.ts'
import { createPolicyEngine } from '../policy/engine.ts'
import { parseScope, type Scope } from '../policy/scope.ts'
import { parseExpectation, tryExpectation } from './expectation.ts'
import { AskReader, type LoggedAsk } from './logged-ask.ts'
import { compareTreatments, rehearse } from './rehearse.ts'
import type { Rules } from './rules.ts'

const scopeOf = (text: string): Scope => {
  const scope = parseScope(text)
  if (typeof scope === 'string') throw new Error(scope)
  return scope
}

function rulesOf(may: readonly string[] = ['any orders-db'], changes: Partial<Rules> = {}, guards = ''): Rules {
  return {
    policy: createPolicyEngine([{ agent: 'coder', scopes: may.map(scopeOf) }], guards),
    mode: 'team',
    rowsWithoutPrompt: 1000,
    coolOffMs: 900_000,
    windowMs: 3_600_000,
    ownerOf: (agent) => (agent === 'coder' ? 'ada' : null),
    environmentOf: (upstream) => (upstream === 'orders-db' ? 'production' : null),
    quorumOf: () => null,
    hasRestorePoint: () => false,
    isDrilled: () => true,
    ...changes,
  }
}

function operation(kind: ImpactKind, copy: CopyPlan = { kind: 'none' }, rows?: number): ResolvedOperation {
  return {
    action: `fake.${kind}`,
    resources: [{ type: 'table', name: 'orders' }],
    impact: {
      kind,
      reversible: kind !== 'destroy' && kind !== 'unknown',
      ...(rows === undefined ? {} : { scope: { rows, exact: true } }),
    },
    why: 'a test',
    context: {},
    copy,
  }
}

const rowsOf = (rows: number): ResolvedOperation => operation('destroy', { kind: 'rows', rowsEstimate: rows }, rows)
const whole: CopyPlan = { kind: 'tables', tables: ['orders'], bytesEstimate: 1 }
const lost: CopyPlan = { kind: 'impossible', reason: 'a test', remedy: 'none' }
const attend: Attendance = { waitMs: 0, signal: new AbortController().signal, pending: () => undefined }

/** What a real pipeline put on the log about these, asked one after the other. */
async function logOf(operations: readonly ResolvedOperation[]): Promise<readonly Event[]> {
  const connector = scriptConnector([])
  const bench = makeBench(connector)
  bench.settings.pendingMax = 100
  const govern = createGovern(bench.ports)
  for (const [index, one] of operations.entries()) {
    connector.operations = [one]
    connector.resolved = [one]
    connector.snapshotRows = one.impact.scope?.rows ?? 0
    const payload = { ...makeAsked(bench).payload, bytesSha256: String(index).padStart(64, '0') }
    await govern.ask(makeAsked(bench, { payload }), attend)
  }
  return [{ type: 'session.opened', atMs: 0, session: bench.session.id, data: { upstream: 'orders-db' } }, ...bench.log.events]
}

function asksOf(events: readonly Event[]): readonly LoggedAsk[] {
  const reader = new AskReader()
  return events.flatMap((event, index) => {
    const ask = reader.read(index, event)
    if (ask !== null && 'why' in ask) throw new Error(`entry ${index} was not read: ${ask.why}`)
    return ask === null ? [] : [ask]
  })
}

const everything = [
  operation('read'),
  operation('write'),
  rowsOf(400),
  rowsOf(400),
  rowsOf(400),
  operation('destroy', whole, 48_211),
  operation('destroy', lost),
  operation('escalate'),
  operation('disrupt'),
  operation('unknown', lost),
]

describe('a rehearsal of what a real pipeline put on the log', () => {
  it('says of the rules in force what really happened, the limit on rows included', async () => {
    const asks = asksOf(await logOf(everything))
    expect(asks.map(({ happened }) => happened)).toEqual([
      'runs',
      'runs',
      'runs',
      'runs',
      // The third 400 rows are more than what is left of 1,000 in the hour.
      'asks',
      'asks',
      'refused',
      'asks',
      'asks',
      'asks',
    ])
    const same = rehearse(asks, rulesOf(), rulesOf())
    expect([same.judged, same.unlike, same.same, same.changes]).toEqual([10, 0, 10, []])
    expect(same.before).toEqual({ runs: 4, asks: 5, refused: 1 })
  })

  it('counts what gets through more easily and what is held more strictly, by kind of request', async () => {
    const asks = asksOf(await logOf(everything))
    const looser = rehearse(asks, rulesOf(), rulesOf(['any orders-db'], { rowsWithoutPrompt: 5000 }))
    expect([looser.milder, looser.stricter, looser.same]).toEqual([1, 0, 9])
    expect(looser.changes).toMatchObject([
      { agent: 'coder', actions: ['fake.destroy'], before: { outcome: 'asks' }, after: { outcome: 'runs' }, count: 1 },
    ])
    const staging = rehearse(asks, rulesOf(), rulesOf(['any orders-db'], { environmentOf: () => 'staging' }))
    expect(staging.after).toEqual({ runs: 10, asks: 0, refused: 0 })
    const narrow = rehearse(asks, rulesOf(), rulesOf(['read orders-db']))
    expect([narrow.after, narrow.milder]).toEqual([{ runs: 1, asks: 0, refused: 9 }, 0])
    const guard = `@id("no-outage")\n@why("Never.")\nforbid (principal, action in Action::"disrupt", resource);`
    const guarded = rehearse(asks, rulesOf(), rulesOf(['any orders-db'], {}, guard))
    expect(guarded.changes).toMatchObject([{ actions: ['fake.disrupt'], after: { outcome: 'refused' } }])
    expect(rehearse(asks, rulesOf(), rulesOf(['any orders-db'], { ownerOf: () => null })).after.refused).toBe(10)
  })

  it('does not compare what it cannot rebuild: what ran by a grant for a time, and what ran once it was approved', async () => {
    const events = await logOf([operation('write')])
    const asks = asksOf(events)
    const beyond = rehearse(asks, rulesOf(['read orders-db']), rulesOf(['read orders-db']))
    expect([beyond.judged, beyond.unlike]).toEqual([0, 1])
    const granted = events.map((event) => (event.type === 'intent' ? { ...event, data: { ...event.data, grant: 'g-1' } } : event))
    expect(asksOf(granted)).toEqual([])
    const reader = new AskReader()
    expect(events.slice(1).map((event, index) => reader.read(index, event))).toEqual([{ index: 0, why: 'session' }])
  })
})

it('a hostile log makes no request: what is cut, of another shape or deep is left out', () => {
  const reader = new AskReader()
  reader.know('s', 'orders-db')
  const entry = (data: Event['data'], type: Event['type'] = 'intent'): Event => ({
    type,
    atMs: 1,
    session: 's',
    agent: 'coder',
    data,
  })
  for (const operations of ['', null, [{ more: 3, sha256: 'x' }], [{ action: 1 }], [[]]])
    expect(reader.read(1, entry({ operations }))).toEqual({ index: 1, why: 'cut' })
  expect(reader.read(2, entry({ question: 'x' }, 'request.opened'))).toEqual({ index: 2, why: 'cut' })
  expect(reader.read(3, entry({ outcome: 'deny', code: 'killed' }, 'decision'))).toBeNull()
})

it('whoever asks fewer people, or waits for less long, or asks another group, is milder', () => {
  const asks = { outcome: 'asks', people: 2, group: null, delayMs: 1000 } as const
  expect(compareTreatments(asks, { ...asks, people: 1 })).toBeLessThan(0)
  expect(compareTreatments(asks, { ...asks, delayMs: 0 })).toBeLessThan(0)
  expect(compareTreatments(asks, { ...asks, group: 'leads' })).toBeLessThan(0)
  expect(compareTreatments(asks, { ...asks, people: 3 })).toBeGreaterThan(0)
  expect(compareTreatments({ outcome: 'runs', copies: true }, { outcome: 'runs', copies: false })).toBeLessThan(0)
  expect(compareTreatments(asks, { outcome: 'refused', code: 'not_in_scope', why: '' })).toBeGreaterThan(0)
})

describe('an expectation', () => {
  const tried = (text: string, rules = rulesOf()): boolean | string => {
    const parsed = parseExpectation(text)
    return typeof parsed === 'string' ? parsed : tryExpectation(parsed, rules).holds
  }

  it.each([
    ['coder runs read on orders-db', true],
    ['coder runs write on orders-db', true],
    ['coder runs destroy of 1000 rows on orders-db', true],
    ['coder runs destroy of 1001 rows on orders-db', false],
    ['coder asks destroy of 1001 rows on orders-db', true],
    ['coder asks destroy on orders-db', true],
    ['coder  asks   destroy as postgres.drop_table on orders-db', true],
    ['coder is refused destroy without a copy on orders-db', true],
    ['coder asks irreversible write on orders-db', true],
    ['coder is refused read on orders-db', false],
    ['reporter is refused read on orders-db', true],
    ['coder asks unknown on orders-db', true],
  ])('%s: %s', (text, holds) => expect(tried(text)).toBe(holds))

  it('sees a scope that names an action, and rows that were raised', () => {
    const rules = rulesOf(['postgres.drop_* orders-db'])
    expect(tried('coder asks destroy as postgres.drop_table on orders-db', rules)).toBe(true)
    expect(tried('coder is refused destroy on orders-db', rules)).toBe(true)
    expect(tried('coder asks destroy of 1001 rows on orders-db', rulesOf(['any orders-db'], { rowsWithoutPrompt: 2000 }))).toBe(
      false,
    )
  })

  it.each([
    '',
    'coder may read',
    'coder runs everything on x',
    'c<b> runs read on x',
    `coder runs read on ${'x'.repeat(500)}`,
    'coder runs read as rm on x',
    'coder runs destroy without a copy of 5 rows on x',
    'coder runs read on x; drop',
  ])('is not %j', (text) => expect(typeof parseExpectation(text)).toBe('string'))
})
