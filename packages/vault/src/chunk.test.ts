import { randomBytes } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressOf, boxOverheadBytes, chunkBytesMax, decryptBox, deriveChunkKeys, encryptBox } from './chunk.ts'

const keys = deriveChunkKeys(Buffer.alloc(32, 7))
const text = Buffer.from('1\tcustomer one\tpaid\n'.repeat(5_000))

describe('chunk', () => {
  it('gives back what it was given, whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 40_000 }), async (plain) => {
        expect(Buffer.compare(await decryptBox(keys, 'chunk', await encryptBox(keys, 'chunk', plain)), plain)).toBe(0)
      }),
      { numRuns: 50 },
    )
    const largest = randomBytes(chunkBytesMax)
    expect(await decryptBox(keys, 'chunk', await encryptBox(keys, 'chunk', largest))).toEqual(largest)
  })

  it('is the same for the same bytes, so that they are stored once, and smaller where that is possible', async () => {
    const [once, again] = [await encryptBox(keys, 'chunk', text), await encryptBox(keys, 'chunk', text)]
    expect(addressOf(once)).toBe(addressOf(again))
    expect(once.length).toBeLessThan(text.length / 4)
    expect((await encryptBox(keys, 'chunk', randomBytes(1000))).length).toBe(1000 + boxOverheadBytes)
  })

  it('never meets one key and nonce with two messages: another message, another salt, and the salt makes the key', async () => {
    const salts = new Set<string>()
    for (let index = 0; index < 500; index++) {
      const box = await encryptBox(keys, 'chunk', Buffer.from(`row ${index}`))
      salts.add(box.subarray(9, 41).toString('hex'))
    }
    expect(salts.size).toBe(500)
    // The same body stored raw and as another codec must not share a salt either: the codec is hashed too.
    const squeezed = zstdCompressSync(text)
    const asRaw = await encryptBox(keys, 'chunk', squeezed)
    const asZstd = await encryptBox(keys, 'chunk', text)
    expect(asRaw.subarray(9, 41)).not.toEqual(asZstd.subarray(9, 41))
  })

  it('shows any changed byte, cut or added, even when its address is made to fit', async () => {
    const box = await encryptBox(keys, 'chunk', Buffer.from('a row that matters'))
    for (let index = 0; index < box.length; index++) {
      const changed = Buffer.from(box)
      changed.writeUInt8(changed.readUInt8(index) ^ 1, index)
      await expect(decryptBox(keys, 'chunk', changed), `byte ${index}`).rejects.toMatchObject({ code: 'damaged' })
    }
    await expect(decryptBox(keys, 'chunk', box.subarray(0, -1))).rejects.toMatchObject({ code: 'damaged' })
    await expect(decryptBox(keys, 'chunk', Buffer.concat([box, Buffer.alloc(1)]))).rejects.toMatchObject({ code: 'damaged' })
    await expect(decryptBox(keys, 'chunk', Buffer.alloc(0))).rejects.toMatchObject({ code: 'damaged' })
  })

  it('opens with its own key only, and never as another kind', async () => {
    const box = await encryptBox(keys, 'chunk', text)
    await expect(decryptBox(deriveChunkKeys(Buffer.alloc(32, 8)), 'chunk', box)).rejects.toMatchObject({ code: 'damaged' })
    await expect(decryptBox(keys, 'inside', box)).rejects.toMatchObject({ code: 'damaged' })
    const renamed = Buffer.concat([Buffer.from('SPVINSD1'), box.subarray(8)])
    await expect(decryptBox(keys, 'inside', renamed)).rejects.toMatchObject({ code: 'damaged' })
  })

  it('holds a chunk and no more: neither given more, nor by a box that grows when it is opened', async () => {
    await expect(encryptBox(keys, 'chunk', Buffer.alloc(chunkBytesMax + 1))).rejects.toMatchObject({ code: 'too_large' })
    const bomb = await encryptBox(keys, 'inside', Buffer.alloc(chunkBytesMax * 8))
    expect(bomb.length).toBeLessThan(16 << 10)
    // Whoever has the content key could make such a chunk; the limit holds for them too.
    const swapped = { ...keys, chunk: keys.inside }
    const asChunk = Buffer.concat([Buffer.from('SPVCHNK1'), bomb.subarray(8)])
    await expect(decryptBox(swapped, 'chunk', asChunk)).rejects.toMatchObject({ code: 'damaged' })
  })
})
