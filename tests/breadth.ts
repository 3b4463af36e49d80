import { selectionOf, selectionVariable } from '../tools/test-files.ts'

/**
 * Many cases of one kind, as far as this run goes: all of them in the long proofs (a `*.prove.test.ts` that imports the test), and in `npm test` so many
 * of them, evenly spaced, the first and the last among them.
 */
export function casesOf<Case>(
  all: readonly Case[],
  shortCount: number,
  selection = selectionOf(process.env[selectionVariable]),
): readonly Case[] {
  if (selection === 'long' || shortCount >= all.length) return all
  const step = (all.length - 1) / Math.max(1, shortCount - 1)
  const places = new Set(Array.from({ length: shortCount }, (_, index) => Math.round(index * step)))
  return all.filter((_, index) => places.has(index))
}

/** A number of rounds, likewise. */
export function roundsOf(long: number, short: number, selection = selectionOf(process.env[selectionVariable])): number {
  return selection === 'long' ? long : short
}

/**
 * A case that only the long proofs have, to be given to `test.each`: what `npm test` shows of it, another case shows as well. A `*.prove.test.ts` beside
 * the test must import it, or nobody runs this one.
 */
export const inDepth = (name: string): readonly string[] => casesOf([name], 0)
