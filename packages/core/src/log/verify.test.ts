import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Event } from '../event.ts'
import { signCheckpoint } from './checkpoint.ts'
import { encodeEntry } from './entry.ts'
import type { LogSource } from './log-source.ts'
import { explainFinding, explainInformation, type Finding } from './finding.ts'
import { leafHash } from './hash.ts'
import { addSignatures, cosignNote, parseNote } from './note.ts'
import { noteSigner, signatureTypes } from './note-key.ts'
import { encodeGroup, encodeSegmentHeader, segmentName } from './segment.ts'
import { encodeEntryBundle, encodeTile, tilePath } from './tile.ts'
import { TileTree } from './tree.ts'
import { type LogReport, verifyLog } from './verify.ts'
import { roundsOf } from '../../../../tests/breadth.ts'

const signer = noteSigner('gate.example/log', Buffer.alloc(32, 1))
const cosigner = noteSigner('vault.example/witness', Buffer.alloc(32, 2), signatureTypes.cosignature)
const stranger = noteSigner('gate.example/log', Buffer.alloc(32, 3))

const event = (place: number): Event => ({ type: 'statement', atMs: 1000 + place, session: 's1', agent: 'a1', data: { place } })
const entriesOf = (count: number): Uint8Array[] => Array.from({ length: count }, (_, place) => encodeEntry(event(place)))

interface Files {
  segments: { name: string; bytes: Uint8Array }[]
  checkpoint: string | null
  tiles: Map<string, Uint8Array>
}

const groupSize = 5
const segmentSize = 100

function writeSegments(entries: readonly Uint8Array[]): Files['segments'] {
  const segments: Files['segments'] = []
  for (let first = 0; first < entries.length; first += segmentSize) {
    const parts = [encodeSegmentHeader(first)]
    const end = Math.min(first + segmentSize, entries.length)
    for (let start = first; start < end; start += groupSize)
      parts.push(encodeGroup(start, entries.slice(start, Math.min(start + groupSize, end))))
    segments.push({ name: segmentName(first), bytes: Buffer.concat(parts) })
  }
  return segments
}

/** A log as a gate would leave it. */
function write(entries: readonly Uint8Array[], by = signer): Files {
  const tiles = new Map<string, Uint8Array>()
  const tree = new TileTree((tile) =>
    tiles.set(tilePath({ level: tile.level, index: tile.index, width: 256 }), encodeTile(tile.hashes)),
  )
  for (const entry of entries) tree.append(leafHash(entry))
  for (const tile of tree.partialTiles())
    tiles.set(tilePath({ level: tile.level, index: tile.index, width: tile.hashes.length }), encodeTile(tile.hashes))
  for (let first = 0; first < entries.length; first += 256) {
    const bundle = entries.slice(first, first + 256)
    tiles.set(tilePath({ level: 'entries', index: first / 256, width: bundle.length }), encodeEntryBundle(bundle))
  }
  return {
    segments: writeSegments(entries),
    tiles,
    checkpoint: signCheckpoint({ origin: by.key.name, size: tree.size, root: tree.root() }, by),
  }
}

function witnessed(files: Files): string {
  const text = files.checkpoint ?? ''
  return addSignatures(text, cosignNote(parseNote(text).text, cosigner, 1_700_000_000))
}

function sourceOf({ segments, checkpoint, tiles }: Files): LogSource {
  return {
    checkpoint,
    async *segments() {
      yield* segments
    },
    tile: async (path) => tiles.get(path) ?? null,
  }
}

function check(files: Files, witness: string | null): Promise<LogReport> {
  return verifyLog(sourceOf(files), {
    logKeys: [signer.key],
    logKeysFrom: 'caller',
    witness: witness === null ? null : { checkpoint: witness, keys: [cosigner.key] },
  })
}

const kinds = ({ findings }: LogReport): string[] => findings.map(({ kind }) => kind)
const count = 700
const entries = entriesOf(count)
const good = write(entries)
const seen = witnessed(good)

/** Entries under the old signature and tiles. */
const replaced = (changed: readonly Uint8Array[]): Files => ({ ...good, segments: writeSegments(changed) })
const without = (place: number): Uint8Array[] => entries.filter((_, index) => index !== place)

describe('a log as it was written', () => {
  it('has no findings, with and without a witness, and says what that is worth', async () => {
    const report = await check(good, seen)
    expect(report).toMatchObject({
      findings: [],
      information: [],
      size: count,
      checkpointSize: count,
      witnessSize: count,
      witnessTimeS: 1_700_000_000,
      origin: 'gate.example/log',
    })
    const alone = await check(good, null)
    expect(alone.findings).toEqual([])
    expect(alone.information).toEqual([{ kind: 'truncation_not_excluded' }])
  })

  it('may be empty, and may be ahead of its witness', async () => {
    expect(await check(write([]), witnessed(write([])))).toMatchObject({ findings: [], information: [], size: 0 })
    const report = await check(good, witnessed(write(entries.slice(0, 300))))
    expect(report.findings).toEqual([])
    expect(report.information).toEqual([{ kind: 'not_yet_witnessed', index: 300, count: 400 }])
  })

  it('may end in a write that was cut off, and may have no tiles yet', async () => {
    const [first] = write(entries.slice(0, 20)).segments
    const files = write(entries.slice(0, 18))
    const [last] = files.segments
    const torn = {
      ...files,
      tiles: new Map(),
      segments: [{ name: segmentName(0), bytes: (first?.bytes ?? Buffer.alloc(0)).subarray(0, (last?.bytes.length ?? 0) - 10) }],
    }
    const whole = write(entries.slice(0, 15))
    const report = await check({ ...torn, checkpoint: whole.checkpoint }, null)
    expect(report.findings).toEqual([])
    expect(report.information.map(({ kind }) => kind)).toContain('torn_tail')
  })

  it('tells intents without outcome', async () => {
    const open = encodeEntry({ type: 'intent', atMs: 1, data: { intent: 'i1' } })
    const closed = [
      encodeEntry({ type: 'intent', atMs: 1, data: { intent: 'i2' } }),
      encodeEntry({ type: 'outcome', atMs: 2, data: { intent: 'i2', result: 'succeeded' } }),
    ]
    const files = write([...closed, open])
    expect((await check(files, witnessed(files))).information).toEqual([
      { kind: 'intent_without_outcome', index: 2, intent: 'i1' },
    ])
  })

  it('says when its key was found beside it', async () => {
    const report = await verifyLog(sourceOf(good), { logKeys: [signer.key], logKeysFrom: 'log', witness: null })
    expect(report.information.map(({ kind }) => kind)).toContain('key_from_the_log_itself')
  })
})

describe('tampering without the key', () => {
  it('by a changed byte, anywhere in any file of entries, is found', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), async (pickedSegment, pickedByte, change) => {
        const place = pickedSegment % good.segments.length
        const segments = good.segments.map(({ name, bytes }) => ({ name, bytes: Buffer.from(bytes) }))
        const bytes = segments[place]?.bytes ?? Buffer.alloc(0)
        const at = pickedByte % bytes.length
        bytes[at] = (bytes[at] ?? 0) ^ change
        expect((await check({ ...good, segments }, null)).findings.length).toBeGreaterThan(0)
      }),
      { numRuns: roundsOf(150, 40) },
    )
  })

  it('names the entry that was changed, though its checksum was made to fit', async () => {
    for (const place of [0, 255, 256, 444, 699]) {
      const report = await check(
        replaced(entries.map((entry, index) => (index === place ? encodeEntry(event(5000)) : entry))),
        null,
      )
      expect(report.findings).toContainEqual({ kind: 'entry_changed', index: place })
      expect(kinds(report)).toContain('root_mismatch')
    }
  })

  it('names entries removed', async () => {
    for (const place of [0, 300, 698]) {
      const report = await check(replaced(without(place)), null)
      expect(report.findings).toContainEqual({ kind: 'entry_removed', index: place, count: 1 })
    }
    const many = await check(replaced([...entries.slice(0, 100), ...entries.slice(250)]), null)
    expect(many.findings).toContainEqual({ kind: 'entry_removed', index: 100, count: 150 })
  })

  it('names entries added, in the middle and behind the end', async () => {
    const fresh = encodeEntry(event(9999))
    expect((await check(replaced([...entries.slice(0, 400), fresh, ...entries.slice(400)]), null)).findings).toContainEqual({
      kind: 'entry_added',
      index: 400,
      count: 1,
    })
    expect((await check(replaced([fresh, ...entries]), null)).findings).toContainEqual({
      kind: 'entry_added',
      index: 0,
      count: 1,
    })
    expect((await check(replaced([...entries, fresh]), seen)).findings).toEqual([
      { kind: 'unsigned_tail', index: count, count: 1 },
    ])
    const doubled = await check(replaced([...entries.slice(0, 400), ...entries.slice(399)]), null)
    expect(kinds(doubled)).toContain('entry_added')
  })

  it('names entries in another order', async () => {
    for (const place of [0, 255, 500]) {
      const [left, right] = [entries[place] ?? Buffer.alloc(0), entries[place + 1] ?? Buffer.alloc(0)]
      const swapped = [...entries.slice(0, place), right, left, ...entries.slice(place + 2)]
      expect((await check(replaced(swapped), null)).findings).toContainEqual({
        kind: 'entries_reordered',
        index: place,
        count: 2,
      })
    }
  })

  it('names a truncated tail, by the entry, the group and the segment', async () => {
    for (const left of [699, 695, 600, 0]) {
      const report = await check(replaced(entries.slice(0, left)), null)
      expect(report.findings).toEqual([{ kind: 'truncated', size: left, expected: count, by: 'log' }])
    }
  })

  it('is found with the tiles changed to match, and without tiles', async () => {
    const changed = entries.map((entry, index) => (index === 300 ? encodeEntry(event(5000)) : entry))
    expect(kinds(await check({ ...write(changed), checkpoint: good.checkpoint }, null))).toEqual(['root_mismatch'])
    expect(kinds(await check({ ...replaced(changed), tiles: new Map() }, null))).toEqual(['root_mismatch'])
  })

  it('of a tile is found', async () => {
    for (const path of good.tiles.keys()) {
      const tiles = new Map(good.tiles)
      const bytes = Buffer.from(tiles.get(path) ?? [])
      bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1
      tiles.set(path, bytes)
      expect((await check({ ...good, tiles }, seen)).findings).toEqual([{ kind: 'tile_altered', path }])
    }
  })

  it('of segments is found: missing, renamed, swapped, torn in the middle', async () => {
    const { segments } = good
    expect(kinds(await check({ ...good, segments: segments.filter((_, place) => place !== 2) }, null))).toContain('gap')
    expect(
      kinds(
        await check({ ...good, segments: segments.map(({ bytes }, place) => ({ bytes, name: segmentName(place * 99) })) }, null),
      ),
    ).toContain('gap')
    expect(
      kinds(
        await check(
          {
            ...good,
            segments: segments.map(({ name, bytes }, place) => ({ name, bytes: place === 2 ? bytes.subarray(0, 400) : bytes })),
          },
          null,
        ),
      ),
    ).toContain('damaged')
    expect(
      kinds(
        await check(
          {
            ...good,
            segments: segments.map(({ name, bytes }, place) => ({ name, bytes: place === 2 ? Buffer.alloc(0) : bytes })),
          },
          null,
        ),
      ),
    ).toContain('damaged')
  })

  it('of the checkpoint is found', async () => {
    expect(kinds(await check({ ...good, checkpoint: null }, null))).toEqual(['checkpoint_missing'])
    expect(kinds(await check({ ...good, checkpoint: 'nonsense' }, null))).toEqual(['checkpoint_invalid'])
    expect(kinds(await check({ ...good, checkpoint: good.checkpoint?.replace('700', '699') ?? null }, null))).toEqual([
      'checkpoint_invalid',
    ])
    expect(kinds(await check(write(entries, stranger), null))).toEqual(['checkpoint_invalid'])
    const other = noteSigner('other.example/log', Buffer.alloc(32, 1))
    const report = await verifyLog(sourceOf(write(entries, other)), {
      logKeys: [other.key],
      logKeysFrom: 'caller',
      witness: { checkpoint: seen, keys: [cosigner.key] },
    })
    expect(kinds(report)).toEqual(['witness_invalid'])
    // The witness's cosignature alone does not make it a checkpoint of the log.
    const cosignedOnly = `${parseNote(seen).text}\n${seen.split('\n').findLast((line) => line.startsWith('—')) ?? ''}\n`
    expect(kinds(await check({ ...good, checkpoint: cosignedOnly }, null))).toEqual(['checkpoint_invalid'])
  })

  it('that leaves no event where one should be is found', async () => {
    const files = write([...entries.slice(0, 3), Buffer.from('{"x":1}')])
    expect((await check(files, null)).findings).toMatchObject([{ kind: 'not_an_event', index: 3 }])
  })
})

describe('tampering with the gateway’s own key', () => {
  const rewrite = write(entries.map((entry, index) => (index === 300 ? encodeEntry(event(5000)) : entry)))
  const older = write(entries.slice(0, 650))

  it('shows only by the witness: a rewrite', async () => {
    expect((await check(rewrite, seen)).findings).toEqual([{ kind: 'rewritten', size: count }])
    expect((await check(write([...without(10), encodeEntry(event(1)), encodeEntry(event(2))]), seen)).findings).toEqual([
      { kind: 'rewritten', size: count },
    ])
    expect(await check(rewrite, null)).toMatchObject({ findings: [], information: [{ kind: 'truncation_not_excluded' }] })
  })

  it('shows only by the witness: an old image put back, or a tail cut off and signed anew', async () => {
    expect((await check(older, seen)).findings).toEqual([{ kind: 'truncated', size: 650, expected: count, by: 'witness' }])
    expect(await check(older, null)).toMatchObject({ findings: [], information: [{ kind: 'truncation_not_excluded' }] })
  })

  it('is not covered up by another witness’s checkpoint', async () => {
    const falseWitness = noteSigner(cosigner.key.name, Buffer.alloc(32, 9), signatureTypes.cosignature)
    const text = rewrite.checkpoint ?? ''
    const forged = addSignatures(text, cosignNote(parseNote(text).text, falseWitness, 1_700_000_000))
    expect(kinds(await check(rewrite, forged))).toEqual(['witness_invalid'])
    expect(kinds(await check(rewrite, text))).toEqual(['witness_invalid'])
    expect(kinds(await check(rewrite, 'nonsense'))).toEqual(['witness_invalid'])
    const noKeys = await verifyLog(sourceOf(good), {
      logKeys: [signer.key],
      logKeysFrom: 'caller',
      witness: { checkpoint: seen, keys: [] },
    })
    expect(kinds(noKeys)).toEqual(['witness_invalid'])
  })
})

it('entries behind the checkpoint are news only when the log was seen to grow', async () => {
  const growing = { ...good, segments: writeSegments([...entries, encodeEntry(event(1)), encodeEntry(event(2))]) }
  const options = { logKeys: [signer.key], logKeysFrom: 'caller' as const, witness: null }
  expect(kinds(await verifyLog(sourceOf(growing), options))).toEqual(['unsigned_tail'])
  const report = await verifyLog(sourceOf(growing), { ...options, isGrowing: true })
  expect(report.findings).toEqual([])
  expect(report.information).toContainEqual({ kind: 'not_yet_signed', index: count, count: 2 })
})

it('every finding and piece of information has a sentence', () => {
  const findings: Finding[] = [
    { kind: 'damaged', segment: 's', position: 1, detail: 'd' },
    { kind: 'gap', segment: 's', expected: 1, found: 2 },
    { kind: 'not_an_event', index: 1, detail: 'd' },
    { kind: 'entry_changed', index: 1 },
    { kind: 'entry_removed', index: 1, count: 1 },
    { kind: 'entry_added', index: 1, count: 2 },
    { kind: 'entries_reordered', index: 1, count: 2 },
    { kind: 'root_mismatch', size: 1, by: 'log' },
    { kind: 'truncated', size: 1, expected: 2, by: 'witness' },
    { kind: 'rewritten', size: 1 },
    { kind: 'unsigned_tail', index: 1, count: 1 },
    { kind: 'checkpoint_missing' },
    { kind: 'checkpoint_invalid', detail: 'd' },
    { kind: 'witness_invalid', detail: 'd' },
    { kind: 'tile_altered', path: 'p' },
  ]
  for (const finding of findings) expect(explainFinding(finding)).toMatch(/^[A-Z0-9].*\.$/)
  expect(explainInformation({ kind: 'truncation_not_excluded' })).toMatch(/^Truncation not excluded/)
  expect(explainInformation({ kind: 'intent_without_outcome', index: 4, intent: 'i' })).toMatch(/unknown\.$/)
})
