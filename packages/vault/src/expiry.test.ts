import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { hourMs, VaultBench } from '../../../tests/fakes/vault-bench.ts'

const content = { kind: 'rows', rows: 1, bytes: 1, checksums: {}, manifest: {} } as const
const benches: VaultBench[] = []
afterEach(() => {
  for (const bench of benches.splice(0)) bench.remove()
})

function makeBench(): VaultBench {
  const bench = new VaultBench({ storedBytesMax: 200_000 })
  benches.push(bench)
  return bench
}

describe('the end of retention', () => {
  it('lets go what is over, with its chunks, and keeps what others need; the record stays and the chain holds', async () => {
    const bench = makeBench()
    const vault = await bench.start()
    const [shared, own] = [randomBytes(20_000), randomBytes(20_000)]
    const short = await vault.seal(Buffer.from(own), hourMs)
    const both = await vault.seal(shared, hourMs)
    const long = await vault.seal(shared, 10 * hourMs)
    expect(bench.chunkFiles()).toBe(2)
    expect(await vault.look()).toMatchObject({ expired: [], chunksRemoved: 0, failed: [] })
    bench.pass(2 * hourMs)
    expect(await vault.look()).toEqual({ frozen: null, expired: [short, both], chunksRemoved: 1, walRemoved: 0, failed: [] })
    expect(bench.chunkFiles()).toBe(1)
    expect(await bench.verify()).toMatchObject({ ok: true, snapshots: 1, expired: 2, unreferenced: 0 })
    expect(vault.catalogue.newest('db')?.id).toBe(long)
    // A new start goes on with the numbers, also when nothing is left.
    bench.pass(20 * hourMs)
    expect((await vault.look()).expired).toEqual([long])
    const again = await bench.start(100 * hourMs)
    expect(again.catalogue.size).toBe(0)
    await again.seal(own, hourMs)
    expect(await bench.verify()).toMatchObject({ ok: true, snapshots: 1, expired: 3, newest: { sequence: 4 } })
  })

  it('comes no sooner by a clock that is set forward: while it runs, or before it starts', async () => {
    const bench = makeBench()
    const vault = await bench.start()
    const sealed = await vault.seal(randomBytes(100), hourMs)
    bench.time.wall += 48 * hourMs
    const frozen = await vault.look()
    expect(frozen.frozen).toMatch(/Nothing expires: the wall clock jumped by/)
    expect(frozen.expired).toEqual([])
    const again = await bench.start(0)
    expect(await again.look()).toMatchObject({ frozen: null, expired: [] })
    // Only time that has really passed counts.
    bench.pass(hourMs / 2)
    expect((await again.look()).expired).toEqual([])
    bench.pass(hourMs)
    expect((await again.look()).expired).toEqual([sealed])
  })

  it('does not come, nor do new copies end early, by a clock that is set back', async () => {
    const bench = makeBench()
    const vault = await bench.start()
    await vault.seal(randomBytes(100), 2 * hourMs)
    bench.pass(hourMs)
    bench.time.wall -= 400 * hourMs
    expect((await vault.look()).frozen).toMatch(/jumped/)
    const again = await bench.start(hourMs)
    const later = await again.seal(randomBytes(100), hourMs)
    const sealed = again.catalogue.list(10, 100).snapshots
    expect(sealed.every(({ madeAtMs }) => madeAtMs >= (sealed.at(-1)?.madeAtMs ?? 0))).toBe(true)
    bench.pass(hourMs / 2)
    expect(again.catalogue.ended(Number.MAX_SAFE_INTEGER, 1.5 * hourMs)).not.toContain(later)
  })

  it('never comes for what is held, whose lock is kept ahead', async () => {
    const bench = makeBench()
    const vault = await bench.start()
    const held = await vault.seal(randomBytes(100), hourMs)
    await vault.catalogue.hold(held, 'case 12/26', bench.time.wall)
    bench.pass(2 * hourMs)
    expect(await vault.look()).toMatchObject({ expired: [], failed: [] })
    const [snapshot] = vault.catalogue.held()
    expect(snapshot).toMatchObject({ id: held, reason: 'case 12/26' })
    expect(snapshot?.retainUntilMs).toBeGreaterThan(bench.time.wall + 29 * 24 * hourMs)
    const again = await bench.start(1000 * hourMs)
    expect(again.catalogue.held().map(({ id }) => id)).toEqual([held])
    bench.pass(1000 * hourMs)
    expect((await again.look()).expired).toEqual([])
    expect(await bench.verify()).toMatchObject({ ok: true, snapshots: 1 })
  })

  it('takes no chunk while a manifest can’t be read, nor one that an open seal holds', async () => {
    const bench = makeBench()
    const vault = await bench.start()
    await vault.seal(Buffer.from('x'.repeat(5_000)), hourMs)
    const id = '9'.repeat(32)
    bench.pass(2 * hourMs)
    await vault.seals.begin({ seal: id, sealedBy: 'a'.repeat(16), upstream: 'db', upstreamIdentity: 'x', digest: 'd' }, hourMs)
    await vault.seals.put(
      id,
      'rows',
      (async function* () {
        yield Buffer.from('x'.repeat(5_000))
      })(),
    )
    expect(await vault.look()).toMatchObject({ chunksRemoved: 0 })
    expect((await vault.look()).failed).toEqual([])
    await vault.seals.finish(id, content)
    expect(await bench.verify()).toMatchObject({ ok: true, snapshots: 1, expired: 1 })
    const [manifest = ''] = readdirSync(join(bench.folder, 'manifests'))
    rmSync(join(bench.folder, 'manifests', manifest))
    writeFileSync(join(bench.folder, 'manifests', manifest), 'rotted')
    const again = await bench.start(100 * hourMs)
    bench.pass(100 * hourMs)
    expect(await again.look()).toMatchObject({ chunksRemoved: 0 })
    expect(bench.chunkFiles()).toBe(1)
  })

  it('finishes at the next start what a crash cut short', async () => {
    const bench = makeBench()
    const vault = await bench.start()
    await vault.seal(randomBytes(100), hourMs)
    const [manifest = ''] = readdirSync(join(bench.folder, 'manifests'))
    bench.pass(2 * hourMs)
    const bytes = readFileSync(join(bench.folder, 'manifests', manifest))
    await vault.look()
    writeFileSync(join(bench.folder, 'manifests', manifest), bytes, { mode: 0o400 })
    const again = await bench.start(2 * hourMs)
    expect(again.catalogue.size).toBe(0)
    expect(again.loaded.leftover.map(({ sequence }) => sequence)).toEqual([1])
    expect(await bench.verify()).toMatchObject({ ok: true, snapshots: 0, expired: 1 })
  })
})

describe('room', () => {
  it('is bounded by a quota, past which nothing is begun, and foretold', async () => {
    const bench = makeBench()
    const vault = await bench.start()
    await vault.seal(randomBytes(150_000), hourMs)
    await vault.seal(randomBytes(100_000), 100 * 24 * hourMs)
    await expect(vault.seal(randomBytes(10), hourMs)).rejects.toMatchObject({ code: 'quota_reached' })
    const forecast = vault.catalogue.forecast(bench.time.wall)
    expect(forecast.bytes).toBeGreaterThan(250_000)
    expect(forecast.addedBytesPerDay).toBe(forecast.bytes)
    expect(forecast.bytesIn30Days).toBeGreaterThan(30 * 250_000)
    bench.pass(2 * hourMs)
    await vault.look()
    expect(vault.catalogue.forecast(bench.time.wall).bytes).toBeLessThan(110_000)
    await vault.seal(randomBytes(10), hourMs)
  })
})
