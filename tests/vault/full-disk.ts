import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hourMs, VaultBench } from '../fakes/vault-bench.ts'

export interface FullDisk {
  readonly fills: number
  readonly sealed: number
  readonly refused: number
  readonly lost: number
  readonly faults: readonly string[]
}

/** Fills a small disk of its own to a random level, seals, makes room again, and looks whether all that was acknowledged is there. Needs root. */
export async function fillDisk(fills: number, random: () => number): Promise<FullDisk> {
  const disk = mkdtempSync(join(tmpdir(), 'spv-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m,mode=0700', 'sallyport', disk])
  const acknowledged = new Map<string, Buffer>()
  const faults: string[] = []
  let [refused, lost] = [0, 0]
  try {
    const folder = join(disk, 'vault')
    mkdirSync(folder, { mode: 0o700 })
    const bench = new VaultBench({}, undefined, folder)
    let vault = await bench.start()
    const ballast = join(disk, 'ballast')
    for (let fill = 0; fill < fills; fill++) {
      const bytes = randomBytes(120_000)
      const { bavail, bsize } = statfsSync(disk)
      const room = Math.floor(random() * 250_000)
      writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - room)))
      const id = await vault.seal(bytes, hourMs).catch(() => null)
      if (id === null) refused++
      else acknowledged.set(id, bytes)
      rmSync(ballast)
      vault = await bench.start()
      for (const [known, was] of acknowledged) {
        const read = await vault.read(known).catch(() => null)
        if (!read?.equals(was)) lost++
      }
      const report = await bench.verify()
      if (!report.ok) faults.push(`fill ${fill}: ${JSON.stringify(report.damage).slice(0, 300)}`)
    }
  } finally {
    execFileSync('umount', [disk])
    rmSync(disk, { recursive: true, force: true })
  }
  return { fills, sealed: acknowledged.size, refused, lost, faults }
}
