import { describe, expect, it } from 'vitest'
import type { Event } from './event.ts'
import { Habits } from './habit.ts'

const intent = (agent: string, ...actions: readonly string[]): Event => ({
  type: 'intent',
  atMs: 0,
  agent,
  data: { operations: actions.map((action) => ({ action, kind: 'write' })) },
})
const minuteMs = 60_000
const reads = (agent: string, minute: number, count: number): Event => ({
  type: 'reads',
  atMs: 0,
  data: { reads: [{ session: 's', agent, key: 'k', count, firstAtMs: minute * minuteMs, lastAtMs: minute * minuteMs }] },
})

describe('what an agent never did before', () => {
  it('is told once it has a habit, once, with the event', () => {
    const habits = new Habits()
    for (let index = 0; index < 20; index += 1)
      expect(habits.see(index, intent('coder', index % 2 === 0 ? 'postgres.insert' : 'postgres.update'))).toBeNull()
    expect(habits.see(20, intent('coder', 'postgres.insert', 'postgres.drop_table'))).toEqual({
      kind: 'first_time',
      who: 'coder',
      events: [20],
      why: 'coder never did this before: postgres.drop_table',
    })
    expect(habits.see(21, intent('coder', 'postgres.drop_table'))).toBeNull()
    // What one agent does says nothing of another.
    expect(habits.see(22, intent('other', 'postgres.drop_table'))).toBeNull()
  })

  it('is not told of an agent that does ever new things, nor of what names nobody', () => {
    const habits = new Habits()
    const told = Array.from({ length: 2_000 }, (_, index) => habits.see(index, intent('coder', `api.made_up_${index}`)))
    expect(told.filter((one) => one !== null).length).toBeLessThan(500)
    expect(told.slice(600).every((one) => one === null)).toBe(true)
    expect(habits.see(1, { type: 'intent', atMs: 0, data: { operations: [] } })).toBeNull()
    expect(habits.see(1, { type: 'intent', atMs: 0, agent: 'coder', data: {} })).toBeNull()
  })
})

describe('reads out of the habit by volume', () => {
  const settled = (): Habits => {
    const habits = new Habits()
    for (let minute = 1; minute <= 6; minute += 1) habits.see(minute, reads('coder', minute, 300))
    return habits
  }

  it('are told within the minute, once, with the events they rest on', () => {
    const habits = settled()
    expect(habits.see(7, reads('coder', 7, 1_400))).toBeNull()
    expect(habits.see(8, reads('coder', 7, 200))).toEqual({
      kind: 'read_volume',
      who: 'coder',
      events: [7, 8],
      why: 'coder read 1600 times within a minute; its busiest minute before had 300',
    })
    expect(habits.see(9, reads('coder', 7, 5_000))).toBeNull()
    // One loud minute does not become what is usual.
    expect(habits.see(10, reads('coder', 8, 6_600))).toMatchObject({ kind: 'read_volume' })
  })

  it('are not those of a newcomer, of a small number, or of what was always so', () => {
    expect(new Habits().see(1, reads('coder', 1, 100_000))).toBeNull()
    const small = new Habits()
    for (let minute = 1; minute <= 6; minute += 1) small.see(minute, reads('coder', minute, 2))
    expect(small.see(7, reads('coder', 7, 900))).toBeNull()
    const busy = new Habits()
    for (let minute = 1; minute <= 6; minute += 1) busy.see(minute, reads('coder', minute, 100_000))
    expect(busy.see(7, reads('coder', 7, 400_000))).toBeNull()
  })

  it('keeps no more than it may, whoever makes up names', () => {
    const habits = settled()
    for (let count = 0; count < 3_000; count += 1) habits.see(count, reads(`made up ${count}`, 7, 1))
    expect(habits.see(7, reads('coder', 7, 100_000))).toBeNull()
  })
})
