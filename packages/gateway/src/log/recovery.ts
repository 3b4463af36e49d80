import { join } from 'node:path'
import {
  type Checkpoint,
  decodeSegment,
  type Hash,
  leafHash,
  LogFormatError,
  openCheckpoint,
  parseSegmentName,
  rootAt,
  SallyportError,
  type Segment,
  segmentBytesMax,
  segmentHeaderBytes,
  type Tile,
  tileWidth,
  TileTree,
  type LogKey,
  isSignedByKey,
} from '@sallyport/core'
import { type FileSystem, type LogFile, readWhole, writeWhole } from './file-system.ts'
import { SegmentFile } from './segment-file.ts'
import type { TileFiles } from './tile-files.ts'

/** The end of a write that a crash cut off: nobody was told that it was durable. Its bytes are kept aside. */
export interface TornTail {
  readonly segment: string
  readonly position: number
  readonly bytes: number
  readonly keptAs: string
}

export interface Recovered {
  readonly segments: readonly SegmentFile[]
  readonly tree: TileTree
  /** Entries of the tile at the right edge of level 0. */
  readonly bundle: Uint8Array[]
  readonly torn: TornTail | null
  /** False when segments before the last checkpoint were believed because their tiles add up to the signed root. */
  readonly scannedAll: boolean
}

export const entriesDirectory = 'entries'
const tornDirectory = 'torn'
const checkpointBytesMax = 64 * 1024

/** Who says so when it is the checkpoint beside the log. */
export const ownClaim = "the log's own last checkpoint"

/** A checkpoint that the log must be an extension of, and who says so. */
export interface Claim {
  readonly checkpoint: Checkpoint
  readonly by: string
}

export interface RecoverySettings {
  readonly system: FileSystem
  readonly directory: string
  readonly tiles: TileFiles
  readonly claims: readonly Claim[]
  /** Below this many bytes of entries everything is read and checked at each start. */
  readonly scanBytesMax: number
  readonly full: (tile: Tile, entries: readonly Uint8Array[]) => void
  /** Entries before this one may be missing: signed receipts say that the vault has them. Default: none. */
  readonly archivedUntil?: number
}

export function refuseToOpen(what: string, next: string): SallyportError {
  return new SallyportError('log_unavailable', what, 'The log was not opened and nothing was changed.', next)
}

const putBack =
  'Find out what happened to the log directory, put back a copy that is whole, or move it aside and start a new log under a new origin.'

/** A checkpoint file; it must be signed by these keys. Null: no such file. @throws SallyportError `log_unavailable` */
export async function readCheckpointFile(
  system: FileSystem,
  path: string,
  keys: readonly LogKey[],
): Promise<{ readonly text: string; readonly checkpoint: Checkpoint } | null> {
  const bytes = await readWhole(system, path, checkpointBytesMax)
  return bytes === null ? null : openSigned(bytes.toString('utf8'), keys, path)
}

export function openSigned(
  text: string,
  keys: readonly LogKey[],
  from: string,
): { readonly text: string; readonly checkpoint: Checkpoint } {
  try {
    const opened = openCheckpoint(
      text,
      keys.map(({ key }) => key),
    )
    if (isSignedByKey(opened, keys)) return { text, checkpoint: opened.checkpoint }
  } catch (error) {
    if (!(error instanceof LogFormatError)) throw error
  }
  throw refuseToOpen(
    `The checkpoint in ${from} is not one of this log, signed with its key.`,
    `Check that key and directory belong together. ${putBack}`,
  )
}

/** Reads the log as a crash may have left it, cuts off a torn tail, and holds what is left against every claim. */
export async function recover(settings: RecoverySettings): Promise<Recovered> {
  const names = (await settings.system.list(join(settings.directory, entriesDirectory)))
    .filter((name) => parseSegmentName(name) !== null)
    .sort()
  if (names.length > 0 && !settings.claims.some(({ by }) => by === ownClaim)) {
    throw refuseToOpen(
      'The log has entries but no checkpoint; one is written before the first entry, so it was removed.',
      putBack,
    )
  }
  const start = await startOf(settings, names)
  const scan = new Scan(settings, start)
  try {
    await scan.beginBundle()
    for (const [place, name] of names.entries()) {
      const next = names[place + 1]
      const nextIndex = next === undefined ? null : parseSegmentName(next)
      if (nextIndex !== null && nextIndex <= scan.firstNeeded) await scan.passOver(name, nextIndex)
      else await scan.readSegment(name, next === undefined)
    }
    await scan.checkClaims()
    return scan.finish()
  } catch (error) {
    await scan.abandon()
    throw error
  }
}

interface Start {
  readonly tree: TileTree
  readonly bundle: Uint8Array[]
  readonly skipBefore: number
  /** Where the first segment begins that is here: 0, or where what was archived and dropped ends. */
  readonly firstIndex: number
}

/** Where the scan begins: at the last signed checkpoint when the log is too large to be read whole and its tiles add up to the signed root. */
async function startOf(settings: RecoverySettings, names: readonly string[]): Promise<Start> {
  const bundle: Uint8Array[] = []
  const fill = (tile: Tile): void => {
    settings.full(tile, tile.level === 0 ? bundle.splice(0) : [])
  }
  const firstIndex = firstIndexOf(settings, names)
  const [own] = settings.claims
  const fromNothing = async (): Promise<Start> =>
    firstIndex === 0
      ? { tree: new TileTree(fill), bundle, skipBefore: 0, firstIndex }
      : { tree: await settings.tiles.restoreFromLeaves(firstIndex, fill), bundle, skipBefore: firstIndex, firstIndex }
  if (own === undefined || own.checkpoint.size === 0) return await fromNothing()
  let bytes = 0
  for (const name of names) bytes += await sizeOf(settings.system, join(settings.directory, entriesDirectory, name))
  if (bytes <= settings.scanBytesMax) return await fromNothing()
  const tree = await settings.tiles.restore(own.checkpoint.size, fill)
  if (tree === null || Buffer.compare(tree.root(), own.checkpoint.root) !== 0) return await fromNothing()
  return { tree, bundle, skipBefore: own.checkpoint.size, firstIndex }
}

/** What is missing at the beginning is believed to be archived as far as receipts go; the signed root says whether its hashes are the right ones. */
function firstIndexOf({ archivedUntil = 0 }: RecoverySettings, [first]: readonly string[]): number {
  const index = first === undefined ? 0 : (parseSegmentName(first) ?? 0)
  return index <= archivedUntil ? index : 0
}

async function sizeOf(system: FileSystem, path: string): Promise<number> {
  const file = await system.open(path, 'read')
  if (file === null) return 0
  try {
    return await file.size()
  } finally {
    await file.close()
  }
}

class Scan {
  readonly #settings: RecoverySettings
  readonly #start: Start
  readonly #segments: SegmentFile[] = []
  readonly #roots = new Map<number, Hash>()
  readonly #sizes: ReadonlySet<number>
  #nextIndex: number
  #torn: TornTail | null = null

  constructor(settings: RecoverySettings, start: Start) {
    this.#settings = settings
    this.#start = start
    this.#nextIndex = start.firstIndex
    this.#sizes = new Set(settings.claims.map(({ checkpoint }) => checkpoint.size))
    this.#noteRoot()
  }

  #noteRoot(): void {
    if (this.#sizes.has(this.#start.tree.size)) this.#roots.set(this.#start.tree.size, this.#start.tree.root())
  }

  /** Entries before this one are vouched for by tiles and signature. */
  get firstNeeded(): number {
    return this.#start.skipBefore - (this.#start.skipBefore % tileWidth)
  }

  /** Of the bundle that begins among what was archived, the part that is not in any segment here. */
  async beginBundle(): Promise<void> {
    const { firstIndex, bundle } = this.#start
    if (firstIndex <= this.firstNeeded) return
    bundle.push(...(await this.#settings.tiles.readBundleStart(firstIndex)))
  }

  /** Opens a segment that need not be read. */
  async passOver(name: string, nextIndex: number): Promise<void> {
    const file = await this.#settings.system.open(join(this.#settings.directory, entriesDirectory, name), 'write')
    if (file === null) throw refuseToOpen(`Segment ${name} went away while the log was opened.`, putBack)
    this.#segments.push(SegmentFile.existing(file, this.#expect(name), nextIndex, await file.size()))
    this.#nextIndex = nextIndex
  }

  #expect(name: string): number {
    if (parseSegmentName(name) === this.#nextIndex) return this.#nextIndex
    throw refuseToOpen(
      `Segment ${name} is there, but entry ${this.#nextIndex} should come next: a part of the log is missing.`,
      putBack,
    )
  }

  async readSegment(name: string, isLast: boolean): Promise<void> {
    const path = join(this.#settings.directory, entriesDirectory, name)
    const named = this.#expect(name)
    const bytes = await readWhole(this.#settings.system, path, segmentBytesMax)
    if (bytes === null) throw refuseToOpen(`Segment ${name} went away while the log was opened.`, putBack)
    if (isLast && isUnfinishedHeader(bytes)) return this.#cut(name, bytes, 0)
    const segment = decode(name, bytes)
    if (segment.firstIndex !== named || segment.rest === 'damaged' || (segment.rest === 'torn' && !isLast)) {
      throw refuseToOpen(`Segment ${name} is damaged at byte ${segment.end}; what stood there was durable once.`, putBack)
    }
    if (segment.rest === 'torn') await this.#cut(name, bytes, segment.end)
    this.#nextIndex = segment.nextIndex
    this.#take(segment)
    await this.#keepOpen(path, segment, isLast)
  }

  #take(segment: Segment): void {
    const { tree, bundle, skipBefore } = this.#start
    for (const group of segment.groups) {
      for (const [place, entry] of group.entries.entries()) {
        const index = group.firstIndex + place
        if (index >= this.firstNeeded) bundle.push(Buffer.from(entry))
        if (index < skipBefore) continue
        tree.append(leafHash(entry))
        this.#noteRoot()
      }
    }
  }

  /** The last segment may have reached the disk only in part: what is read back from here on must be durable. */
  async #keepOpen(path: string, segment: Segment, isLast: boolean): Promise<void> {
    // For writing even when another follows: that one may turn out to be nothing but a torn header, and then this is the last.
    const file = await this.#settings.system.open(path, 'write')
    if (file === null) throw refuseToOpen(`Segment ${path} went away while the log was opened.`, putBack)
    this.#segments.push(SegmentFile.existing(file, segment.firstIndex, segment.nextIndex, segment.end))
    if (!isLast) return
    // A torn tail, or zeros that were written ahead.
    if ((await file.size()) > segment.end) await file.truncate(segment.end)
    await file.datasync()
  }

  /** Copies what was never acknowledged aside before it is cut off: nothing is thrown away unseen. */
  async #cut(name: string, bytes: Buffer, position: number): Promise<void> {
    const { system, directory } = this.#settings
    const kept = join(directory, tornDirectory)
    await system.makeDirectory(kept)
    const keptAs = join(kept, `${name}.${position}.${(await system.list(kept)).length}`)
    const file: LogFile | null = await system.open(keptAs, 'create')
    if (file !== null) {
      await writeWhole(file, bytes.subarray(position), 0)
      await file.datasync()
      await file.close()
      await system.syncDirectory(kept)
    }
    this.#torn = { segment: name, position, bytes: bytes.length - position, keptAs }
    if (position > 0) return
    await system.remove(join(directory, entriesDirectory, name))
    await system.syncDirectory(join(directory, entriesDirectory))
  }

  async checkClaims(): Promise<void> {
    const { tree } = this.#start
    // Tiles may reach further than the entries they were made from.
    if (this.#nextIndex < tree.size)
      throw refuseToOpen(`The log has ${this.#nextIndex} entries, but tiles for ${tree.size}: its end is missing.`, putBack)
    for (const { checkpoint, by } of this.#settings.claims) {
      if (checkpoint.size > tree.size) {
        throw refuseToOpen(
          `The log has ${tree.size} entries, but ${by} says it had ${checkpoint.size}: its end is missing, as when an old disk image is put back.`,
          putBack,
        )
      }
      const root = this.#roots.get(checkpoint.size) ?? (await this.#rootFromTiles(checkpoint.size))
      if (Buffer.compare(root, checkpoint.root) !== 0) {
        throw refuseToOpen(
          `The first ${checkpoint.size} entries of the log are not those that ${by} saw: it was changed.`,
          putBack,
        )
      }
    }
  }

  async #rootFromTiles(size: number): Promise<Hash> {
    const { tree } = this.#start
    try {
      return await rootAt(this.#settings.tiles.nodes(tree.size, tree.partialTiles()), size)
    } catch {
      throw refuseToOpen(
        `The tiles that would show what the log held at ${size} entries are not there.`,
        `Remove the directory tile, so that they are made anew, and start again. ${putBack}`,
      )
    }
  }

  finish(): Recovered {
    return {
      segments: this.#segments,
      tree: this.#start.tree,
      bundle: this.#start.bundle,
      torn: this.#torn,
      scannedAll: this.#start.skipBefore === 0,
    }
  }

  async abandon(): Promise<void> {
    for (const segment of this.#segments) await segment.close()
  }
}

function decode(name: string, bytes: Buffer): Segment {
  try {
    return decodeSegment(bytes)
  } catch (error) {
    if (error instanceof LogFormatError) throw refuseToOpen(`Segment ${name} is damaged: ${error.message}.`, putBack)
    throw error
  }
}

/** A segment's header is durable before anything follows it, so a file this short without one was never used. */
function isUnfinishedHeader(bytes: Buffer): boolean {
  if (bytes.length > segmentHeaderBytes) return false
  try {
    decodeSegment(bytes)
    return false
  } catch {
    return true
  }
}
