import { expect, test, vi } from 'vitest'
import { runChaos } from './chaos.ts'
import { measureHalts } from './halt.ts'

vi.setConfig({ testTimeout: 600_000 })

test('three gates in trouble run nothing twice, nothing after its kill, and use no grant twice', async () => {
  const result = await runChaos({ seed: 7, agents: 40, width: 12, forMs: 40_000, grants: 6, victims: 8 })
  expect(Object.values(result.wrong).flat()).toEqual([])
  expect(result.rows).toBeGreaterThan(0)
  expect(result.grantsUsed).toBeGreaterThan(0)
  expect(result.killsAcknowledgedEverywhere).toBeGreaterThan(0)
})

test('no byte of an agent that runs away at three gates comes after its kill was acknowledged', async () => {
  const halts = await measureHalts(3)
  for (const { bytesBefore, bytesAfterAnswer, admitted, everywhere } of halts) {
    expect(bytesBefore).toBeGreaterThan(0)
    expect({ bytesAfterAnswer, admitted, everywhere }).toEqual({ bytesAfterAnswer: 0, admitted: 0, everywhere: true })
  }
})
