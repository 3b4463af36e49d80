import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifyLog, type Event } from '@sallyport/core'
import { findLogKeys, findWitness, findWitnessKeys, openLogFiles } from '../../packages/cli/src/log-files.ts'
import { roundsOf } from '../breadth.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { atServer, crashAtEveryStep, retry, type Crashed, type Retried } from './crashed-gate.ts'
import { toldOf, type Passage, type Told } from './passage.ts'

// Here around every milestone and at a few steps more; as a long proof at every step there is.

/** SQLSTATE of a statement that people are asked about. */
const pendingState = 'SP001'
const atOnce = 8

let postgres: PostgresServer
let crashed: Crashed
const retried = new Map<string, Retried>()
/** The log once everything had been sent again. */
let eventsAtEnd: readonly Event[] = []

beforeAll(async () => {
  postgres = await startPostgres(['max_connections=500'])
  crashed = await crashAtEveryStep(postgres)
  const rest = [...crashed.passages]
  const work = async (): Promise<void> => {
    for (let passage = rest.pop(); passage !== undefined; passage = rest.pop())
      retried.set(passage.agent, await retry(crashed, passage))
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  eventsAtEnd = crashed.gate.events()
})

afterAll(async () => {
  await crashed?.gate.stop()
  await postgres?.stop()
})

/** One passage with all that was seen of it. */
interface Seen {
  readonly passage: Passage
  readonly executed: number
  readonly atCrash: Told
  readonly after: Told
  readonly atEnd: Told
  readonly retried: Retried
}

function seen(): readonly Seen[] {
  return crashed.passages.map((passage) => {
    const again = retried.get(passage.agent)
    if (again === undefined) throw new Error(`${passage.agent} was not tried again`)
    return {
      passage,
      executed: crashed.executionsAtCrash.get(passage.agent) ?? Number.NaN,
      atCrash: toldOf(crashed.eventsAtCrash, passage.agent),
      after: toldOf(crashed.eventsAfter, passage.agent),
      atEnd: toldOf(eventsAtEnd, passage.agent),
      retried: again,
    }
  })
}

/** Requests that were opened when the statement was sent again. */
const openedAgain = ({ after, atEnd }: Seen): number => atEnd.requests.length - after.requests.length

/** The passages that are not as they should be, by name: an empty list is the proof. */
function failing(of: readonly Seen[], isRight: (one: Seen) => boolean): readonly string[] {
  return of
    .filter((one) => !isRight(one))
    .map(
      ({ passage, executed, retried: { first } }) =>
        `${passage.agent}, ${passage.halt}: ${executed} executions, then ${first.sqlState} ${first.message}`,
    )
}

const usedUp = ({ atCrash }: Seen): boolean => atCrash.intents.length > 0
const approvedUnused = (one: Seen): boolean => one.passage.deed.asks && one.atCrash.approvals > 0 && !usedUp(one)
const unapproved = ({ passage, atCrash }: Seen): boolean => passage.deed.asks && atCrash.approvals === 0

describe('a gate killed at every step of the pipeline', () => {
  test('stopped before and after each step of a DROP, an UPDATE and a DELETE with copies, and an INSERT', () => {
    const halts = (name: string): readonly (string | null)[] =>
      crashed.passages.filter(({ deed }) => deed.name === name).map(({ halt }) => halt)
    for (const deed of ['drop', 'update', 'delete', 'insert']) {
      expect(halts(deed)).toContain('before connector.describe 1')
      for (const step of ['log.append intent 1', 'log.append outcome 1'])
        expect(halts(deed)).toEqual(expect.arrayContaining([`before ${step}`, `after ${step}`]))
    }
    const asked = [
      'requests.open 1',
      'verdict log.append verdict 1',
      'verdict requests.approve 1',
      'vault.seal 1',
      'connector.snapshot 1',
      'requests.consume 1',
    ]
    for (const step of asked) expect(halts('drop')).toEqual(expect.arrayContaining([`before ${step}`, `after ${step}`]))
    expect(halts('insert')).toContain(atServer)
    expect(crashed.passages.length).toBeGreaterThan(roundsOf(90, 28))
  })

  test('never executed anything without a durable intent', () => {
    const executed = seen().filter((one) => one.executed > 0)
    expect(executed.length).toBeGreaterThan(roundsOf(8, 4))
    expect(failing(executed, (one) => one.executed === one.atCrash.intents.length)).toEqual([])
    expect(failing(seen(), (one) => one.executed <= 1)).toEqual([])
  })

  test('sealed the copy before the intent of whatever needs one', () => {
    const copying = seen().filter((one) => one.passage.deed.copies && usedUp(one))
    expect(copying.length).toBeGreaterThan(roundsOf(12, 6))
    expect(
      failing(
        copying,
        ({ atCrash: { types } }) =>
          types.includes('snapshot.sealed') && types.indexOf('snapshot.sealed') < types.indexOf('intent'),
      ),
    ).toEqual([])
  })

  test('reports every intent without an outcome as unknown, once, and no other', () => {
    const open = seen().filter(({ atCrash }) => atCrash.intents.some((intent) => !atCrash.outcomes.has(intent)))
    expect(open.length).toBeGreaterThan(roundsOf(8, 4))
    expect(
      failing(open, ({ after }) => after.intents.every((intent) => after.outcomes.get(intent)?.join() === 'unknown')),
    ).toEqual([])
    const closed = seen().filter(({ atCrash }) => atCrash.outcomes.size > 0)
    expect(closed.length).toBeGreaterThanOrEqual(
      crashed.passages.filter(({ halt }) => halt?.startsWith('after log.append outcome')).length,
    )
    expect(
      failing(closed, ({ after }) => after.intents.every((intent) => after.outcomes.get(intent)?.join() === 'succeeded')),
    ).toEqual([])
    expect(open.some(({ executed }) => executed === 1) && open.some(({ executed }) => executed === 0)).toBe(true)
    expect(open.some(({ passage, executed }) => passage.halt === atServer && executed === 1)).toBe(true)
  })

  test('lost no approval that was not used: the same statement runs, once, and nobody is asked again', () => {
    const one = seen().filter(approvedUnused)
    expect(one.length).toBeGreaterThan(roundsOf(30, 5))
    const ran = ({ executed, retried: again }: Seen): boolean =>
      executed === 0 && again.first.sqlState === '00000' && again.executionsAfterFirst === 1
    expect(failing(one, ran)).toEqual([])
    expect(
      failing(
        one,
        ({ retried: again }) => again.second !== null && again.second.sqlState !== '00000' && again.executionsAfterSecond === 1,
      ),
    ).toEqual([])
  })

  test('used no approval twice: what had an intent is asked about anew', () => {
    const one = seen().filter((each) => each.passage.deed.asks && usedUp(each))
    expect(one.length).toBeGreaterThan(roundsOf(12, 5))
    expect(
      failing(
        one,
        ({ executed, retried: again }) => again.first.sqlState !== '00000' && again.executionsAfterSecond === executed,
      ),
    ).toEqual([])
    const standing = one.filter(({ passage, executed }) => passage.deed.name === 'update' || executed === 0)
    expect(failing(standing, (each) => each.retried.first.sqlState === pendingState && openedAgain(each) === 1)).toEqual([])
  })

  test('runs nothing that nobody approved, and keeps what waits for people', () => {
    const one = seen().filter(unapproved)
    expect(one.length).toBeGreaterThan(roundsOf(20, 4))
    expect(
      failing(one, ({ retried: again }) => again.first.sqlState === pendingState && again.executionsAfterSecond === 0),
    ).toEqual([])
    const stored = one.filter(({ passage }) => passage.halt?.includes('waitForVerdict') || passage.halt?.includes('verdict '))
    expect(stored.length).toBeGreaterThan(roundsOf(3, 0))
    expect(failing(stored, (each) => openedAgain(each) === 0)).toEqual([])
  })

  test('lets what needs no approval be sent again by its agent', () => {
    const one = seen().filter(({ passage }) => passage.deed.name === 'insert')
    expect(
      failing(
        one,
        ({ executed, retried: again }) => again.first.sqlState === '00000' && again.executionsAfterFirst === executed + 1,
      ),
    ).toEqual([])
    const deletes = seen().filter(({ passage }) => passage.deed.name === 'delete')
    expect(
      failing(deletes, ({ retried: again }) => again.first.sqlState === '00000' && again.executionsAfterFirst === 1),
    ).toEqual([])
  })

  test('left a log that verifies against its witness, and every later intent has one outcome', async () => {
    await crashed.gate.halt()
    const directory = `${crashed.gate.directory}/log`
    const witness = await findWitness(directory, undefined)
    const { keys, from } = await findLogKeys(directory, [], witness)
    const seenByWitness = witness?.checkpoint
      ? { checkpoint: witness.checkpoint, keys: await findWitnessKeys(directory, [], witness) }
      : null
    const report = await verifyLog(await openLogFiles(directory), { logKeys: keys, logKeysFrom: from, witness: seenByWitness })
    expect(report.findings).toEqual([])
    expect(report.witnessSize).toBe(report.size)
    const events = crashed.gate.events()
    const intents = events.filter(({ type }) => type === 'intent').map(({ data }) => data['intent'])
    const outcomes = events.filter(({ type }) => type === 'outcome').map(({ data }) => data['intent'])
    expect(outcomes).toHaveLength(intents.length)
    expect(new Set(outcomes)).toEqual(new Set(intents))
  })
})
