import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, open, readdir, readlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

const count = z.int().min(0)

const ownership = { uid: count, gid: count, mtimeNs: z.string().regex(/^-?\d{1,19}$/) }

/** One thing in a folder. Names are bytes: what Linux allows in one need be no text. */
export const entrySchema = z.discriminatedUnion('what', [
  z.object({ what: z.literal('folder'), path: z.base64(), mode: count, ...ownership }),
  z.object({ what: z.literal('link'), path: z.base64(), target: z.base64(), ...ownership }),
  z.object({
    what: z.literal('file'),
    path: z.base64(),
    mode: count,
    ...ownership,
    bytes: count,
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    /** Stretches that hold data; what is between them is a hole. */
    data: z.array(z.tuple([count, count])),
    /** The part of the copy, and where in it the file's data begin. */
    part: count,
    at: count,
    /** Set where this is another name of a file that stands before it. */
    same: z.base64().nullable(),
  }),
])
export type Entry = z.infer<typeof entrySchema>
export type FileEntry = Extract<Entry, { what: 'file' }>
export type LinkEntry = Extract<Entry, { what: 'link' }>

/** Things in one folder, at most; deeper or more is refused, never copied in part. */
export const entriesMax = 2_000_000
const depthMax = 256
/** A stretch of zeros of a whole block of this size is a hole. */
const blockBytes = 4_096

/** What a look at the folder finds; contents are read later. */
export interface Found {
  readonly path: Buffer
  readonly what: 'folder' | 'link' | 'file'
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly bytes: number
  readonly target: Buffer | null
  /** Device and inode: two names of one file share it. */
  readonly file: string
}

const slash = Buffer.from('/')

/** Everything below `root`, folders before what is in them, in the order of their bytes. Sockets, pipes and devices hold nothing and are named. */
export async function listFolder(
  root: string,
): Promise<{ readonly found: readonly Found[]; readonly passed: readonly string[] }> {
  const found: Found[] = []
  const passed: string[] = []
  const rootBytes = Buffer.from(root)
  const walk = async (folder: Buffer, depth: number): Promise<void> => {
    if (depth > depthMax) throw new Error(`${JSON.stringify(folder.toString())} lies more than ${depthMax} folders deep`)
    const full = folder.length === 0 ? rootBytes : Buffer.concat([rootBytes, slash, folder])
    const names = (await readdir(full, { encoding: 'buffer' })).toSorted((left, right) => Buffer.compare(left, right))
    for (const name of names) {
      const path = folder.length === 0 ? name : Buffer.concat([folder, slash, name])
      const one = await look(rootBytes, path)
      if (one === null) passed.push(path.toString())
      else found.push(one)
      if (found.length > entriesMax) throw new Error(`it holds more than ${entriesMax} things`)
      if (one?.what === 'folder') await walk(path, depth + 1)
    }
  }
  await walk(Buffer.alloc(0), 0)
  return { found, passed }
}

async function look(root: Buffer, path: Buffer): Promise<Found | null> {
  const full = Buffer.concat([root, slash, path])
  const status = await lstat(full, { bigint: true })
  const what = status.isDirectory() ? 'folder' : status.isSymbolicLink() ? 'link' : status.isFile() ? 'file' : null
  if (what === null) return null
  return {
    path,
    what,
    mode: Number(status.mode & 0o7777n),
    uid: Number(status.uid),
    gid: Number(status.gid),
    mtimeNs: status.mtimeNs,
    ctimeNs: status.ctimeNs,
    bytes: what === 'file' ? Number(status.size) : 0,
    target: what === 'link' ? await readlink(full, { encoding: 'buffer' }) : null,
    file: `${status.dev}:${status.ino}`,
  }
}

/** Whether a second look found the very same: then all of it was there at one moment between the two. */
export function sameFound(left: readonly Found[], right: readonly Found[]): boolean {
  return left.length === right.length && left.every((one, index) => isSame(one, right[index]))
}

function isSame(one: Found, other: Found | undefined): boolean {
  if (other === undefined) return false
  const sameTarget = one.target === null ? other.target === null : other.target !== null && one.target.equals(other.target)
  return (
    sameTarget &&
    one.path.equals(other.path) &&
    one.what === other.what &&
    one.mode === other.mode &&
    one.uid === other.uid &&
    one.gid === other.gid &&
    one.mtimeNs === other.mtimeNs &&
    one.ctimeNs === other.ctimeNs &&
    one.bytes === other.bytes &&
    one.file === other.file
  )
}

const readBytes = 1 << 20

/** A file's data as they are read: its stretches that are not holes, and the hash over all of it, holes as zeros. */
export class FileReading {
  readonly data: [number, number][] = []
  readonly #sum = createHash('sha256')
  #at = 0

  get bytes(): number {
    return this.#at
  }

  sha256(): string {
    return this.#sum.digest('hex')
  }

  /** @throws Error when it is no plain file, or has become a link meanwhile */
  async *read(path: Buffer): AsyncIterable<Uint8Array> {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      if (!(await file.stat()).isFile()) throw new Error(`${JSON.stringify(path.toString())} is no plain file any more`)
      yield* this.#pieces(file)
    } finally {
      await file.close()
    }
  }

  async *#pieces(file: FileHandle): AsyncIterable<Uint8Array> {
    for (;;) {
      const buffer = Buffer.allocUnsafe(readBytes)
      const { bytesRead } = await file.read(buffer, 0, readBytes, this.#at)
      if (bytesRead === 0) return
      const piece = buffer.subarray(0, bytesRead)
      this.#sum.update(piece)
      for (const [from, to] of stretches(piece)) {
        this.#note(this.#at + from, to - from)
        yield piece.subarray(from, to)
      }
      this.#at += bytesRead
    }
  }

  #note(from: number, bytes: number): void {
    const last = this.data.at(-1)
    if (last !== undefined && last[0] + last[1] === from) last[1] += bytes
    else this.data.push([from, bytes])
  }
}

const zeros = Buffer.alloc(blockBytes)

/** The parts of a piece that are not whole blocks of zeros. */
function* stretches(piece: Buffer): Iterable<readonly [number, number]> {
  let from = -1
  for (let at = 0; at < piece.length; at += blockBytes) {
    const block = piece.subarray(at, at + blockBytes)
    const isHole = block.length === blockBytes && block.equals(zeros)
    if (isHole && from !== -1) yield [from, at]
    if (isHole) from = -1
    else if (from === -1) from = at
  }
  if (from !== -1) yield [from, piece.length]
}

/** A path of an entry as it may be joined to a folder. @throws Error for one that would leave it */
export function checkedPath(base64: string): Buffer {
  const path = Buffer.from(base64, 'base64')
  const segments = path.toString('latin1').split('/')
  if (path.length === 0 || path.includes(0) || segments.some((segment) => segment === '' || segment === '.' || segment === '..'))
    throw new Error(`${JSON.stringify(path.toString())} is no path inside a folder`)
  return path
}

export function below(root: string, path: Buffer): Buffer {
  return Buffer.concat([Buffer.from(join(root, '/')), path])
}
