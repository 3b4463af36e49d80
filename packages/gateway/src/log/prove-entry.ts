import { join } from 'node:path'
import {
  decodeEntryBundle,
  edgeTiles,
  encodeBase64,
  formatVerifierKey,
  inclusionProof,
  openCheckpoint,
  tilePath,
  tileWidth,
  type VerifierKey,
} from '@sallyport/core'
import type { FileLog } from './file-log.ts'
import { diskFileSystem, type FileSystem, readWhole } from './file-system.ts'
import { TileFiles } from './tile-files.ts'

const bundleBytesMax = tileWidth * (2 + 65_535)

interface ProvenEntry {
  readonly index: number
  readonly entry: string
  readonly size: number
  readonly proof: readonly string[]
  readonly checkpoint: string
  readonly key: string
}

/** Proves entries from the tiles on disk, as anybody with a copy of the folder could; of the log's own state only what was archived is asked. */
export function openProver(
  directory: string,
  log: Pick<FileLog, 'checkpoint' | 'witnessed' | 'entries'>,
  key: VerifierKey,
  system: FileSystem = diskFileSystem,
): (index: number) => Promise<ProvenEntry | null> {
  const tiles = new TileFiles(system, directory)
  return async (index) => {
    // What a witness cosigned is worth more, and may not have come as far.
    const texts = [log.witnessed(), log.checkpoint()].flatMap((text) => (text === null ? [] : [text]))
    const checkpoint = texts.find((text) => index < openCheckpoint(text, [key]).checkpoint.size)
    if (checkpoint === undefined) return null
    const { size } = openCheckpoint(checkpoint, [key]).checkpoint
    const proof = await inclusionProof(tiles.nodes(size, []), index, size)
    const entry = (await readEntry(system, directory, index, size)) ?? (await fetchEntry(log, index))
    return { index, entry, size, proof: proof.map(encodeBase64), checkpoint, key: formatVerifierKey(key) }
  }
}

/** Null where its bundle is not here: it was archived, and dropped. */
async function readEntry(system: FileSystem, directory: string, index: number, size: number): Promise<string | null> {
  const bundle = Math.floor(index / tileWidth)
  const isEdge = bundle === Math.floor(size / tileWidth)
  const width = isEdge ? (edgeTiles(size)[0]?.width ?? 0) : tileWidth
  for (const stored of [width, tileWidth]) {
    const path = join(directory, tilePath({ level: 'entries', index: bundle, width: stored }))
    const bytes = await readWhole(system, path, bundleBytesMax)
    if (bytes === null) continue
    const entry = decodeEntryBundle(bytes, stored)[index % tileWidth]
    if (entry !== undefined) return Buffer.from(entry).toString('utf8')
  }
  return null
}

async function fetchEntry(log: Pick<FileLog, 'entries'>, index: number): Promise<string> {
  const [entry] = await log.entries(index, 1)
  if (entry === undefined) throw new Error(`the tile with entry ${index} is not there`)
  return Buffer.from(entry).toString('utf8')
}
