import { visiblePieces } from '@sallyport/core'
import { formatAmount } from './time-words.ts'

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
