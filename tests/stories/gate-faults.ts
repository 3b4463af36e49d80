import fs, { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Loaded into a gate's process before its own code (`--import`), by environment: what happens to machines and cannot be waited for. A disk that
 * takes writes and does not get them down while the file `disk` is there; a clock that runs ahead by as many ms as the file `clock` says.
 */
const folder = process.env['STORY_FAULTS']
const retryMs = 1

if (folder !== undefined) {
  const real = { datasync: fs.fdatasync, now: Date.now }
  const datasync = (descriptor: number, done: (error: NodeJS.ErrnoException | null) => void): void => {
    if (existsSync(join(folder, 'disk'))) setTimeout(() => datasync(descriptor, done), retryMs)
    else real.datasync(descriptor, done)
  }
  Object.defineProperty(fs, 'fdatasync', { value: datasync })
  Object.defineProperty(Date, 'now', { value: () => real.now() + aheadMs(join(folder, 'clock')) })
}

function aheadMs(file: string): number {
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
}
