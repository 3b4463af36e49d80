import { beforeEach, describe, expect, test } from 'vitest'
import { createGovern, giveVerdict, type AccessRequest, type VerdictPorts } from '@sallyport/core'
import { LocalKillSwitch, type KillStorage, type Stoppable } from '../../packages/gateway/src/access/kill-switch.ts'
import { openDatabase } from '../../packages/gateway/src/store/database.ts'
import { openKills } from '../../packages/gateway/src/store/kills.ts'
import { openRequests } from '../../packages/gateway/src/store/requests.ts'
import { approvalOf, FakeClock, MemoryLog, type Bench } from '../fakes/ports.ts'
import { askFor, attend, dropBench } from './people-bench.ts'

const who = ['coder', 'ada', 'session-1', 'orders-db'] as const
const what: Stoppable = { endSessions: () => 0, revokeHandles: () => 0 }

let bench: Bench
let kills: KillStorage
let log: MemoryLog
let killSwitch: LocalKillSwitch
let verdicts: VerdictPorts
let request: AccessRequest

/** A question on a store that the kill switch shares. */
beforeEach(async () => {
  const made = dropBench()
  const database = openDatabase(':memory:')
  bench = { ...made, ports: { ...made.ports, requests: openRequests(database) } }
  kills = openKills(database)
  log = new MemoryLog()
  killSwitch = new LocalKillSwitch(kills, log, new FakeClock())
  const { clock, random, requests } = bench.ports
  const [policyHash, mode] = [() => bench.ports.policy().hash, () => bench.settings.mode]
  verdicts = {
    clock,
    random,
    requests,
    log,
    policyHash,
    mode,
    isEnrolled: () => Promise.resolve(true),
    quorumOf: () => null,
    grantMs: 900_000,
  }
  await createGovern(bench.ports).ask(askFor(bench), attend())
  const [opened] = bench.opened
  if (opened === undefined) throw new Error('no request')
  request = opened
})

describe('what people said before a kill', () => {
  test.each([
    ['agent', 'coder'],
    ['owner', 'ada'],
    ['session', 'session-1'],
    ['upstream', 'orders-db'],
    ['all', ''],
  ] as const)('a question open at a kill by %s can be answered by nobody any more', async (kind, name) => {
    await killSwitch.kill(kind, name, 'enough', 'bob', what)
    expect(await giveVerdict(verdicts, request.id, approvalOf(request, 'bob'))).toMatchObject({ result: 'refused' })
    expect(await bench.ports.requests.get(request.id)).toMatchObject({ state: 'cancelled', endedBy: 'the kill switch' })
    expect(log.events.find(({ type }) => type === 'kill')?.data).toMatchObject({ requestsCancelled: 1 })
  })

  test('an approval from before it is no half of two after it', async () => {
    await killSwitch.kill('agent', 'coder', 'enough', 'bob', what)
    await killSwitch.release('agent', 'coder', null)
    expect(await giveVerdict(verdicts, request.id, approvalOf(request, 'bob'))).toMatchObject({ result: 'refused' })
    // Asked again, it is another question, with another nonce.
    await createGovern(bench.ports).ask(askFor(bench), attend())
    expect(bench.opened).toHaveLength(2)
  })

  test('questions of others stay', async () => {
    await killSwitch.kill('agent', 'other', 'enough', 'bob', what)
    await killSwitch.kill('upstream', 'stock-db', 'enough', 'bob', what)
    await killSwitch.kill('session', 'session-2', 'enough', 'bob', what)
    expect((await bench.ports.requests.get(request.id))?.state).toBe('pending')
  })
})

describe('a release', () => {
  test('of one kill does not undo another that was pulled after it was read', async () => {
    const first = await killSwitch.kill('agent', 'coder', 'a drill', 'bob', what)
    await killSwitch.kill('agent', 'coder', 'a real incident', 'carol', what)
    await killSwitch.release('agent', 'coder', null, first.kill.id)
    expect(killSwitch.stopped(...who)).toBe('a real incident')
    expect(killSwitch.inForce().map(({ reason }) => reason)).toEqual(['a real incident'])
  })

  test('on its way to the log does not undo a kill pulled meanwhile', async () => {
    const first = await killSwitch.kill('all', '', 'a drill', 'bob', what)
    const releasing = killSwitch.release('all', '', null, first.kill.id)
    await killSwitch.kill('all', '', 'a real incident', 'carol', what)
    await releasing
    expect(killSwitch.stopped(...who)).toBe('a real incident')
    expect(new LocalKillSwitch(kills, log, new FakeClock()).stopped(...who)).toBe('a real incident')
  })
})

describe('a kill that could not be written down', () => {
  test('is shown among those in force, and a person can release it', async () => {
    const full: KillStorage = {
      ...kills,
      add: () => {
        throw new Error('disk full')
      },
    }
    const failing = new LocalKillSwitch(full, log, new FakeClock())
    await expect(failing.kill('agent', 'coder', 'enough', 'bob', what)).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(failing.stopped(...who)).toBe('enough')
    const [shown] = failing.inForce()
    expect(shown).toMatchObject({ kind: 'agent', name: 'coder', reason: 'enough', by: 'bob' })
    expect(await failing.release('agent', 'coder', null, shown?.id)).toBe(true)
    expect([failing.stopped(...who), failing.inForce()]).toEqual([null, []])
  })
})
