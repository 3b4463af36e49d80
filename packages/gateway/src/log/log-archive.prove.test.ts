import { describe, expect, it } from 'vitest'
import { all, ArchiveBench, firstOf, places } from '../../../../tests/fakes/archive-bench.ts'
import type { DiskOperation } from '../../../../tests/fakes/failing-disk.ts'

describe('an archive that is cut off at any of its steps by a loss of power', () => {
  it('loses no entry, and the next start goes on', { timeout: 120_000 }, async () => {
    const operations: readonly DiskOperation[] = ['datasync', 'rename', 'syncDirectory', 'create', 'write']
    let cuts = 0
    for (const operation of operations) {
      for (let call = 1; ; call += 1) {
        const bench = new ArchiveBench()
        const log = await bench.filled()
        bench.disk.fail({ operation, call, how: 'fail' })
        const failed = await bench
          .archiveOf(log)
          .look()
          .then(
            () => false,
            () => true,
          )
        const again = await bench.open(bench.disk.powerCut(() => 0))
        expect(await places(again), `${operation} ${call}`).toEqual(all)
        await bench.archiveOf(again).look()
        expect(await places(again), `${operation} ${call}, after the next look`).toEqual(all)
        expect(firstOf(again)).toBeGreaterThan(256)
        cuts += 1
        await bench.close()
        if (!failed) break
      }
    }
    expect(cuts).toBeGreaterThan(80)
  })
})
