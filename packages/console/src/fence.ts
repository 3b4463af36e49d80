import { visibleLine, visiblePieces } from '@sallyport/core'
import { markup, type Markup, type Piece } from './markup.ts'
import { formatAmount } from './words.ts'

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

/** What in a text may mislead the eye, in words. */
export function findOddities(text: string): readonly string[] {
  const oddities: string[] = []
  const escaped = visiblePieces(text).filter(({ kind }) => kind === 'escaped').length
  if (escaped > 0)
    oddities.push(
      `${formatAmount(escaped, 'character')} that would not show, or would reorder the text, ${escaped === 1 ? 'is' : 'are'} written as ⟦U+…⟧.`,
    )
  const foreign = [...new Set(text.match(/[^\p{ASCII}]/gu)?.filter((character) => /\p{L}/u.test(character)) ?? [])]
  if (foreign.length > 0) oddities.push(`Letters outside ASCII, which can look like others: ${foreign.map(nameLetter).join(' ')}`)
  const gap = text.match(/\s{40,}/g)?.reduce((longest, run) => Math.max(longest, run.length), 0) ?? 0
  if (gap > 0) oddities.push(`A run of ${formatAmount(gap, 'blank character')}: look for text after it.`)
  return oddities
}

function nameLetter(letter: string): string {
  return `${letter} (U+${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')})`
}
