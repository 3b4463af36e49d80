import { expect, test } from 'vitest'
import { quietUntilMs, type QuietHours } from './quiet-hours.ts'

const everyDay = [0, 1, 2, 3, 4, 5, 6]
const night: QuietHours = { from: 22 * 60, until: 7 * 60, zone: 'Europe/Zurich', days: everyDay }
const at = (text: string): number => Date.parse(text)
const untilOf = (hours: QuietHours, text: string): string | null => {
  const untilMs = quietUntilMs(hours, at(text))
  return untilMs === null ? null : new Date(untilMs).toISOString()
}

test.each([
  ['an evening in winter, before', '2026-01-05T20:59:59Z', null],
  ['from its first second', '2026-01-05T21:00:00Z', '2026-01-06T06:00:00.000Z'],
  ['after midnight', '2026-01-06T03:30:12Z', '2026-01-06T06:00:00.000Z'],
  ['to its last second', '2026-01-06T05:59:59Z', '2026-01-06T06:00:00.000Z'],
  ['and no longer', '2026-01-06T06:00:00Z', null],
  ['in summer an hour earlier', '2026-07-05T20:00:00Z', '2026-07-06T05:00:00.000Z'],
])('over midnight: %s', (_name, now, until) => {
  expect(untilOf(night, now)).toBe(until)
})

test('within a day, and at the day on which it began', () => {
  const noon: QuietHours = { from: 12 * 60, until: 13 * 60 + 30, zone: 'Asia/Kolkata', days: [0] }
  // 2026-01-05 is a Monday; Kolkata is 5:30 ahead.
  expect(untilOf(noon, '2026-01-05T06:30:00Z')).toBe('2026-01-05T08:00:00.000Z')
  expect(untilOf(noon, '2026-01-06T06:30:00Z')).toBeNull()
  const fridayNight: QuietHours = { ...night, zone: 'UTC', days: [4] }
  expect(untilOf(fridayNight, '2026-01-10T03:00:00Z')).toBe('2026-01-10T07:00:00.000Z')
  expect(untilOf(fridayNight, '2026-01-10T23:00:00Z')).toBeNull()
  const sundayNight: QuietHours = { ...night, zone: 'UTC', days: [6] }
  expect(untilOf(sundayNight, '2026-01-12T01:00:00Z')).toBe('2026-01-12T07:00:00.000Z')
})

test.each([
  // The clocks go forward at 02:00 on 2026-03-29, and back at 03:00 on 2026-10-25: asked again at what it said, it is quiet until 07:00 by the wall.
  ['2026-03-29T00:30:00Z', '2026-03-29T05:00:00.000Z'],
  ['2026-10-25T00:30:00Z', '2026-10-25T06:00:00.000Z'],
])('whoever asks again at its end comes out at seven, though the clocks were changed: %s', (now, end) => {
  let nowMs = at(now)
  for (let asked = 0; asked < 3; asked += 1) {
    const untilMs = quietUntilMs(night, nowMs)
    if (untilMs === null) break
    expect(untilMs).toBeGreaterThan(nowMs)
    nowMs = untilMs
  }
  expect(quietUntilMs(night, nowMs)).toBeNull()
  expect(nowMs).toBeGreaterThanOrEqual(at(end))
  expect(quietUntilMs(night, at(end) - 1)).not.toBeNull()
})
