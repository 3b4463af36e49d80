import { emptyRoot, type Hash, nodeHash, rootOfMany } from './hash.ts'

/** Hashes in a full tile: a tile is a subtree of height 8 (C2SP tlog-tiles). */
export const tileWidth = 256
export const tileHeight = 8

/** Consecutive hashes of one level; level 0 holds leaf hashes, each hash of level n + 1 is the root of a full tile of level n. */
export interface Tile {
  readonly level: number
  readonly index: number
  readonly hashes: readonly Hash[]
}

/** The root of 2^n hashes of one level. */
export function perfectRoot(hashes: readonly Hash[]): Hash {
  return hashes.length > 1 ? rootOfMany(hashes) : (hashes[0] ?? emptyRoot())
}

/**
 * A growing Merkle tree that keeps only its right edge: at most 255 hashes a level. Full tiles are handed out as they fill up
 * and never kept, so memory stays below 8 KiB a level whatever the size.
 */
export class TileTree {
  readonly #levels: Hash[][] = []
  readonly #counts: number[] = []
  readonly #full: (tile: Tile) => void
  #size = 0

  constructor(full: (tile: Tile) => void = () => {}) {
    this.#full = full
  }

  /** A tree of `size` leaves from the partial tiles at its right edge, one per level, lowest first. */
  static restore(size: number, edge: readonly (readonly Hash[])[], full: (tile: Tile) => void): TileTree {
    const tree = new TileTree(full)
    let count = size
    for (let level = 0; count > 0; level += 1) {
      const hashes = edge[level] ?? []
      if (hashes.length !== count % tileWidth)
        throw new RangeError(`level ${level} of ${size} leaves has ${count % tileWidth} hashes at its edge, not ${hashes.length}`)
      tree.#levels.push([...hashes])
      count = Math.floor(count / tileWidth)
      tree.#counts.push(count)
    }
    tree.#size = size
    return tree
  }

  get size(): number {
    return this.#size
  }

  append(leaf: Hash): void {
    this.#size += 1
    this.#push(0, leaf)
  }

  #push(level: number, value: Hash): void {
    let hashes = this.#levels[level]
    if (hashes === undefined) {
      hashes = []
      this.#levels[level] = hashes
      this.#counts[level] = 0
    }
    hashes.push(value)
    if (hashes.length < tileWidth) return
    const index = this.#counts[level] ?? 0
    this.#counts[level] = index + 1
    this.#levels[level] = []
    this.#full({ level, index, hashes })
    this.#push(level + 1, perfectRoot(hashes))
  }

  /** RFC 6962 §2.1: the Merkle tree hash of all leaves. */
  root(): Hash {
    let root: Hash | null = null
    for (const hashes of this.#levels) {
      // The hashes left over at a level are perfect subtrees of falling size; each is the left neighbour of what lies below it.
      let end = hashes.length
      for (let width = 1; end > 0; width *= 2) {
        if (Math.floor(end / width) % 2 === 0) continue
        const subtree = perfectRoot(hashes.slice(end - width, end))
        root = root === null ? subtree : nodeHash(subtree, root)
        end -= width
      }
    }
    return root ?? emptyRoot()
  }

  /** The partial tiles that a tree of this size needs beside the full ones. */
  partialTiles(): readonly Tile[] {
    return this.#levels.flatMap((hashes, level) =>
      hashes.length === 0 ? [] : [{ level, index: this.#counts[level] ?? 0, hashes: [...hashes] }],
    )
  }
}

/** The root of these leaves, in one go. */
export function treeRoot(leaves: Iterable<Hash>): Hash {
  const tree = new TileTree()
  for (const leaf of leaves) tree.append(leaf)
  return tree.root()
}
