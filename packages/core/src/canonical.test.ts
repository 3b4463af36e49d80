import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { canonicalJson, digestJson, keepCanonical, type Json } from './canonical.ts'

const object = z.record(z.string(), z.number())
const json: z.ZodType<Json> = z.json()

describe('canonicalJson', () => {
  it('writes the example of RFC 8785 §3.2.4 byte for byte', () => {
    const input: Json = {
      numbers: [333333333.33333329, 1e30, 4.5, 2e-3, 1e-27],
      string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    }
    // 1e30 is an integer past 2^53: RFC 8785 would write it, we refuse what an upstream may read as another number.
    expect(() => canonicalJson(input)).toThrow(RangeError)
    expect(canonicalJson({ ...input, numbers: [333333333.33333329, 4.5, 2e-3, 1e-27] })).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    )
  })

  it('sorts keys by UTF-16 code unit (RFC 8785 §3.2.3)', () => {
    const keys = ['\u20ac', '\r', '\ufb33', '1', '\u{1f600}', '\u0080', '\u00f6']
    const written = canonicalJson(Object.fromEntries(keys.map((key) => [key, 1])))
    expect(Object.keys(object.parse(JSON.parse(written)))).toEqual([
      '1',
      '\r',
      '\u0080',
      '\u00f6',
      '\u20ac',
      '\u{1f600}',
      '\ufb33',
    ])
  })

  it('does not depend on the order of keys, and differs when anything else differs', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.integer()), (value) => {
        const turned = Object.fromEntries(Object.entries(value).reverse())
        expect(canonicalJson(turned)).toBe(canonicalJson(value))
        expect(digestJson({ ...value, '\u0000more': 1 })).not.toBe(digestJson(value))
      }),
    )
  })

  it('refuses what it cannot carry exactly', () => {
    let deep: Json = 1
    for (let level = 0; level < 70; level += 1) deep = [deep]
    for (const value of [Number.NaN, Infinity, 2 ** 53, -(2 ** 53), '\ud800', { '\udc00': 1 }, deep])
      expect(() => canonicalJson(value)).toThrow(RangeError)
    expect(canonicalJson(-0)).toBe('0')
  })

  it('reads back as what was written', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        let written: string
        try {
          written = canonicalJson(json.parse(JSON.parse(JSON.stringify(value))))
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
          return
        }
        expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})

describe('keepCanonical', () => {
  it('changes no text, wherever what is kept stands', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 3 })), fc.string(), (value, name) => {
        // Not the name too: zod leaves out a member called __proto__, which canonical JSON does not.
        const plain = json.parse(JSON.parse(JSON.stringify(value)))
        let expected: string
        try {
          expected = canonicalJson({ [name]: [plain, plain] })
        } catch {
          return
        }
        const part = keepCanonical([json.parse(JSON.parse(JSON.stringify(value)))])
        expect(canonicalJson({ [name]: [part[0] ?? null, part[0] ?? null] })).toBe(expected)
        expect(canonicalJson({ [name]: part })).toBe(canonicalJson({ [name]: [...part] }))
      }),
    )
  })

  it('keeps only what can never change, and no way past the limits', () => {
    const inner = { a: [1, { b: 2 }] }
    const kept = keepCanonical(inner)
    expect(() => Object.assign(kept, { a: 3 })).toThrow(TypeError)
    expect(() => kept.a.push(3)).toThrow(TypeError)
    expect(canonicalJson(kept)).toBe('{"a":[1,{"b":2}]}')
    expect(() => keepCanonical({ a: '\ud800' })).toThrow(RangeError)
    const levels = (value: Json, count: number): Json => (count === 0 ? value : [levels(value, count - 1)])
    const deep = keepCanonical([levels(1, 39)])
    expect(canonicalJson(levels(deep, 24))).toBe(canonicalJson(levels(levels(1, 40), 24)))
    expect(() => canonicalJson(levels(deep, 25))).toThrow(RangeError)
  })
})
