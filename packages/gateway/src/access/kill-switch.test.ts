import { beforeEach, expect, test } from 'vitest'
import { FakeClock, MemoryLog } from '../../../../tests/fakes/ports.ts'
import { openDatabase } from '../store/database.ts'
import { openKills } from '../store/kills.ts'
import { LocalKillSwitch, type KillKind, type KillStorage, type Stoppable } from './kill-switch.ts'

const who = ['coder', 'ada', 'session-1', 'orders-db'] as const
const stranger = ['other', 'bob', 'session-2', 'stock-db'] as const

let database: ReturnType<typeof openDatabase>
let log: MemoryLog
let killSwitch: LocalKillSwitch
let calls: string[]
let what: Stoppable

beforeEach(() => {
  database = openDatabase(':memory:')
  log = new MemoryLog()
  killSwitch = new LocalKillSwitch(openKills(database), log, new FakeClock())
  calls = []
  what = {
    endSessions: (kind, name) => {
      calls.push(`sessions ${kind} ${name}, stopped: ${killSwitch.stopped(...who) ?? 'no'}`)
      return 2
    },
    revokeHandles: (kind, name) => {
      calls.push(`handles ${kind} ${name}`)
      return 1
    },
  }
})

const targets: readonly (readonly [KillKind, string])[] = [
  ['agent', 'coder'],
  ['owner', 'ada'],
  ['session', 'session-1'],
  ['upstream', 'orders-db'],
]

test.each(targets)('a kill by %s stops what it names and nobody else', async (kind, name) => {
  expect(killSwitch.stopped(...who)).toBeNull()
  const killed = await killSwitch.kill(kind, name, 'enough', 'operator', what)
  expect(killed).toMatchObject({ sessions: 2, handlesRevoked: 1, kill: { kind, name, reason: 'enough', by: 'operator' } })
  expect(killSwitch.stopped(...who)).toBe('enough')
  expect(killSwitch.stopped(...stranger)).toBeNull()
  expect(killSwitch.epochOf(...stranger)).toBe(0)
})

test('a kill of all stops everybody', async () => {
  await killSwitch.kill('all', '', 'enough', 'operator', what)
  expect([killSwitch.stopped(...who), killSwitch.stopped(...stranger)]).toEqual(['enough', 'enough'])
  expect(killSwitch.epochOf(...stranger)).toBeGreaterThan(0)
})

test('a name of one kind is no name of another', async () => {
  await killSwitch.kill('agent', 'ada', 'enough', 'operator', what)
  await killSwitch.kill('owner', 'coder', 'enough', 'operator', what)
  await killSwitch.kill('agent', 'all:', 'enough', 'operator', what)
  expect(killSwitch.stopped(...who)).toBeNull()
})

test('a kill without a reason is a kill', async () => {
  await killSwitch.kill('agent', 'coder', '', 'operator', what)
  expect(killSwitch.stopped(...who)).not.toBeNull()
})

test('nobody gets in between: it is stopped before sessions are ended, and those before handles', async () => {
  await killSwitch.kill('agent', 'coder', 'enough', 'operator', what)
  expect(calls).toEqual(['sessions agent coder, stopped: enough', 'handles agent coder'])
})

test('clearances made before a kill do not fit after it, nor after its release', async () => {
  const before = killSwitch.epochOf(...who)
  await killSwitch.kill('agent', 'coder', 'enough', 'operator', what)
  const killed = killSwitch.epochOf(...who)
  await killSwitch.release('agent', 'coder', {})
  const released = killSwitch.epochOf(...who)
  expect(killSwitch.stopped(...who)).toBeNull()
  expect(new Set([before, killed, released]).size).toBe(3)
  expect(killed).toBeGreaterThan(before)
  expect(released).toBeGreaterThan(killed)
})

test('two kills of different kinds: the release of one leaves the other', async () => {
  await killSwitch.kill('agent', 'coder', 'first', 'operator', what)
  await killSwitch.kill('owner', 'ada', 'second', 'operator', what)
  await killSwitch.release('agent', 'coder', {})
  expect(killSwitch.stopped(...who)).toBe('second')
})

test('the release of what is not killed changes nothing that is', async () => {
  await killSwitch.kill('agent', 'coder', 'enough', 'operator', what)
  expect(await killSwitch.release('agent', 'other', {})).toBe(false)
  expect(killSwitch.stopped(...who)).toBe('enough')
})

test('a kill outlives a restart, and its release does too', async () => {
  await killSwitch.kill('agent', 'coder', 'enough', 'operator', what)
  const next = new LocalKillSwitch(openKills(database), log, new FakeClock())
  expect(next.stopped(...who)).toBe('enough')
  await next.release('agent', 'coder', {})
  expect(new LocalKillSwitch(openKills(database), log, new FakeClock()).stopped(...who)).toBeNull()
})

test('a kill that cannot be written down stops all the same, and says that it will not be remembered', async () => {
  const full: KillStorage = {
    ...openKills(database),
    add: () => {
      throw new Error('disk full')
    },
  }
  const failing = new LocalKillSwitch(full, log, new FakeClock())
  let ended = 0
  const stoppable: Stoppable = { endSessions: () => (ended += 1), revokeHandles: () => 0 }
  await expect(failing.kill('agent', 'coder', 'enough', 'operator', stoppable)).rejects.toMatchObject({
    code: 'store_unavailable',
    notDone: expect.stringContaining('restart'),
  })
  expect(failing.stopped(...who)).toBe('enough')
  expect(ended).toBe(1)
})

test('a kill with a failing log stops all the same; a release with one does not release', async () => {
  log.failing = true
  await expect(killSwitch.kill('agent', 'coder', 'enough', 'operator', what)).rejects.toMatchObject({ code: 'store_unavailable' })
  expect(killSwitch.stopped(...who)).toBe('enough')
  await expect(killSwitch.release('agent', 'coder', {})).rejects.toMatchObject({ code: 'log_unavailable' })
  expect(killSwitch.stopped(...who)).toBe('enough')
  expect(killSwitch.inForce()).toHaveLength(1)
})

test('sessions that cannot be ended leave the agent stopped', async () => {
  const broken: Stoppable = {
    endSessions: () => {
      throw new Error('a listener failed')
    },
    revokeHandles: () => 0,
  }
  await expect(killSwitch.kill('agent', 'coder', 'enough', 'operator', broken)).rejects.toThrow('a listener failed')
  expect(killSwitch.stopped(...who)).toBe('enough')
})
