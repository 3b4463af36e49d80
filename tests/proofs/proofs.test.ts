import { expect, test } from 'vitest'
import { FalseProofs } from './false-proofs.ts'

/** `npm run prove:proofs` is the same, a million times. */
const tries = 15_000

test('no proof or checkpoint is accepted that was changed, cut, extended or put together of others', async () => {
  const proofs = await FalseProofs.prepare(20_261_122)
  for (let count = 0; count < tries; count += 1) await proofs.tryOnce()
  const { tried } = proofs
  expect(tried.accepted).toEqual([])
  // It tries all kinds, and some of what it tries is so: what accepts nothing would prove nothing.
  expect(Math.min(tried.inclusion, tried.consistency, tried.checkpoints, tried.true)).toBeGreaterThan(500)
})
