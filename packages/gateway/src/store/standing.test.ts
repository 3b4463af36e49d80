import { expect, test } from 'vitest'
import { impactKinds, type StandingGrant } from '@sallyport/core'
import { openDatabase } from './database.ts'
import { openKills } from './kills.ts'
import { openStanding } from './standing.ts'

const scopes = [{ kinds: impactKinds, action: null, upstream: 'orders-db' }]

function bench(): {
  clock: { at: number }
  open: (policyHash?: string) => ReturnType<typeof openStanding>
  kills: ReturnType<typeof openKills>
} {
  const database = openDatabase(':memory:')
  database.exec('PRAGMA foreign_keys = OFF')
  const clock = { at: 1_000 }
  const at = { nowMs: () => clock.at, sleep: () => Promise.resolve() }
  return { clock, open: (policyHash = 'p') => openStanding(database, at, policyHash), kills: openKills(database) }
}

function grant(over: Partial<StandingGrant> = {}): StandingGrant {
  return {
    request: 'r1',
    agent: 'coder',
    owner: 'ada',
    upstream: 'orders-db',
    scopes,
    reason: 'a test',
    approvers: ['bob'],
    policyHash: 'p',
    fromMs: 1_000,
    expiresAtMs: 2_000,
    ...over,
  }
}

test('stands for its agent, its owner, its upstream, its time, once', () => {
  const { clock, open } = bench()
  const store = open()
  expect(store.of('coder', 'ada', 'orders-db').scopes).toEqual([])
  expect(store.add(grant())).toBe(true)
  expect(store.add(grant({ expiresAtMs: 9_000 }))).toBe(false)
  expect(store.of('coder', 'ada', 'orders-db')).toEqual({ scopes, endsMs: 2_000 })
  const others = [
    store.of('other', 'ada', 'orders-db'),
    store.of('coder', 'eve', 'orders-db'),
    store.of('coder', 'ada', 'other-db'),
  ]
  expect(others.flatMap((other) => other.scopes)).toEqual([])
  // The same object, so that what was decided with it need not be decided again.
  expect(store.of('coder', 'ada', 'orders-db')).toBe(store.of('coder', 'ada', 'orders-db'))
  clock.at = 2_000
  expect(store.of('coder', 'ada', 'orders-db').scopes).toEqual([])
  expect([store.live('r1'), store.hasStood('r1')]).toEqual([null, true])
})

test('what was given under another policy stands no longer', () => {
  const { open } = bench()
  open('p').add(grant())
  expect(open('q').of('coder', 'ada', 'orders-db').scopes).toEqual([])
  expect(open('p').of('coder', 'ada', 'orders-db').scopes).toEqual(scopes)
})

test('ended by a person, it is over at once', () => {
  const { open } = bench()
  const store = open()
  store.add(grant())
  expect(store.of('coder', 'ada', 'orders-db').scopes).toEqual(scopes)
  expect(store.end('r1')?.agent).toBe('coder')
  expect(store.end('r1')).toBeNull()
  expect(store.of('coder', 'ada', 'orders-db').scopes).toEqual([])
})

test.each([
  ['agent', 'coder', true],
  ['agent', 'other', false],
  ['owner', 'ada', true],
  ['upstream', 'orders-db', true],
  ['upstream', 'other-db', false],
  ['all', '', true],
] as const)('a kill of %s %s ends it: %s', (kind, name, ends) => {
  const { open, kills } = bench()
  const store = open()
  store.add(grant())
  kills.voidGrants(kind, name)
  store.forget()
  expect(store.of('coder', 'ada', 'orders-db').scopes.length === 0).toBe(ends)
})
