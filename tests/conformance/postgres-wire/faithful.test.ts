import { afterAll, beforeAll, expect, test } from 'vitest'
import { findDifferences, isRefused } from './compare.ts'
import { startPair, type Pair } from './pair.ts'
import { refusedByGate } from './refused.ts'
import { scenarios } from './scenarios.ts'

/** Every second scenario of each table; `npm run prove:faithful` plays all of them, in two environments. */
const share = scenarios.filter(({ name }, index) => index % 2 === 0 || refusedByGate.has(name))

let pair: Pair
beforeAll(async () => {
  pair = await startPair()
})
afterAll(() => pair.stop())

test('what a server answers, the gate before it answers, byte by byte', async () => {
  expect(share.length).toBeGreaterThanOrEqual(300)
  const differences = await findDifferences(pair, share)
  expect(differences.filter(({ scenario }) => !refusedByGate.has(scenario))).toEqual([])
  // What is refused says so, and nothing of it is mistaken for an answer of the server's.
  const refused = differences.filter(isRefused).map(({ scenario }) => scenario)
  expect(refused.toSorted()).toEqual([...refusedByGate.keys()].toSorted())
}, 240_000)

test('and both databases are the same after it', async () => {
  for (const table of ['items', 'changed', 'loud', 'parent', 'child', 'copied']) {
    const rows = (database: string): Promise<readonly object[]> => pair.postgres.query(`table ${table} order by 1`, [], database)
    expect(await rows('gated'), table).toEqual(await rows('straight'))
  }
})
