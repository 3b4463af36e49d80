import {
  encodeBase64,
  encodeEntry,
  type Event,
  eventJson,
  formatVerifierKey,
  type Hash,
  inclusionProof,
  leafHash,
  nodeHash,
  noteSigner,
  rootAt,
  signCheckpoint,
} from '@sallyport/core'
import { describe, expect, test } from 'vitest'
import { checkProof } from './checked.ts'

const salt = 'AAAAAAAAAAAAAAAAAAAAAA'
const events: readonly Event[] = Array.from({ length: 13 }, (_, index) => ({
  type: 'intent',
  atMs: 1_700_000_000_000 + index,
  agent: 'coder',
  data: { intent: `i${index}`, list: [1, { b: null, a: 'ä' }] },
}))
const entries = events.map((event) => encodeEntry(event, salt))
const signer = noteSigner('sallyport/test', new Uint8Array(32).fill(7))

const reader = {
  node(level: number, index: number): Hash {
    if (level === 0) return leafHash(entries[index] ?? new Uint8Array())
    return nodeHash(reader.node(level - 1, 2 * index), reader.node(level - 1, 2 * index + 1))
  },
}

type Proven = Parameters<typeof checkProof>[0]

async function prove(index: number, size: number = entries.length): Promise<Proven> {
  const root = await rootAt(reader, size)
  return {
    index,
    size,
    entry: Buffer.from(entries[index] ?? []).toString('utf8'),
    proof: (await inclusionProof(reader, index, size)).map(encodeBase64),
    checkpoint: signCheckpoint({ origin: 'sallyport/test', size, root }, signer),
    key: formatVerifierKey(signer.key),
  }
}

function shownOf(index: number): unknown {
  const event = events[index]
  if (event === undefined) throw new Error('there is no such event')
  return JSON.parse(JSON.stringify(eventJson(event)))
}

async function holds(proven: Proven, shown: unknown): Promise<readonly boolean[]> {
  return (await checkProof(proven, shown)).map(({ held }) => held)
}

test('every entry of every size is proven by what core makes', async () => {
  for (let size = 1; size <= entries.length; size += 1)
    for (let index = 0; index < size; index += 1)
      expect([size, index, ...(await holds(await prove(index, size), shownOf(index)))]).toEqual([size, index, true, true, true])
})

describe('what was changed is not proven', () => {
  test('the entry', async () => {
    const proven = await prove(5)
    expect(await holds({ ...proven, entry: proven.entry.replace('coder', 'Coder') }, shownOf(5))).toEqual([false, false, true])
  })
  test('what the page shows', async () => {
    expect(await holds(await prove(5), shownOf(6))).toEqual([false, true, true])
    expect(await holds(await prove(5), null)).toEqual([false, true, true])
  })
  test('its place, a hash of the proof, its length', async () => {
    const proven = await prove(5)
    expect(await holds({ ...proven, index: 4 }, shownOf(5))).toEqual([true, false, true])
    expect(await holds({ ...proven, proof: proven.proof.toReversed() }, shownOf(5))).toEqual([true, false, true])
    expect(await holds({ ...proven, proof: proven.proof.slice(1) }, shownOf(5))).toEqual([true, false, true])
    expect(await holds({ ...proven, proof: [...proven.proof, ...proven.proof] }, shownOf(5))).toEqual([true, false, true])
    expect(await holds({ ...proven, proof: Array.from({ length: 9_999 }, () => 'x') }, shownOf(5))).toEqual([true, false, true])
    expect(await holds({ ...proven, size: 12 }, shownOf(5))).toEqual([true, false, true])
  })
  test('the checkpoint, by another key or under another name', async () => {
    const proven = await prove(5)
    const other = noteSigner('sallyport/test', new Uint8Array(32).fill(8))
    const forged = signCheckpoint({ origin: 'sallyport/test', size: 13, root: await rootAt(reader, 13) }, other)
    expect(await holds({ ...proven, checkpoint: forged }, shownOf(5))).toEqual([true, true, false])
    expect(await holds({ ...proven, checkpoint: proven.checkpoint.replace('\n13\n', '\n14\n') }, shownOf(5))).toEqual([
      true,
      false,
      false,
    ])
    expect(await holds({ ...proven, key: proven.key.replace('sallyport/test', 'sallyport/else') }, shownOf(5))).toEqual([
      true,
      true,
      false,
    ])
    expect(await holds({ ...proven, key: 'nothing', checkpoint: 'nothing' }, shownOf(5))).toEqual([true, false, false])
  })
})
