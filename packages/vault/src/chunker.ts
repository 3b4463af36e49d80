/** Bytes of a chunk, but for the last of a part: never fewer, never more, and this many more than the fewest on average. */
const cutBytesMin = 32 << 10
const cutBytesMax = 512 << 10
const cutBytesMore = 64 << 10

/** A boundary is where the top bits of the running hash are all zero. */
const boundaryMask = ~((1 << (32 - Math.log2(cutBytesMore))) - 1)

/**
 * Any pieces → chunks that end where their last 32 bytes say so (a gear hash): what was inserted or removed in one place moves the boundaries
 * near it only, and all other chunks are those of the copy before. Each is a buffer of its own.
 */
export async function* cutChunks(
  source: AsyncIterable<Uint8Array>,
  boundaries: Int32Array,
): AsyncGenerator<Buffer, void, undefined> {
  let held = Buffer.alloc(0)
  let filled = 0
  /** Bytes of `held` that are known to have no boundary in them. */
  let seen = 0
  let hash = 0
  for await (const piece of source) {
    for (let rest = piece; rest.length > 0;) {
      const taken = rest.subarray(0, cutBytesMax - filled)
      if (filled + taken.length > held.length) held = grow(held.subarray(0, filled), filled + taken.length)
      held.set(taken, filled)
      filled += taken.length
      rest = rest.subarray(taken.length)
      for (;;) {
        const found = findBoundary(held, Math.max(seen, cutBytesMin), filled, hash, boundaries)
        ;({ hash } = found)
        seen = found.at
        if (!found.isBoundary && filled < cutBytesMax) break
        yield Buffer.from(held.subarray(0, seen))
        held.copyWithin(0, seen, filled)
        filled -= seen
        seen = 0
        hash = 0
        if (filled === 0) break
      }
    }
  }
  if (filled > 0) yield Buffer.from(held.subarray(0, filled))
}

interface Found {
  readonly at: number
  readonly isBoundary: boolean
  readonly hash: number
}

/** Looks from `from` on; the hash begins anew at the fewest bytes of each chunk, so that it depends on this chunk alone. */
function findBoundary(bytes: Buffer, from: number, to: number, hashBefore: number, boundaries: Int32Array): Found {
  let hash = hashBefore
  for (let at = from; at < to; at++) {
    hash = ((hash << 1) + (boundaries[bytes[at] ?? 0] ?? 0)) | 0
    if ((hash & boundaryMask) === 0) return { at: at + 1, isBoundary: true, hash }
  }
  return { at: to, isBoundary: false, hash }
}

/** Room for `needed` bytes and, past 64 KiB, for the largest chunk: a small part costs little, and a million tiny pieces no more than one. */
function grow(held: Buffer, needed: number): Buffer<ArrayBuffer> {
  const grown = Buffer.allocUnsafe(needed > 64 << 10 ? cutBytesMax : Math.max(16 << 10, 1 << Math.ceil(Math.log2(needed))))
  grown.set(held)
  return grown
}
