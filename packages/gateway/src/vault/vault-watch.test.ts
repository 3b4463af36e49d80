import type { Event } from '@sallyport/core'
import { afterEach, expect, it } from 'vitest'
import type { VaultExpiry, VaultHealth, VaultTrace } from './vault-client.ts'
import { watchVault, type VaultWatch } from './vault-watch.ts'

const watches: VaultWatch[] = []
afterEach(async () => {
  for (const watch of watches.splice(0)) await watch.close()
})

const calm: Pick<VaultHealth, 'clock' | 'refusals' | 'damaged'> & Partial<VaultHealth> = {
  clock: { nowMs: 0, jump: null },
  refusals: 0,
  damaged: [],
}

class Bench {
  readonly events: Event[] = []
  readonly memory = new Map<string, string>()
  health: typeof calm = calm
  expiries: VaultExpiry[] = []
  traces: VaultTrace[] = []
  isGone = false

  watch(): VaultWatch {
    const answer = (): VaultHealth => {
      if (this.isGone) throw new Error('the vault does not answer')
      const rest = { vault: 'a'.repeat(64), snapshots: 0, newest: null, openSeals: 0, freeBytes: 0, osUser: 0, immutable: false }
      const witness = { key: '', log: null, size: null, checkpoint: null, frozen: null }
      const room = { storage: null, wal: null, held: [] }
      return { ...rest, ...room, witness, worth: '', expiry: '', unready: null, ...this.health }
    }
    const watch = watchVault({
      vault: {
        health: async () => answer(),
        expiries: async (afterMs) => this.expiries.filter(({ atMs }) => atMs > afterMs),
        traces: async (after) => ({
          last: this.traces.at(-1)?.number ?? 0,
          traces: this.traces.filter(({ number }) => number > after),
        }),
      },
      log: { append: async (event) => this.events.push(event) - 1 },
      meta: { get: (key) => this.memory.get(key) ?? null, set: (key, value) => void this.memory.set(key, value) },
      clock: {
        nowMs: () => 5,
        sleep: (_ms, signal) => new Promise((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true })),
      },
    })
    watches.push(watch)
    return watch
  }
}

function expiry(sequence: number): VaultExpiry {
  const snapshot = String(sequence).padStart(64, '0')
  return { snapshot, sequence, upstream: 'orders-db', madeAtMs: 1, retainUntilMs: 2, atMs: 10 + sequence }
}

it('puts what the vault let go onto the log, once, also after a new start of the gate', async () => {
  const bench = new Bench()
  bench.expiries = [expiry(1), expiry(2)]
  await bench.watch().look()
  expect(bench.events.map(({ type, data }) => [type, data['sequence']])).toEqual([
    ['snapshot.expired', 1],
    ['snapshot.expired', 2],
  ])
  bench.expiries.push(expiry(3))
  await bench.watch().look()
  await bench.watch().look()
  expect(bench.events.map(({ data }) => data['sequence'])).toEqual([1, 2, 3])
})

it('rings once for a clock that jumped, knocks without the credential, and copies that cannot be read', async () => {
  const bench = new Bench()
  const watch = bench.watch()
  await watch.look()
  expect(bench.events).toEqual([])
  bench.health = {
    clock: { nowMs: 0, jump: 'the wall clock jumped by 900 s' },
    refusals: 3,
    damaged: [{ file: 'manifests/x', what: 'rotted' }],
  }
  await watch.look()
  await watch.look()
  expect(bench.events.map(({ type, data }) => [type, data['kind']])).toEqual([
    ['alarm', 'vault_clock'],
    ['alarm', 'vault_refused'],
    ['alarm', 'vault_damaged'],
  ])
  // The vault was started anew and counts from nothing: one knock is one knock.
  bench.health = { ...calm, refusals: 1, damaged: bench.health.damaged }
  await watch.look()
  expect(bench.events.slice(3).map(({ data }) => data)).toEqual([{ kind: 'vault_refused', times: 1 }])
})

function trace(number: number, times = 1): VaultTrace {
  return { number, times, atMs: 4, kind: 'hidden', place: 'bucket copies', name: `chunks/${times}`, what: 'A delete marker.' }
}

it('rings for each try at the copies, again when it is made again, and also when the vault counts anew', async () => {
  const bench = new Bench()
  bench.traces = [trace(1), trace(2)]
  await bench.watch().look()
  const again = bench.watch()
  await again.look()
  bench.traces = [trace(2), trace(3, 2)]
  await again.look()
  const rung = (): unknown[] => bench.events.map(({ type, data }) => [type, data['kind'], data['try'], data['times']])
  const once = ['alarm', 'vault_tampering', 'hidden', 1]
  expect(rung()).toEqual([once, once, ['alarm', 'vault_tampering', 'hidden', 2]])
  bench.traces = [trace(1)]
  await again.look()
  expect(rung().length).toBe(4)
})

it('rings once when the room will not last, and again only after there was enough', async () => {
  const bench = new Bench()
  const watch = bench.watch()
  const storage = { bytes: 900, addedBytesPerDay: 40, bytesIn30Days: 0, quotaBytes: 1_000 }
  bench.health = { ...calm, freeBytes: 1_000_000, storage }
  await watch.look()
  await watch.look()
  expect(bench.events.map(({ data }) => data)).toMatchObject([{ kind: 'vault_filling', daysLeft: 2 }])
  bench.health = { ...calm, freeBytes: 1_000_000, storage: { ...storage, quotaBytes: null } }
  await watch.look()
  bench.health = { ...calm, freeBytes: 60, storage: { ...storage, quotaBytes: null } }
  await watch.look()
  expect(bench.events.map(({ data }) => data['daysLeft'])).toEqual([2, 1])
})

it('forgets nothing while the vault does not answer', async () => {
  const bench = new Bench()
  bench.isGone = true
  const watch = bench.watch()
  await watch.look()
  bench.isGone = false
  bench.expiries = [expiry(1)]
  await watch.look()
  expect(bench.events.length).toBe(1)
})
