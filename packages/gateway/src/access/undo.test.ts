import { beforeEach, expect, test } from 'vitest'
import {
  SallyportError,
  type Connector,
  type Restored,
  type Snapshot,
  type SnapshotReader,
  type Upstream,
  type Vault,
} from '@sallyport/core'
import { FakeClock, MemoryLog, MemoryVault, scriptConnector, sequentialRandomness } from '../../../../tests/fakes/ports.ts'
import { openUndo, type UndoPorts } from './undo.ts'

const snapshot: Snapshot = {
  id: 'snapshot-1',
  kind: 'tables',
  upstream: 'orders-db',
  upstreamIdentity: 'system:1',
  digest: 'a'.repeat(64),
  madeAtMs: 0,
  rows: 3,
  bytes: 30,
  checksums: {},
  retainUntilMs: 1,
}
const reader: SnapshotReader = { manifest: null, checksums: {}, read: async function* () {} }
const restored: Restored = { rows: 3, tables: ['public.orders'], verified: true, note: '' }

let log: MemoryLog
let events: string[]
let ports: UndoPorts
let upstream: Upstream
let restore: NonNullable<Connector['restore']>

beforeEach(() => {
  log = new MemoryLog()
  events = []
  upstream = { name: 'orders-db', identity: 'system:1', environment: 'production', access: { kind: 'none' } }
  restore = async () => {
    events.push(`restored after ${log.types().join(' ')}`)
    return restored
  }
  const held = new MemoryVault()
  const vault: Vault = {
    seal: (about, fill) => held.seal(about, fill),
    list: () => held.list(),
    newest: () => held.newest(),
    open: async (id) => {
      if (id !== snapshot.id)
        throw new SallyportError('vault_unavailable', 'There is no such copy.', 'Nothing was read.', 'List them.')
      return { ...reader, snapshot }
    },
  }
  ports = {
    log,
    vault,
    clock: new FakeClock(),
    random: sequentialRandomness(),
    withUpstream: async (name, work) => {
      events.push(`open ${name}`)
      try {
        return await work(upstream, { ...scriptConnector([]), restore })
      } finally {
        events.push('closed')
      }
    },
  }
})

test('its intent is durable before anything is written, its outcome after', async () => {
  expect(await openUndo(ports)('snapshot-1', 'ada')).toEqual(restored)
  expect(events).toEqual(['open orders-db', 'restored after intent', 'closed'])
  expect(log.types()).toEqual(['intent', 'undo', 'outcome'])
  const [intent, undone, outcome] = log.events.map(({ data }) => data)
  expect(intent).toMatchObject({ undo: 'snapshot-1', by: 'ada', upstream: 'orders-db', digest: snapshot.digest })
  expect(undone).toMatchObject({ intent: intent?.['intent'], verified: true, rows: 3 })
  expect(outcome).toMatchObject({ intent: intent?.['intent'], result: 'succeeded', detail: 'verified' })
})

test('with a log that cannot append nothing is restored', async () => {
  log.failing = true
  await expect(openUndo(ports)('snapshot-1', 'ada')).rejects.toMatchObject({ code: 'log_unavailable' })
  expect(events).toEqual(['open orders-db', 'closed'])
})

test('what was not verified equal is not called verified', async () => {
  restore = async () => ({ ...restored, verified: false })
  await openUndo(ports)('snapshot-1', 'ada')
  expect(log.events.at(-1)?.data['detail']).toContain('not verified')
})

test('never into another database than the one it came from', async () => {
  upstream = { ...upstream, identity: 'system:2' }
  await expect(openUndo(ports)('snapshot-1', 'ada')).rejects.toMatchObject({ code: 'target_changed' })
  expect(events).toEqual(['open orders-db', 'closed'])
  expect(log.events).toEqual([])
})

test('never a copy that the vault does not have', async () => {
  await expect(openUndo(ports)('snapshot-9', 'ada')).rejects.toMatchObject({ code: 'vault_unavailable' })
  expect([events, log.events]).toEqual([[], []])
})

test('a connector that cannot put back says so', async () => {
  const without: UndoPorts = { ...ports, withUpstream: (_name, work) => work(upstream, scriptConnector([])) }
  await expect(openUndo(without)('snapshot-1', 'ada')).rejects.toMatchObject({ code: 'not_supported' })
  expect(log.events).toEqual([])
})

test('one that failed has an outcome, which tells our own reason and nothing of what a driver said', async () => {
  restore = async () => {
    throw new SallyportError('target_changed', 'Rows came since.', 'Nothing was restored.', 'Look at them.')
  }
  await expect(openUndo(ports)('snapshot-1', 'ada')).rejects.toMatchObject({ code: 'target_changed' })
  expect(log.events.at(-1)).toMatchObject({
    type: 'outcome',
    data: { result: 'failed', detail: 'target_changed: Rows came since.' },
  })
  restore = async () => {
    throw new Error('password=hunter2')
  }
  await expect(openUndo(ports)('snapshot-1', 'ada')).rejects.toThrow('hunter2')
  expect(log.events.at(-1)?.data['detail']).toBe('internal')
  expect(JSON.stringify(log.events)).not.toContain('hunter2')
})

test('only one runs at a time, and one that fails does not keep the next from its turn', async () => {
  let running = 0
  let most = 0
  let calls = 0
  restore = async () => {
    running += 1
    most = Math.max(most, running)
    await Promise.resolve()
    running -= 1
    calls += 1
    if (calls === 1) throw new Error('the first fails')
    return restored
  }
  const undo = openUndo(ports)
  const all = await Promise.allSettled([undo('snapshot-1', 'ada'), undo('snapshot-1', 'bob'), undo('snapshot-1', 'eve')])
  expect(all.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
  expect([most, calls]).toEqual([1, 3])
})

test('a restored undo whose outcome cannot be written has no second outcome that says it failed', async () => {
  restore = async () => {
    log.failing = true
    return restored
  }
  await expect(openUndo(ports)('snapshot-1', 'ada')).rejects.toMatchObject({ code: 'log_unavailable' })
  expect(log.events.filter(({ data }) => data['result'] === 'failed')).toEqual([])
})
