import { impactKinds } from '@sallyport/core'
import { expect, test } from 'vitest'
import { makeQuestion } from '../../../tests/fakes/people.ts'
import { findOddities } from './fence.ts'
import { liveLineOf } from './live-line.ts'
import { badgeOf, copyAge, countDependants, formatBytes, formatDuration, summarizeQuestion } from './words.ts'

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
