import { visibleLine, visiblePieces } from '@sallyport/core'
import { findOddities } from './oddities.ts'
import { markup, type Markup, type Piece } from './markup.ts'
import { formatAmount } from './time-words.ts'

/** Above this a box scrolls, and says so. */
const tallLines = 24
const tallCharacters = 2000

/** Text of an agent's or an upstream's, whole, with what would hide made visible. */
function showText(text: string): Piece {
  return visiblePieces(text).map((piece) =>
    piece.kind === 'plain' ? piece.text : markup`<mark title="a character that does not show itself">${piece.text}</mark>`,
  )
}

/** The same on one line: a name, an identity, one bind value. */
export function showLine(text: string): Piece {
  return text
    .split(/([\n\t])/)
    .map((part) => (part === '\n' || part === '\t' ? markup`<mark>${visibleLine(part)}</mark>` : showText(part)))
}

/** The agent's own words in a box of their own: never cut, its length said, so that nothing hides below the fold. */
export function fence(label: string, text: string): Markup {
  const lines = text.split('\n').length
  const length = `${formatAmount(text.length, 'character')}, ${formatAmount(lines, 'line')}`
  const tall = lines > tallLines || text.length > tallCharacters
  const warnings = findOddities(text)
  return markup`<figure class="fence"><figcaption><span>${label}</span> <span class="dim">${length}${tall ? ' — scroll to read all of it' : ''}</span></figcaption>${warnings.map(
    (warning) => markup`<p class="odd"><b aria-hidden="true">⚠</b> ${warning}</p>`,
  )}<pre tabindex="0" role="region" aria-label="${label}, ${length}">${showText(text)}</pre></figure>`
}
