import { createHash, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { deriveChunkKeys } from './chunk.ts'
import { cutChunks } from './chunker.ts'

const { boundaries } = deriveChunkKeys(Buffer.alloc(32, 1))

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function cut(bytes: Buffer, size = 65_536, table = boundaries): Promise<Buffer[]> {
  const chunks: Buffer[] = []
  for await (const chunk of cutChunks(inPieces(bytes, size), table)) chunks.push(chunk)
  return chunks
}

const hashes = (chunks: readonly Buffer[]): string[] => chunks.map((chunk) => createHash('sha256').update(chunk).digest('hex'))

describe('cutting into chunks', () => {
  const bytes = randomBytes(4_000_000)

  it('loses nothing, and cuts alike however the bytes come', async () => {
    const whole = await cut(bytes)
    expect(Buffer.concat(whole).equals(bytes)).toBe(true)
    expect(whole.length).toBeGreaterThan(15)
    for (const chunk of whole.slice(0, -1)) {
      expect(chunk.length).toBeGreaterThan(32 << 10)
      expect(chunk.length).toBeLessThanOrEqual(512 << 10)
    }
    for (const size of [1_000, 70_001, 5_000_000]) expect(hashes(await cut(bytes, size))).toEqual(hashes(whole))
  })

  it('keeps nearly all chunks when bytes are inserted, removed or changed in a few places', async () => {
    const before = new Set(hashes(await cut(bytes)))
    const changed = Buffer.concat([
      Buffer.from('new at the beginning'),
      bytes.subarray(0, 1_500_000),
      bytes.subarray(1_500_100, 3_000_000),
      randomBytes(500),
      bytes.subarray(3_000_000),
    ])
    const after = hashes(await cut(changed))
    expect(after.filter((hash) => !before.has(hash)).length).toBeLessThanOrEqual(5)
  })

  it('cuts elsewhere with another key', async () => {
    const other = deriveChunkKeys(Buffer.alloc(32, 2)).boundaries
    const before = new Set(hashes(await cut(bytes)))
    expect(hashes(await cut(bytes, 65_536, other)).filter((hash) => before.has(hash))).toEqual([])
  })

  it('cuts bytes that have no boundary, or hardly any, into the largest chunks', async () => {
    const zeros = await cut(Buffer.alloc(1_000_000))
    expect(zeros.map(({ length }) => length)).toEqual([524_288, 475_712])
    expect(await cut(Buffer.alloc(0))).toEqual([])
    expect((await cut(Buffer.from('x'))).length).toBe(1)
  })

  it('gives back any bytes in any pieces', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), fc.integer({ min: 1, max: 700 }), async (some, size) => {
        const repeated = Buffer.concat(Array.from({ length: 40 }, () => some))
        expect(Buffer.concat(await cut(repeated, size)).equals(repeated)).toBe(true)
      }),
      { numRuns: 30 },
    )
  })
})
