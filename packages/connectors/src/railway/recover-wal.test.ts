import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findWalEnd, writeWal, type WalPlace } from './recover-wal.ts'

const mebibyte = 1 << 20
let place: WalPlace

beforeEach(() => {
  place = { folder: mkdtempSync(join(tmpdir(), 'sp-wal-')), timeline: 3, segmentBytes: mebibyte, owner: null }
})
afterEach(() => rmSync(place.folder, { recursive: true, force: true }))

/** In pieces that keep to no border, cut short by an error after so many bytes. */
async function* pieces(bytes: Buffer, failAt = Number.POSITIVE_INFINITY): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += 300_001) {
    if (at >= failAt) throw new Error('the connection broke')
    yield bytes.subarray(at, at + 300_001)
  }
}

const whole = (): Buffer =>
  Buffer.concat(
    readdirSync(place.folder)
      .sort()
      .map((name) => readFileSync(join(place.folder, name))),
  )

describe('WAL as files', () => {
  // 4 GiB before the end of the first half of its number: 4,096 files of 1 MiB are one.
  const from = 0x1_0000_0000n - BigInt(mebibyte)

  it('has the names, the sizes and the bytes that PostgreSQL reads, the last one filled up with zeros', async () => {
    const bytes = randomBytes(2 * mebibyte + 5)
    expect(await writeWal(place, from, pieces(bytes), () => undefined)).toBe(from + BigInt(bytes.length))
    expect(readdirSync(place.folder).sort()).toEqual([
      '000000030000000000000FFF',
      '000000030000000100000000',
      '000000030000000100000001',
    ])
    for (const name of readdirSync(place.folder)) expect(statSync(join(place.folder, name)).size).toBe(mebibyte)
    expect(whole().subarray(0, bytes.length)).toEqual(bytes)
    expect(
      whole()
        .subarray(bytes.length)
        .every((byte) => byte === 0),
    ).toBe(true)
  })

  it('goes on after it was cut short, and takes no file that was filled up for a whole one', async () => {
    const bytes = randomBytes(3 * mebibyte)
    await expect(writeWal(place, from, pieces(bytes, 1_500_000), () => undefined)).rejects.toThrow('the connection broke')
    const again = await findWalEnd(place, from)
    expect(again).toBe(from)
    await writeWal(place, again, pieces(bytes.subarray(0, 2 * mebibyte + 7)), () => undefined)
    // The stream has grown meanwhile: the last file was not whole.
    const third = await findWalEnd(place, from)
    expect(third).toBe(from + BigInt(2 * mebibyte))
    await writeWal(place, third, pieces(bytes.subarray(2 * mebibyte)), () => undefined)
    expect(whole().subarray(0, bytes.length)).toEqual(bytes)
  })

  it('begins with the beginning of a file and nowhere else', async () => {
    await expect(writeWal(place, from + 1n, pieces(Buffer.alloc(1)), () => undefined)).rejects.toThrow('is not the beginning')
  })
})
