import fs, { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Loaded into a gate's process before its own code (`--import`), by environment: what happens to machines and cannot be waited for. A disk that
 * takes writes and does not get them down while the file `disk` is there; a clock that runs ahead by as many ms as the file `clock` says.
 */
const folder = process.env['STORY_FAULTS']
const retryMs = 1

if (folder !== undefined) {
  const real = { datasync: fs.fdatasync, write: fs.write, now: Date.now }
  const whenSound = (go: () => void): void => {
    if (existsSync(join(folder, 'disk'))) setTimeout(() => whenSound(go), retryMs)
    else go()
  }
  const datasync = (descriptor: number, done: (error: NodeJS.ErrnoException | null) => void): void =>
    whenSound(() => real.datasync(descriptor, done))
  // The log's own writes are durable when they are answered: the bytes are there, and the answer is held back.
  const write = (
    descriptor: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number | null,
    done: (error: NodeJS.ErrnoException | null, written: number) => void,
  ): void => real.write(descriptor, bytes, offset, length, position, (error, written) => whenSound(() => done(error, written)))
  Object.defineProperty(fs, 'fdatasync', { value: datasync })
  Object.defineProperty(fs, 'write', { value: write })
  Object.defineProperty(Date, 'now', { value: () => real.now() + aheadMs(join(folder, 'clock')) })
}

function aheadMs(file: string): number {
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
}
