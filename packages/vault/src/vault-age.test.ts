import { describe, expect, it } from 'vitest'
import { VaultAge, readBootTime, type AgeSource, type BootTime } from './vault-age.ts'

function source(boot: BootTime | null): AgeSource & { monotonic: number; boots: BootTime | null } {
  const now = {
    monotonic: 1_000,
    boots: boot,
    monotonicMs: (): number => now.monotonic,
    boot: (): BootTime | null => now.boots,
  }
  return now
}

describe('the age of a vault', () => {
  it('grows with the time it runs, and goes on from what was kept', () => {
    const now = source(null)
    const age = new VaultAge(now, null)
    expect(age.nowMs()).toBe(0)
    now.monotonic += 5_000
    expect(age.nowMs()).toBe(5_000)
    expect(new VaultAge(source(null), age.record()).nowMs()).toBe(5_000)
  })

  it('counts a time between two runs only within one start of the machine', () => {
    const kept = { agedMs: 7_000, boot: { id: 'a', ms: 100_000 } }
    expect(new VaultAge(source({ id: 'a', ms: 160_000 }), kept).nowMs()).toBe(67_000)
    expect(new VaultAge(source({ id: 'b', ms: 900_000 }), kept).nowMs()).toBe(7_000)
    expect(new VaultAge(source(null), kept).nowMs()).toBe(7_000)
    // An image of the machine from before: its time goes back, the age does not.
    expect(new VaultAge(source({ id: 'a', ms: 10 }), kept).nowMs()).toBe(7_000)
  })

  it('reads what the system says, which no wall clock moves', () => {
    const boot = readBootTime()
    expect(boot?.id).toMatch(/^[0-9a-f-]{36}$/)
    expect(boot?.ms).toBeGreaterThan(0)
  })
})
