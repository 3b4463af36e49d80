import { beforeEach, expect, test } from 'vitest'
import { FakeClock, MemoryLog } from '../../../../tests/fakes/ports.ts'
import { LocalKillSwitch, type Kill, type KillStorage, type Stoppable } from './kill-switch.ts'

const who = ['coder', 'ada', 'session-1', 'orders-db'] as const

/** What the store that gates share has in force, as this gate knows it. */
let inForce: Kill[]
let refusing: boolean
let everywhere: () => Promise<void>
let ended: string[]
let killSwitch: LocalKillSwitch
let what: Stoppable

const killOf = (id: number, name = 'coder'): Kill => ({ id, kind: 'agent', name, reason: `kill ${id}`, by: 'operator', atMs: 1 })

beforeEach(() => {
  inForce = []
  refusing = false
  everywhere = () => Promise.resolve()
  ended = []
  let lastId = 100
  const store: KillStorage = {
    add: async (kill) => {
      await Promise.resolve()
      if (refusing) throw new Error('away')
      const added = { ...kill, id: (lastId += 1) }
      inForce = [...inForce, added]
      return added
    },
    release: async () => 0,
    inForce: () => inForce,
    voidGrants: async () => 0,
    cancelRequests: async () => 0,
    everywhere: () => everywhere(),
  }
  killSwitch = new LocalKillSwitch(store, new MemoryLog(), new FakeClock())
  what = {
    endSessions: (kind, name) => ended.push(`${kind} ${name}`),
    revokeHandles: async () => 0,
  }
})

test('what another gate pulled stops here, ends its sessions, and voids what was decided before', () => {
  const before = killSwitch.epochOf(...who)
  inForce = [killOf(1)]
  killSwitch.follow(what)
  expect([killSwitch.stopped(...who), ended]).toEqual(['kill 1', ['agent coder']])
  expect(killSwitch.epochOf(...who)).toBeGreaterThan(before)
  killSwitch.follow(what)
  expect(ended).toEqual(['agent coder'])
})

test('what a person released at another gate goes on here, and clearances of before still do not fit', () => {
  const before = killSwitch.epochOf(...who)
  inForce = [killOf(1)]
  killSwitch.follow(what)
  inForce = []
  killSwitch.follow(what)
  expect(killSwitch.stopped(...who)).toBeNull()
  expect(killSwitch.epochOf(...who)).not.toBe(before)
})

test('what a message announced stops before the store is asked, and goes on when the store has no such kill', () => {
  killSwitch.stopAhead('agent', 'coder', what)
  expect(killSwitch.stopped(...who)).not.toBeNull()
  expect(ended).toEqual(['agent coder'])
  inForce = [killOf(1)]
  killSwitch.follow(what)
  expect(killSwitch.stopped(...who)).toBe('kill 1')
  killSwitch.stopAhead('agent', 'other', what)
  killSwitch.follow(what)
  expect(killSwitch.stopped('other', 'ada', 's', 'u')).toBeNull()
  expect(killSwitch.stopped(...who)).toBe('kill 1')
})

test('what was pulled here is not let go on by a view of the store from before it', async () => {
  const killed = killSwitch.kill('agent', 'coder', 'enough', 'operator', what)
  // The store has not got it yet, and somebody looks at what it has.
  killSwitch.follow(what)
  expect(killSwitch.stopped(...who)).toBe('enough')
  await killed
  killSwitch.follow(what)
  expect(killSwitch.stopped(...who)).toBe('enough')
})

test('a kill is acknowledged when it is everywhere, and not before', async () => {
  const others = Promise.withResolvers<void>()
  everywhere = () => others.promise
  let acknowledged = false
  const killed = killSwitch.kill('agent', 'coder', 'enough', 'operator', what).then(() => (acknowledged = true))
  await new Promise(setImmediate)
  expect([killSwitch.stopped(...who), acknowledged]).toEqual(['enough', false])
  others.resolve()
  await killed
  expect(acknowledged).toBe(true)
})

test('one that others did not confirm says so, and holds', async () => {
  everywhere = () => Promise.reject(new Error('away'))
  await expect(killSwitch.kill('agent', 'coder', 'enough', 'operator', what)).rejects.toMatchObject({
    code: 'store_unavailable',
    notDone: expect.stringContaining('Another gate may not have stopped it'),
  })
  expect(killSwitch.stopped(...who)).toBe('enough')
})

test('what the store did not take is kept through any view of it, and handed on when it answers', async () => {
  refusing = true
  await expect(killSwitch.kill('agent', 'coder', 'enough', 'operator', what)).rejects.toMatchObject({ code: 'store_unavailable' })
  killSwitch.follow(what)
  expect(killSwitch.stopped(...who)).toBe('enough')
  await expect(killSwitch.writeAgain(what)).rejects.toThrow('away')
  refusing = false
  await killSwitch.writeAgain(what)
  expect(inForce.map(({ name, reason }) => [name, reason])).toEqual([['coder', 'enough']])
  await killSwitch.writeAgain(what)
  expect(inForce).toHaveLength(1)
})

test('a gate that froze itself stops everybody, whatever is released meanwhile, until it thaws', () => {
  inForce = [killOf(1, 'other')]
  killSwitch.follow(what)
  const before = killSwitch.epochOf(...who)
  killSwitch.freeze('it cannot hear the kill switch', what)
  expect(ended.at(-1)).toBe('all ')
  inForce = []
  killSwitch.follow(what)
  expect(killSwitch.stopped(...who)).toBe('it cannot hear the kill switch')
  killSwitch.thaw()
  expect(killSwitch.stopped(...who)).toBeNull()
  expect(killSwitch.epochOf(...who)).not.toBe(before)
})

test('every ear is heard before an answer', () => {
  const heard: string[] = []
  killSwitch.listenTo({ hear: () => void heard.push('thread') })
  killSwitch.listenTo({ hear: () => void heard.push('store') })
  killSwitch.stopped(...who)
  expect(heard).toEqual(['thread', 'store'])
})
