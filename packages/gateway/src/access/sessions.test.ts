import { beforeEach, expect, test, vi } from 'vitest'
import type { Handle } from '@sallyport/core'
import { FakeClock, FakeKillSwitch, MemoryLog, sequentialRandomness } from '../../../../tests/fakes/ports.ts'
import { SessionRegistry, type SessionPorts } from './sessions.ts'

const clock = new FakeClock()
const handle: Handle = {
  id: 'handle-1',
  agent: 'coder',
  owner: 'ada',
  parent: null,
  issuedAtMs: 0,
  expiresAtMs: clock.nowMs() + 3_600_000,
  revokedAtMs: null,
  scram: { salt: '', iterations: 1, storedKey: '', serverKey: '' },
  secretSha256: '',
}

let log: MemoryLog
let killSwitch: FakeKillSwitch
let ports: SessionPorts
let sessions: SessionRegistry

beforeEach(() => {
  log = new MemoryLog()
  killSwitch = new FakeKillSwitch()
  const scope: SessionPorts['scope'] = (agent, upstream) =>
    agent === 'coder' && upstream === 'orders-db' ? { readOnly: true } : null
  ports = { log, clock, random: sequentialRandomness(), killSwitch, scope, use: () => true }
  sessions = new SessionRegistry(ports)
})

const open = (over: Partial<Handle> = {}, upstream = 'orders-db'): ReturnType<SessionRegistry['open']> =>
  sessions.open({ ...handle, ...over }, 'postgres', upstream, 'peer')

test('a session is on the log when it opens and when it closes, once', async () => {
  const { session, signal, readOnly } = await open()
  expect(session).toMatchObject({ subject: { agent: 'coder', owner: 'ada' }, upstream: 'orders-db', handleId: 'handle-1' })
  expect([signal.aborted, readOnly]).toEqual([false, true])
  await sessions.close(session.id, 'done')
  await sessions.close(session.id, 'again')
  expect(log.types()).toEqual(['session.opened', 'session.closed'])
  expect(sessions.list()).toEqual([])
})

test('while it is written down a kill reaches it, and whoever does not say that it may begin meanwhile gets it when it is written', async () => {
  const writing = Promise.withResolvers<number>()
  const append = vi.spyOn(log, 'append').mockImplementation(() => writing.promise)
  let isOpen = false
  const patient = open().finally(() => (isOpen = true))
  const hasty = await sessions.open(handle, 'postgres', 'orders-db', 'peer', () => undefined)
  let isWritten = false
  void hasty.written?.then(() => (isWritten = true))
  sessions.endMatching('agent', 'coder', 'enough')
  expect([hasty.signal.aborted, isOpen, isWritten]).toEqual([true, false, false])
  writing.resolve(0)
  expect((await patient).written).toBeUndefined()
  await hasty.written
  append.mockRestore()
})

test('one that began meanwhile ends when the log does not take it', async () => {
  const writing = Promise.withResolvers<number>()
  const append = vi.spyOn(log, 'append').mockImplementationOnce(() => writing.promise)
  const { signal, written } = await sessions.open(handle, 'postgres', 'orders-db', 'peer', () => undefined)
  expect(signal.aborted).toBe(false)
  writing.reject(new Error('disk'))
  await expect(written).rejects.toThrow('disk')
  expect([signal.aborted, signal.reason, sessions.list()]).toEqual([true, 'the log failed', []])
  append.mockRestore()
})

test('who it belongs to cannot be changed afterwards', async () => {
  const { session } = await open()
  expect(() => Object.assign(session.subject, { owner: 'mallory' })).toThrow(TypeError)
  expect(() => Object.assign(session, { upstream: 'vault' })).toThrow(TypeError)
})

test('no scope on an upstream, or no such upstream: no session, and the log has it', async () => {
  await expect(open({}, 'secrets-db')).rejects.toMatchObject({ code: 'not_in_scope' })
  await expect(open({ agent: 'other' })).rejects.toMatchObject({ code: 'not_in_scope' })
  expect(log.types()).toEqual(['door.refused', 'door.refused'])
})

test('an endless name of an upstream is cut on the log', async () => {
  await expect(open({}, 'x'.repeat(100_000))).rejects.toMatchObject({ code: 'not_in_scope' })
  expect(JSON.stringify(log.events).length).toBeLessThan(1_000)
})

test('a killed agent opens none', async () => {
  killSwitch.pull('enough')
  await expect(open()).rejects.toMatchObject({ code: 'killed' })
  expect(sessions.list()).toEqual([])
})

test('a handle that ran out between the door and here opens none', async () => {
  await expect(open({ expiresAtMs: clock.nowMs() })).rejects.toMatchObject({ code: 'authentication_failed' })
})

test('without a log there is no session, and none is left behind', async () => {
  log.failing = true
  await expect(open()).rejects.toMatchObject({ code: 'log_unavailable' })
  expect(sessions.list()).toEqual([])
})

test('a kill while a session is being written down ends it before it is handed out', async () => {
  let write: () => void = () => undefined
  const append = vi.spyOn(log, 'append').mockImplementationOnce(async () => {
    await new Promise<void>((resolve) => (write = resolve))
    return 0
  })
  const opening = open()
  expect(sessions.endMatching('agent', 'coder', 'enough')).toBe(1)
  write()
  expect((await opening).signal.aborted).toBe(true)
  append.mockRestore()
})

test.each([
  ['agent', 'coder'],
  ['owner', 'ada'],
  ['upstream', 'orders-db'],
  ['all', ''],
] as const)('ending by %s is done when the call returns', async (kind, name) => {
  const { signal } = await open()
  let heard = ''
  signal.addEventListener('abort', () => (heard = String(signal.reason)))
  expect(sessions.endMatching(kind, 'somebody else', 'enough')).toBe(kind === 'all' ? 1 : 0)
  if (kind !== 'all') expect(sessions.endMatching(kind, name, 'enough')).toBe(1)
  expect([heard, sessions.list().length]).toEqual(['enough', 0])
})

test('ending by session ends that one alone', async () => {
  const [one, other] = [await open(), await open()]
  expect(sessions.endMatching('session', one.session.id, 'enough')).toBe(1)
  expect([one.signal.aborted, other.signal.aborted]).toEqual([true, false])
})

test('ending by handle ends what came in with it', async () => {
  const [one, other] = [await open(), await open({ id: 'handle-2' })]
  expect(sessions.endByHandles(['handle-1', 'handle-9'], 'revoked')).toBe(1)
  expect([one.signal.aborted, other.signal.aborted]).toEqual([true, false])
})

test('one listener that fails does not keep the others alive', async () => {
  const [one, other] = [await open(), await open()]
  one.signal.addEventListener('abort', () => {
    sessions.endMatching('all', '', 'again')
  })
  expect(sessions.endMatching('all', '', 'enough')).toBe(2)
  expect([one.signal.aborted, other.signal.aborted]).toEqual([true, true])
})

test('a session ends when its handle does, also one that lives longer than a timer can count', async () => {
  vi.useFakeTimers()
  try {
    const soon = await open({ expiresAtMs: clock.nowMs() + 5_000 })
    const far = await open({ expiresAtMs: clock.nowMs() + 100 * 86_400_000 })
    vi.advanceTimersByTime(4_999)
    expect(soon.signal.aborted).toBe(false)
    vi.advanceTimersByTime(1)
    expect([soon.signal.aborted, far.signal.aborted]).toEqual([true, false])
  } finally {
    vi.useRealTimers()
  }
})

test('more sessions than the gate can hold are refused', async () => {
  for (let number = 0; number < 5_000; number += 1) await open()
  await expect(open()).rejects.toMatchObject({ code: 'limit_exceeded' })
  sessions.endMatching('all', '', 'over')
  expect((await open()).signal.aborted).toBe(false)
  sessions.endMatching('all', '', 'over')
})
