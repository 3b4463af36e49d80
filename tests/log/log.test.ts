import { signCheckpoint, noteSigner } from '@sallyport/core'
import { expect, test } from 'vitest'
import { seeded } from '../proofs/seeded.ts'
import { killOften } from './killed-log.ts'
import { cutOften } from './power-cuts.ts'
import { Witnessed } from './witnessed.ts'

/** `npm run prove:log` is the same, 200 times and more. */

test('a power cut takes nothing that was acknowledged or signed', async () => {
  const { lost, acknowledged, checkpoints, torn } = await cutOften(30, seeded(5))
  expect(lost).toEqual([])
  expect(acknowledged).toBeGreaterThan(100)
  expect(checkpoints).toBeGreaterThan(30)
  expect(torn).toBeGreaterThan(0)
}, 120_000)

test('nor does kill -9, at random moments under load', async () => {
  const { lost, kills, acknowledged, checkpoints } = await killOften(3, seeded(6))
  expect(lost).toEqual([])
  expect(kills).toBe(3)
  expect(acknowledged).toBeGreaterThan(0)
  expect(checkpoints).toBeGreaterThan(0)
}, 180_000)

test('what looks for losses sees them', () => {
  const witnessed = new Witnessed()
  witnessed.hear('3 9')
  const signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))
  witnessed.signed(signCheckpoint({ origin: 'gate.example/log', size: 5, root: Buffer.alloc(32, 1) }, signer))
  witnessed.signed(signCheckpoint({ origin: 'gate.example/log', size: 0, root: Buffer.alloc(32, 1) }, signer))
  expect(witnessed.missingFrom([]).lost).toHaveLength(3)
})
