/** Hours in which somebody is not rung for what can wait, as the wall clock of their place has it. */
export interface QuietHours {
  /** Minutes of the day. Later than `until`: over midnight. */
  readonly from: number
  readonly until: number
  readonly zone: string
  /** Days on which they begin; 0 is Monday. */
  readonly days: readonly number[]
}

const dayMinutes = 1_440
const minuteMs = 60_000
const weekdays = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']

/**
 * When these quiet hours end; null: it is not quiet now. Where the clocks are changed in between it may be an hour early or late, and then it is asked
 * again: what counts is that it is null exactly outside of them.
 */
export function quietUntilMs({ from, until, zone, days }: QuietHours, nowMs: number): number | null {
  const { day, minute } = readWallClock(zone, nowMs)
  const isOverMidnight = from > until
  const beganToday = minute >= from && (isOverMidnight || minute < until)
  const beganYesterday = isOverMidnight && minute < until
  const isQuiet = (beganToday && days.includes(day)) || (beganYesterday && days.includes((day + 6) % 7))
  if (!isQuiet) return null
  const leftMinutes = (until - minute + dayMinutes) % dayMinutes
  return nowMs - (nowMs % minuteMs) + leftMinutes * minuteMs
}

const formats = new Map<string, Intl.DateTimeFormat>()

function readWallClock(zone: string, nowMs: number): { readonly day: number; readonly minute: number } {
  const parts = new Map(
    formatOf(zone)
      .formatToParts(nowMs)
      .map(({ type, value }) => [type, value]),
  )
  const numberOf = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type) ?? 0)
  return { day: weekdays.indexOf(parts.get('weekday') ?? ''), minute: numberOf('hour') * 60 + numberOf('minute') }
}

/** Making one takes a millisecond, and few zones are ever asked for. */
function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known !== undefined) return known
  const options = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: zone } as const
  const made = new Intl.DateTimeFormat('en-US', options)
  formats.set(zone, made)
  return made
}
