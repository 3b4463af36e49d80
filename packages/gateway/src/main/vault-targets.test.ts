import type { RecoveryTarget, Snapshot } from '@sallyport/core'
import { expect, it } from 'vitest'
import type { ContinuousStatus } from '../protection/index.ts'
import type { VaultHealth } from '../vault/vault-client.ts'
import { readVaultTargets } from './vault-targets.ts'

const nowMs = 10_000_000
const health: VaultHealth = {
  vault: 'a'.repeat(64),
  snapshots: 2,
  newest: null,
  openSeals: 0,
  damaged: [],
  refusals: 0,
  freeBytes: 9,
  clock: { nowMs, jump: null },
  witness: { key: '', log: null, size: null, checkpoint: null, frozen: null },
  osUser: 0,
  immutable: false,
  worth: 'a folder',
  expiry: '',
  storage: { bytes: 100, addedBytesPerDay: 10, bytesIn30Days: 400, quotaBytes: null },
  wal: { storedBytes: 7, addedBytesPerDay: 2, bytesIn30Days: 67 },
  held: [{ id: 'c'.repeat(64), reason: 'the court' }],
  unready: null,
}
function snapshot(letter: string, madeAtMs: number): Snapshot {
  const about = { upstream: 'orders-db', upstreamIdentity: '1', digest: 'd', checksums: {}, rows: 1, bytes: 1 }
  return { id: letter.repeat(64), kind: 'database', madeAtMs, retainUntilMs: nowMs + 5, ...about }
}
const kept: RecoveryTarget = {
  name: 'orders-db',
  kind: 'database',
  newestCopy: { snapshot: 'c'.repeat(64), madeAtMs: nowMs - 5_000, rows: 1, bytes: 1 },
  wouldLoseMs: 5_000,
  restoreTookMs: 300,
  lastDrill: null,
  copyEveryMs: null,
  drillEveryMs: null,
  demandMs: null,
  drilled: true,
}
const streaming: ContinuousStatus = {
  upstream: 'orders-db',
  state: 'streaming',
  why: null,
  stream: 's',
  durableLsn: '0/1',
  durableAtMs: nowMs - 1_000,
  behindBytes: 0,
  base: { snapshot: 'b'.repeat(64), atMs: nowMs - 9_000 },
  provenAtMs: nowMs - 8_000,
  restoreTookMs: 700,
}
const read = (streams: readonly ContinuousStatus[], things = [kept], said: Partial<VaultHealth> = {}) =>
  readVaultTargets({
    clock: { nowMs: () => nowMs },
    vault: {
      health: async () => ({ ...health, ...said }),
      list: async () => [snapshot('b', nowMs - 9_000), snapshot('c', nowMs - 5_000)],
    },
    kept: async () => things,
    streams: () => streams,
  })

it('says what would be lost by the newest whole copy, with its holds and the room that all of it takes', async () => {
  const { targets, storage, holds } = await read([])
  expect(targets).toMatchObject([{ by: 'copy', wouldLoseMs: 5_000, restoreTookMs: 300, copies: 2, held: 1, stream: null }])
  expect(targets[0]?.newestCopy).toEqual({ snapshot: 'c'.repeat(64), madeAtMs: nowMs - 5_000, retainUntilMs: nowMs + 5 })
  expect(storage).toEqual({ bytes: 100, walBytes: 7, addedBytesPerDay: 12, bytesIn30Days: 467, quotaBytes: null, freeBytes: 9 })
  expect(holds).toEqual([{ snapshot: 'c'.repeat(64), upstream: 'orders-db', reason: 'the court' }])
})

it('goes by the stream where that loses less: nothing when all of it is in the vault, else since the last byte that is', async () => {
  const [whole] = (await read([streaming])).targets
  expect(whole).toMatchObject({ by: 'stream', wouldLoseMs: 0, restoreTookMs: 700, newestCopy: { snapshot: 'b'.repeat(64) } })
  const [behind] = (await read([{ ...streaming, behindBytes: 8 }])).targets
  expect(behind).toMatchObject({ by: 'stream', wouldLoseMs: 1_000 })
  const [stalled] = (await read([{ ...streaming, state: 'stalled' }])).targets
  expect(stalled).toMatchObject({ by: 'stream', wouldLoseMs: 1_000 })
  const [late] = (await read([{ ...streaming, state: 'waiting', durableAtMs: nowMs - 60_000 }])).targets
  expect(late).toMatchObject({ by: 'copy', wouldLoseMs: 5_000, stream: { state: 'waiting' } })
})

it('counts no stream from which no restore was proven, and none without a base', async () => {
  for (const change of [{ provenAtMs: null }, { base: null }, { durableAtMs: null }]) {
    const nothing = { ...kept, newestCopy: null, wouldLoseMs: null, restoreTookMs: null }
    expect((await read([{ ...streaming, ...change }], [nothing])).targets[0]).toMatchObject({ by: null, wouldLoseMs: null })
  }
})

it('says why when the vault cannot be asked, and that it cannot seal when it says so itself', async () => {
  const ports = { clock: { nowMs: () => nowMs }, kept: async () => [kept], streams: () => [streaming] }
  const gone = await readVaultTargets({ ...ports, vault: { health: () => Promise.reject(new Error('x')), list: async () => [] } })
  expect(gone).toMatchObject({ targets: [], storage: null, problem: 'The vault could not be asked.' })
  expect((await read([], [kept], { unready: 'the bucket is away', storage: null })).problem).toBe('the bucket is away')
})
