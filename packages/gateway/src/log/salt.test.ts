import { expect, it } from 'vitest'
import { decodeEntry, encodeEntry, leafHash, type Event } from '@sallyport/core'
import { makeSalts } from './salt.ts'

it('no two salts are the same, and each is whole', () => {
  const salt = makeSalts()
  const made = Array.from({ length: 10_000 }, () => salt())
  expect(new Set(made).size).toBe(made.length)
  expect(made.every((one) => /^[A-Za-z0-9_-]{22}$/.test(one))).toBe(true)
})

it('two entries that say the same have other leaves, and read back as the same event', () => {
  const salt = makeSalts()
  const event: Event = { type: 'session.closed', atMs: 1, data: {} }
  const [one, other] = [encodeEntry(event, salt()), encodeEntry(event, salt())]
  expect(Buffer.from(leafHash(one)).equals(leafHash(other))).toBe(false)
  expect([decodeEntry(one), decodeEntry(other)]).toEqual([event, event])
})
