import { closeSync, fstatSync, openSync, constants, opendirSync, readSync } from 'node:fs'
import { join } from 'node:path'

/** What is looked at of a workspace, at most. */
export interface WorkspaceLimits {
  readonly depthMax: number
  readonly filesMax: number
  readonly fileBytesMax: number
}

export const workspaceLimits: WorkspaceLimits = { depthMax: 32, filesMax: 100_000, fileBytesMax: 2 * 1024 * 1024 }

/** What others wrote, and what nobody reads. Credentials in a repository's own settings are looked for all the same. */
const skippedFolders = new Set(['node_modules', '.git', '.hg', '.svn', '.venv', '__pycache__', '.pnpm-store'])
const readWithin: ReadonlyMap<string, readonly string[]> = new Map([['.git', ['config', 'credentials']]])

export interface WorkspaceFile {
  /** Relative to the workspace, with `/`. */
  readonly path: string
  readonly text: string
}

/** What was not looked at, by why. */
export interface Skipped {
  binary: number
  tooLarge: number
  unreadable: number
  /** Files and folders past a limit; then nothing may be called clean. */
  beyondLimit: number
}

/** Every text file below a folder. Links are not followed: they lead out, or in circles. */
export function* readWorkspace(
  root: string,
  limits: WorkspaceLimits,
  skipped: Skipped,
): Generator<WorkspaceFile, void, undefined> {
  let files = 0
  for (const path of walk(root, '', 0, limits, skipped)) {
    files += 1
    if (files > limits.filesMax) {
      skipped.beyondLimit += 1
      return
    }
    const text = readText(join(root, path), limits.fileBytesMax, skipped)
    if (text !== null) yield { path, text }
  }
}

function* walk(
  root: string,
  folder: string,
  depth: number,
  limits: WorkspaceLimits,
  skipped: Skipped,
): Generator<string, void, undefined> {
  if (depth > limits.depthMax) {
    skipped.beyondLimit += 1
    return
  }
  let entries
  try {
    entries = opendirSync(join(root, folder))
  } catch {
    skipped.unreadable += 1
    return
  }
  try {
    for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isFile()) yield path
      if (!entry.isDirectory()) continue
      if (skippedFolders.has(entry.name)) for (const name of readWithin.get(entry.name) ?? []) yield `${path}/${name}`
      else yield* walk(root, path, depth + 1, limits, skipped)
    }
  } finally {
    entries.closeSync()
  }
}

/** Null for what is no text, too large or gone. Opened without following links and without waiting: the path may have become a pipe meanwhile. */
function readText(path: string, bytesMax: number, skipped: Skipped): string | null {
  let file
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) skipped.unreadable += 1
    return null
  }
  try {
    const { size } = fstatSync(file)
    if (!fstatSync(file).isFile()) return null
    if (size > bytesMax) {
      skipped.tooLarge += 1
      return null
    }
    const bytes = Buffer.alloc(size)
    const read = readSync(file, bytes, 0, size, 0)
    const text = decode(bytes.subarray(0, read))
    if (text === null) skipped.binary += 1
    return text
  } catch {
    skipped.unreadable += 1
    return null
  } finally {
    closeSync(file)
  }
}

/** UTF-8, or UTF-16 where its mark says so. A zero byte elsewhere is no text. */
function decode(bytes: Buffer): string | null {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return bytes.toString('utf16le', 2)
  if (bytes[0] === 0xfe && bytes[1] === 0xff)
    return Buffer.from(bytes.subarray(2, bytes.length & ~1))
      .swap16()
      .toString('utf16le')
  return bytes.subarray(0, 8_192).includes(0) ? null : bytes.toString('utf8')
}
