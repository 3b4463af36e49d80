import { setTimeout as sleep } from 'node:timers/promises'
import type { Progress, Seal } from '@sallyport/core'
import { z } from 'zod'
import { partBytes, sealPacking } from '../entry-list.ts'
import { below, FileReading, listFolder, sameFound, type Entry, type FileEntry, type Found } from './entry.ts'

/** What a copy of a folder says of itself; the entries are a part of their own, one JSON a line. */
export const folderCopySchema = z.object({
  v: z.literal(1),
  format: z.literal('sallyport folder'),
  entriesPart: z.string(),
  entriesSha256: z.string().regex(/^[0-9a-f]{64}$/),
  entries: z.int().min(0),
  files: z.int().min(0),
  bytes: z.int().min(0),
  dataParts: z.array(z.string()),
  /** Sockets, pipes and devices, which hold nothing that could be copied. */
  passed: z.array(z.string()),
})
export type FolderCopy = z.infer<typeof folderCopySchema>

export interface CopyOptions {
  readonly report: (progress: Progress) => void
  readonly signal: AbortSignal
}

/** A folder in which something changes all the time is read anew so often. */
const triesMax = 3
/** File systems tell times no finer than the kernel's tick. */
const tickMs = 20

/**
 * Copies everything below `root` as it was at one moment: listed before, read, and listed again; only when nothing at all changed in between did
 * that moment exist. Each try has parts of its own, since a part is written once.
 */
export async function copyFolder(root: string, seal: Seal, options: CopyOptions): Promise<FolderCopy> {
  let changed = ''
  for (let attempt = 1; attempt <= triesMax; attempt += 1) {
    const before = await listFolder(root)
    await settle(before.found)
    const copied = await copyFound(root, before.found, seal, `try-${attempt}`, options)
    const after = await listFolder(root)
    if (copied !== null && sameFound(before.found, after.found)) return { ...copied, passed: before.passed.slice(0, 1_000) }
    changed = `something in it changed while it was read, ${attempt} times over`
  }
  throw new Error(`${changed}: stop what writes there, or copy a snapshot of the file system`)
}

/** A change within the tick in which a file was read would leave its times as they were. */
async function settle(found: readonly Found[]): Promise<void> {
  const newestMs = found.reduce((newest, { ctimeNs }) => Math.max(newest, Number(ctimeNs / 1_000_000n)), 0)
  const waitMs = newestMs + tickMs - Date.now()
  if (waitMs > 0) await sleep(Math.min(waitMs, 2 * tickMs))
}

/** Null: a file changed under the reading. */
async function copyFound(
  root: string,
  found: readonly Found[],
  seal: Seal,
  prefix: string,
  options: CopyOptions,
): Promise<Omit<FolderCopy, 'passed'> | null> {
  const packing = new Packing(root, found, options)
  const sealed = await sealPacking(packing, seal, prefix)
  if (sealed === null) return null
  const files = packing.entries.filter((entry): entry is FileEntry => entry.what === 'file')
  return {
    v: 1,
    format: 'sallyport folder',
    ...sealed,
    entries: packing.entries.length,
    files: files.length,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

/** Takes what was found in order, file after file into one part after the other. */
class Packing {
  readonly entries: Entry[] = []
  /** False once a file was longer or shorter than when it was found. */
  whole = true
  readonly #root: string
  readonly #found: readonly Found[]
  readonly #options: CopyOptions
  readonly #seen = new Map<string, FileEntry>()
  #next = 0

  constructor(root: string, found: readonly Found[], options: CopyOptions) {
    this.#root = root
    this.#found = found
    this.#options = options
  }

  hasMore(): boolean {
    return this.whole && this.#next < this.#found.length
  }

  async *pack(part: number): AsyncIterable<Uint8Array> {
    const { report, signal } = this.#options
    let at = 0
    while (at < partBytes && this.hasMore()) {
      const one = this.#found[this.#next]
      if (one === undefined) return
      this.#next += 1
      signal.throwIfAborted()
      if (this.#next % 100 === 0) report({ step: 'sealing', done: this.#next, total: this.#found.length })
      const known = this.#seen.get(one.file)
      if (one.what !== 'file' || known !== undefined) {
        this.entries.push(toEntry(one, known ?? null))
        continue
      }
      const reading = new FileReading()
      const from = at
      for await (const piece of reading.read(below(this.#root, one.path))) {
        at += piece.length
        yield piece
      }
      this.whole = reading.bytes === one.bytes
      const { data } = reading
      const facts = { what: 'file', bytes: one.bytes, sha256: reading.sha256(), data, part, at: from, same: null } as const
      const entry: FileEntry = { ...facts, ...commonOf(one), mode: one.mode }
      this.entries.push(entry)
      this.#seen.set(one.file, entry)
    }
  }
}

function commonOf({ path, uid, gid, mtimeNs }: Found): Pick<Entry, 'path' | 'uid' | 'gid' | 'mtimeNs'> {
  return { path: path.toString('base64'), uid, gid, mtimeNs: String(mtimeNs) }
}

function toEntry(one: Found, same: FileEntry | null): Entry {
  if (same !== null) return { ...same, ...commonOf(one), mode: one.mode, same: same.path }
  if (one.what === 'link') return { what: 'link', ...commonOf(one), target: (one.target ?? Buffer.alloc(0)).toString('base64') }
  return { what: 'folder', ...commonOf(one), mode: one.mode }
}
