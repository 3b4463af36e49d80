import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, copyFile, lstat, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { SallyportError, type Producer, type SnapshotReader } from '@sallyport/core'
import { copyFolder, folderCopySchema, type CopyOptions, type FolderCopy } from './copy.ts'
import { below, checkedPath, type Entry } from './entry.ts'
import { compareFolder, restoreFolder } from './restore.ts'

/** Folders with files, links and holes in them, as they were at one moment. */
export const folder = { id: 'folder', open }

function open(root: string): Producer {
  return {
    kind: 'folder',
    identity: async () => {
      const status = await lstat(root).catch(() => null)
      if (status === null || !status.isDirectory()) throw failed(`${root} is no folder that the gate can read`)
      return `folder ${status.dev}:${status.ino}`
    },
    copy: (seal, options) =>
      counted(options.signal, async () => {
        const copy = await copyFolder(root, seal, options)
        await withRestored(copy, seal, options, async () => undefined)
        return { kind: 'folder', rows: copy.files, bytes: copy.bytes, checksums: { '.': copy.entriesSha256 }, manifest: copy }
      }),
    prove: (reader, { checks, ...options }) =>
      counted(options.signal, async () => {
        if (checks.length > 0) throw new Error('a folder answers no questions: leave its checks out')
        const copy = readCopy(reader)
        const compared = await withRestored(copy, reader, options, async (entries) => entries.length)
        return { rows: copy.files, bytes: copy.bytes, compared, answers: [], place: 'a scratch folder' }
      }),
    extract: (reader, name, shelf, signal) =>
      counted(signal, async () => {
        const copy = readCopy(reader)
        const wanted = Buffer.from(name).toString('base64')
        return withRestored(copy, reader, { report: () => undefined, signal }, async (entries, place) => {
          const entry = entries.find(({ path }) => path === wanted)
          if (entry?.what !== 'file') throw new Error(`the copy holds no file ${JSON.stringify(name.slice(0, 200))}`)
          await mkdir(shelf, { recursive: true, mode: 0o700 })
          const file = join(
            shelf,
            basename(name)
              .replaceAll(/[^A-Za-z0-9_.-]/g, '_')
              .slice(0, 100)
              .replace(/^\.+/, '_'),
          )
          await copyFile(below(place, checkedPath(entry.path)), `${file}.new`)
          await chmod(`${file}.new`, 0o600)
          await rename(`${file}.new`, file)
          const sum = createHash('sha256')
          await pipeline(createReadStream(file), sum)
          return { file, rows: 1, sha256: sum.digest('hex') }
        })
      }),
  }
}

function readCopy({ manifest, checksums }: SnapshotReader): FolderCopy {
  const parsed = folderCopySchema.safeParse(manifest)
  if (!parsed.success) throw failed('it was not made by this producer, or by another version of it', parsed.error)
  if (checksums['.'] !== parsed.data.entriesSha256) throw failed('its manifest says two things of it')
  return parsed.data
}

/** Restores the copy to a folder of ours, compares it, calls `work`, and takes it away. */
async function withRestored<Result>(
  copy: FolderCopy,
  reader: Pick<SnapshotReader, 'read'>,
  options: CopyOptions,
  work: (entries: readonly Entry[], place: string) => Promise<Result>,
): Promise<Result> {
  const scratch = await mkdtemp(join(tmpdir(), `sallyport-scratch-${process.pid}-`))
  const place = join(scratch, 'restored')
  await mkdir(place, { mode: 0o700 })
  let entries: readonly Entry[] = []
  try {
    entries = await restoreFolder(copy, reader, place, options)
    await compareFolder(entries, place, options)
    return await work(entries, place)
  } finally {
    // A folder that nobody may enter could not be emptied.
    for (const entry of entries)
      if (entry.what === 'folder') await chmod(below(place, checkedPath(entry.path)), 0o700).catch(() => undefined)
    await rm(scratch, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function counted<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SallyportError) throw error
    throw failed(error instanceof Error ? error.message.slice(0, 500) : 'no reason was given', error)
  }
}

function failed(why: string, cause?: unknown): SallyportError {
  return new SallyportError(
    'copy_failed',
    `The folder could not be copied, or the copy not be proven: ${why}.`,
    'No copy counts that was not restored and compared.',
    'Mend what the message names, then try again.',
    { cause },
  )
}
