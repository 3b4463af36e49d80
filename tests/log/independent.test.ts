import { createHash, createPublicKey } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { verifyCheckpoint } from '@sigstore/verify/dist/tlog/checkpoint.js'
import { verifyMerkleInclusion } from '@sigstore/verify/dist/tlog/merkle.js'
import {
  decodeBase64,
  encodeEntry,
  type Hash,
  inclusionProof,
  isSignedByLog,
  leafHash,
  type NoteSigner,
  noteSigner,
  openCheckpoint,
  signatureTypes,
  signCheckpoint,
  treeRoot,
  verifierKey,
  verifyInclusion,
} from '@sallyport/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { openLog } from '../../packages/gateway/src/log/file-log.ts'
import { rekor, rekorStaging } from './rekor-vectors.ts'
import { nodesOf } from './tree-nodes.ts'
import { roundsOf } from '../breadth.ts'

type Entry = Parameters<typeof verifyCheckpoint>[0]

const signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))

/** An entry as the other implementation takes it. */
function entryOf(index: number, size: number, root: Hash, proof: readonly Hash[], checkpoint: string, body: Uint8Array): Entry {
  return {
    logIndex: String(index),
    logId: { keyId: Buffer.alloc(32) },
    kindVersion: { kind: '', version: '' },
    integratedTime: '0',
    inclusionPromise: undefined,
    inclusionProof: {
      logIndex: String(index),
      rootHash: Buffer.from(root),
      treeSize: String(size),
      hashes: proof.map((hash) => Buffer.from(hash)),
      checkpoint: { envelope: checkpoint },
    },
    canonicalizedBody: Buffer.from(body),
  }
}

function authorityOf({ key }: NoteSigner): Parameters<typeof verifyCheckpoint>[1] {
  const id = Buffer.alloc(4)
  id.writeUInt32BE(key.id)
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key.publicKey])
  const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
  return [{ logID: id, publicKey, baseURL: key.name, validFor: { start: new Date(0), end: new Date(8e15) } }]
}

describe('another implementation reads ours: @sigstore/verify', () => {
  it('every leaf of every tree, and of those around a tile, by its checkpoint and proof', async () => {
    const bodies = Array.from({ length: 520 }, (_, index) => Buffer.from(`entry ${index}`))
    const leaves = bodies.map(leafHash)
    const sizes = [...Array.from({ length: roundsOf(70, 36) }, (_, index) => index + 1), 255, 256, 257, 511, 512, 513]
    for (const size of sizes) {
      const some = leaves.slice(0, size)
      const root = treeRoot(some)
      const checkpoint = signCheckpoint({ origin: signer.key.name, size, root }, signer)
      const reader = nodesOf(some)
      for (let index = 0; index < size; index += size > 70 ? 37 : 1) {
        const proof = await inclusionProof(reader, index, size)
        const entry = entryOf(index, size, root, proof, checkpoint, bodies[index] ?? Buffer.alloc(0))
        verifyMerkleInclusion(entry, verifyCheckpoint(entry, authorityOf(signer)))
      }
    }
  })

  it('and refuses what is not so, which shows that it looks', async () => {
    const bodies = Array.from({ length: 9 }, (_, index) => Buffer.from(`entry ${index}`))
    const leaves = bodies.map(leafHash)
    const root = treeRoot(leaves)
    const checkpoint = signCheckpoint({ origin: signer.key.name, size: 9, root }, signer)
    const proof = await inclusionProof(nodesOf(leaves), 3, 9)
    const other = entryOf(3, 9, root, proof, checkpoint, Buffer.from('another'))
    expect(() => verifyMerkleInclusion(other, verifyCheckpoint(other, authorityOf(signer)))).toThrow(/root hash/)
    const forged = entryOf(3, 9, root, proof, checkpoint.replace('\n9\n', '\n8\n'), Buffer.from('entry 3'))
    expect(() => verifyCheckpoint(forged, authorityOf(signer))).toThrow(/signature/)
  })
})

describe('we read what another implementation wrote: Sigstore’s public log', () => {
  it('its checkpoints by its key, whose id we compute as it does', () => {
    for (const { origin, publicKeyHex, keyId, size, checkpoint } of [rekor, rekorStaging]) {
      const key = verifierKey(origin, signatureTypes.note, Buffer.from(publicKeyHex, 'hex'))
      expect(key.id).toBe(keyId)
      const opened = openCheckpoint(checkpoint, [key])
      expect(isSignedByLog(opened.verdict)).toBe(true)
      expect(opened.checkpoint).toMatchObject({ origin, size })
      const other = openCheckpoint(checkpoint.replace(`\n${size}\n`, `\n${size + 1}\n`), [key])
      expect(isSignedByLog(other.verdict)).toBe(false)
    }
  })

  it('an entry of it, in a tree of 412,115, by its proof; and no other', () => {
    const leaf = leafHash(Buffer.from(rekor.entry, 'base64'))
    const proof = rekor.proof.map((text) => decodeBase64(text) ?? Buffer.alloc(0))
    const root = decodeBase64(rekor.root) ?? Buffer.alloc(0)
    expect(verifyInclusion(leaf, rekor.index, rekor.size, proof, root)).toBe(true)
    expect(verifyInclusion(leaf, rekor.index - 1, rekor.size, proof, root)).toBe(false)
    expect(verifyInclusion(leafHash(Buffer.from('x')), rekor.index, rekor.size, proof, root)).toBe(false)
  })
})

describe('what lies on disk, read by the words of tlog-tiles and nothing of ours', () => {
  const size = 70_003
  let directory: string
  let checkpoint: string

  beforeAll(async () => {
    directory = join(mkdtempSync(join(tmpdir(), 'sp-tiles-')), 'log')
    const clock = { nowMs: () => 1_700_000_000_000, sleep: async () => undefined }
    const log = await openLog({ directory, signer, clock, witness: null })
    for (let done = 0; done < size; done += 1000) {
      const group = Array.from({ length: Math.min(1000, size - done) }, (_, place) =>
        log.append({ type: 'statement', atMs: 1, data: { place: done + place } }),
      )
      await Promise.all(group)
    }
    await log.close()
    checkpoint = log.checkpoint() ?? ''
  }, 120_000)

  afterAll(() => rmSync(join(directory, '..'), { recursive: true, force: true }))

  const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
    parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()

  /** Index 1234067 is x001/x234/067. */
  function pathOf(kind: string, index: number, width: number): string {
    const digits = String(index).padStart(3 * Math.ceil(String(index).length / 3), '0')
    const parts = digits.match(/.{3}/g) ?? []
    const last = parts.pop() ?? ''
    return [`tile/${kind}`, ...parts.map((part) => `x${part}`), width === 256 ? last : `${last}.p/${width}`].join('/')
  }

  const tileOf = (level: number, index: number, width: number): Buffer =>
    readFileSync(join(directory, pathOf(String(level), index, width)))

  const perfect = (tile: Buffer): Buffer => {
    let level = Array.from({ length: tile.length / 32 }, (_, place) => tile.subarray(place * 32, place * 32 + 32))
    while (level.length > 1)
      level = level.flatMap((hash, place) =>
        place % 2 === 0 ? [sha256(Buffer.of(1), hash, level[place + 1] ?? Buffer.alloc(0))] : [],
      )
    return level[0] ?? Buffer.alloc(0)
  }

  it('each hash of level 0 is that of its entry in the bundle, and each of the next that of a tile below', () => {
    for (const index of [0, 1, 17, 255, 256, 272, Math.floor(size / 256)]) {
      const width = Math.min(256, size - index * 256)
      const tile = tileOf(0, index, width)
      expect(tile.length).toBe(width * 32)
      const bundle = readFileSync(join(directory, pathOf('entries', index, width)))
      let at = 0
      for (let place = 0; place < width; place += 1) {
        const length = bundle.readUInt16BE(at)
        const entry = bundle.subarray(at + 2, at + 2 + length)
        expect(sha256(Buffer.of(0), entry).equals(tile.subarray(place * 32, place * 32 + 32))).toBe(true)
        at += 2 + length
      }
      expect(at).toBe(bundle.length)
    }
    const above = tileOf(1, 0, 256)
    for (const index of [0, 100, 255])
      expect(perfect(tileOf(0, index, 256)).equals(above.subarray(index * 32, index * 32 + 32))).toBe(true)
    expect(tileOf(2, 0, 1).equals(perfect(above))).toBe(true)
  })

  it('and its tiles add up to the checkpoint', () => {
    const [origin, sizeText, rootText] = checkpoint.split('\n')
    expect([origin, sizeText]).toEqual([signer.key.name, String(size)])
    // 70,003 = 65,536 + 17 · 256 + 115: from the right edge up, RFC 6962 §2.1.
    const edge = [tileOf(0, 273, 115), tileOf(1, 1, 17), tileOf(2, 0, 1)]
    let root: Buffer | null = null
    for (const tile of edge) {
      for (let end = tile.length / 32, width = 1; end > 0; width *= 2) {
        if (Math.floor(end / width) % 2 === 0) continue
        const subtree = perfect(tile.subarray((end - width) * 32, end * 32))
        root = root === null ? subtree : sha256(Buffer.of(1), subtree, root)
        end -= width
      }
    }
    expect(root?.toString('base64')).toBe(rootText)
  })

  it('without a partial tile whose full one is there', () => {
    expect(readdirSync(join(directory, 'tile', '0')).filter((name) => name.endsWith('.p'))).toEqual(['273.p'])
  })

  it('an entry is the canonical JSON that it was appended as', () => {
    const bundle = readFileSync(join(directory, pathOf('entries', 0, 256)))
    const entry = bundle.subarray(2, 2 + bundle.readUInt16BE(0))
    const { salt } = z.object({ salt: z.string() }).parse(JSON.parse(entry.toString('utf8')))
    expect(entry.equals(encodeEntry({ type: 'statement', atMs: 1, data: { place: 0 } }, salt))).toBe(true)
  })
})
