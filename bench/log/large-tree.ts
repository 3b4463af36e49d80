import { createCipheriv } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { encodeTile, type Hash, inclusionProof, type Tile, tilePath, TileTree, verifyInclusion } from '@sallyport/core'
import { diskFileSystem } from '../../packages/gateway/src/log/file-system.ts'
import { TileFiles } from '../../packages/gateway/src/log/tile-files.ts'

export interface Proven {
  readonly size: number
  readonly buildSeconds: number
  readonly proofHashes: number
  /** With nothing of the tree in the process: each tile is read from its file. */
  readonly freshMs: readonly number[]
  /** With what was read for earlier proofs. */
  readonly warmMs: readonly number[]
}

const proofs = 2_000

/** A tree of so many leaves as it lies on disk, and inclusion proofs from it, each verified. Leaf hashes are made up: 32 bytes of a keystream. */
export async function proveFromDisk(size: number): Promise<Proven> {
  const directory = mkdtempSync(join(tmpdir(), 'sp-tree-'))
  try {
    const startedMs = performance.now()
    const tree = build(size, directory)
    const root = tree.root()
    const buildSeconds = (performance.now() - startedMs) / 1000
    const edge = tree.partialTiles()
    const warm = new TileFiles(diskFileSystem, directory)
    const freshMs: number[] = []
    const warmMs: number[] = []
    let proofHashes = 0
    for (let count = 0; count < proofs; count += 1) {
      const index = Math.floor((count * 0.618_033_988_749 * size) % size)
      proofHashes = await proveOne(new TileFiles(diskFileSystem, directory), edge, { index, size, root }, freshMs)
      await proveOne(warm, edge, { index, size, root }, warmMs)
    }
    return { size, buildSeconds, proofHashes, freshMs, warmMs }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

async function proveOne(
  tiles: TileFiles,
  edge: readonly Tile[],
  { index, size, root }: { readonly index: number; readonly size: number; readonly root: Hash },
  tookMs: number[],
): Promise<number> {
  const startedMs = performance.now()
  const proof = await inclusionProof(tiles.nodes(size, edge), index, size)
  tookMs.push(performance.now() - startedMs)
  if (!verifyInclusion(leafAt(index), index, size, proof, root)) throw new Error(`the proof of leaf ${index} is wrong`)
  return proof.length
}

const leavesInBlock = 4096
const key = Buffer.alloc(16, 1)

/** Leaves of one block: a keystream that begins at the block's own counter. */
function leavesOf(block: number): Buffer {
  const counter = Buffer.alloc(16)
  counter.writeUInt32BE(block, 0)
  return createCipheriv('aes-128-ctr', key, counter).update(Buffer.alloc(leavesInBlock * 32))
}

function leafAt(index: number): Hash {
  const at = (index % leavesInBlock) * 32
  return leavesOf(Math.floor(index / leavesInBlock)).subarray(at, at + 32)
}

function build(size: number, directory: string): TileTree {
  const known = new Set<string>()
  const tree = new TileTree((tile) => {
    const path = join(directory, tilePath({ level: tile.level, index: tile.index, width: tile.hashes.length }))
    if (!known.has(dirname(path))) mkdirSync(dirname(path), { recursive: true })
    known.add(dirname(path))
    writeFileSync(path, encodeTile(tile.hashes))
  })
  for (let block = 0; tree.size < size; block += 1) {
    const leaves = leavesOf(block)
    for (let at = 0; at < leaves.length && tree.size < size; at += 32) tree.append(leaves.subarray(at, at + 32))
  }
  return tree
}
