import { closeSync, constants, fdatasync, fstatSync, fsync, linkSync, openSync, read, write, type Stats } from 'node:fs'
import { rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { systemCode, VaultFailure } from './failure.ts'

/**
 * Names are opened, closed and linked in place: the way to a thread and back costs each of these calls more than the call itself, and of a chunk there
 * are a dozen. Bytes and syncs, which may wait for the disk, go to a thread.
 */
const syncAll = promisify(fsync)
const syncData = promisify(fdatasync)
const readBytes = promisify(read)
const writeBytes = promisify(write)

/** Creates a file that did not exist and has its bytes on disk. The directory entry is durable after `syncFolder`. */
export async function writeOnce(path: string, bytes: Uint8Array, mode = 0o400): Promise<void> {
  await withOpen(path, creating, mode, async (file) => {
    await writeAll(file, bytes)
    await syncData(file)
  })
}

/** As `writeOnce`, but the bytes are durable only after `syncFile`: many small files together cost the disk little more than one. */
export async function writeSoon(path: string, bytes: Uint8Array): Promise<void> {
  await withOpen(path, creating, 0o400, (file) => writeAll(file, bytes))
}

export async function syncFile(path: string): Promise<void> {
  await withOpen(path, constants.O_RDONLY | constants.O_NOFOLLOW, 0, syncData)
}

/** As `syncFile`, with the file's time of modification. */
export async function syncTimes(path: string): Promise<void> {
  await withOpen(path, constants.O_RDONLY | constants.O_NOFOLLOW, 0, syncAll)
}

/** Gives a file a second name, unless that name is taken: a hard link never overwrites. False when it is taken. */
export function linkOnce(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
}

/** Replaces a small file of the vault's own state (never a copy), whole or not at all, durable when it resolves. */
export async function replaceState(path: string, bytes: Uint8Array): Promise<void> {
  const next = `${path}.next`
  await unlink(next).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw error
  })
  await writeOnce(next, bytes, 0o600)
  await rename(next, path)
  await syncFolder(dirname(path))
}

/** Appends a line to a file of the vault's own state, durable when it resolves. */
export async function appendState(path: string, line: string): Promise<void> {
  const appending = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW
  await withOpen(path, appending, 0o600, async (file) => {
    await writeAll(file, Buffer.from(line))
    await syncData(file)
  })
}

export async function syncFolder(path: string): Promise<void> {
  await withOpen(path, constants.O_RDONLY | constants.O_DIRECTORY, 0, syncAll)
}

/** The whole of a regular file and its time of modification, never through a symbolic link. @throws VaultFailure `damaged` when it is larger than allowed */
export async function readWithTime(
  path: string,
  bytesMax: number,
): Promise<{ readonly bytes: Buffer; readonly modifiedMs: number }> {
  return await withOpen(path, reading, 0, async (file) => {
    const status = fstatSync(file)
    checkRegular(status, bytesMax)
    return { bytes: await readFrom(file, 0, status.size), modifiedMs: status.mtimeMs }
  })
}

export async function readWhole(path: string, bytesMax: number): Promise<Buffer> {
  return (await readWithTime(path, bytesMax)).bytes
}

function checkRegular(status: Stats, bytesMax: number): void {
  if (!status.isFile())
    throw new VaultFailure('damaged', 'Something that is not a regular file lies where a file of the vault should be.')
  if (status.size > bytesMax) throw new VaultFailure('damaged', 'A file of the vault is larger than it can be.')
}

/** As `readWhole`, null when there is no such file. */
export async function readIfThere(path: string, bytesMax: number): Promise<Buffer | null> {
  try {
    return await readWhole(path, bytesMax)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null
    throw error
  }
}

/** The last bytes of a text file; empty when there is none. */
export async function readEnd(path: string, bytes: number): Promise<string> {
  try {
    return await withOpen(path, reading, 0, async (file) => {
      const { size } = fstatSync(file)
      const length = Math.min(size, bytes)
      return (await readFrom(file, size - length, length)).toString('utf8')
    })
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return ''
    throw error
  }
}

/** Runs jobs over items, at most `width` at a time; the first failure stops the rest and is thrown. */
export async function forEachWide<Item>(items: Iterable<Item>, width: number, job: (item: Item) => Promise<void>): Promise<void> {
  const rest = items[Symbol.iterator]()
  let failed = false
  const work = async (): Promise<void> => {
    for (let next = rest.next(); !next.done && !failed; next = rest.next()) {
      try {
        await job(next.value)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const results = await Promise.allSettled(Array.from({ length: width }, work))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

const creating = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const reading = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

async function withOpen<Result>(
  path: string,
  flags: number,
  mode: number,
  job: (file: number) => Promise<Result>,
): Promise<Result> {
  const file = openSync(path, flags, mode)
  try {
    return await job(file)
  } finally {
    closeSync(file)
  }
}

async function writeAll(file: number, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length;) {
    const { bytesWritten } = await writeBytes(file, bytes, offset)
    offset += bytesWritten
  }
}

/** As many bytes as are there, at most so many. */
async function readFrom(file: number, from: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length)
  for (let filled = 0; filled < length;) {
    const { bytesRead } = await readBytes(file, bytes, filled, length - filled, from + filled)
    if (bytesRead === 0) return bytes.subarray(0, filled)
    filled += bytesRead
  }
  return bytes
}
