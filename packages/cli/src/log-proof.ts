import {
  encodeBase64,
  inclusionProof,
  leafHash,
  leafHashesBefore,
  type LogSource,
  openCheckpoint,
  type Tile,
  tileNodes,
  TileTree,
  verifyInclusion,
} from '@sallyport/core'
import { CommandFailure, exitCodes } from './failure.ts'
import { entriesOf, findFirstHere, notHere } from './log-entries.ts'

/** One entry of a log and the way from it to the root of a tree of `size`. */
export interface ProvenEntry {
  readonly index: number
  readonly size: number
  readonly entry: string
  readonly proof: readonly string[]
}

/** Proves these entries against a checkpoint, from nothing but the entries as they lie there, and the hashes of those that were archived. @throws CommandFailure when they do not add up to it */
export async function proveEntries(
  source: LogSource,
  checkpoint: string,
  indexes: readonly number[],
): Promise<readonly ProvenEntry[]> {
  const { size, root } = openCheckpoint(checkpoint, []).checkpoint
  const late = indexes.find((index) => index >= size)
  if (late !== undefined) {
    throw new CommandFailure(
      exitCodes.failed,
      'not_signed',
      `The checkpoint covers ${size} entries; entry ${late} is not among them.`,
      'Nothing was proven.',
      'Wait a second, or prove against the log itself with `--witness none`.',
    )
  }
  const wanted = new Set(indexes)
  const entries = new Map<number, Uint8Array>()
  const tiles = new Map<string, Tile>()
  const tree = new TileTree((tile) => tiles.set(`${tile.level}/${tile.index}`, tile))
  const begin = await findFirstHere(source)
  for await (const leaf of leafHashesBefore(source, Math.min(begin, size))) tree.append(leaf)
  for await (const { index, entry } of entriesOf(source, () => undefined)) {
    if (index >= size) break
    if (wanted.has(index)) entries.set(index, entry)
    if (index >= begin) tree.append(leafHash(entry))
  }
  const archived = indexes.find((index) => index < begin && !entries.has(index))
  if (archived !== undefined) throw notHere(source, archived)
  for (const tile of tree.partialTiles()) tiles.set(`${tile.level}/${tile.index}`, tile)
  const nodes = tileNodes(
    size,
    async (level, tileIndex, width) => tiles.get(`${level}/${tileIndex}`)?.hashes.slice(0, width) ?? [],
  )
  const proven: ProvenEntry[] = []
  for (const index of indexes) {
    const entry = entries.get(index) ?? Buffer.alloc(0)
    const proof = tree.size === size ? await inclusionProof(nodes, index, size) : []
    if (!verifyInclusion(leafHash(entry), index, size, proof, root)) throw notProven()
    proven.push({ index, size, entry: Buffer.from(entry).toString('utf8'), proof: proof.map(encodeBase64) })
  }
  return proven
}

function notProven(): CommandFailure {
  return new CommandFailure(
    exitCodes.failed,
    'not_proven',
    'The entries of the log do not add up to its checkpoint.',
    'Nothing was proven.',
    'Run `sallyport log verify`.',
  )
}
