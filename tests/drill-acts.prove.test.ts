import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runAct, type ActResult } from '../packages/cli/src/drill/act.ts'
import { cloudActs } from '../packages/cli/src/drill/cloud-acts.ts'
import { databaseActs } from '../packages/cli/src/drill/database-acts.ts'
import { emptyMemory } from '../packages/cli/src/drill/play.ts'
import { openStage, type Stage } from '../packages/cli/src/drill/stage.ts'

/** The acts of `sallyport drill incident` that need no copy of a whole server and leave the gate running; drill.prove.test.ts plays the command, with all of
 * them. */
const folder = mkdtempSync(join(tmpdir(), 'sallyport-drill-test-'))
/** What asks for the volume, or has it copied, comes after these. */
const cloudActsPlayed = 2
let stage: Stage | null = null
const acts: ActResult[] = []

beforeAll(async () => {
  const opened = await openStage(join(folder, 'stage'), () => Date.now())
  stage = opened
  const play = { stage: opened, memory: emptyMemory() }
  const runner = { nowMs: () => performance.now(), logSize: () => opened.logSize().catch(() => 0) }
  for (const act of cloudActs.slice(0, cloudActsPlayed)) acts.push(await runAct(act, play, runner))
  await opened.becomeTeam()
  for (const act of databaseActs) acts.push(await runAct(act, play, runner))
})
afterAll(async () => {
  await stage?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const find = (words: string): ActResult => {
  const act = acts.find((one) => one.act.includes(words))
  if (act === undefined) throw new Error(`no act is called "${words}"`)
  return act
}

describe('drill incident', () => {
  it('ends every act as expected, curl and psql playing the agent', () => {
    expect(acts).toHaveLength(cloudActsPlayed + databaseActs.length)
    for (const { act, observed, expected } of acts) expect({ act, observed }).toEqual({ act, observed: expected })
    expect(acts.filter(({ client }) => client === 'psql').length).toBeGreaterThanOrEqual(4)
    expect(acts.filter(({ client }) => client === 'curl').length).toBeGreaterThanOrEqual(2)
  })

  it('has evidence from outside the gate', () => {
    expect(find('finds a token').evidence).toMatchObject({ httpStatus: 403, requestsAtCloud: 0, place: 'header authorization' })
    expect(find('asks for production').evidence['bytesToServer']).toBe(0)
    const drop = find('drops the orders').evidence
    expect(drop['sqlState']).toBe('SP001')
    expect(drop['rowsShown']).toBe(drop['rowsCounted'])
    const undone = acts.find(({ act }) => act === 'undo')?.evidence
    expect(undone?.['before']).toBe(undone?.['after'])
    expect(find('kill switch').evidence['bytesAfterKill']).toBe(0)
  })

  it('does not claim to stop what it does not stop', () => {
    expect(find('around the gate').observed).toBe('not stopped by this set-up')
  })
})
