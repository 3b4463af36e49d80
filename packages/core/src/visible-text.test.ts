import fc from 'fast-check'
import { expect, test } from 'vitest'
import { visibleLine, visiblePieces, visibleText } from './visible-text.ts'

test.each([
  ['right-to-left override', 'DROP \u202E elbat', 'DROP ⟦U+202E⟧ elbat'],
  ['zero-width space', 'or\u200Bders', 'or⟦U+200B⟧ders'],
  ['escape sequence of a terminal', '\u001B[2K', '⟦U+001B⟧[2K'],
  ['carriage return', 'a\rb', 'a⟦U+000D⟧b'],
  ['no-break space', 'a\u00A0b', 'a⟦U+00A0⟧b'],
  ['line separator', 'a\u2028b', 'a⟦U+2028⟧b'],
  ['Hangul filler', 'a\u3164b', 'a⟦U+3164⟧b'],
  ['tag character', 'a\u{E0041}b', 'a⟦U+E0041⟧b'],
  ['lone surrogate', 'a\uD800b', 'a⟦U+D800⟧b'],
  ['a third combining mark', 'a\u0301\u0301\u0301', 'a\u0301\u0301⟦U+0301⟧'],
  ['an imitated escape', '⟦U+202E⟧', '⟦U+27E6⟧U+202E⟦U+27E7⟧'],
])('%s is written out', (_name, text, shown) => {
  expect(visibleText(text)).toBe(shown)
})

test('line feed and tab stay, except on one line', () => {
  expect(visibleText('a\n\tb')).toBe('a\n\tb')
  expect(visibleLine('a\n\tb')).toBe('a⟦U+000A⟧⟦U+0009⟧b')
})

test('no two texts look alike, and nothing is dropped', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const pieces = visiblePieces(text)
      expect(pieces.map((piece) => piece.text).join('')).toBe(visibleText(text))
      const back = pieces.map((piece) => (piece.kind === 'plain' ? piece.text : String.fromCodePoint(piece.codePoint))).join('')
      expect(back).toBe(text)
    }),
  )
})
