import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync, chmodSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { VaultBench } from '../../../tests/fakes/vault-bench.ts'
import type { WalStreams } from './wal-streams.ts'

const about = { upstream: 'db', upstreamIdentity: '7:1', timeline: 1, segmentBytes: 16 << 20 }
const dayMs = 86_400_000
const sealedBy = 'a'.repeat(16)

async function readAll(streams: WalStreams, stream: string, from: bigint): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of streams.read(stream, from)) pieces.push(piece)
  return Buffer.concat(pieces)
}

describe('streams of WAL', () => {
  let bench: VaultBench
  beforeEach(() => {
    bench = new VaultBench()
  })
  afterEach(() => bench.remove())

  const begin = async (): Promise<{ readonly streams: WalStreams; readonly stream: string; readonly bytes: Buffer }> => {
    const { streams } = await bench.start()
    const stream = streams.begin(about)
    const bytes = randomBytes(3_000)
    for (let at = 0; at < bytes.length; at += 1_000)
      await streams.append(stream, {
        sealedBy,
        from: 0x1000n + BigInt(at),
        bytes: bytes.subarray(at, at + 1_000),
        retainMs: dayMs,
      })
    return { streams, stream, bytes }
  }
  const files = (): readonly string[] => readdirSync(join(bench.folder, 'wal')).sort()

  it('give back every byte from any position, also after the vault was started anew', async () => {
    const { streams, stream, bytes } = await begin()
    for (const at of [0, 1, 999, 1_000, 2_999, 3_000])
      expect(await readAll(streams, stream, 0x1000n + BigInt(at))).toEqual(bytes.subarray(at))
    const again = await bench.start()
    expect(await readAll(again.streams, stream, 0x1000n)).toEqual(bytes)
    expect(again.streams.list('db')).toEqual([expect.objectContaining({ ...about, id: stream, pieces: 3, damage: null })])
    await expect(readAll(again.streams, stream, 0x0fffn)).rejects.toMatchObject({ code: 'not_found' })
    expect((await bench.verify()).ok).toBe(true)
  })

  it('take what continues them, once, and nothing that leaves a gap', async () => {
    const { streams, stream, bytes } = await begin()
    const append = (from: bigint, part: Buffer): Promise<unknown> =>
      streams.append(stream, { sealedBy, from, bytes: part, retainMs: dayMs })
    await expect(append(0x1000n + 3_001n, Buffer.from('x'))).rejects.toMatchObject({ code: 'wal_gap' })
    await append(0x1000n + 2_000n, bytes.subarray(2_000))
    expect(files()).toHaveLength(3)
    // Half of it is there already.
    await append(0x1000n + 2_500n, Buffer.concat([bytes.subarray(2_500), Buffer.from('more')]))
    expect((await readAll(streams, stream, 0x1000n)).subarray(2_990)).toEqual(
      Buffer.concat([bytes.subarray(2_990), Buffer.from('more')]),
    )
    await expect(streams.append('f'.repeat(32), { sealedBy, from: 1n, bytes, retainMs: 1 })).rejects.toMatchObject({
      code: 'not_found',
    })
  })

  it('are broken when a piece is gone, changed or swapped, and say so', async () => {
    const { streams, stream } = await begin()
    const [first = '', second = '', third = ''] = files()
    const path = join(bench.folder, 'wal', second)
    const whole = readFileSync(path)
    const rotten = Buffer.from(whole)
    rotten[rotten.length - 20] = (rotten[rotten.length - 20] ?? 0) ^ 1
    chmodSync(path, 0o600)
    writeFileSync(path, rotten)
    await expect(readAll(streams, stream, 0x1000n)).rejects.toMatchObject({ code: 'damaged' })
    expect((await bench.verify()).damage).toContainEqual(expect.objectContaining({ file: `wal/${second}` }))
    writeFileSync(path, readFileSync(join(bench.folder, 'wal', third)))
    expect((await bench.verify()).ok).toBe(false)
    rmSync(path)
    const report = await bench.verify()
    expect(report.damage).toContainEqual(expect.objectContaining({ what: expect.stringContaining('does not follow') }))
    const again = await bench.start()
    expect(again.streams.list('db')[0]?.damage).toContain('does not follow')
    await expect(
      again.streams.append(stream, { sealedBy, from: 0x1000n + 3_000n, bytes: Buffer.from('x'), retainMs: 1 }),
    ).rejects.toMatchObject({ code: 'damaged' })
    rmSync(join(bench.folder, 'wal', first))
    expect((await bench.verify()).ok).toBe(false)
  })

  it('lose their beginning when its retention has ended, by the clock and by age, and never their middle', async () => {
    const { stream } = await begin()
    const started = await bench.start()
    await started.look()
    expect(files()).toHaveLength(3)
    // Somebody set the clock forward: nothing has aged.
    bench.time.wall += 2 * dayMs
    await (await bench.start()).look()
    expect(files()).toHaveLength(3)
    bench.pass(2 * dayMs)
    const later = await bench.start(2 * dayMs + 1)
    await later.look()
    expect(files()).toEqual([])
    expect(later.streams.list('db')).toEqual([])
    expect((await bench.verify()).ok).toBe(true)
    await expect(
      later.streams.append(stream, { sealedBy, from: 1n, bytes: Buffer.from('x'), retainMs: 1 }),
    ).rejects.toMatchObject({
      code: 'not_found',
    })
  })

  it('reuse nothing of a write that failed in between', async () => {
    const { streams, stream } = await begin()
    const folder = join(bench.folder, 'wal')
    const append = (): Promise<unknown> =>
      streams.append(stream, { sealedBy, from: 0x1000n + 3_000n, bytes: Buffer.from('next'), retainMs: dayMs })
    rmSync(join(bench.folder, 'staging'), { recursive: true })
    await expect(append()).rejects.toMatchObject({ code: 'ENOENT' })
    await bench.start()
    await append()
    expect(readdirSync(folder)).toHaveLength(4)
    expect((await bench.verify()).ok).toBe(true)
  })
})
