import { type Hash, hashBytes, LogFormatError, entryBytesMax } from './hash.ts'
import type { NodeReader } from './proof.ts'
import { perfectRoot, tileHeight, tileWidth } from './tree.ts'

/** Which tile; `entries` is the bundle of entries beside a tile of level 0. Width below 256: a partial tile. */
export interface TileName {
  readonly level: number | 'entries'
  readonly index: number
  readonly width: number
}

/** C2SP tlog-tiles: index 1234067 at level 0 is `tile/0/x001/x234/067`, a partial one of 12 hashes ends in `.p/12`. */
export function tilePath({ level, index, width }: TileName): string {
  const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, '0')
  const groups = digits.match(/\d{3}/g) ?? []
  const path = groups.map((group, position) => (position === groups.length - 1 ? group : `x${group}`)).join('/')
  return `tile/${level}/${path}${width === tileWidth ? '' : `.p/${width}`}`
}

const pathPattern = /^tile\/(entries|0|[1-9]\d?)\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/

/** @throws LogFormatError for any path that `tilePath` would not have written */
export function parseTilePath(path: string): TileName {
  const match = path.length > 64 ? null : pathPattern.exec(path)
  if (!match) throw new LogFormatError('path', 'not the path of a tile')
  const [, levelText = '', indexText = '', widthText] = match
  const level = levelText === 'entries' ? ('entries' as const) : Number(levelText)
  const name: TileName = {
    level,
    index: Number(indexText.replace(/[x/]/g, '')),
    width: widthText === undefined ? tileWidth : Number(widthText),
  }
  if (level !== 'entries' && level > 63) throw new LogFormatError('path', 'a level above 63')
  if (!Number.isSafeInteger(name.index) || tilePath(name) !== path) throw new LogFormatError('path', 'not the path of a tile')
  return name
}

export function encodeTile(hashes: readonly Hash[]): Uint8Array {
  return Buffer.concat(hashes)
}

/** @throws LogFormatError when the bytes are not exactly `width` hashes */
export function decodeTile(bytes: Uint8Array, width: number): readonly Hash[] {
  if (width < 1 || width > tileWidth || bytes.length !== width * hashBytes)
    throw new LogFormatError('tile', `${bytes.length} bytes for ${width} hashes`)
  return Array.from({ length: width }, (_, position) => bytes.subarray(position * hashBytes, (position + 1) * hashBytes))
}

/** Entries of at most 65,535 bytes, each behind its length as a big-endian 16-bit number. */
export function encodeEntryBundle(entries: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = []
  for (const entry of entries) {
    if (entry.length > entryBytesMax) throw new LogFormatError('bundle', `an entry of ${entry.length} bytes`)
    const length = Buffer.alloc(2)
    length.writeUInt16BE(entry.length)
    parts.push(length, entry)
  }
  return Buffer.concat(parts)
}

/** @throws LogFormatError when the bytes are not exactly `width` entries */
export function decodeEntryBundle(bytes: Uint8Array, width: number): readonly Uint8Array[] {
  if (width < 1 || width > tileWidth) throw new LogFormatError('bundle', `${width} entries`)
  const entries: Uint8Array[] = []
  let position = 0
  while (entries.length < width) {
    const high = bytes[position]
    const low = bytes[position + 1]
    if (high === undefined || low === undefined) throw new LogFormatError('bundle', `ends within entry ${entries.length}`)
    const end = position + 2 + high * 256 + low
    if (end > bytes.length) throw new LogFormatError('bundle', `ends within entry ${entries.length}`)
    entries.push(bytes.subarray(position + 2, end))
    position = end
  }
  if (position !== bytes.length) throw new LogFormatError('bundle', `${bytes.length - position} bytes after the last entry`)
  return entries
}

/** The tiles that hold the right edge of a tree of `size` leaves: one a level, none where the edge is even. */
export function edgeTiles(size: number): readonly { readonly level: number; readonly index: number; readonly width: number }[] {
  const tiles: { readonly level: number; readonly index: number; readonly width: number }[] = []
  for (let level = 0, count = size; count > 0; level += 1, count = Math.floor(count / tileWidth)) {
    tiles.push({ level, index: Math.floor(count / tileWidth), width: count % tileWidth })
  }
  return tiles
}

/** Reads the first `width` hashes of a tile, from a partial or the full one. */
export type TileReader = (level: number, index: number, width: number) => Promise<readonly Hash[]>

/** Of a tile that its reader keeps, what lies above its hashes is computed once: a proof needs most of it, and the next one the same of the upper tiles and of the edge. */
const above = new WeakMap<readonly Hash[], Map<number, Hash>>()

function nodeOf(hashes: readonly Hash[], offset: number, span: number): Hash {
  const known = above.get(hashes) ?? new Map<number, Hash>()
  above.set(hashes, known)
  const place = span * tileWidth + offset
  const node = known.get(place) ?? perfectRoot(hashes.slice(offset, offset + span))
  known.set(place, node)
  return node
}

/** Nodes of the tree of `size` leaves, computed from its tiles. Hashes that are handed in again are taken to be what they were; more may have come behind them. */
export function tileNodes(size: number, readTile: TileReader): NodeReader {
  return {
    async node(level, index) {
      const tileLevel = Math.floor(level / tileHeight)
      const span = 2 ** (level % tileHeight)
      const first = index * span
      const tileIndex = Math.floor(first / tileWidth)
      const inLevel = Math.floor(size / tileWidth ** tileLevel)
      const width = Math.min(tileWidth, inLevel - tileIndex * tileWidth)
      const offset = first % tileWidth
      if (offset + span > width) throw new RangeError(`no node ${index} of level ${level} in a tree of ${size}`)
      const hashes = await readTile(tileLevel, tileIndex, width)
      return nodeOf(hashes, offset, span)
    },
  }
}
