/** Days of the calendar, as people write them: 2026-03-29. */
export type CalendarDay = string

/** Who is on call, one after the other. Times of day are the wall clock's of its zone, whatever is done to the clocks there. */
export interface Rotation {
  /** In their order, from the first hand-over on. */
  readonly people: readonly string[]
  /** The first shift begins on this day. */
  readonly from: CalendarDay
  readonly shiftDays: number
  /** Minute of the day at which one hands over to the next. */
  readonly handOverMinute: number
  readonly zone: string
  /** Somebody else, from the hand-over on one day to that on another. They do not overlap; the order of the others goes on beneath. */
  readonly instead: readonly { readonly from: CalendarDay; readonly until: CalendarDay; readonly person: string }[]
}

export interface OnCall {
  /** Null: the first shift has not begun. */
  readonly person: string | null
  /** When somebody else is; null: nobody else ever is. */
  readonly untilMs: number | null
  readonly next: string | null
}

const dayMs = 86_400_000
const minuteMs = 60_000

/** Who is on call now, until when, and who is next. */
export function findOnCall(rotation: Rotation, nowMs: number): OnCall {
  const person = personAt(rotation, nowMs)
  // Each round has a change in it, unless one person has it all; each override two.
  const changesMax = rotation.people.length + 2 * rotation.instead.length + 1
  let atMs = nowMs
  for (let looked = 0; looked < changesMax; looked += 1) {
    atMs = changeAfter(rotation, atMs)
    const next = personAt(rotation, atMs)
    if (next !== person) return { person, untilMs: atMs, next }
  }
  return { person, untilMs: null, next: null }
}

function personAt(rotation: Rotation, atMs: number): string | null {
  const { people, instead } = rotation
  const override = instead.find(({ from, until }) => startOf(rotation, from) <= atMs && atMs < startOf(rotation, until))
  if (override !== undefined) return override.person
  const shift = shiftAt(rotation, atMs)
  return shift < 0 ? null : (people[shift % people.length] ?? null)
}

/** The next hand-over, or the next time that an override begins or ends. */
function changeAfter(rotation: Rotation, atMs: number): number {
  const next = startOfShift(rotation, Math.max(0, shiftAt(rotation, atMs) + 1))
  const ends = rotation.instead.flatMap(({ from, until }) => [startOf(rotation, from), startOf(rotation, until)])
  return Math.min(next, ...ends.filter((end) => end > atMs))
}

/** Counted from 0; negative before the first. */
function shiftAt(rotation: Rotation, atMs: number): number {
  const days = (wallClockOf(rotation.zone, atMs) - dayStart(rotation.from)) / dayMs
  // Where the clocks are changed, the day by the wall and the hand-over by the wall may be a shift apart.
  let shift = Math.floor(days / rotation.shiftDays)
  while (startOfShift(rotation, shift) > atMs) shift -= 1
  while (startOfShift(rotation, shift + 1) <= atMs) shift += 1
  return shift
}

function startOfShift(rotation: Rotation, shift: number): number {
  return instantOf(rotation, dayStart(rotation.from) + shift * rotation.shiftDays * dayMs)
}

function startOf(rotation: Rotation, day: CalendarDay): number {
  return instantOf(rotation, dayStart(day))
}

function dayStart(day: CalendarDay): number {
  return Date.parse(`${day}T00:00:00Z`)
}

/**
 * When the wall clock shows the time of the hand-over on a day. Shown twice, the first counts; never shown, it is as long after midnight as it would have been,
 * so an hour later by the wall (RFC 5545 §3.3.5).
 */
function instantOf({ zone, handOverMinute }: Rotation, day: number): number {
  const wall = day + handOverMinute * minuteMs
  const offsetAt = (atMs: number): number => wallClockOf(zone, atMs) - atMs
  // No zone is a day off, so these two are before and after whatever is done to the clocks that night.
  const [before, after] = [wall - offsetAt(wall - dayMs), wall - offsetAt(wall + dayMs)]
  const shown = [Math.min(before, after), Math.max(before, after)].find((atMs) => wallClockOf(zone, atMs) === wall)
  return shown ?? before
}

const formats = new Map<string, Intl.DateTimeFormat>()

/** What the wall clock of a zone shows, as if it were UTC's, ms. Whole seconds. */
function wallClockOf(zone: string, atMs: number): number {
  const parts = new Map(
    formatOf(zone)
      .formatToParts(atMs)
      .map(({ type, value }) => [type, Number(value)]),
  )
  const numberOf = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0
  return Date.UTC(
    numberOf('year'),
    numberOf('month') - 1,
    numberOf('day'),
    numberOf('hour'),
    numberOf('minute'),
    numberOf('second'),
  )
}

/** Making one takes a millisecond, and few zones are ever asked for. */
function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known !== undefined) return known
  const digits = '2-digit' as const
  const made = new Intl.DateTimeFormat('en-US', {
    year: 'numeric',
    month: digits,
    day: digits,
    hour: digits,
    minute: digits,
    second: digits,
    hourCycle: 'h23',
    timeZone: zone,
  })
  formats.set(zone, made)
  return made
}
