import type { Event } from '../event.ts'
import { type ArchivedRange, coveredUntil, rangeOf } from './archived-range.ts'
import { decodeEntry } from './entry.ts'
import type { Finding, Information } from './finding.ts'
import { type Hash, leafHash, LogFormatError, sameBytes } from './hash.ts'
import { decodeSegment, type Group, parseSegmentName, type Segment } from './segment.ts'
import { firstHere, leafHashesBefore, type LogSource } from './log-source.ts'
import { decodeEntryBundle, encodeEntryBundle, encodeTile, tilePath } from './tile.ts'
import { type Tile, tileWidth, TileTree } from './tree.ts'

export interface EntriesRead {
  readonly size: number
  readonly root: Hash
  /** The root at each of the sizes asked for, as far as the log goes. */
  readonly roots: ReadonlyMap<number, Hash>
  readonly findings: readonly Finding[]
  readonly information: readonly Information[]
}

const listedMax = 1000

/** Reads every entry once: its bytes, its place, its meaning, and the tiles stored for it. */
export async function readEntries(source: LogSource, sizes: ReadonlySet<number>): Promise<EntriesRead> {
  const reading = new Reading(source, sizes)
  reading.noteSize()
  await reading.passOverArchived()
  for await (const { name, bytes } of source.segments()) await reading.readSegment(name, bytes)
  return reading.finish()
}

class Reading {
  readonly #source: LogSource
  readonly #sizes: ReadonlySet<number>
  readonly #roots = new Map<number, Hash>()
  readonly #findings: Finding[] = []
  readonly #information: Information[] = []
  readonly #filled: Tile[] = []
  readonly #tree: TileTree
  readonly #intents = new Map<string, number>()
  #bundle: Uint8Array[] = []
  /** Entries before this one lie in the vault, and not here. */
  #archivedUntil = 0
  /** Of the segment read last: whether it ended well matters only when another one follows. */
  #torn: { readonly segment: string; readonly position: number; readonly bytes: number } | null = null

  constructor(source: LogSource, sizes: ReadonlySet<number>) {
    this.#source = source
    this.#sizes = sizes
    this.#tree = new TileTree((tile) => this.#filled.push(tile))
  }

  /** What was archived and dropped counts by the hashes in its tiles, as far as receipts cover it. What of it lies here again is compared with them. */
  async passOverArchived(): Promise<void> {
    const { archived = [] } = this.#source
    const first = archived.length === 0 ? 0 : await firstHere(this.#source)
    if (first === 0 || coveredUntil(archived) < first) return
    for await (const leaf of leafHashesBefore(this.#source, first)) {
      const index = this.#tree.size
      this.#tree.append(leaf)
      this.noteSize()
      if (index % tileWidth === 0) await this.#compareRecalled(index / tileWidth)
    }
    this.#filled.length = 0
    this.#archivedUntil = this.#tree.size
    if (this.#tree.size < first) this.#find({ kind: 'archive_unproven', index: this.#tree.size, count: first - this.#tree.size })
    for (const range of archivedBefore(archived, first)) this.#information.push(range)
  }

  /** A bundle of archived entries that lies here, or was put back. */
  async #compareRecalled(index: number): Promise<void> {
    const [path, leaves] = (['entries', 0] as const).map((level) => tilePath({ level, index, width: tileWidth }))
    const bundle = path === undefined ? null : await this.#source.tile(path)
    if (path === undefined || leaves === undefined || bundle === null) return
    const hashes = await this.#source.tile(leaves)
    if (hashes === null || !sameBytes(hashes, encodeTile(hashesOf(bundle)))) this.#find({ kind: 'tile_altered', path })
  }

  async readSegment(name: string, bytes: Uint8Array): Promise<void> {
    if (this.#torn)
      this.#find({
        kind: 'damaged',
        segment: this.#torn.segment,
        position: this.#torn.position,
        detail: 'it breaks off, yet another segment follows',
      })
    this.#torn = null
    const segment = this.#decode(name, bytes)
    if (!segment) return
    const named = parseSegmentName(name)
    if (segment.firstIndex !== this.#tree.size || named !== segment.firstIndex) {
      this.#find({ kind: 'gap', segment: name, expected: this.#tree.size, found: segment.firstIndex })
    }
    for (const group of segment.groups) await this.#readGroup(name, group)
    if (segment.rest === 'damaged')
      this.#find({
        kind: 'damaged',
        segment: name,
        position: segment.end,
        detail: 'what stood here cannot be read, yet more follows',
      })
    if (segment.rest === 'torn') this.#torn = { segment: name, position: segment.end, bytes: bytes.length - segment.end }
  }

  #decode(name: string, bytes: Uint8Array): Segment | null {
    try {
      return decodeSegment(bytes, true)
    } catch (error) {
      if (!(error instanceof LogFormatError)) throw error
      this.#find({ kind: 'damaged', segment: name, position: 0, detail: error.message })
      return null
    }
  }

  async #readGroup(segment: string, group: Group): Promise<void> {
    if (!group.intact) {
      const last = group.firstIndex + group.entries.length - 1
      this.#find({
        kind: 'damaged',
        segment,
        position: group.position,
        detail: `a checksum over entries ${group.firstIndex} to ${last} does not fit`,
      })
    }
    for (const entry of group.entries) {
      this.#readEntry(entry)
      if (this.#filled.length > 0) await this.#compareTiles()
      if (this.#sizes.has(this.#tree.size)) await this.#comparePartialTiles()
    }
  }

  #readEntry(entry: Uint8Array): void {
    const index = this.#tree.size
    this.#tree.append(leafHash(entry))
    this.#bundle.push(entry)
    this.noteSize()
    try {
      this.#readEvent(index, decodeEntry(entry))
    } catch (error) {
      if (!(error instanceof LogFormatError)) throw error
      this.#find({ kind: 'not_an_event', index, detail: error.message })
    }
  }

  noteSize(): void {
    if (this.#sizes.has(this.#tree.size)) this.#roots.set(this.#tree.size, this.#tree.root())
  }

  #readEvent(index: number, event: Event): void {
    const intent = event.data['intent']
    if (typeof intent !== 'string') return
    if (event.type === 'intent') this.#intents.set(intent, index)
    if (event.type === 'outcome') this.#intents.delete(intent)
  }

  /** Tiles are derived later than entries become durable, so one that is missing is no finding; one that is wrong is. */
  async #compareTiles(): Promise<void> {
    for (const { level, index, hashes } of this.#filled.splice(0)) {
      await this.#compareFile(tilePath({ level, index, width: tileWidth }), encodeTile(hashes))
      if (level > 0) continue
      // Of one that begins among what was archived, only the end was read; it was compared with its hashes before.
      if (index * tileWidth >= this.#archivedUntil)
        await this.#compareFile(tilePath({ level: 'entries', index, width: tileWidth }), encodeEntryBundle(this.#bundle))
      this.#bundle = []
    }
  }

  async #comparePartialTiles(): Promise<void> {
    for (const { level, index, hashes } of this.#tree.partialTiles()) {
      await this.#compareFile(tilePath({ level, index, width: hashes.length }), encodeTile(hashes))
      if (level === 0 && index * tileWidth >= this.#archivedUntil)
        await this.#compareFile(tilePath({ level: 'entries', index, width: hashes.length }), encodeEntryBundle(this.#bundle))
    }
  }

  async #compareFile(path: string, expected: Uint8Array): Promise<void> {
    const stored = await this.#source.tile(path)
    if (stored !== null && !sameBytes(stored, expected)) this.#find({ kind: 'tile_altered', path })
  }

  #find(finding: Finding): void {
    if (this.#findings.length < listedMax) this.#findings.push(finding)
  }

  finish(): EntriesRead {
    if (this.#torn) this.#information.push({ kind: 'torn_tail', ...this.#torn })
    for (const [intent, index] of this.#intents) {
      if (this.#information.length >= listedMax) break
      this.#information.push({ kind: 'intent_without_outcome', index, intent })
    }
    return {
      size: this.#tree.size,
      root: this.#tree.root(),
      roots: this.#roots,
      findings: this.#findings,
      information: this.#information,
    }
  }
}

function hashesOf(bundle: Uint8Array): readonly Hash[] {
  try {
    return decodeEntryBundle(bundle, tileWidth).map(leafHash)
  } catch (error) {
    if (error instanceof LogFormatError) return []
    throw error
  }
}

function archivedBefore(ranges: readonly ArchivedRange[], end: number): readonly Information[] {
  const found: Information[] = []
  for (let index = 0; index < end;) {
    const range = rangeOf(ranges, index)
    if (range === null) break
    const next = Math.min(end, range.next)
    found.push({ ...range, kind: 'archived', first: index, next })
    index = next
  }
  return found
}
