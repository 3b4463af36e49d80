import { beforeEach, describe, expect, it } from 'vitest'
import { DatabaseClock } from './database-clock.ts'
import { Lease } from './lease.ts'

const lengthMs = 4_000
let monotonicMs: number
let wallMs: number
let lease: Lease
const stopwatch = { monotonicMs: () => monotonicMs, wallMs: () => wallMs }
const pass = (ms: number): void => {
  monotonicMs += ms
  wallMs += ms
}

beforeEach(() => {
  monotonicMs = 1_000
  wallMs = 1_760_000_000_000
  lease = new Lease(lengthMs, stopwatch)
})

describe('a lease', () => {
  it('is none before it was given, and ends by itself', () => {
    expect(lease.isOver()).toBe(true)
    lease.renew(lease.now())
    pass(lengthMs - 1)
    expect(lease.isOver()).toBe(false)
    pass(1)
    expect(lease.isOver()).toBe(true)
  })

  it('begins when the store was asked, however long it took to answer', () => {
    const asked = lease.now()
    pass(lengthMs - 10)
    lease.renew(asked)
    pass(10)
    expect(lease.isOver()).toBe(true)
  })

  it('ends when the machine slept, which the monotonic clock does not see', () => {
    lease.renew(lease.now())
    wallMs += lengthMs
    expect(lease.isOver()).toBe(true)
  })

  it.each([300_000, -300_000])('is neither longer nor shorter on a machine whose clock is %i ms off', (skewMs) => {
    wallMs += skewMs
    lease.renew(lease.now())
    pass(lengthMs - 1)
    expect(lease.isOver()).toBe(false)
    pass(1)
    expect(lease.isOver()).toBe(true)
  })

  it('is not made longer by a clock that is set back', () => {
    lease.renew(lease.now())
    wallMs -= 300_000
    expect(lease.isOver()).toBe(true)
  })
})

describe('the clock of the database', () => {
  it('is the database’s, whatever this machine thinks, and goes on without asking', () => {
    const clock = new DatabaseClock(stopwatch)
    const asked = lease.now()
    pass(10)
    clock.set(5_000_000, asked, lease.now())
    wallMs += 300_000
    const before = clock.nowMs()
    expect(Math.abs(before - 5_000_000)).toBeLessThanOrEqual(10)
    pass(500)
    expect(clock.nowMs()).toBe(before + 500)
  })

  it('never goes back', () => {
    const clock = new DatabaseClock(stopwatch)
    clock.set(5_000_000, lease.now(), lease.now())
    const before = clock.nowMs()
    clock.set(4_000_000, lease.now(), lease.now())
    expect(clock.nowMs()).toBe(before)
  })
})
