import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What the disk itself gives: write and fdatasync, one after the other, with nothing of ours in between. */
export interface BareDisk {
  /** Of each write with its fdatasync, ms. */
  readonly tookMs: readonly number[]
  readonly bytesEach: number
}

/** Into a file that has its length already, as the log's has: so the disk changes no more than these bytes. */
export function writeBare(bytesEach: number, forMs: number): BareDisk {
  const folder = mkdtempSync(join(tmpdir(), 'sp-bare-'))
  const file = openSync(join(folder, 'bare'), 'w')
  try {
    const reserved = 64 * 1024 * 1024
    writeSync(file, Buffer.alloc(reserved), 0, reserved, 0)
    fdatasyncSync(file)
    const bytes = Buffer.alloc(bytesEach, 'x')
    const tookMs: number[] = []
    const endMs = performance.now() + forMs
    for (let at = 0; performance.now() < endMs; at = (at + bytesEach) % (reserved - bytesEach)) {
      const startedMs = performance.now()
      writeSync(file, bytes, 0, bytesEach, at)
      fdatasyncSync(file)
      tookMs.push(performance.now() - startedMs)
    }
    return { tookMs, bytesEach }
  } finally {
    closeSync(file)
    rmSync(folder, { recursive: true })
  }
}
