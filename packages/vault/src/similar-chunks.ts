import { createHmac } from 'node:crypto'
import type { ChunkKeys } from './chunk.ts'
import type { ChunkReference } from './manifest.ts'

/** Bytes at either end of a chunk by which a similar one is found. */
const endBytes = 256
const idBytes = 16
const endHashBytes = 8
const markBytes = idBytes + 2 * endHashBytes

/** Chunks remembered, at most: the newest ones, some 40 GB of plaintext. Older ones only cost room when they come again. */
const rememberedMax = 500_000

/** What tells whether a chunk was there before, and which ones are like it: keyed hashes of its bytes, of its first and of its last 256 bytes. */
export function markOf(keys: ChunkKeys, plain: Buffer): Buffer {
  const hash = (bytes: Uint8Array, length: number): Buffer =>
    createHmac('sha256', keys.mark).update(bytes).digest().subarray(0, length)
  const [head, tail] = [plain.subarray(0, endBytes), plain.subarray(-endBytes)]
  return Buffer.concat([hash(plain, idBytes), hash(head, endHashBytes), hash(tail, endHashBytes)])
}

/** The chunks of sealed snapshots by their marks. It only saves room: what it has forgotten, or gets wrong, is stored whole. */
export class SimilarChunks {
  readonly #byId = new Map<string, ChunkReference>()
  /** End of a chunk → one that is stored whole and begins or ends so. */
  readonly #byEnd = new Map<string, ChunkReference>()
  /** Address of one that is stored whole → the one that came after it in its part. */
  readonly #after = new Map<string, ChunkReference>()

  learn(chunks: readonly ChunkReference[], marks: Buffer): void {
    let before: string | null = null
    for (const [index, chunk] of chunks.entries()) {
      const mark = marks.subarray(index * markBytes, (index + 1) * markBytes)
      if (mark.length < markBytes) return
      const { id, head, tail } = parse(mark)
      remember(this.#byId, id, chunk)
      if (before !== null && chunk.bases === undefined) remember(this.#after, before, chunk)
      before = chunk.bases?.at(-1) ?? chunk.address
      if (chunk.bases !== undefined) continue
      remember(this.#byEnd, head, chunk)
      remember(this.#byEnd, tail, chunk)
    }
  }

  /** The same chunk as it was stored before. */
  findSame(mark: Buffer): ChunkReference | null {
    return this.#byId.get(parse(mark).id) ?? null
  }

  /**
   * Those stored whole that a chunk is probably much like, in the order of their bytes: what begins as it does, else what came after what the
   * chunk before was like (`before`); and what ends as it does, else, where the first is too small to hold it all, what came after that.
   */
  findSimilar(mark: Buffer, bytes: number, before: string | null): readonly ChunkReference[] {
    const { head, tail } = parse(mark)
    const last = this.#byEnd.get(tail)
    const first = this.#byEnd.get(head) ?? (before === null ? undefined : this.#after.get(before)) ?? last
    if (!first) return []
    const next = last ?? (bytes > first.bytes ? this.#after.get(first.address) : undefined)
    return next && next.address !== first.address ? [first, next] : [first]
  }

  /** What is no longer there can't be told by. */
  forget(isGone: (address: string) => boolean): void {
    for (const map of [this.#byId, this.#byEnd, this.#after]) {
      for (const [key, { address, bases = [] }] of map) if ([address, ...bases].some(isGone)) map.delete(key)
    }
  }
}

function parse(mark: Buffer): { readonly id: string; readonly head: string; readonly tail: string } {
  const text = (from: number, to: number): string => mark.subarray(from, to).toString('latin1')
  const headEnd = idBytes + endHashBytes
  return { id: text(0, idBytes), head: `h${text(idBytes, headEnd)}`, tail: `t${text(headEnd, markBytes)}` }
}

/** The newest stays longest. */
function remember(map: Map<string, ChunkReference>, key: string, chunk: ChunkReference): void {
  map.delete(key)
  map.set(key, chunk)
  if (map.size <= rememberedMax) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}
