import { beforeEach, describe, expect, it } from 'vitest'
import type { KeepingJob, Producer, Proof, Snapshot, SnapshotContent, Vault } from '@sallyport/core'
import { FakeClock, MemoryLog, sequentialRandomness } from '../../../../tests/fakes/ports.ts'
import { Keeper, type Demand, type Kept } from './keeper.ts'

const dayMs = 86_400_000
const proof: Proof = { rows: 3, bytes: 9, compared: 1, answers: [], place: 'a scratch place' }
const content: SnapshotContent = {
  kind: 'database',
  rows: 3,
  bytes: 9,
  checksums: { 'public.t': 'ab'.repeat(32) },
  manifest: null,
}

let clock: FakeClock
let log: MemoryLog
let snapshots: Snapshot[]
let stored: Map<string, string>
let behaviour: { identity: string; copy: () => Promise<SnapshotContent>; prove: () => Promise<Proof> }
beforeEach(() => {
  clock = new FakeClock()
  log = new MemoryLog()
  snapshots = []
  stored = new Map()
  behaviour = { identity: 'server 1', copy: async () => content, prove: async () => proof }
})

const producer: Producer = {
  kind: 'database',
  identity: async () => {
    if (behaviour.identity === '') throw new Error('it is down')
    return behaviour.identity
  },
  copy: () => behaviour.copy(),
  prove: () => behaviour.prove(),
}

const vault: Vault = {
  seal: async ({ upstream, upstreamIdentity, digest, retainMs }, fill) => {
    const filled = await fill({ put: async () => ({ sha256: '', bytes: 0 }), read: async function* () {} })
    const madeAtMs = clock.nowMs()
    const snapshot: Snapshot = {
      id: `${snapshots.length}`.padStart(64, '0'),
      ...filled,
      upstream,
      upstreamIdentity,
      digest,
      madeAtMs,
      retainUntilMs: madeAtMs + retainMs,
    }
    snapshots.push(snapshot)
    return snapshot
  },
  open: async (id) => {
    const snapshot = snapshots.find((one) => one.id === id)
    if (snapshot === undefined) throw new Error('no such snapshot')
    return { snapshot, manifest: null, checksums: snapshot.checksums, read: async function* () {} }
  },
  list: async () => snapshots,
  newest: async () => snapshots.at(-1) ?? null,
}

function openKeeper(over: Partial<Kept> = {}, demand: Demand | null = { withinMs: 7 * dayMs, names: ['orders-db'] }): Keeper {
  return new Keeper({
    clock,
    random: sequentialRandomness(),
    log,
    vault,
    memory: { get: (key) => stored.get(key) ?? null, set: (key, value) => void stored.set(key, value) },
    retainMs: 30 * dayMs,
    folder: '/nowhere',
    kept: [{ name: 'orders-db', producer, copyEveryMs: null, drillEveryMs: null, checks: [], ...over }],
    demands: new Map(demand === null ? [] : [['orders-db', demand]]),
    report: () => undefined,
  })
}

async function done(keeper: Keeper, what: 'copy' | 'drill'): Promise<KeepingJob> {
  const { id } = keeper.begin({ what, name: 'orders-db', snapshot: null, thing: null }, 'ada')
  return expect
    .poll(() => keeper.job(id)?.endedAtMs ?? null)
    .not.toBeNull()
    .then(() => {
      const job = keeper.job(id)
      if (job === null) throw new Error('the job is forgotten')
      return job
    })
}

const drills = (): readonly unknown[] => log.events.filter(({ type }) => type === 'drill').map(({ data }) => data['result'])

describe('a demanded restore point', () => {
  it('is there from a drill that passed until it is too old, and after a restart of the gate', async () => {
    const keeper = openKeeper()
    expect(await keeper.isDrilled('orders-db')).toBe(false)
    await done(keeper, 'copy')
    expect(await keeper.isDrilled('orders-db')).toBe(false)
    expect(await done(keeper, 'drill')).toMatchObject({ state: 'done', error: null })
    expect(drills()).toEqual(['passed'])
    expect(await keeper.isDrilled('orders-db')).toBe(true)
    clock.advance(7 * dayMs)
    expect(await openKeeper().isDrilled('orders-db')).toBe(true)
    clock.advance(1)
    expect(await openKeeper().isDrilled('orders-db')).toBe(false)
  })

  it('is not there while the clock stands before the drill', async () => {
    clock.advance(dayMs)
    const keeper = openKeeper()
    await done(keeper, 'copy')
    await done(keeper, 'drill')
    clock.advance(-1)
    expect(await keeper.isDrilled('orders-db')).toBe(false)
  })

  it('is gone when its copy is no longer kept', async () => {
    const keeper = openKeeper({}, { withinMs: 90 * dayMs, names: ['orders-db'] })
    await done(keeper, 'copy')
    await done(keeper, 'drill')
    clock.advance(30 * dayMs - 1)
    expect(await keeper.isDrilled('orders-db')).toBe(true)
    clock.advance(1)
    expect(await keeper.isDrilled('orders-db')).toBe(false)
  })

  it('is gone when a later drill failed, however it failed', async () => {
    const failures: readonly (() => Promise<Proof>)[] = [
      () => Promise.reject(new Error('no scratch server')),
      async () => ({ ...proof, answers: [{ ask: 'q', expected: '1', answer: '2', passed: false }] }),
    ]
    for (const prove of failures) {
      const keeper = openKeeper()
      await done(keeper, 'copy')
      behaviour.prove = async () => proof
      await done(keeper, 'drill')
      expect(await keeper.isDrilled('orders-db')).toBe(true)
      behaviour.prove = prove
      expect(await done(keeper, 'drill')).toMatchObject({ state: 'failed', result: { drill: { passed: false } } })
      expect(await keeper.isDrilled('orders-db')).toBe(false)
      expect((await keeper.targets())[0]).toMatchObject({ drilled: false, lastDrill: { passed: false } })
    }
  })

  it('is not made by a drill that asked fewer questions than there are', async () => {
    const keeper = openKeeper({ checks: [{ ask: 'SELECT 1', is: '1' }] })
    await done(keeper, 'copy')
    expect(await done(keeper, 'drill')).toMatchObject({ state: 'failed' })
    expect(await keeper.isDrilled('orders-db')).toBe(false)
  })

  it('is not made while the log takes no result', async () => {
    const keeper = openKeeper()
    await done(keeper, 'copy')
    log.failing = true
    expect(await done(keeper, 'drill')).toMatchObject({ state: 'failed', error: { code: 'log_unavailable' } })
    log.failing = false
    expect(await keeper.isDrilled('orders-db')).toBe(false)
  })

  it('cannot be read from a store that somebody scribbled into', async () => {
    for (const text of ['', '{', '{"lastDrill":true}', 'null', '[]']) {
      stored.set('kept:orders-db', text)
      expect(await openKeeper().isDrilled('orders-db')).toBe(false)
    }
  })

  it('is never there where nothing can be kept, and not asked for where nobody demands it', async () => {
    expect(await openKeeper({}, { withinMs: dayMs, names: [] }).isDrilled('orders-db')).toBe(false)
    expect(await openKeeper({}, { withinMs: dayMs, names: ['other-db'] }).isDrilled('orders-db')).toBe(false)
    expect(await openKeeper({}, null).isDrilled('orders-db')).toBe(true)
  })
})

describe('a drill', () => {
  it('fails, and is on the log, when there is no copy', async () => {
    expect(await done(openKeeper(), 'drill')).toMatchObject({ state: 'failed' })
    expect(drills()).toEqual(['failed'])
  })

  it('fails when the newest copy is of another database than the one that now has its name', async () => {
    const keeper = openKeeper()
    await done(keeper, 'copy')
    behaviour.identity = 'server 2'
    expect(await done(keeper, 'drill')).toMatchObject({ state: 'failed' })
    expect(drills()).toEqual(['failed'])
  })

  it('goes on when the original is down: that is what it is for', async () => {
    const keeper = openKeeper()
    await done(keeper, 'copy')
    behaviour.identity = ''
    expect(await done(keeper, 'drill')).toMatchObject({ state: 'done' })
  })

  it('takes the newest copy of this thing, and of its kind', async () => {
    const keeper = openKeeper()
    await done(keeper, 'copy')
    clock.advance(1_000)
    await done(keeper, 'copy')
    const [, newest] = snapshots
    if (newest === undefined) throw new Error('two copies were made')
    clock.advance(1_000)
    snapshots.push({ ...newest, id: 'f'.repeat(64), kind: 'rows', madeAtMs: clock.nowMs() })
    snapshots.push({ ...newest, id: 'e'.repeat(64), upstream: 'other-db', madeAtMs: clock.nowMs() })
    expect(await done(keeper, 'drill')).toMatchObject({ result: { drill: { snapshot: newest.id } } })
    expect((await keeper.targets())[0]).toMatchObject({ newestCopy: { snapshot: newest.id }, wouldLoseMs: 1_000 })
  })
})

describe('what is due', () => {
  it('is copied and drilled when its time has come, and sooner again when it failed', async () => {
    let copies = 0
    behaviour.copy = async () => {
      copies += 1
      if (copies === 1) throw new Error('the server is down')
      return content
    }
    const keeper = openKeeper({ copyEveryMs: dayMs, drillEveryMs: 7 * dayMs })
    keeper.start()
    await expect.poll(() => drills()).toEqual(['failed'])
    expect(log.types()).toContain('snapshot.failed')
    await expect
      .poll(() => {
        clock.advance(300_000)
        return drills().includes('passed')
      })
      .toBe(true)
    // Long before the week is over.
    expect(clock.nowMs() - 1_800_000_000_000).toBeLessThan(7 * dayMs)
    await keeper.close()
  })

  it('is not begun while nobody says how often', async () => {
    const keeper = openKeeper()
    keeper.start()
    clock.advance(90 * dayMs)
    await keeper.close()
    expect(log.events).toEqual([])
  })
})
