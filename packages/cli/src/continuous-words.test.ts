import { expect, it } from 'vitest'
import type { ContinuousState } from './continuous-examination.ts'
import { ContinuousWords } from './continuous-words.ts'

const streaming: ContinuousState = {
  upstream: 'orders-db',
  state: 'streaming',
  why: null,
  durableLsn: '0/1',
  durableAtMs: 1,
  behindBytes: 0,
  base: null,
  provenAtMs: null,
}
const waiting: ContinuousState = { ...streaming, state: 'waiting', why: 'the slot was dropped.' }

it('says once what fails, says what else fails, and says when it goes on', () => {
  const words = new ContinuousWords()
  expect(words.changes([{ ...streaming, state: 'starting' }, streaming])).toEqual([])
  expect(words.changes([waiting])).toEqual([expect.stringMatching(/^warning: Of orders-db nothing new .*the slot was dropped/)])
  expect(words.changes([waiting])).toEqual([])
  expect(words.changes([{ ...waiting, why: 'the vault is full.' }])).toEqual([expect.stringContaining('the vault is full')])
  expect(words.changes([{ ...streaming, state: 'starting' }])).toEqual([])
  expect(words.changes([streaming])).toEqual(['WAL of orders-db goes into the vault again.'])
  expect(words.changes([streaming])).toEqual([])
})

it('says that a stream is behind, once, however far it is', () => {
  const words = new ContinuousWords()
  const behind = { ...streaming, behindBytes: 9 << 20 }
  expect(words.changes([behind])).toEqual([expect.stringMatching(/^warning: The vault is 9,437,184 bytes behind orders-db/)])
  expect(words.changes([{ ...behind, behindBytes: 10 << 20 }])).toEqual([])
  expect(words.changes([streaming])).toEqual(['WAL of orders-db goes into the vault again.'])
})

it('says that a server cannot be protected like this at all', () => {
  const words = new ContinuousWords()
  const impossible: ContinuousState = { ...streaming, state: 'impossible', why: 'its wal_level is minimal.' }
  expect(words.changes([impossible])).toEqual([expect.stringMatching(/orders-db is not protected continuously: its wal_level/)])
})
