import { eventTypes, impactKinds, type Event } from '@sallyport/core'
import { expect, test } from 'vitest'
import { makeQuestion } from '../../../tests/fakes/people.ts'
import { findOddities } from './oddities.ts'
import { liveLineOf } from './live-line.ts'
import { formatBytes, formatDuration } from './time-words.ts'
import { badgeOf, copyAge, copySentence, countDependants, glanceText, limitSentence, summarizeQuestion } from './words.ts'

const question = makeQuestion()
const [operation] = question.operations

test('the scope of the example, in the words of the design', () => {
  expect(`${summarizeQuestion(question)}; ${copyAge(1000, 5000)}`).toBe(
    'deletes 48,211 rows in 3 tables; 2 views depend on it; newest proven copy 4 s old',
  )
})

test('what was not counted is never a zero', () => {
  if (!operation) throw new Error('the example has an operation')
  const uncounted = { ...operation, rows: null, dependants: [] }
  expect(summarizeQuestion({ ...question, operations: [{ ...uncounted, tables: ['public.a'] }] })).toBe('deletes table public.a')
  expect(summarizeQuestion({ ...question, operations: [{ ...uncounted, tables: [], resources: [] }] })).toBe(
    'deletes what the gate could not measure',
  )
  const nameless = { ...uncounted, tables: [], resources: [] }
  expect(summarizeQuestion({ ...question, operations: [{ ...nameless, kind: 'unknown' }] })).toBe(
    'could do anything: the gate cannot read it',
  )
  expect(summarizeQuestion({ ...question, operations: [{ ...nameless, kind: 'escalate' }] })).toBe(
    'changes access or protections',
  )
  expect(summarizeQuestion({ ...question, operations: [uncounted, { ...operation, rows: 5, dependants: [] }] })).toBe(
    'deletes at least 5 rows in 3 tables; rows of 1 operation could not be counted',
  )
})

test('a harmless operation beside a destructive one does not soften the words', () => {
  if (!operation) throw new Error('the example has an operation')
  const read = { ...operation, kind: 'read' as const, rows: 1_000_000, tables: ['public.big'], dependants: [] }
  expect(summarizeQuestion({ ...question, operations: [read, operation] })).toBe(summarizeQuestion(question))
})

test('every kind has a word and a sign of its own', () => {
  const badges = impactKinds.map(badgeOf)
  expect(new Set(badges.map(({ sign }) => sign)).size).toBe(impactKinds.length)
  expect(badges.map(({ word }) => word)).toEqual(impactKinds)
})

test.each([
  [['view a'], '1 view depends on it'],
  [['view a', 'view b', 'foreign key c'], '2 views and 1 foreign key depend on it'],
  [['policy p', 'policy q'], '2 policies depend on it'],
  [['something odd'], '1 thing depends on it'],
  [['viewpoint x'], '1 thing depends on it'],
  [['mounted at /data by shop in production, 5 MB', 'database billing'], '1 mount and 1 database depend on it'],
])('%j', (dependants, words) => {
  expect(countDependants(dependants)).toBe(words)
})

test.each([
  [-5, '0 s'],
  [4000, '4 s'],
  [60_000, '1 min'],
  [860_000, '14 min 20 s'],
  [7_500_000, '2 h 5 min'],
  [273_600_000, '3 d 4 h'],
])('%d ms is %s', (ms, words) => {
  expect(formatDuration(ms)).toBe(words)
})

test.each([
  [1, '1 byte'],
  [999, '999 bytes'],
  [12_345_678, '12.3 MB (12,345,678 bytes)'],
])('%d bytes', (bytes, words) => {
  expect(formatBytes(bytes)).toBe(words)
})

test('what misleads the eye is said', () => {
  expect(findOddities('SELECT 1')).toEqual([])
  expect(findOddities('оrders')[0]).toContain('U+043E')
  expect(findOddities('a\u202Eb')[0]).toContain('1 character')
  expect(findOddities(`a${' '.repeat(500)}b`)[0]).toContain('500 blank')
  expect(findOddities('größe 😀')[0]).toBe('Letters outside ASCII, which can look like others: ö (U+00F6) ß (U+00DF)')
})

test('a live line is a glance: no proofs, no moving text, and it says what it left out', () => {
  const line = liveLineOf(7, {
    type: 'verdict',
    atMs: 0,
    agent: 'coder\u001B[2J',
    data: { request: 'a'.repeat(32), approval: { evidence: 'x' }, text: 'y'.repeat(1000), expiresAtMs: 5 },
  })
  expect(line.detail).toContain('coder⟦U+001B⟧[2J · request aaaaaaaaaa… · text yyy')
  expect(line.detail).toMatch(/… and \d+ more characters, on the log$/)
  expect(line.detail).not.toContain('evidence')
})

const refusedDrop = {
  outcome: 'deny',
  why: 'It may not.',
  text: 'DROP TABLE orders',
  operations: [{ action: 'postgres.drop_table', kind: 'destroy', resources: [{ name: 'public.orders' }] }],
}

test('what happened is said in sentences; facts of another shape are shown as they are, never left out', () => {
  const say = (type: Event['type'], data: Event['data']): string => liveLineOf(1, { type, atMs: 0, agent: 'coder', data }).detail
  expect(say('decision', refusedDrop)).toBe(
    'coder was refused: It may not. postgres.drop_table public.orders (destroy). “DROP TABLE orders”',
  )
  expect(
    say('alarm', { kind: 'foreign_credential', place: 'header authorization', shape: 'a bearer token', host: 'api.test' }),
  ).toBe(
    'coder sent a credential that Sallyport did not issue to api.test (a bearer token, in header authorization). It went nowhere.',
  )
  expect(say('alarm', { kind: 'something new', place: 'here' })).toBe('coder · kind something new · place here')
  expect(say('outcome', { result: 'unknown', detail: 'HTTP 502' })).toBe('coder: unknown. HTTP 502')
})

test('what failed or was refused stands out', () => {
  const tone = (type: Event['type'], data: Event['data']): string => liveLineOf(1, { type, atMs: 0, data }).tone
  expect(tone('outcome', { result: 'succeeded' })).toBe('calm')
  expect(tone('outcome', { result: 'unknown' })).toBe('warn')
  expect(tone('decision', refusedDrop)).toBe('warn')
})

test('every kind of event has a line, whatever its facts are', () => {
  for (const type of eventTypes)
    for (const data of [{}, { by: 1 }, { operations: 'x', text: null }, { approval: [] }, refusedDrop])
      expect(liveLineOf(0, { type, atMs: 0, data }).what.length).toBeGreaterThan(2)
})

test('a glance at an HTTP request is its first line and its body', () => {
  expect(glanceText('POST https://api.test/graphql\nhost: api.test\nx: y\n\n{"query":\n"{ me }"}', 100)).toBe(
    'POST https://api.test/graphql {"query": ⏎ "{ me }"}',
  )
  expect(glanceText('GET https://api.test/x\nhost: api.test\n', 100)).toBe('GET https://api.test/x')
  expect(glanceText('SELECT 1;\n\nDROP TABLE x', 100)).toBe('SELECT 1; ⏎ DROP TABLE x')
  expect(glanceText('x'.repeat(200), 100)).toBe(`${'x'.repeat(100)} … and 100 more characters`)
})

test('a volume is named first, and what lies on it after', () => {
  if (!operation) throw new Error('the example has an operation')
  const volume = { type: 'volume', name: 'data (7f-1)', identity: '7f-1', schemaHash: null }
  const deletion = { ...operation, resources: [volume], rows: 184_000, tables: ['a', 'b'], dependants: [] }
  const asked = { ...question, protocol: 'http', operations: [deletion], rowsMax: 202_400 }
  expect(summarizeQuestion(asked)).toBe('deletes volume data (7f-1), and with it 184,000 rows in 2 tables')
  expect(limitSentence(asked)).toBe('At most 202,400 rows may be lost; with more, counted under lock, nothing is sent.')
  expect(copySentence(asked)).toContain('started from that copy')
})
