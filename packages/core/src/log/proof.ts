import { emptyRoot, type Hash, hashBytes, nodeHash, sameBytes } from './hash.ts'

/** What proofs are made from: the root of the perfect subtree over leaves [index·2^level, (index+1)·2^level). */
export interface NodeReader {
  node(level: number, index: number): Promise<Hash> | Hash
}

/** A proof has at most one hash a level, and sizes stay below 2^53. */
const proofHashesMax = 64

/** The largest power of two below `width`, for `width` > 1. */
function splitOf(width: number): number {
  let split = 1
  while (split * 2 < width) split *= 2
  return split
}

/** The root of leaves [start, end) of a tree in which `start` is a multiple of the smallest power of two ≥ end − start. */
async function rangeHash(reader: NodeReader, start: number, end: number): Promise<Hash> {
  const width = end - start
  if (width === 0) return emptyRoot()
  const level = Math.log2(width)
  if (Number.isInteger(level) && 2 ** level === width) return reader.node(level, start / width)
  const split = splitOf(width)
  return nodeHash(await rangeHash(reader, start, start + split), await rangeHash(reader, start + split, end))
}

/** The root of the first `size` leaves. */
export function rootAt(reader: NodeReader, size: number): Promise<Hash> {
  return rangeHash(reader, 0, size)
}

/** RFC 6962 §2.1.1: that leaf `index` is in the tree of the first `size` leaves. */
export async function inclusionProof(reader: NodeReader, index: number, size: number): Promise<readonly Hash[]> {
  if (!isSize(size) || !isSize(index) || index >= size) throw new RangeError(`no leaf ${index} in a tree of ${size}`)
  const proof: Hash[] = []
  let start = 0
  let end = size
  while (end - start > 1) {
    const middle = start + splitOf(end - start)
    const inLeft = index < middle
    proof.push(inLeft ? await rangeHash(reader, middle, end) : await rangeHash(reader, start, middle))
    if (inLeft) end = middle
    else start = middle
  }
  return proof.reverse()
}

/** RFC 6962 §2.1.2: that the tree of `newSize` leaves begins with the tree of `oldSize` leaves. Empty when `oldSize` is 0 or `newSize`. */
export async function consistencyProof(reader: NodeReader, oldSize: number, newSize: number): Promise<readonly Hash[]> {
  if (!isSize(oldSize) || !isSize(newSize) || oldSize > newSize)
    throw new RangeError(`no tree of ${newSize} begins with ${oldSize} leaves`)
  if (oldSize === 0 || oldSize === newSize) return []
  const proof: Hash[] = []
  let start = 0
  let end = newSize
  while (oldSize < end) {
    const middle = start + splitOf(end - start)
    const inLeft = oldSize <= middle
    proof.push(inLeft ? await rangeHash(reader, middle, end) : await rangeHash(reader, start, middle))
    if (inLeft) end = middle
    else start = middle
  }
  // Only when the walk ended at the old tree's own root is that hash left out: who checks the proof has it already.
  if (start !== 0) proof.push(await rangeHash(reader, start, end))
  return proof.reverse()
}

/** Follows RFC 9162 §2.1.3.2. Total: any input but a right proof gives false. */
export function verifyInclusion(leaf: Hash, index: number, size: number, proof: readonly Hash[], root: Hash): boolean {
  if (!isSize(size) || !isSize(index) || index >= size || !areHashes([leaf, root, ...proof])) return false
  let position = index
  let last = size - 1
  let value = leaf
  for (const sibling of proof) {
    if (last === 0) return false
    if (isOdd(position) || position === last) {
      value = nodeHash(sibling, value)
      while (!isOdd(position) && position !== 0) [position, last] = [half(position), half(last)]
    } else {
      value = nodeHash(value, sibling)
    }
    ;[position, last] = [half(position), half(last)]
  }
  return last === 0 && sameBytes(value, root)
}

/** Follows RFC 9162 §2.1.4.2. Total: any input but a right proof gives false. A tree of size 0 is consistent with every tree. */
export function verifyConsistency(
  oldSize: number,
  oldRoot: Hash,
  newSize: number,
  newRoot: Hash,
  proof: readonly Hash[],
): boolean {
  if (!isSize(oldSize) || !isSize(newSize) || oldSize > newSize || !areHashes([oldRoot, newRoot, ...proof])) return false
  if (oldSize === 0) return proof.length === 0 && sameBytes(oldRoot, emptyRoot())
  if (oldSize === newSize) return proof.length === 0 && sameBytes(oldRoot, newRoot)
  let position = oldSize - 1
  let last = newSize - 1
  while (isOdd(position)) [position, last] = [half(position), half(last)]
  const [first, ...rest] = position === 0 ? [oldRoot, ...proof] : proof
  if (first === undefined || proof.length === 0) return false
  let oldValue = first
  let newValue = first
  for (const sibling of rest) {
    if (last === 0) return false
    if (isOdd(position) || position === last) {
      oldValue = nodeHash(sibling, oldValue)
      newValue = nodeHash(sibling, newValue)
      while (!isOdd(position) && position !== 0) [position, last] = [half(position), half(last)]
    } else {
      newValue = nodeHash(newValue, sibling)
    }
    ;[position, last] = [half(position), half(last)]
  }
  return last === 0 && sameBytes(oldValue, oldRoot) && sameBytes(newValue, newRoot)
}

// Sizes go up to 2^53, where bit operators would cut to 32 bits.
const isOdd = (value: number): boolean => value % 2 === 1
const half = (value: number): number => Math.floor(value / 2)
const isSize = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

function areHashes(hashes: readonly Hash[]): boolean {
  return hashes.length <= proofHashesMax + 2 && hashes.every((item) => item.length === hashBytes)
}
