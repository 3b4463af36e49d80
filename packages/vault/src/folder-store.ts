import { lstatSync, statSync, utimesSync } from 'node:fs'
import { lstat, mkdir, readdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setImmediate as othersTurn } from 'node:timers/promises'
import { wholeSeconds, type CopyStore, type Held, type SmallDocument, type Staged, type Version } from './copy-store.ts'
import type { Fastener } from './fastener.ts'
import { forEachWide, linkOnce, readWithTime, syncFile, syncFolder, syncTimes } from './disk.ts'
import { systemCode, VaultFailure } from './failure.ts'
import { moveSmallFile, readSmallFile, writeSmallFile } from './small-file.ts'
import { isThingName } from './thing-name.ts'
import type { Finding } from './trace-book.ts'

/** A name may lie in the folder in up to this many files: more than one only when an earlier one has rotted. */
const copiesMax = 4
const widthMax = 8
/** Files that are named or dated in one turn. */
const inPlaceMax = 256
const storedKinds = ['chunks', 'manifests', 'retention', 'holds', 'expired', 'wal', 'wal-expired'] as const

/**
 * Copies as files of a local folder. A file comes to its place by a hard link, which fails when the name is taken, so nothing is overwritten.
 * Its time of modification is its retention: until then this code does not remove it. What keeps others from doing so is the owner of
 * the folder, and the immutable attribute where there is one.
 */
export class FolderStore implements CopyStore {
  readonly place: string
  readonly locks = false
  readonly #folder: string
  readonly #fastener: Fastener | null
  #prepared = false
  #isImmutable = false
  /** Files that lay here when they were last looked at or were put since, and until when they are kept. Null: never looked. */
  #known: Map<string, number> | null = null

  constructor(folder: string, fastener: Fastener | null = null) {
    this.#folder = folder
    this.#fastener = fastener
    this.place = `folder ${folder}`
  }

  get worth(): string {
    if (this.#isImmutable)
      return 'Immutable files: neither the gate nor the vault’s own user can remove or change them; only root with CAP_LINUX_IMMUTABLE can.'
    const why = this.#fastener
      ? ' The immutable attribute was asked for, and this machine or file system does not have it for us.'
      : ''
    return `Write-once by this process only: whoever is this OS user or root can delete the files.${why}`
  }

  get fastens(): boolean {
    return this.#isImmutable
  }

  async prepare(): Promise<void> {
    for (const kind of storedKinds) await makeFolder(join(this.#folder, kind))
    const fans = Array.from({ length: 256 }, (_, index) => join(this.#folder, 'chunks', index.toString(16).padStart(2, '0')))
    await forEachWide(fans, widthMax, makeFolder)
    await syncFolder(join(this.#folder, 'chunks'))
    await syncFolder(this.#folder)
    this.#prepared = true
    this.#isImmutable = (await this.#fastener?.prepare()) ?? false
  }

  async fasten(names: readonly string[]): Promise<void> {
    if (!this.#isImmutable) return
    const files: string[] = []
    for (const name of names) files.push(...(await this.versions(name)).map(({ version }) => version))
    await this.#fastener?.fasten(files)
  }

  async put(staged: readonly Staged[], retainUntilMs: number): Promise<void> {
    this.#needPrepared()
    const until = wholeSeconds(retainUntilMs) / 1000
    await inPlace(staged, ({ path }) => utimesSync(path, until, until))
    await forEachWide(
      staged.filter(({ durable }) => !durable),
      widthMax,
      ({ path }) => syncFile(path),
    )
    await inPlace(staged, (one) => this.#link(one, wholeSeconds(retainUntilMs)))
    const folders = new Set(staged.map(({ name }) => dirname(join(this.#folder, name))))
    await forEachWide(folders, widthMax, syncFolder)
  }

  async putSmall({ name, bytes, stagingPath }: SmallDocument, retainUntilMs: number): Promise<Held | null> {
    this.#needPrepared()
    const path = join(this.#folder, name)
    await writeSmallFile(stagingPath, bytes, wholeSeconds(retainUntilMs) / 1000)
    this.#expect(name, wholeSeconds(retainUntilMs))
    return (await moveSmallFile(stagingPath, path)) ? readSmallFile(path, bytes.length) : null
  }

  async versions(name: string): Promise<readonly Version[]> {
    const found: Version[] = []
    for (let copy = 0; copy < copiesMax; copy++) {
      const version = copy === 0 ? name : `${name}.${copy}`
      const status = statInPlace(join(this.#folder, version))
      if (status) found.push({ name, version, bytes: status.size })
      else if (copy > 0) break
    }
    return found
  }

  async get({ version }: Version, bytesMax: number): Promise<Held | null> {
    try {
      const { bytes, modifiedMs } = await readWithTime(join(this.#folder, version), bytesMax)
      return { bytes, retainUntilMs: modifiedMs }
    } catch (error) {
      const code = systemCode(error)
      if (code === 'ENOENT') return null
      if (code === 'ELOOP' || code === 'EIO' || code === 'EISDIR')
        throw new VaultFailure('damaged', `A file of the vault cannot be read (${code}).`, { cause: error })
      throw error
    }
  }

  async head({ version }: Version): Promise<number> {
    return statSync(join(this.#folder, version)).mtimeMs
  }

  async extend({ version }: Version, retainUntilMs: number): Promise<void> {
    const path = join(this.#folder, version)
    const until = wholeSeconds(retainUntilMs)
    if (statSync(path).mtimeMs >= until) return
    if (this.#fastener && this.#isImmutable) await this.#fastener.extend(version, until / 1000)
    else utimesSync(path, until / 1000, until / 1000)
    await syncTimes(path)
  }

  async *list(prefix: string): AsyncGenerator<Version, void, undefined> {
    const [kind = '', ...deeper] = prefix.split('/')
    if (deeper.length === 0 || prefix.includes('..')) throw new VaultFailure('storage_failed', 'A prefix names a kind of things.')
    for (const entry of await readTree(this.#folder, kind)) {
      // Only chunks ever get a second file.
      const name = kind === 'chunks' ? entry.replace(/\.[1-3]$/, '') : entry
      if (!name.startsWith(prefix)) continue
      const status = await statIfThere(join(this.#folder, entry))
      if (status) yield { name, version: entry, bytes: status.size }
    }
  }

  describe({ version }: Version): string {
    return version
  }

  /** A file has one name: nothing can be put in front of it. */
  async *hidden(): AsyncGenerator<string, void, undefined> {}

  async *inspect(): AsyncGenerator<Omit<Finding, 'place'>, void, undefined> {
    const before = new Map(this.#known ?? [])
    const isFirst = this.#known === null
    this.#known ??= new Map()
    const found = new Set<string>()
    for (const kind of storedKinds) {
      for (const entry of await readTree(this.#folder, kind)) {
        const status = await statIfThere(join(this.#folder, entry))
        if (!status) continue
        found.add(entry)
        const untilMs = this.#known.get(entry)
        const isOurs = isThingName(kind === 'chunks' ? entry.replace(/\.[1-3]$/, '') : entry)
        const mark = String(status.mtimeMs)
        if (!isOurs || (untilMs === undefined && !isFirst))
          yield { kind: 'foreign_object', name: entry, mark, what: 'The vault did not put this here.' }
        else if (untilMs === undefined) this.#known.set(entry, status.mtimeMs)
        else if (status.mtimeMs + 1_000 < untilMs)
          yield { kind: 'lock_shortened', name: entry, mark, what: 'Somebody changed the time until which this is kept.' }
        else if (status.mtimeMs > untilMs) this.#known.set(entry, status.mtimeMs)
      }
    }
    for (const entry of before.keys()) {
      if (found.has(entry) || !this.#known.has(entry)) continue
      yield { kind: 'gone', name: entry, mark: '', what: 'This was here, and is gone before the vault let it go.' }
    }
  }

  async setup(): Promise<Readonly<Record<string, string>>> {
    return { files: this.#isImmutable ? 'immutable' : 'not immutable' }
  }

  async remove({ name, version }: Version, nowMs: number): Promise<void> {
    const path = join(this.#folder, version)
    const status = statInPlace(path)
    if (!status) return
    if (status.mtimeMs > nowMs) throw new VaultFailure('retention_in_force', `${name} is kept for longer; it was not removed.`)
    if (this.#fastener && this.#isImmutable) await this.#fastener.free(version, () => unlink(path))
    else await unlink(path)
    this.#known?.delete(version)
  }

  #needPrepared(): void {
    if (!this.#prepared) throw new VaultFailure('storage_failed', 'The folder was opened for reading.')
  }

  /** Known before it is there: a look may come between. */
  #expect(entry: string, untilMs: number): void {
    if (this.#known !== null && !this.#known.has(entry)) this.#known.set(entry, untilMs)
  }

  #link({ name, path }: Staged, untilMs: number): void {
    const copies = name.startsWith('chunks/') ? copiesMax : 1
    for (let copy = 0; copy < copies; copy++) {
      const entry = copy === 0 ? name : `${name}.${copy}`
      this.#expect(entry, untilMs)
      if (linkOnce(path, join(this.#folder, entry))) return
    }
    throw new VaultFailure('read_back_failed', `${name} is there already, in ${copies} files that have rotted or are not ours.`)
  }
}

/** Paths of everything under a kind's folder that is not a folder, relative to the vault's. */
async function readTree(folder: string, kind: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(join(folder, kind), { recursive: true, withFileTypes: true })
    return entries.flatMap((entry) =>
      entry.isDirectory() ? [] : [join(entry.parentPath, entry.name).slice(join(folder, '/').length)],
    )
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}

interface Status {
  readonly size: number
  readonly mtimeMs: number
}

function statInPlace(path: string): Status | null {
  return lstatSync(path, { throwIfNoEntry: false }) ?? null
}

/** For walks over everything: each is a turn for others. */
async function statIfThere(path: string): Promise<Status | null> {
  try {
    return await lstat(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null
    throw error
  }
}

/** Does something short to the names of many files, and lets others have their turn in between. */
async function inPlace<Item>(items: readonly Item[], job: (item: Item) => void): Promise<void> {
  for (const [index, item] of items.entries()) {
    job(item)
    if (index % inPlaceMax === inPlaceMax - 1) await othersTurn()
  }
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
}
