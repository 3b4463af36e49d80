import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { emptyRoot, type Hash, leafHash, nodeHash } from './hash.ts'
import { consistencyProof, inclusionProof, type NodeReader, rootAt, verifyConsistency, verifyInclusion } from './proof.ts'
import { edgeTiles, tileNodes } from './tile.ts'
import { perfectRoot, tileWidth, TileTree, treeRoot } from './tree.ts'
import { inDepth } from '../../../../tests/breadth.ts'

// The leaves and roots that implementations of RFC 6962 compare with each other.
const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map((hex) =>
  Buffer.from(hex, 'hex'),
)
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

const hex = (hash: Hash): string => Buffer.from(hash).toString('hex')
const unhex = (text: string): Hash => Buffer.from(text, 'hex')
const hashesOf = (count: number): Hash[] => Array.from({ length: count }, (_, index) => leafHash(Buffer.from(`leaf ${index}`)))

/** The definition of RFC 6962 §2.1, word for word: slow and independent of what is tested. */
function definedRoot(hashes: readonly Hash[]): Hash {
  const [only] = hashes
  if (only === undefined) return emptyRoot()
  if (hashes.length === 1) return only
  let split = 1
  while (split * 2 < hashes.length) split *= 2
  return nodeHash(definedRoot(hashes.slice(0, split)), definedRoot(hashes.slice(split)))
}

function nodesOf(hashes: readonly Hash[]): NodeReader {
  return { node: (level, index) => perfectRoot(hashes.slice(index * 2 ** level, (index + 1) * 2 ** level)) }
}

/** A tree kept as tiles, the way it lies on disk. */
function tiledNodes(hashes: readonly Hash[]): NodeReader {
  const tiles = new Map<string, readonly Hash[]>()
  const tree = new TileTree((tile) => tiles.set(`${tile.level}/${tile.index}`, tile.hashes))
  for (const hash of hashes) tree.append(hash)
  for (const tile of tree.partialTiles()) tiles.set(`${tile.level}/${tile.index}`, tile.hashes)
  return tileNodes(hashes.length, async (level, index, width) => {
    const tile = tiles.get(`${level}/${index}`)
    if (tile?.length !== width) throw new Error(`no tile ${level}/${index} of ${width}`)
    return tile
  })
}

describe('the Merkle tree', () => {
  it('has the known roots of RFC 6962 for 0 to 8 leaves', () => {
    for (const [size, root] of roots.entries()) expect(hex(treeRoot(leaves.slice(0, size).map(leafHash)))).toBe(root)
  })

  it('has the root of the definition at every size over tile boundaries', () => {
    const hashes = hashesOf(3 * tileWidth + 5)
    const tree = new TileTree()
    for (const [index, hash] of hashes.entries()) {
      expect(hex(tree.root())).toBe(hex(definedRoot(hashes.slice(0, index))))
      tree.append(hash)
    }
  })

  it.each(inDepth('grows a third level after 65,536 leaves, and is restored from its edge at any size'))('%s', () => {
    const hashes = hashesOf(tileWidth ** 2 + 300)
    for (const size of [1, 255, 256, 257, 65_535, 65_536, 65_537, 65_836]) {
      const tiles = new Map<string, readonly Hash[]>()
      const tree = new TileTree((tile) => tiles.set(`${tile.level}/${tile.index}`, tile.hashes))
      for (const hash of hashes.slice(0, size)) tree.append(hash)
      for (const tile of tree.partialTiles()) tiles.set(`${tile.level}/${tile.index}`, tile.hashes)
      const edge = edgeTiles(size).map(({ level, index, width }) => (tiles.get(`${level}/${index}`) ?? []).slice(0, width))
      const restored = TileTree.restore(size, edge, () => {})
      expect(hex(restored.root())).toBe(hex(definedRoot(hashes.slice(0, size))))
      const next = leafHash(Buffer.from('next'))
      restored.append(next)
      expect(hex(restored.root())).toBe(hex(definedRoot([...hashes.slice(0, size), next])))
    }
  })
})

describe('proofs', () => {
  it('are the known ones of RFC 6962', async () => {
    const reader = nodesOf(leaves.map(leafHash))
    expect((await consistencyProof(reader, 1, 8)).map(hex)).toEqual([
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ])
    expect((await consistencyProof(reader, 6, 8)).map(hex)).toEqual([
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ])
    expect((await inclusionProof(reader, 5, 8)).map(hex)).toEqual([
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ])
    const fromTwo = [
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ].map(unhex)
    expect(verifyConsistency(2, unhex(roots[2] ?? ''), 5, unhex(roots[5] ?? ''), fromTwo)).toBe(true)
  })

  it('verify for every leaf and every pair of sizes up to 40', async () => {
    const hashes = hashesOf(40)
    const reader = nodesOf(hashes)
    for (let size = 1; size <= hashes.length; size += 1) {
      const root = definedRoot(hashes.slice(0, size))
      for (const [index, leaf] of hashes.slice(0, size).entries()) {
        expect(verifyInclusion(leaf, index, size, await inclusionProof(reader, index, size), root)).toBe(true)
      }
      for (let oldSize = 0; oldSize <= size; oldSize += 1) {
        expect(
          verifyConsistency(
            oldSize,
            definedRoot(hashes.slice(0, oldSize)),
            size,
            root,
            await consistencyProof(reader, oldSize, size),
          ),
        ).toBe(true)
      }
    }
  })

  it.each(inDepth('are made from tiles just the same, over three levels'))('%s', async () => {
    const hashes = hashesOf(tileWidth ** 2 + 700)
    const reader = tiledNodes(hashes)
    const root = treeRoot(hashes)
    expect(hex(await rootAt(reader, hashes.length))).toBe(hex(root))
    for (const index of [0, 255, 256, 65_535, 65_536, 66_235]) {
      expect(
        verifyInclusion(
          hashes[index] ?? emptyRoot(),
          index,
          hashes.length,
          await inclusionProof(reader, index, hashes.length),
          root,
        ),
      ).toBe(true)
    }
    for (const oldSize of [1, 255, 256, 257, 65_536, 65_537, 66_000]) {
      expect(
        verifyConsistency(
          oldSize,
          treeRoot(hashes.slice(0, oldSize)),
          hashes.length,
          root,
          await consistencyProof(reader, oldSize, hashes.length),
        ),
      ).toBe(true)
    }
  })

  const mutation = fc.record({
    at: fc.nat(),
    bit: fc.nat(255),
    kind: fc.constantFrom('flip', 'drop', 'repeat', 'swap', 'extend'),
  })

  function mutate(proof: readonly Hash[], { at, bit, kind }: { at: number; bit: number; kind: string }): Hash[] {
    const copy = proof.map((hash) => Buffer.from(hash))
    const place = proof.length === 0 ? 0 : at % proof.length
    const chosen = copy[place]
    if (kind === 'extend' || chosen === undefined) return [...copy, leafHash(Buffer.from('extra'))]
    if (kind === 'flip') chosen[Math.floor(bit / 8)] = (chosen[Math.floor(bit / 8)] ?? 0) ^ (1 << (bit % 8))
    if (kind === 'drop') copy.splice(place, 1)
    if (kind === 'repeat') copy.splice(place, 0, chosen)
    if (kind === 'swap') copy.unshift(...copy.splice(place, 1))
    return copy
  }

  const same = (left: readonly Hash[], right: readonly Hash[]): boolean => left.map(hex).join() === right.map(hex).join()

  it('do not verify when anything about them is changed', async () => {
    const hashes = hashesOf(300)
    const reader = nodesOf(hashes)
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 300 }),
        fc.nat(),
        fc.nat(),
        mutation,
        async (size, pickedIndex, pickedOld, change) => {
          const index = pickedIndex % size
          const oldSize = 1 + (pickedOld % size)
          const root = treeRoot(hashes.slice(0, size))
          const oldRoot = treeRoot(hashes.slice(0, oldSize))
          const leaf = hashes[index] ?? emptyRoot()
          const inclusion = await inclusionProof(reader, index, size)
          const consistency = await consistencyProof(reader, oldSize, size)
          const badInclusion = mutate(inclusion, change)
          const badConsistency = mutate(consistency, change)
          if (!same(badInclusion, inclusion)) expect(verifyInclusion(leaf, index, size, badInclusion, root)).toBe(false)
          if (!same(badConsistency, consistency))
            expect(verifyConsistency(oldSize, oldRoot, size, root, badConsistency)).toBe(false)
          expect(verifyInclusion(leafHash(Buffer.from('other')), index, size, inclusion, root)).toBe(false)
          if (size > 1) expect(verifyInclusion(leaf, (index + 1) % size, size, inclusion, root)).toBe(false)
          expect(verifyConsistency(oldSize, leafHash(Buffer.from('other')), size, root, consistency)).toBe(false)
          expect(verifyConsistency(oldSize, oldRoot, size, leafHash(Buffer.from('other')), consistency)).toBe(false)
        },
      ),
      { numRuns: 400 },
    )
  })

  it('give false, not an exception, for nonsense', () => {
    const hash = leafHash(Buffer.from('x'))
    for (const size of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
      expect(verifyInclusion(hash, 0, size, [], hash)).toBe(false)
      expect(verifyConsistency(size, hash, 5, hash, [])).toBe(false)
      expect(verifyConsistency(1, hash, size, hash, [])).toBe(false)
    }
    expect(verifyInclusion(hash, 0, 2, [hash.subarray(1)], hash)).toBe(false)
    expect(
      verifyInclusion(
        hash,
        0,
        1,
        Array.from({ length: 5000 }, () => hash),
        hash,
      ),
    ).toBe(false)
    expect(verifyConsistency(0, hash, 5, hash, [])).toBe(false)
    // A proof for sizes beyond 32 bits is walked by arithmetic, not by bit operators.
    expect(verifyInclusion(hash, 2 ** 40, 2 ** 40 + 1, [hash], nodeHash(hash, hash))).toBe(true)
  })
})
