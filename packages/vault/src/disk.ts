import { constants } from 'node:fs'
import { link, open, rename, unlink, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { systemCode, VaultFailure } from './failure.ts'

/** Creates a file that did not exist and has its bytes on disk. The directory entry is durable after `syncFolder`. */
export async function writeOnce(path: string, bytes: Uint8Array, mode = 0o400): Promise<void> {
  await using file = await create(path, mode)
  await writeAll(file, bytes)
  await file.datasync()
}

/** As `writeOnce`, but the bytes are durable only after `syncFile`: many small files together cost the disk little more than one. */
export async function writeSoon(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await create(path, 0o400)
  await writeAll(file, bytes)
}

export async function syncFile(path: string): Promise<void> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  await file.datasync()
}

/** Gives a file a second name, unless that name is taken: a hard link never overwrites. False when it is taken. */
export async function linkOnce(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
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
  await using file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW, 0o600)
  await writeAll(file, Buffer.from(line))
  await file.datasync()
}

export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  await folder.sync()
}

/** The whole of a regular file, never through a symbolic link. @throws VaultFailure `damaged` when it is larger than allowed */
export async function readWhole(path: string, bytesMax: number): Promise<Buffer> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  const status = await file.stat()
  if (!status.isFile())
    throw new VaultFailure('damaged', 'Something that is not a regular file lies where a file of the vault should be.')
  if (status.size > bytesMax) throw new VaultFailure('damaged', 'A file of the vault is larger than it can be.')
  return await file.readFile()
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
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const { size } = await file.stat()
    const end = Buffer.alloc(Math.min(size, bytes))
    const { bytesRead } = await file.read(end, 0, end.length, size - end.length)
    return end.subarray(0, bytesRead).toString('utf8')
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

function create(path: string, mode: number): Promise<FileHandle> {
  return open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, mode)
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, offset)
    offset += bytesWritten
  }
}
