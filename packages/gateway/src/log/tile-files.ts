import { dirname, join } from 'node:path'
import {
  decodeEntryBundle,
  decodeTile,
  edgeTiles,
  encodeEntryBundle,
  encodeTile,
  type Hash,
  leafHash,
  LogFormatError,
  SallyportError,
  type NodeReader,
  type Tile,
  type TileName,
  tileNodes,
  tilePath,
  tileWidth,
  TileTree,
} from '@sallyport/core'
import { type FileSystem, readWhole, writeWhole } from './file-system.ts'

const fullTilesKept = 256
const directoriesKept = 4096
/** Of the largest file under `tile`. */
const bundleBytesMax = tileWidth * (2 + 65_535)

/**
 * The tree's tiles on disk, as C2SP tlog-tiles lays them out. They are derived from entries that are durable already, so they are
 * written without fdatasync: whoever reads one checks what it adds up to, and what is missing is written again at the next start.
 */
export class TileFiles {
  readonly #system: FileSystem
  readonly #directory: string
  /** Full tiles read or written lately, oldest first. */
  readonly #kept = new Map<string, readonly Hash[]>()
  readonly #directories = new Set<string>()
  /** Directories of partial tiles that wait for the full one. */
  readonly #partials = new Set<string>()

  constructor(system: FileSystem, directory: string) {
    this.#system = system
    this.#directory = directory
  }

  /** @param compare leaves a file alone that holds the same already: for tiles made anew at a start */
  async write(tile: Tile, compare = false): Promise<void> {
    const isFull = tile.hashes.length === tileWidth
    if (isFull) this.#keep(`${tile.level}/${tile.index}`, tile.hashes)
    await this.#writeTile({ level: tile.level, index: tile.index, width: tile.hashes.length }, encodeTile(tile.hashes), compare)
  }

  async writeBundle(index: number, entries: readonly Uint8Array[], compare = false): Promise<void> {
    await this.#writeTile({ level: 'entries', index, width: entries.length }, encodeEntryBundle(entries), compare)
  }

  async #writeTile(name: TileName, bytes: Uint8Array, compare: boolean): Promise<void> {
    const partials = join(this.#directory, `${tilePath({ ...name, width: tileWidth })}.p`)
    if (name.width < tileWidth) this.#partials.add(partials)
    await this.#writeFile(join(this.#directory, tilePath(name)), bytes, compare)
    // Once the full tile is there its partial ones are of no use. Those of earlier lives are known, for a start writes the edge anew.
    if (name.width === tileWidth && this.#partials.delete(partials)) await this.#system.remove(partials)
  }

  async #writeFile(target: string, bytes: Uint8Array, compare: boolean): Promise<void> {
    if (compare && (await readWhole(this.#system, target, bundleBytesMax))?.equals(bytes) === true) return
    if (!this.#directories.has(dirname(target))) {
      await this.#system.makeDirectory(dirname(target))
      if (this.#directories.size >= directoriesKept) this.#directories.clear()
      this.#directories.add(dirname(target))
    }
    const staged = `${target}.new`
    const file = await this.#system.open(staged, 'scratch')
    if (file === null) throw new Error(`${dirname(target)} is not there`)
    try {
      await writeWhole(file, bytes, 0)
    } finally {
      await file.close()
    }
    await this.#system.rename(staged, target)
  }

  #keep(name: string, hashes: readonly Hash[]): void {
    this.#kept.delete(name)
    this.#kept.set(name, hashes)
    if (this.#kept.size <= fullTilesKept) return
    const [oldest] = this.#kept.keys()
    if (oldest !== undefined) this.#kept.delete(oldest)
  }

  /** The first `width` hashes of a tile, from the full tile or the partial one. @throws when neither is there */
  async read(level: number, index: number, width: number): Promise<readonly Hash[]> {
    const kept = this.#kept.get(`${level}/${index}`)
    if (kept) return width === kept.length ? kept : kept.slice(0, width)
    for (const stored of width === tileWidth ? [tileWidth] : [width, tileWidth]) {
      const bytes = await readWhole(
        this.#system,
        join(this.#directory, tilePath({ level, index, width: stored })),
        tileWidth * 32,
      )
      if (bytes?.length !== stored * 32) continue
      const hashes = decodeTile(bytes, stored)
      if (stored === tileWidth) this.#keep(`${level}/${index}`, hashes)
      return width === hashes.length ? hashes : hashes.slice(0, width)
    }
    throw new Error(`tile ${tilePath({ level, index, width })} is not there`)
  }

  /** Nodes of the tree of `size` leaves, of which `edge` is held in memory and the rest lies in full tiles. */
  nodes(size: number, edge: readonly Tile[]): NodeReader {
    return tileNodes(size, async (level, index, width) => {
      const held = edge.find((tile) => tile.level === level && tile.index === index)
      if (held === undefined || held.hashes.length < width) return this.read(level, index, width)
      return held.hashes.length === width ? held.hashes : held.hashes.slice(0, width)
    })
  }

  /** The tree of so many leaves, each read from the tiles of level 0. Of what was full before nobody is told. @throws SallyportError where one is missing */
  async restoreFromLeaves(size: number, full: (tile: Tile) => void): Promise<TileTree> {
    let isTold = false
    const tree = new TileTree((tile) => (isTold ? full(tile) : undefined))
    for (let index = 0; index * tileWidth < size; index += 1) {
      const hashes = await this.read(0, index, tileWidth).catch(() => null)
      if (hashes === null) throw withoutTile(tilePath({ level: 0, index, width: tileWidth }))
      for (const hash of hashes.slice(0, size - index * tileWidth)) tree.append(hash)
    }
    isTold = true
    return tree
  }

  /** Entries of a bundle that lie before this one, which begins in the middle of it. @throws SallyportError when they are not those of the tile */
  async readBundleStart(end: number): Promise<readonly Uint8Array[]> {
    const index = Math.floor(end / tileWidth)
    const path = tilePath({ level: 'entries', index, width: tileWidth })
    const bytes = await readWhole(this.#system, join(this.#directory, path), bundleBytesMax)
    const leaves = await this.read(0, index, tileWidth).catch(() => [])
    try {
      const entries = decodeEntryBundle(bytes ?? Buffer.alloc(0), tileWidth)
      if (entries.every((entry, place) => Buffer.compare(leafHash(entry), leaves[place] ?? Buffer.alloc(0)) === 0))
        return entries.slice(0, end % tileWidth)
    } catch (error) {
      if (!(error instanceof LogFormatError)) throw error
    }
    throw withoutTile(path)
  }

  /** The tree of `size` leaves from its tiles on disk; null when they are not all there. */
  async restore(size: number, full: (tile: Tile) => void): Promise<TileTree | null> {
    try {
      const edge: (readonly Hash[])[] = []
      for (const { level, index, width } of edgeTiles(size)) edge[level] = width === 0 ? [] : await this.read(level, index, width)
      return TileTree.restore(size, edge, full)
    } catch {
      return null
    }
  }
}

function withoutTile(path: string): SallyportError {
  return new SallyportError(
    'log_unavailable',
    `The beginning of the log was archived, and ${path}, which says what it was, is gone or changed.`,
    'The log was not opened and nothing was changed.',
    'Put the directory tile back from a copy that is whole.',
  )
}
