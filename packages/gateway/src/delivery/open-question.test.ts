import type { Rotation } from '@sallyport/core'
import { expect, test } from 'vitest'
import { findDue, type OpenQuestion, receiversOf, type RingPlan } from './open-question.ts'

const rotation: Rotation = {
  people: ['Ada', 'Grace'],
  from: '2026-03-16',
  shiftDays: 7,
  handOverMinute: 9 * 60,
  zone: 'UTC',
  instead: [],
}
const bells = new Map([
  ['Ada', ['phone-of-ada', 'mail-of-ada']],
  ['Grace', ['phone-of-grace']],
])
const plan: RingPlan = {
  steps: [
    { afterMs: 0, receivers: ['ops'], onCall: [{ rotation, receiversOf: bells }] },
    { afterMs: 600_000, receivers: ['phone-of-grace'] },
  ],
  quiet: [],
}
const question = (openedAt: string, rung: readonly string[] = []): OpenQuestion => ({
  request: 'r',
  index: 0,
  agent: null,
  openedAtMs: Date.parse(openedAt),
  expiresAtMs: Date.parse(openedAt) + 3_600_000,
  rung: new Set(rung),
  held: new Set(),
})
const rungAt = (asked: OpenQuestion, now: string): readonly string[] =>
  findDue(plan, asked, Date.parse(now)).rings.flatMap(({ receivers }) => receivers)

test('rings whoever is on call when it rings', () => {
  expect(receiversOf(plan.steps[0] ?? { afterMs: 0, receivers: [] })).toHaveLength(4)
  expect(rungAt(question('2026-03-17T12:00:00Z'), '2026-03-17T12:00:00Z')).toEqual(['ops', 'phone-of-ada', 'mail-of-ada'])
  expect(rungAt(question('2026-03-24T12:00:00Z'), '2026-03-24T12:00:00Z')).toEqual(['ops', 'phone-of-grace'])
})

test('what still waits when it is handed over rings whoever takes it over, once', () => {
  const asked = question('2026-03-23T08:55:00Z', ['ops', 'phone-of-ada', 'mail-of-ada'])
  const { rings, wakeAtMs } = findDue(plan, asked, Date.parse('2026-03-23T08:56:00Z'))
  expect(rings).toEqual([])
  expect(wakeAtMs).toBe(Date.parse('2026-03-23T09:00:00Z'))
  expect(rungAt(asked, '2026-03-23T09:00:00Z')).toEqual(['phone-of-grace'])
  const both = question('2026-03-23T08:55:00Z', ['ops', 'phone-of-ada', 'mail-of-ada', 'phone-of-grace'])
  expect(findDue(plan, both, Date.parse('2026-03-23T09:06:00Z'))).toEqual({ rings: [], held: null, wakeAtMs: null })
})

test('before the first shift everybody of it is rung: somebody has to hear', () => {
  expect(rungAt(question('2026-03-01T12:00:00Z'), '2026-03-01T12:00:00Z')).toHaveLength(4)
})
