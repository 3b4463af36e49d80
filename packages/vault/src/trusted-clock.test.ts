import { describe, expect, it } from 'vitest'
import { TrustedClock } from './trusted-clock.ts'

function makeTime(wallMs: number): {
  wallMs: () => number
  monotonicMs: () => number
  pass(ms: number): void
  set(ms: number): void
} {
  let [wall, monotonic] = [wallMs, 1_000]
  return {
    wallMs: () => wall,
    monotonicMs: () => monotonic,
    pass: (ms) => {
      wall += ms
      monotonic += ms
    },
    set: (ms) => {
      wall = ms
    },
  }
}

const start = 1_800_000_000_000
const day = 86_400_000

describe('trusted clock', () => {
  it('follows the wall clock, small corrections included', () => {
    const time = makeTime(start)
    const clock = new TrustedClock(time, 0)
    time.pass(day)
    expect(clock.nowMs()).toBe(start + day)
    time.set(start + day + 2_000)
    expect(clock.nowMs()).toBe(start + day + 2_000)
    expect(clock.jump()).toBeNull()
  })

  it('never goes back, not even by a small correction', () => {
    const time = makeTime(start)
    const clock = new TrustedClock(time, 0)
    time.pass(10_000)
    expect(clock.nowMs()).toBe(start + 10_000)
    time.set(start + 5_000)
    expect(clock.nowMs()).toBe(start + 10_000)
  })

  it.each([400 * day, -400 * day])('does not believe a jump of the wall clock by %d ms, and goes on by itself', (jumpMs) => {
    const time = makeTime(start)
    const clock = new TrustedClock(time, 0)
    time.pass(1_000)
    expect(clock.jump()).toBeNull()
    time.set(start + jumpMs)
    time.pass(60_000)
    expect(clock.nowMs()).toBe(start + 61_000)
    expect(clock.jump()).toContain('jumped')
    // Setting it back does not make it believed again: only a new start does.
    time.set(start + 61_000)
    expect(clock.jump()).toContain('jumped')
  })

  it('does not begin before the last time it knew, and says when the wall clock claims so', () => {
    const clock = new TrustedClock(makeTime(start - 30 * day), start)
    expect(clock.nowMs()).toBe(start)
    expect(clock.jump()).toContain('behind')
    expect(new TrustedClock(makeTime(start + day), start).jump()).toBeNull()
  })
})
