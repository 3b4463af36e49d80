import { closeSync, constants, fstatSync, fsync, futimesSync, linkSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import type { Held } from './copy-store.ts'
import { systemCode } from './failure.ts'

/**
 * A small file that somebody waits for, from its first byte to where it lies for good. The calls that do not wait for the disk are made in place:
 * the way to a thread and back costs each of them more than the call itself, and on a busy machine a turn of the scheduler. The two that do, the
 * syncs, go to a thread.
 */

const sync = promisify(fsync)
const writing = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const reading = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Its bytes and its time of modification are on disk when it resolves. Nothing may lie there before. */
export async function writeSmallFile(path: string, bytes: Uint8Array, modifiedSeconds: number): Promise<void> {
  const file = openSync(path, writing, 0o400)
  try {
    for (let offset = 0; offset < bytes.length;) offset += writeSync(file, bytes, offset)
    futimesSync(file, modifiedSeconds, modifiedSeconds)
    await sync(file)
  } finally {
    closeSync(file)
  }
}

/** Gives the staged file its name for good, durably, and takes the staged one away. False when the name is taken: then nothing was changed. */
export async function moveSmallFile(staged: string, path: string): Promise<boolean> {
  try {
    linkSync(staged, path)
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
  const folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await sync(folder)
  } finally {
    closeSync(folder)
  }
  unlinkSync(staged)
  return true
}

/** What was just written, as it now lies there. Null when it is no regular file of this size. */
export function readSmallFile(path: string, bytes: number): Held | null {
  const file = openSync(path, reading)
  try {
    const status = fstatSync(file)
    if (!status.isFile() || status.size !== bytes) return null
    const held = Buffer.alloc(bytes)
    for (let offset = 0; offset < bytes;) {
      const read = readSync(file, held, offset, bytes - offset, offset)
      if (read === 0) return null
      offset += read
    }
    return { bytes: held, retainUntilMs: status.mtimeMs }
  } finally {
    closeSync(file)
  }
}
