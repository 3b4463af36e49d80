import fs from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** An open file of the log. Positions are explicit, so that nothing depends on what an earlier failed write left behind. */
export interface LogFile {
  /** Bytes written, which may be fewer than given. */
  write(bytes: Uint8Array, position: number): Promise<number>
  /** The same, and durable when it resolves. Only of a file opened by `write` or `create`. */
  writeDurably(bytes: Uint8Array, position: number): Promise<number>
  /** Makes the file longer, by zeros that are durable: what is written over them later changes nothing else of the file. */
  reserve(from: number, to: number): Promise<void>
  /** Bytes read, 0 at the end. */
  read(bytes: Uint8Array, position: number): Promise<number>
  datasync(): Promise<void>
  truncate(size: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

/** What the log needs of a file system: the seam at which tests fail disks and cut the power. */
export interface FileSystem {
  /** Makes it and what is missing above it, for this user alone, and has their names on disk. */
  makeDirectory(path: string): Promise<void>
  /** Names in a directory; none when there is no such directory. */
  list(path: string): Promise<readonly string[]>
  /** `create` fails when the file exists, `scratch` empties it then; `write` opens one that exists. Null: there is no such file. */
  open(path: string, how: 'read' | 'write' | 'create' | 'scratch'): Promise<LogFile | null>
  rename(from: string, to: string): Promise<void>
  /** Removes a file or a directory with what is in it; nothing happens when it is not there. */
  remove(path: string): Promise<void>
  syncDirectory(path: string): Promise<void>
}

const fileMode = 0o600
const directoryMode = 0o700
/** A write that is durable when it returns, as if fdatasync came after it, at one call instead of two. Elsewhere it does not mean the disk itself. */
const durable = process.platform === 'linux' ? fs.constants.O_DSYNC : 0
const flags = {
  read: fs.constants.O_RDONLY,
  write: fs.constants.O_RDWR | durable,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL | durable,
  scratch: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC,
} as const

/** The real one. Callbacks below promises: FileHandle's own cost 0.1 ms more for a write and its fdatasync. */
export const diskFileSystem: FileSystem = {
  async makeDirectory(path) {
    const first = await mkdir(path, { recursive: true, mode: directoryMode })
    if (first === undefined) return
    // Every directory made is a new name in the one above it.
    for (let made = path; made.length >= first.length; made = dirname(made)) await syncPath(dirname(made))
  },
  async list(path) {
    return ifThere(readdir(path), [])
  },
  async open(path, how) {
    const flag = flags[how] | fs.constants.O_NOFOLLOW
    const opening = how === 'read' ? inPlace(() => fs.openSync(path, flag)) : openDescriptor(path, flag)
    const descriptor = await ifThere(opening, null)
    return descriptor === null ? null : diskFile(descriptor, how === 'read')
  },
  rename,
  async remove(path) {
    await rm(path, { recursive: true, force: true })
  },
  syncDirectory: syncPath,
}

async function ifThere<Value, Missing>(work: Promise<Value>, missing: Missing): Promise<Value | Missing> {
  try {
    return await work
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return missing
    throw error
  }
}

async function syncPath(path: string): Promise<void> {
  const directory = await open(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

type Done<Value> = (error: NodeJS.ErrnoException | null, value: Value) => void

/** A promise of what a callback gets. */
function settle<Value>(start: (done: Done<Value>) => void): Promise<Value> {
  return new Promise((resolve, reject) => start((error, value) => (error ? reject(error) : resolve(value))))
}

function settleEmpty(start: (done: (error: NodeJS.ErrnoException | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error ? reject(error) : resolve())))
}

function openDescriptor(path: string, flag: number): Promise<number> {
  return settle((done) => fs.open(path, flag, fileMode, done))
}

/** Of a file that is only read: a tile has 8 KiB. */
const readInPlaceMax = 16 * 1024

async function inPlace<Value>(work: () => Value): Promise<Value> {
  return work()
}

/** @param isRead what is only read is opened, read in small pieces and closed in place: four turns of the thread pool cost more than all of it */
function diskFile(descriptor: number, isRead: boolean): LogFile {
  const write = (bytes: Uint8Array, position: number): Promise<number> =>
    settle((done) => fs.write(descriptor, bytes, 0, bytes.length, position, done))
  const datasync = (): Promise<void> => settleEmpty((done) => fs.fdatasync(descriptor, done))
  const writeDurably = async (bytes: Uint8Array, position: number): Promise<number> => {
    const written = await write(bytes, position)
    await datasync()
    return written
  }
  return {
    write,
    writeDurably: durable === 0 ? writeDurably : write,
    reserve: async (from, to) => {
      const zeros = Buffer.alloc(to - from)
      for (let at = 0; at < zeros.length;) at += await write(zeros.subarray(at), from + at)
      if (durable === 0) await datasync()
    },
    read: (bytes, position) =>
      isRead && bytes.length <= readInPlaceMax
        ? inPlace(() => fs.readSync(descriptor, bytes, 0, bytes.length, position))
        : settle((done) => fs.read(descriptor, bytes, 0, bytes.length, position, done)),
    datasync,
    truncate: (size) => settleEmpty((done) => fs.ftruncate(descriptor, size, done)),
    size: () => inPlace(() => fs.fstatSync(descriptor).size),
    close: () => (isRead ? inPlace(() => fs.closeSync(descriptor)) : settleEmpty((done) => fs.close(descriptor, done))),
  }
}

/** Writes all of it, however little each call takes. @throws when the disk takes none of it */
export async function writeWhole(file: LogFile, bytes: Uint8Array, position: number): Promise<void> {
  await repeat((rest, at) => file.write(rest, at), bytes, position)
}

/** The same, and durable when it resolves. */
export async function writeWholeDurably(file: LogFile, bytes: Uint8Array, position: number): Promise<void> {
  await repeat((rest, at) => file.writeDurably(rest, at), bytes, position)
}

async function repeat(
  write: (bytes: Uint8Array, position: number) => Promise<number>,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  let written = 0
  while (written < bytes.length) {
    const step = await write(written === 0 ? bytes : bytes.subarray(written), position + written)
    if (step <= 0) throw new Error('the disk took no byte of a write')
    written += step
  }
}

/** The whole of a file, or null when there is none. @throws when it is larger than `bytesMax` */
export async function readWhole(system: FileSystem, path: string, bytesMax: number): Promise<Buffer | null> {
  const file = await system.open(path, 'read')
  if (file === null) return null
  try {
    const size = await file.size()
    if (size > bytesMax) throw new Error(`${path} has ${size} bytes, at most ${bytesMax} were expected`)
    const bytes = Buffer.alloc(size)
    const read = await readInto(file, bytes, 0)
    return bytes.subarray(0, read)
  } finally {
    await file.close()
  }
}

/** Fills the buffer from this position as far as the file goes; the number of bytes read. */
export async function readInto(file: LogFile, bytes: Buffer, position: number): Promise<number> {
  let read = 0
  while (read < bytes.length) {
    const step = await file.read(bytes.subarray(read), position + read)
    if (step <= 0) break
    read += step
  }
  return read
}

/** Puts a file in place of whatever bears that name: after a crash there is the old one or the new one, whole. */
export async function replaceFile(system: FileSystem, directory: string, name: string, bytes: Uint8Array): Promise<void> {
  const staged = join(directory, `${name}.new`)
  const file = await system.open(staged, 'scratch')
  if (file === null) throw new Error(`${directory} is not there`)
  try {
    await writeWhole(file, bytes, 0)
    await file.datasync()
  } finally {
    await file.close()
  }
  await system.rename(staged, join(directory, name))
  await system.syncDirectory(directory)
}
