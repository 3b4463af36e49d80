import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Event } from '../event.ts'
import { decodeEntry, encodeEntry } from './entry.ts'
import { LogFormatError } from './hash.ts'
import {
  decodeSegment,
  encodeGroup,
  encodeSegmentHeader,
  groupHeaderBytes,
  parseSegmentName,
  segmentHeaderBytes,
  segmentName,
} from './segment.ts'
import { decodeEntryBundle, decodeTile, encodeEntryBundle, encodeTile, parseTilePath, tilePath } from './tile.ts'

const entry = (text: string): Uint8Array => Buffer.from(text)

function segment(groups: readonly (readonly string[])[], firstIndex = 0): Buffer {
  const parts: Uint8Array[] = [encodeSegmentHeader(firstIndex)]
  let next = firstIndex
  for (const group of groups) {
    parts.push(encodeGroup(next, group.map(entry)))
    next += group.length
  }
  return Buffer.concat(parts)
}

const declared = (decode: () => unknown): void => {
  try {
    decode()
  } catch (error) {
    expect(error).toBeInstanceOf(LogFormatError)
  }
}

describe('segments', () => {
  it('are read as they were written', () => {
    const decoded = decodeSegment(segment([['a', ''], ['c']], 7))
    expect(decoded.groups.map(({ entries }) => entries.map(String))).toEqual([['a', ''], ['c']])
    expect([decoded.firstIndex, decoded.nextIndex, decoded.rest]).toEqual([7, 10, 'none'])
    expect(parseSegmentName(segmentName(7))).toBe(7)
    for (const name of ['7.log', '0000000000000007.log.bak', '000000000000000x.log', '9999999999999999.log'])
      expect(parseSegmentName(name)).toBeNull()
  })

  it('are torn, not damaged, when their end is missing at any byte', () => {
    const whole = segment([['first'], ['second', 'third']])
    const firstEnd = segment([['first']]).length
    for (let length = segmentHeaderBytes; length < whole.length; length += 1) {
      const { nextIndex, rest, end } = decodeSegment(whole.subarray(0, length))
      expect(nextIndex).toBe(length < firstEnd ? 0 : 1)
      // A group begins with a zero, and a zero alone is nothing.
      expect(rest).toBe(length <= end + 1 ? 'none' : 'torn')
    }
  })

  it('end where zeros begin that were written ahead, and not where a group follows those', () => {
    const whole = segment([['first'], ['second']])
    const ahead = Buffer.alloc(200_000)
    expect(decodeSegment(Buffer.concat([whole, ahead]))).toMatchObject({ nextIndex: 2, end: whole.length, rest: 'none' })
    for (const at of [0, 70_000, 199_999]) {
      const touched = Buffer.from(ahead)
      touched[at] = 1
      expect(decodeSegment(Buffer.concat([whole, touched])).rest).toBe('torn')
    }
    const hidden = Buffer.concat([whole, ahead, encodeGroup(2, [Buffer.from('third')]), ahead])
    expect(decodeSegment(hidden)).toMatchObject({ nextIndex: 2, rest: 'damaged' })
  })

  it('are torn when the last write reached the disk with holes', () => {
    const whole = segment([['first'], ['x'.repeat(2000)]])
    whole.fill(0, whole.length - 1500, whole.length - 500)
    expect(decodeSegment(whole)).toMatchObject({ nextIndex: 1, rest: 'torn' })
  })

  it('are damaged when a group follows what cannot be read, at any byte', () => {
    const whole = segment([['first'], ['second'], ['third']])
    for (let place = segmentHeaderBytes; place < segment([['first'], ['second']]).length; place += 1) {
      const changed = Buffer.from(whole)
      changed[place] = (changed[place] ?? 0) ^ 0x10
      expect(decodeSegment(changed).rest).toBe('damaged')
    }
  })

  it('do not take a group inside an entry for one of theirs: canonical JSON cannot hold its magic', () => {
    const inner = segment([['x']])
      .subarray(segmentHeaderBytes)
      .toString('latin1')
    const event: Event = { type: 'statement', atMs: 1, data: { text: inner } }
    const bytes = Buffer.concat([encodeSegmentHeader(0), encodeGroup(0, [encodeEntry(event)])])
    expect(decodeSegment(bytes.subarray(0, bytes.length - 1)).rest).toBe('torn')
  })

  it('show what stands in a group of which only the checksum is wrong, when asked to', () => {
    const changed = segment([['first'], ['second']])
    changed.write('F', segmentHeaderBytes + groupHeaderBytes + 4)
    const { groups } = decodeSegment(changed, true)
    expect(groups.map(({ intact, entries }) => [intact, ...entries.map(String)])).toEqual([
      [false, 'First'],
      [true, 'second'],
    ])
    expect(decodeSegment(changed).nextIndex).toBe(0)
  })

  it('that are no segments, or hostile, throw nothing but LogFormatError', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.array(fc.record({ at: fc.nat(400), byte: fc.nat(255) })),
        (noise, changes) => {
          declared(() => decodeSegment(noise))
          const changed = Buffer.concat([segment([['first'], ['second', 'third']]), noise])
          for (const { at, byte } of changes) changed[at % changed.length] = byte
          declared(() => decodeSegment(changed))
          declared(() => decodeSegment(changed, true))
        },
      ),
    )
  })
})

describe('tiles', () => {
  it('lie where C2SP tlog-tiles says', () => {
    expect(tilePath({ level: 0, index: 1_234_067, width: 256 })).toBe('tile/0/x001/x234/067')
    expect(tilePath({ level: 1, index: 0, width: 17 })).toBe('tile/1/000.p/17')
    expect(tilePath({ level: 'entries', index: 273, width: 112 })).toBe('tile/entries/273.p/112')
    expect(tilePath({ level: 2, index: 1000, width: 256 })).toBe('tile/2/x001/000')
  })

  it('have one path each', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.nat(63), fc.constant('entries' as const)),
        fc.maxSafeNat(),
        fc.integer({ min: 1, max: 256 }),
        (level, index, width) => {
          expect(parseTilePath(tilePath({ level, index, width }))).toEqual({ level, index, width })
        },
      ),
    )
    for (const path of [
      'tile/00/000',
      'tile/64/000',
      'tile/0/0',
      'tile/0/x000/001',
      'tile/0/000.p/256',
      'tile/0/000.p/0',
      'tile/0/000.p/01',
      'tile/0/../000',
      '/tile/0/000',
      'tile/0/000\n',
    ]) {
      expect(() => parseTilePath(path)).toThrow(LogFormatError)
    }
  })

  it('and bundles are read as written, and nothing else is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 256 }),
        fc.uint8Array({ maxLength: 100 }),
        (entries, noise) => {
          expect(decodeEntryBundle(encodeEntryBundle(entries), entries.length).map((item) => [...item])).toEqual(
            entries.map((item) => [...item]),
          )
          expect(() =>
            decodeEntryBundle(Buffer.concat([encodeEntryBundle(entries), noise.subarray(0, 1), Buffer.of(1)]), entries.length),
          ).toThrow(LogFormatError)
          declared(() => decodeEntryBundle(noise, 1 + (noise.length % 256)))
          declared(() => decodeTile(noise, 1 + (noise.length % 256)))
          declared(() => parseTilePath(Buffer.from(noise).toString()))
        },
      ),
    )
    expect(decodeTile(encodeTile([Buffer.alloc(32, 1), Buffer.alloc(32, 2)]), 2)).toEqual([
      Buffer.alloc(32, 1),
      Buffer.alloc(32, 2),
    ])
    expect(() => encodeEntryBundle([Buffer.alloc(65_536)])).toThrow(LogFormatError)
  })
})

describe('entries', () => {
  it('are canonical JSON of events and read back as such', () => {
    const event: Event = { type: 'intent', atMs: 5, session: 's', agent: 'a', data: { b: [1, null, true, 'é'], a: { z: 1.5 } } }
    expect(Buffer.from(encodeEntry(event)).toString()).toBe(
      '{"agent":"a","atMs":5,"data":{"a":{"z":1.5},"b":[1,null,true,"é"]},"session":"s","type":"intent"}',
    )
    expect(decodeEntry(encodeEntry(event))).toEqual(event)
    expect(decodeEntry(encodeEntry({ type: 'kill', atMs: 1, data: {} }))).toEqual({ type: 'kill', atMs: 1, data: {} })
    const salt = 'AAAAAAAAAAAAAAAAAAAAAA'
    expect(Buffer.from(encodeEntry(event, salt)).toString()).toBe(
      `{"agent":"a","atMs":5,"data":{"a":{"z":1.5},"b":[1,null,true,"é"]},"salt":"${salt}","session":"s","type":"intent"}`,
    )
    expect(decodeEntry(encodeEntry(event, salt))).toEqual(event)
    expect(decodeEntry(encodeEntry({ type: 'kill', atMs: 1, data: {} }, salt))).toEqual({ type: 'kill', atMs: 1, data: {} })
  })

  it.each([
    ['a blank', '{"atMs":1,"data":{},"type": "kill"}'],
    ['another order of keys', '{"data":{},"atMs":1,"type":"kill"}'],
    ['a key twice', '{"atMs":1,"atMs":1,"data":{},"type":"kill"}'],
    ['an unknown type', '{"atMs":1,"data":{},"type":"Kill"}'],
    ['another field', '{"atMs":1,"data":{},"type":"kill","x":1}'],
    ['a salt of another length', '{"atMs":1,"data":{},"salt":"AAAA","type":"kill"}'],
    ['a long number', '{"atMs":1.0,"data":{},"type":"kill"}'],
    ['bytes that are not UTF-8', Buffer.from('{"atMs":1,"data":{"x":"\xff"},"type":"kill"}', 'latin1')],
    ['too much depth', `{"atMs":1,"data":{"x":${'['.repeat(30_000)}${']'.repeat(30_000)}},"type":"kill"}`],
    ['nothing', ''],
  ])('with %s are none', (_, text) => {
    expect(() => decodeEntry(Buffer.from(text))).toThrow(LogFormatError)
  })
})
