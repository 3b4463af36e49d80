import { chownSync, mkdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Who the unpacked files belong to; null: whoever we are. */
export interface FileOwner {
  readonly uid: number
  readonly gid: number
}

export interface Unpacked {
  readonly files: number
  readonly bytes: number
}

/** POSIX.1-1988 tar (ustar): a header of one block, then the content filled up to whole blocks. */
const blockBytes = 512
/** PostgreSQL cuts its files at 1 GiB. */
const fileBytesMax = 2 ** 31
const filesMax = 4_000_000
const pathPattern = /^(?:\.\/)?(?:[A-Za-z0-9_.,-]+\/)*[A-Za-z0-9_.,-]+\/?$/

interface Header {
  readonly path: string
  readonly kind: 'file' | 'folder'
  readonly bytes: number
}

/**
 * Unpacks a base backup into `directory`, which must be empty. What lies in a vault is not trusted for its shape: only plain files and folders
 * below the directory are made; a link, a device, a path that leads out, a file that is there already, or an end in the middle is an error.
 */
export async function unpackTar(
  chunks: AsyncIterable<Uint8Array>,
  directory: string,
  owner: FileOwner | null,
): Promise<Unpacked> {
  const source = new BlockReader(chunks)
  const folders = new Set<string>([directory])
  let files = 0
  let bytes = 0
  for (;;) {
    const block = await source.take(blockBytes)
    if (block === null) break
    if (isZero(block)) {
      await source.drain()
      break
    }
    const header = readHeader(block)
    const path = join(directory, header.path)
    files += 1
    bytes += header.bytes
    if (files > filesMax) throw new Error('the base backup has more files than a server has')
    makeFolder(header.kind === 'folder' ? path : dirname(path), directory, folders, owner)
    if (header.kind === 'file') await unpackFile(source, path, header.bytes, owner)
  }
  if (files === 0) throw new Error('the base backup is empty')
  return { files, bytes }
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0)
}

function makeFolder(path: string, root: string, made: Set<string>, owner: FileOwner | null): void {
  if (made.has(path)) return
  if (path !== root) makeFolder(dirname(path), root, made, owner)
  mkdirSync(path, { mode: 0o700 })
  if (owner !== null) chownSync(path, owner.uid, owner.gid)
  made.add(path)
}

async function unpackFile(source: BlockReader, path: string, bytes: number, owner: FileOwner | null): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    for (let left = bytes; left > 0;) {
      const chunk = await source.takeUpTo(left)
      if (chunk === null) throw new Error('the base backup ends in the middle of a file')
      left -= chunk.length
      await file.writeFile(chunk)
    }
    if (owner !== null) await file.chown(owner.uid, owner.gid)
  } finally {
    await file.close()
  }
  const padding = (blockBytes - (bytes % blockBytes)) % blockBytes
  if (padding > 0 && (await source.take(padding)) === null) throw new Error('the base backup ends in the middle of a block')
}

function readHeader(block: Buffer): Header {
  const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0)
  if (sum !== readOctal(block, 148, 8)) throw new Error('a header in the base backup is damaged')
  const path = [readText(block, 345, 155), readText(block, 0, 100)].filter((part) => part !== '').join('/')
  if (!pathPattern.test(path) || path.split('/').includes('..'))
    throw new Error('the base backup names a path that no server has')
  const type = String.fromCharCode(block[156] ?? 0)
  if (type === '5') return { path: path.replace(/\/$/, ''), kind: 'folder', bytes: 0 }
  if ((type !== '0' && type !== '\0') || path.endsWith('/'))
    throw new Error('the base backup holds a link or another special file')
  const bytes = readOctal(block, 124, 12)
  if (bytes > fileBytesMax) throw new Error('the base backup holds a file larger than a server writes')
  return { path, kind: 'file', bytes }
}

function readText(block: Buffer, at: number, length: number): string {
  const end = block.indexOf(0, at)
  return block.toString('latin1', at, end === -1 || end > at + length ? at + length : end)
}

function readOctal(block: Buffer, at: number, length: number): number {
  const text = block
    .toString('latin1', at, at + length)
    .replace(/[\0 ]+$/, '')
    .trim()
  if (!/^[0-7]{1,12}$/.test(text)) throw new Error('a number in the base backup is damaged')
  return Number.parseInt(text, 8)
}

/** Takes a stream apart by lengths, holding no more than one chunk of it. */
class BlockReader {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Buffer = Buffer.alloc(0)

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** Exactly `bytes`, or null at the end of the stream. An end in between is an error. */
  async take(bytes: number): Promise<Buffer | null> {
    while (this.#rest.length < bytes) {
      const next = await this.#chunks.next()
      if (next.done === true) {
        if (this.#rest.length > 0) throw new Error('the base backup ends in the middle of a block')
        return null
      }
      this.#rest = Buffer.concat([this.#rest, next.value])
    }
    return this.#cut(bytes)
  }

  /** At least one byte and at most `bytes`, or null at the end. */
  async takeUpTo(bytes: number): Promise<Buffer | null> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next()
      if (next.done === true) return null
      this.#rest = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength)
    }
    return this.#cut(Math.min(bytes, this.#rest.length))
  }

  /** Reads to the end, where whoever gives the stream compares it as a whole. After the end of an archive there are only zeros. */
  async drain(): Promise<void> {
    for (let chunk = await this.takeUpTo(blockBytes); chunk !== null; chunk = await this.takeUpTo(blockBytes)) {
      if (!isZero(chunk)) throw new Error('something follows the end of the base backup')
    }
  }

  #cut(bytes: number): Buffer {
    const taken = this.#rest.subarray(0, bytes)
    this.#rest = this.#rest.subarray(bytes)
    return taken
  }
}
