import type { ChunkReference } from './manifest.ts'

interface Counted {
  stored: number
  snapshots: number
}

/** Which chunks the sealed snapshots need, and the room they take: counted once, however many need them. */
export class StoredChunks {
  readonly #counted = new Map<string, Counted>()
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  get size(): number {
    return this.#counted.size
  }

  isNeeded(address: string): boolean {
    return this.#counted.has(address)
  }

  /** Adds what one snapshot needs. The bytes that were not there before. */
  add(chunks: readonly ChunkReference[]): number {
    const before = this.#bytes
    for (const [address, stored] of needed(chunks)) {
      const counted = this.#counted.get(address)
      if (counted) counted.snapshots++
      else this.#counted.set(address, { stored, snapshots: 1 })
      this.#bytes += counted ? 0 : stored
    }
    return this.#bytes - before
  }

  /** Takes away what one snapshot needed. */
  drop(chunks: readonly ChunkReference[]): void {
    for (const [address] of needed(chunks)) {
      const counted = this.#counted.get(address)
      if (!counted) continue
      counted.snapshots--
      if (counted.snapshots > 0) continue
      this.#counted.delete(address)
      this.#bytes -= counted.stored
    }
  }
}

/** Address → stored bytes. Of a base that no snapshot has as a chunk of its own, the size is not in its manifest: it counts as nothing. */
function needed(chunks: readonly ChunkReference[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const { bases = [] } of chunks) for (const base of bases) found.set(base, 0)
  for (const { address, stored } of chunks) found.set(address, stored)
  return found
}
