import fc from 'fast-check'
import { expect, test } from 'vitest'
import { findOnCall, type Rotation } from './on-call.ts'

const weekly: Rotation = {
  people: ['Ada', 'Grace', 'Linus'],
  from: '2026-03-16',
  shiftDays: 7,
  handOverMinute: 9 * 60,
  zone: 'Europe/Zurich',
  instead: [],
}
const at = (text: string): number => Date.parse(text)
const say = (rotation: Rotation, text: string): string => {
  const { person, untilMs, next } = findOnCall(rotation, at(text))
  return `${person} until ${untilMs === null ? 'ever' : new Date(untilMs).toISOString().slice(0, 16)}, then ${next}`
}

test.each([
  ['before the first', '2026-03-16T07:59:59Z', 'null until 2026-03-16T08:00, then Ada'],
  ['from its first second', '2026-03-16T08:00:00Z', 'Ada until 2026-03-23T08:00, then Grace'],
  ['over the spring change an hour less', '2026-03-29T12:00:00Z', 'Grace until 2026-03-30T07:00, then Linus'],
  ['round again', '2026-04-06T07:00:00Z', 'Ada until 2026-04-13T07:00, then Grace'],
  ['over the autumn change an hour more', '2026-10-25T12:00:00Z', 'Grace until 2026-10-26T08:00, then Linus'],
])('a week each: %s', (_name, now, said) => {
  expect(say(weekly, now)).toBe(said)
})

test('a hand-over at a time that is never shown, or twice', () => {
  const nightly = { ...weekly, people: ['Ada', 'Grace'], shiftDays: 1, handOverMinute: 2 * 60 + 30 }
  // 2026-03-29: 02:00 to 03:00 is left out, so it is half past three by the wall.
  expect(say(nightly, '2026-03-29T01:29:59Z')).toBe('Ada until 2026-03-29T01:30, then Grace')
  // 2026-10-25: half past two comes twice, and the first counts.
  expect(say(nightly, '2026-10-25T00:29:59Z')).toContain('until 2026-10-25T00:30')
  expect(say(nightly, '2026-10-25T00:30:00Z')).toContain('until 2026-10-26T01:30')
})

test('somebody else for some days; the order of the others goes on beneath', () => {
  const rotation = {
    ...weekly,
    instead: [
      { from: '2026-03-18', until: '2026-03-20', person: 'Linus' },
      { from: '2026-03-20', until: '2026-03-25', person: 'Eve' },
    ],
  }
  expect(say(rotation, '2026-03-17T12:00:00Z')).toBe('Ada until 2026-03-18T08:00, then Linus')
  expect(say(rotation, '2026-03-19T12:00:00Z')).toBe('Linus until 2026-03-20T08:00, then Eve')
  expect(say(rotation, '2026-03-23T12:00:00Z')).toBe('Eve until 2026-03-25T08:00, then Grace')
})

test('one person alone is never relieved; one after the other by the same name is no change', () => {
  expect(say({ ...weekly, people: ['Ada'] }, '2026-05-01T00:00:00Z')).toBe('Ada until ever, then null')
  expect(say({ ...weekly, people: ['Ada', 'Ada', 'Grace'] }, '2026-03-17T00:00:00Z')).toBe(
    'Ada until 2026-03-30T07:00, then Grace',
  )
})

const zones = [
  'Europe/Zurich',
  'America/New_York',
  'Australia/Lord_Howe',
  'Asia/Kolkata',
  'America/St_Johns',
  'Pacific/Apia',
  'UTC',
]
const rotations = fc.record({
  people: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 2, maxLength: 4 }),
  from: fc.constantFrom('2026-01-01', '2026-03-08', '2026-03-29', '2026-10-25'),
  shiftDays: fc.integer({ min: 1, max: 15 }),
  handOverMinute: fc.integer({ min: 0, max: 1439 }),
  zone: fc.constantFrom(...zones),
  instead: fc.constantFrom([], [{ from: '2026-03-28', until: '2026-03-30', person: 'e' }]),
})
const wallOf = (zone: string, atMs: number): string =>
  new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: '2-digit', minute: '2-digit' }).format(atMs)
const clockText = (minute: number): string =>
  [Math.floor(minute / 60), minute % 60].map((part) => String(part).padStart(2, '0')).join(':')

test('whatever is done to the clocks: no gap, nobody twice, and handed over when the wall says so', () => {
  const moments = fc.integer({ min: at('2026-01-02T00:00:00Z'), max: at('2027-12-31T00:00:00Z') })
  fc.assert(
    fc.property(rotations, moments, (rotation, nowMs) => {
      const { person, untilMs, next } = findOnCall(rotation, nowMs)
      if (untilMs === null) throw new Error('several people relieve each other')
      expect(untilMs).toBeGreaterThan(nowMs)
      expect(findOnCall(rotation, untilMs - 1)).toEqual({ person, untilMs, next })
      expect(findOnCall(rotation, untilMs).person).toBe(next)
      const shown = wallOf(rotation.zone, untilMs)
      const wanted = clockText(rotation.handOverMinute)
      // Later by as much as was left out of the night, where its own time was.
      const missed = [30, 60].map((minutes) => clockText((rotation.handOverMinute + minutes) % 1440))
      if (shown !== wanted)
        expect([missed.includes(shown), wallOf(rotation.zone, untilMs - 3_600_000) < wanted]).toEqual([true, true])
    }),
    { numRuns: 60 },
  )
})

test('each has as many days as the others, over any number of rounds', () => {
  fc.assert(
    fc.property(rotations, fc.integer({ min: 1, max: 3 }), (made, rounds) => {
      const rotation = { ...made, instead: [], handOverMinute: 0, zone: 'Europe/Zurich' }
      const days = new Map<string, number>()
      const noon = at(`${rotation.from}T11:00:00Z`)
      const count = rounds * rotation.shiftDays * rotation.people.length
      for (let day = 0; day < count; day += 1) {
        const { person } = findOnCall(rotation, noon + day * 86_400_000)
        days.set(person ?? 'nobody', (days.get(person ?? 'nobody') ?? 0) + 1)
      }
      expect([...days]).toEqual(rotation.people.map((person) => [person, rounds * rotation.shiftDays]))
    }),
    { numRuns: 10 },
  )
})
