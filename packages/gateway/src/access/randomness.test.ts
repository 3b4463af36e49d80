import { expect, test } from 'vitest'
import { makeRandomness } from './randomness.ts'

test('bytes of the length asked for, none given twice, across many pools', () => {
  const random = makeRandomness()
  const seen = new Set<string>()
  for (let count = 0; count < 5_000; count += 1) {
    const id = random.hex(16)
    expect(id).toMatch(/^[0-9a-f]{32}$/)
    seen.add(id)
  }
  expect(seen.size).toBe(5_000)
  expect(random.hex(10_000)).toHaveLength(20_000)
  expect(random.hex(4_096)).toMatch(/[1-9a-f]/)
})
