import { segmentName, tilePath } from '@sallyport/core'
import { afterEach, describe, expect, it } from 'vitest'
import { all, ArchiveBench, count, dayMs, event, firstOf, places, SigningVault } from '../../../../tests/fakes/archive-bench.ts'
import type { FileLog } from './file-log.ts'
import type { ArchivePorts } from './log-archive.ts'
import { openProver } from './prove-entry.ts'

const benches: ArchiveBench[] = []
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close()
})
function makeBench(): ArchiveBench {
  const bench = new ArchiveBench()
  benches.push(bench)
  return bench
}

describe('an archive of old entries', () => {
  it('keeps them here unless it is told to drop them', async () => {
    const bench = makeBench()
    const log = await bench.filled()
    const { archived, dropped } = await bench.archiveOf(log, {}, { drop: false }).look()
    expect([archived > 2, dropped, firstOf(log)]).toEqual([true, 0, 0])
    expect((await bench.archiveOf(log, {}, { drop: false }).look()).archived).toBe(0)
  })

  it('drops whole segments, and everything is read, proven and appended as before, also after a new start', async () => {
    const bench = makeBench()
    let log = await bench.filled()
    const before = await log.entries(0, 10_000)
    expect((await bench.archiveOf(log).look()).dropped).toBeGreaterThan(2)
    expect(firstOf(log)).toBeGreaterThan(256)
    expect(await bench.disk.system.list(`${bench.directory}/entries`)).not.toContain(segmentName(0))
    for (const isCut of [false, true]) {
      if (isCut) log = await bench.open(bench.disk.powerCut(() => 0))
      expect((await log.entries(0, before.length)).map(String)).toEqual(before.map(String))
      expect((await places(log)).slice(0, count)).toEqual(all)
      await log.append(event(count + 1))
      await log.publish()
    }
    const proven = await openProver(bench.directory, log, bench.signer.key, bench.disk.system)(3)
    expect(JSON.parse(proven?.entry ?? '{}')).toMatchObject({ data: { place: 3 } })
    expect(proven?.proof.length).toBeGreaterThan(5)
  })

  it('leaves alone what is not witnessed up to the end of its bundle, or not old enough', async () => {
    const bench = makeBench()
    const log = await bench.filled()
    expect((await bench.archiveOf(log, {}, { afterMs: 10 * 365 * dayMs }).look()).archived).toBe(0)
    expect((await bench.archiveOf(log, { log: { ...portsOf(log), witnessed: () => null } }).look()).archived).toBe(0)
    expect(bench.vault.sealed.size).toBe(0)
  })

  it('drops nothing when the vault gives back other entries, promises less time, or signs for something else', async () => {
    const bench = makeBench()
    const log = await bench.filled()
    bench.vault.tamper = (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.from('!')])
    await expect(bench.archiveOf(log).look()).rejects.toMatchObject({ code: 'copy_failed' })
    const lies: readonly ((line: string) => string)[] = [
      (line) => line.replace(/"retainUntilMs":\d+/, '"retainUntilMs":1700000000001'),
      (line) => line.replace(/log:\d+-/, 'log:1-'),
      (line) => line.replace('gate.example/log', 'other.example/log'),
    ]
    for (const lie of lies) {
      const other = makeBench()
      other.vault.forge = lie
      const untouched = await other.filled()
      await expect(other.archiveOf(untouched).look()).rejects.toMatchObject({ code: 'copy_failed' })
      expect([firstOf(untouched), untouched.archived().length]).toEqual([0, 0])
    }
    expect(firstOf(log)).toBe(0)
    expect(await places(log)).toEqual(all)
  })

  it('does not drop by a receipt that somebody swapped, nor go on without one', async () => {
    const bench = makeBench()
    const log = await bench.filled()
    await bench.archiveOf(log, {}, { drop: false }).look()
    const names = (await bench.disk.system.list(`${bench.directory}/archived`)).toSorted()
    const [first = '', second = ''] = names.map((name) => `${bench.directory}/archived/${name}`)
    await bench.disk.system.rename(second, first)
    await expect(bench.archiveOf(log).look()).rejects.toMatchObject({ code: 'copy_failed' })
    expect(firstOf(log)).toBe(0)
  })

  it('opens no log whose beginning is gone without a receipt of this vault', async () => {
    const bench = makeBench()
    const log = await bench.filled()
    await bench.archiveOf(log).look()
    await log.close()
    await expect(bench.open(bench.disk, new SigningVault())).rejects.toMatchObject({ code: 'log_unavailable' })
    await expect(bench.open(bench.disk, null)).rejects.toMatchObject({ code: 'log_unavailable' })
    await bench.disk.system.remove(`${bench.directory}/${tilePath({ level: 0, index: 0, width: 256 })}`)
    await bench.disk.system.remove(`${bench.directory}/checkpoint`)
    await expect(bench.open()).rejects.toMatchObject({ code: 'log_unavailable' })
  })
})

function portsOf(log: FileLog): ArchivePorts['log'] {
  return {
    append: (one) => log.append(one),
    archived: () => log.archived(),
    entries: (from, many) => log.entries(from, many),
    segments: () => log.segments(),
    dropBefore: (next) => log.dropBefore(next),
    addArchived: (range) => log.addArchived(range),
    witnessed: () => log.witnessed(),
    read: (from, many) => log.read(from, many),
  }
}
