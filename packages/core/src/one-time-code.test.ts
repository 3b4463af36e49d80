import fc from 'fast-check'
import { expect, test } from 'vitest'
import { codeAt, codeKeyText, codeStepOf, codeUri, findCodeStep } from './one-time-code.ts'

const rfcSecret = Buffer.from('12345678901234567890')

test.each([...['755224', '287082', '359152', '969429', '338314', '254676', '287922', '162583', '399871', '520489'].entries()])(
  'RFC 4226, appendix D: counter %i',
  (counter, code) => {
    expect(codeAt(rfcSecret, counter)).toBe(code)
  },
)

test.each([
  [59, '287082'],
  [1_111_111_109, '081804'],
  [1_111_111_111, '050471'],
  [1_234_567_890, '005924'],
  [2_000_000_000, '279037'],
  [20_000_000_000, '353130'],
])('RFC 6238, appendix B: second %i, the last six of its eight digits', (second, code) => {
  expect(codeAt(rfcSecret, codeStepOf(second * 1000))).toBe(code)
})

test('one step off is taken, either way, and no further; and it says which step it was', () => {
  const secret = fc.uint8Array({ minLength: 20, maxLength: 20 })
  fc.assert(
    fc.property(secret, fc.integer({ min: 100, max: 2 ** 31 }), fc.integer({ min: -4, max: 4 }), (key, step, drift) => {
      const found = findCodeStep(key, codeAt(key, step + drift), step * 30_000)
      const near = [step, step - 1, step + 1]
      if (Math.abs(drift) <= 1) expect(near).toContain(found)
      // Two steps of one secret may have the same code, once in a million.
      else if (found !== null) expect(codeAt(key, found)).toBe(codeAt(key, step + drift))
    }),
  )
})

test.each(['', '28708', '2870820', ' 287082', '28708２', '\u0000\u0000\u0000\u0000\u0000\u0000', '💥💥', '0x1234', '-87082'])(
  'what is no code is none, of whatever length and letters: %j',
  (text) => {
    expect(findCodeStep(rfcSecret, text, 59_000)).toBeNull()
  },
)

test('the key as a person types it, and as an app reads it', () => {
  expect(codeKeyText(rfcSecret)).toBe('GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ')
  expect(codeUri(rfcSecret, 'ada l&b')).toBe(
    'otpauth://totp/Sallyport%3Aada%20l%26b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Sallyport',
  )
})
