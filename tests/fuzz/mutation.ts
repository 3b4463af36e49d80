import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { z } from 'zod'
import { cut, type Piece } from './oracle.ts'

const caseShape = z.object({ sql: z.string() })
const scriptShape = z.object({ script: z.array(z.unknown()) })
/** Longer texts make a run slow, and are tried by the tests of the parser's limits. */
const seedMax = 600

/** Everything labelled, and every attack: SQL of all kinds to begin with. */
export function readSeeds(): readonly string[] {
  const files = ['sql.jsonl', 'sql-own.jsonl', 'sql-wide.jsonl', 'sql-common.jsonl', 'sql-rare.jsonl', 'sql-attacks.jsonl']
  const lines = files.flatMap((name) =>
    readFileSync(fileURLToPath(new URL(`../cases/${name}`, import.meta.url)), 'utf8')
      .trim()
      .split('\n'),
  )
  const texts = lines
    .filter((line) => line !== '')
    .flatMap((line): readonly string[] => {
      const value: unknown = JSON.parse(line)
      const labelled = caseShape.safeParse(value)
      if (labelled.success) return [labelled.data.sql]
      return scriptShape.parse(value).script.filter((step) => typeof step === 'string')
    })
  return texts.filter((text) => text.length <= seedMax && cut(text) !== null)
}

/** What is done to the pieces of a text: where, as a share of its length, and what. */
const changes = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 0.999, noNaN: true }),
    to: fc.double({ min: 0, max: 0.999, noNaN: true }),
    how: fc.constantFrom('drop', 'double', 'swap', 'splice', 'replace'),
  }),
  { minLength: 1, maxLength: 4 },
)

/** Texts with pieces left out, doubled, changed over, or brought from another text. */
export function mutated(seeds: readonly string[]): fc.Arbitrary<string> {
  return fc.tuple(fc.constantFrom(...seeds), fc.constantFrom(...seeds), changes).map(([first, second, edits]) => {
    const pieces = [...(cut(first) ?? [])].map(({ text }) => text)
    const others = (cut(second) ?? []).map(({ text }) => text)
    for (const { at, to, how } of edits) {
      const [from, target] = [Math.floor(at * pieces.length), Math.floor(to * pieces.length)]
      const other = others[Math.floor(to * others.length)] ?? ';'
      if (how === 'drop') pieces.splice(from, 1)
      if (how === 'double') pieces.splice(target, 0, pieces[from] ?? '')
      if (how === 'swap') pieces.splice(from, 1, ...pieces.splice(target, 1, pieces[from] ?? ''))
      if (how === 'splice')
        pieces.splice(from, 0, ...others.slice(Math.floor(at * others.length), Math.floor(to * others.length)))
      if (how === 'replace') pieces[from] = other
    }
    return pieces.join(' ')
  })
}

const gap = fc.constantFrom(
  ' ',
  '\n',
  '\t',
  ' /* DROP TABLE t */ ',
  ' -- SELECT 1\n',
  '/**/',
  ' /* /* */ */ ',
  '\r\n',
  '\f',
  "/* ' */",
  '/* $$ */',
)
const dress = fc.record({ gap, word: fc.constantFrom('same', 'upper', 'lower', 'quoted') })

/** The same text in another dress: blanks, comments, case, quotes, parentheses. Whether it means the same is for the oracle to say. */
export function dressed(texts: fc.Arbitrary<string>): fc.Arbitrary<readonly [plain: string, other: string]> {
  return fc.tuple(texts, fc.array(dress, { minLength: 12, maxLength: 12 }), fc.boolean()).map(([plain, dresses, wraps]) => {
    const pieces = (cut(plain) ?? []).filter(({ isComment }) => !isComment)
    const other = pieces.map((piece, index) => wear(piece, dresses[index % dresses.length])).join('')
    return [plain, wraps ? `(${other})` : other]
  })
}

function wear({ text, isWord }: Piece, dress: { readonly gap: string; readonly word: string } | undefined): string {
  const after = dress?.gap ?? ' '
  if (!isWord || !/^[a-z_][a-z0-9_]*$/i.test(text)) return `${text}${after}`
  if (dress?.word === 'upper') return `${text.toUpperCase()}${after}`
  if (dress?.word === 'lower') return `${text.toLowerCase()}${after}`
  return dress?.word === 'quoted' ? `"${text.toLowerCase()}"${after}` : `${text}${after}`
}
