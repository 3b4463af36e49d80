import { expect, test } from 'vitest'
import { ShiftedClock } from '../../../../tests/fakes/people.ts'
import { createPendingChallenges } from './challenges.ts'
import { limits } from './limits.ts'
import { createRateLimit } from './rate-limit.ts'

test('as many as allowed at once, then evenly, each key for itself', () => {
  const clock = new ShiftedClock()
  const now = clock.nowMs()
  clock.nowMs = () => now + clock.shiftMs
  const rate = createRateLimit(clock)
  const taken = Array.from({ length: 5 }, () => rate.take('a', 3))
  expect(taken).toEqual([true, true, true, false, false])
  expect(rate.take('b', 3)).toBe(true)
  clock.shiftMs += 20_000
  expect([rate.take('a', 3), rate.take('a', 3)]).toEqual([true, false])
})

test('a clock that jumps back gives nothing', () => {
  const clock = new ShiftedClock()
  const rate = createRateLimit(clock)
  expect(rate.take('a', 1)).toBe(true)
  clock.shiftMs -= 3_600_000
  expect(rate.take('a', 1)).toBe(false)
})

test('a challenge is for one browser and one purpose, once, and not for long', () => {
  const clock = new ShiftedClock()
  const challenges = createPendingChallenges<null>(clock)
  challenges.issue('browser', 'purpose', 'ab', null)
  expect(challenges.take('other', 'purpose')).toBeNull()
  expect(challenges.take('browser', 'other')).toBeNull()
  expect(challenges.take('browser', 'purpose')?.challenge).toBe('ab')
  expect(challenges.take('browser', 'purpose')).toBeNull()
  challenges.issue('browser', 'purpose', 'ab', null)
  clock.shiftMs += limits.challengeMs
  expect(challenges.take('browser', 'purpose')).toBeNull()
})

test('pending challenges are bounded, the oldest go first', () => {
  const challenges = createPendingChallenges<null>(new ShiftedClock())
  for (let n = 0; n <= limits.challenges; n += 1) challenges.issue(`browser ${n}`, 'purpose', 'ab', null)
  expect(challenges.take('browser 0', 'purpose')).toBeNull()
  expect(challenges.take('browser 1', 'purpose')).not.toBeNull()
})
