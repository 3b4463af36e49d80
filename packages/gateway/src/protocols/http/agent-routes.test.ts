import { expect, test } from 'vitest'
import { Waits } from './agent-routes.ts'

test('one agent’s long polls take no more than their share, and another’s are its own', async () => {
  const waits = new Waits()
  const ends: (() => void)[] = []
  const held = (waitMs: number): Promise<number> =>
    new Promise((resolve) => (waitMs === 0 ? resolve(0) : ends.push(() => resolve(waitMs))))
  const poll = (agent: string): Promise<number> => waits.hold(agent, 1_000, held)
  const waiting = Array.from({ length: 8 }, () => poll('coder'))
  expect(await poll('coder')).toBe(0)
  const other = poll('other')
  expect(ends).toHaveLength(9)
  for (const end of ends) end()
  expect(await Promise.all([...waiting, other])).toEqual(Array.from({ length: 9 }, () => 1_000))
  // What ended makes room again, also when it failed.
  await expect(waits.hold('coder', 1_000, () => Promise.reject(new Error('gone')))).rejects.toThrow('gone')
  const again = poll('coder')
  ends.at(-1)?.()
  expect(await again).toBe(1_000)
})
