/** A stretch of text that shows itself, or one character that would not, written out. */
export type TextPiece =
  | { readonly kind: 'plain'; readonly text: string }
  | { readonly kind: 'escaped'; readonly codePoint: number; readonly text: string }

/**
 * Characters that are not shown as what they are: controls (but line feed and tab), format characters (bidi among them), surrogates, private
 * and unassigned code points, separators other than the plain blank, everything that Unicode lets a renderer ignore, the blank braille cell,
 * the third and later of a pile of combining marks, and the brackets we write escapes with, so that no text can imitate an escape.
 */
const hidden =
  /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800\u27E6\u27E7]|(?! )\p{Zs}|(?<=\p{M}\p{M})\p{M}/gu

/** Splits hostile text for showing. Nothing is dropped: joining the pieces' texts loses no character and confuses no two texts. */
export function visiblePieces(text: string): readonly TextPiece[] {
  const pieces: TextPiece[] = []
  let shown = 0
  for (const match of text.matchAll(hidden)) {
    if (match.index > shown) pieces.push({ kind: 'plain', text: text.slice(shown, match.index) })
    const codePoint = match[0].codePointAt(0) ?? 0
    pieces.push({ kind: 'escaped', codePoint, text: writeEscape(codePoint) })
    shown = match.index + match[0].length
  }
  if (shown < text.length) pieces.push({ kind: 'plain', text: text.slice(shown) })
  return pieces
}

/** Hostile text for a terminal, a notice or a log line: same rule, as one string. Line feeds and tabs stay. */
export function visibleText(text: string): string {
  return text.replaceAll(hidden, (character) => writeEscape(character.codePointAt(0) ?? 0))
}

/** As visibleText, on one line. */
export function visibleLine(text: string): string {
  return visibleText(text).replaceAll('\n', writeEscape(0x0a)).replaceAll('\t', writeEscape(0x09))
}

function writeEscape(codePoint: number): string {
  return `⟦U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}⟧`
}
