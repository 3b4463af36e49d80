import { afterAll, beforeAll, expect, test } from 'vitest'
import { openKillStage, type KillRun, type KillStage } from './killed-runaway.ts'

/** `node tests/kill/run.ts --runs 100` is the same, longer, with figures. */
const runsWanted = 10
/** The machine that runs this may be at other work: the figures are for the script, here only "soon". */
const soonMs = 5_000

let stage: KillStage
const runs: KillRun[] = []

beforeAll(async () => {
  stage = await openKillStage(runsWanted)
  for (let number = 0; number < runsWanted; number += 1) runs.push(await stage.run(number))
})

afterAll(async () => {
  await stage?.[Symbol.asyncDispose]()
})

test('every runaway was at full speed, in every way, when it was killed', () => {
  expect(runs).toHaveLength(runsWanted)
  expect(new Set(runs.map(({ scope }) => scope))).toEqual(new Set(['agent', 'session', 'owner', 'upstream', 'all']))
  for (const { bytesBefore } of runs) expect(bytesBefore).toBeGreaterThan(1_000)
})

test('no byte of a killed agent reaches the server once the kill is acknowledged', () => {
  expect(runs.map(({ bytesAfterResponse }) => bytesAfterResponse)).toEqual(runs.map(() => 0))
})

test('what ran at the server is cancelled, by connections of their own', () => {
  for (const { serverIdleMs } of runs) expect(serverIdleMs).toBeLessThan(soonMs)
  for (const { pumped, cancels } of runs) if (pumped.includes('long read')) expect(cancels).toBeGreaterThan(0)
})

test('a killed agent does not come back, and is told why', () => {
  expect(runs.map(({ admitted }) => admitted)).toEqual(runs.map(() => 0))
  for (const { sqlStates } of runs) expect(sqlStates.every((state) => state === '57P01')).toBe(true)
})

test('nobody else is stopped by it', () => {
  for (const { scope, bystanderWorks } of runs) expect(bystanderWorks).toBe(scope === 'all' ? null : true)
})
