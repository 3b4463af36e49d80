import type { ArchivedRange } from './archived-range.ts'
import { type Hash, LogFormatError } from './hash.ts'
import { parseSegmentName } from './segment.ts'
import { decodeTile, tilePath } from './tile.ts'
import { tileWidth } from './tree.ts'

/** A log as it lies somewhere. */
export interface LogSource {
  /** The segment files by name, in order of their names, whole; may be asked for more than once. */
  segments(): AsyncIterable<{ readonly name: string; readonly bytes: Uint8Array }>
  /** The text of the log's own checkpoint file; null when there is none. */
  readonly checkpoint: string | null
  /** A stored tile by its path, or null. */
  tile(path: string): Promise<Uint8Array | null>
  /** What receipts say lies in a vault; the beginning of it may be missing here. Absent: nothing is. */
  readonly archived?: readonly ArchivedRange[]
}

/** Index of the first entry that has a segment here: more than 0 where a beginning was archived and dropped. */
export async function firstHere(source: Pick<LogSource, 'segments'>): Promise<number> {
  for await (const { name } of source.segments()) return parseSegmentName(name) ?? 0
  return 0
}

/** The leaf hashes of the first entries, from the tiles: they are believed only if they add up to a signed root. Ends early where a tile is missing. */
export async function* leafHashesBefore(source: Pick<LogSource, 'tile'>, end: number): AsyncGenerator<Hash, void, undefined> {
  for (let index = 0; index * tileWidth < end; index += 1) {
    const hashes = decodeLeaves(await source.tile(tilePath({ level: 0, index, width: tileWidth })))
    if (hashes === null) return
    yield* hashes.slice(0, end - index * tileWidth)
  }
}

function decodeLeaves(bytes: Uint8Array | null): readonly Hash[] | null {
  try {
    return bytes === null ? null : decodeTile(bytes, tileWidth)
  } catch (error) {
    if (error instanceof LogFormatError) return null
    throw error
  }
}
