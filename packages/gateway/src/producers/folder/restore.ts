import { constants } from 'node:fs'
import { chmod, link, lutimes, mkdir, open, symlink } from 'node:fs/promises'
import type { SnapshotReader } from '@sallyport/core'
import { readEntryList } from '../entry-list.ts'
import { PartReading } from '../part-reading.ts'
import type { CopyOptions, FolderCopy } from './copy.ts'
import {
  below,
  checkedPath,
  entriesMax,
  entrySchema,
  FileReading,
  listFolder,
  type Entry,
  type FileEntry,
  type LinkEntry,
} from './entry.ts'

/** Which file's data come next in a part. Other names of a file have none of their own. */
function filesByPart(entries: readonly Entry[], parts: number): readonly (readonly FileEntry[])[] {
  const byPart: FileEntry[][] = Array.from({ length: parts }, () => [])
  for (const entry of entries) {
    if (entry.what !== 'file' || entry.same !== null) continue
    const list = byPart[entry.part]
    if (list === undefined) throw new Error('a file lies in a part that there is not')
    list.push(entry)
  }
  return byPart
}

/** What may come of a copy in a place that is not a scratch folder of ours. */
export interface RestoreLimits {
  /** Bits of permission that are given to files and folders. */
  readonly modeMask: number
  /** False: a link is passed over. */
  readonly takesLink: (entry: LinkEntry) => boolean
  /** Of all files together, holes included. */
  readonly bytesMax: number
}
const asItWas: RestoreLimits = { modeMask: 0o7777, takesLink: () => true, bytesMax: Infinity }

/**
 * Restores entries below `root`, a new folder of ours. A file never goes through a link: its folder must be one of the entries. Modes and times
 * come last, so that nothing of it keeps us out.
 */
export async function restoreFolder(
  copy: FolderCopy,
  reader: Pick<SnapshotReader, 'read'>,
  root: string,
  { report, signal }: CopyOptions,
  limits: RestoreLimits = asItWas,
): Promise<readonly Entry[]> {
  if (copy.entries > entriesMax) throw new Error('its list of entries is longer than any that is written')
  const all = await readEntryList(copy, copy.entries, entrySchema, reader)
  const entries = all.filter((entry) => entry.what !== 'link' || limits.takesLink(entry))
  checkFiles(entries, limits)
  const folders = new Set<string>([''])
  for (const entry of entries) {
    checkParent(entry, folders)
    if (entry.what !== 'folder') continue
    await mkdir(below(root, checkedPath(entry.path)), { mode: 0o700 })
    folders.add(checkedPath(entry.path).toString('latin1'))
  }
  let done = 0
  for (const [index, files] of filesByPart(entries, copy.dataParts.length).entries()) {
    const source = new PartReading(reader.read(copy.dataParts[index] ?? ''))
    try {
      for (const file of files) {
        signal.throwIfAborted()
        done += 1
        if (done % 100 === 0) report({ step: 'restoring', done, total: copy.files })
        await writeFile(root, file, source)
      }
    } finally {
      await source.close()
    }
  }
  for (const entry of entries) {
    const path = below(root, checkedPath(entry.path))
    if (entry.what === 'link') await symlink(Buffer.from(entry.target, 'base64'), path)
    if (entry.what === 'file' && entry.same !== null) await link(below(root, checkedPath(entry.same)), path)
  }
  await finish(root, entries, limits)
  return entries.map((entry) => (entry.what === 'link' ? entry : { ...entry, mode: entry.mode & limits.modeMask }))
}

/** Another name of a file is one of a file that stands before it: of a link, it would lead permissions to where the link does. */
function checkFiles(entries: readonly Entry[], { bytesMax }: RestoreLimits): void {
  const plain = new Set<string>()
  let bytes = 0
  for (const entry of entries) {
    if (entry.what !== 'file') continue
    if (entry.same !== null && !plain.has(entry.same)) throw new Error('a file is said to be another name of what is no file')
    if (entry.same !== null) continue
    plain.add(entry.path)
    bytes += entry.bytes
    if (bytes > bytesMax) throw new Error(`its files come to more than the ${bytesMax} bytes that there is room for`)
  }
}

function checkParent(entry: Entry, folders: ReadonlySet<string>): void {
  const path = checkedPath(entry.path).toString('latin1')
  const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
  if (!folders.has(parent)) throw new Error(`${JSON.stringify(path)} lies in no folder of the copy`)
}

async function writeFile(root: string, entry: FileEntry, source: PartReading): Promise<void> {
  if (source.at !== entry.at) throw new Error('the data of a file do not begin where they should')
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const file = await open(below(root, checkedPath(entry.path)), flags, 0o600)
  try {
    for (const [from, bytes] of entry.data) {
      let at = from
      if (from + bytes > entry.bytes) throw new Error('a file holds data beyond its end')
      for await (const piece of source.take(bytes)) {
        await file.write(piece, 0, piece.length, at)
        at += piece.length
      }
    }
    await file.truncate(entry.bytes)
  } finally {
    await file.close()
  }
}

/** What is deepest comes first: a change in a folder moves its own time. */
async function finish(root: string, entries: readonly Entry[], { modeMask }: RestoreLimits): Promise<void> {
  for (const entry of entries.toReversed()) {
    const path = below(root, checkedPath(entry.path))
    const seconds = Number(entry.mtimeNs) / 1e9
    if (entry.what !== 'link') await chmod(path, entry.mode & modeMask)
    await lutimes(path, seconds, seconds)
  }
}

/** Reads what was restored anew from the disk and compares it with what was sealed. @throws Error naming the first difference */
export async function compareFolder(entries: readonly Entry[], root: string, { report, signal }: CopyOptions): Promise<void> {
  const { found, passed } = await listFolder(root)
  if (passed.length > 0 || found.length !== entries.length)
    throw new Error(`restored, it holds ${found.length} things, not ${entries.length}`)
  const files = new Map<string, string>()
  for (const [index, one] of found.entries()) {
    signal.throwIfAborted()
    if (index % 100 === 0) report({ step: 'comparing', done: index, total: found.length })
    const entry = entries[index]
    const shown = JSON.stringify(one.path.toString())
    if (entry === undefined || one.path.toString('base64') !== entry.path || one.what !== entry.what)
      throw new Error(`restored, ${shown} is not what was copied`)
    if (entry.what === 'link') {
      if (one.target?.toString('base64') !== entry.target) throw new Error(`restored, the link ${shown} leads elsewhere`)
      continue
    }
    if (one.mode !== entry.mode) throw new Error(`restored, ${shown} has other permissions`)
    if (entry.what === 'folder') continue
    if (entry.same !== null) {
      if (files.get(entry.same) !== one.file) throw new Error(`restored, ${shown} is no longer another name of the same file`)
      continue
    }
    files.set(entry.path, one.file)
    const reading = new FileReading()
    for await (const piece of reading.read(below(root, one.path))) void piece
    if (reading.bytes !== entry.bytes || reading.sha256() !== entry.sha256)
      throw new Error(`restored, ${shown} holds other bytes`)
  }
}
