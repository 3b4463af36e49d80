/** What a piece of a statement is, for the eye alone: nothing is decided by it. */
export type TokenKind = 'plain' | 'keyword' | 'danger' | 'text' | 'number' | 'comment'

export interface Token {
  readonly kind: TokenKind
  readonly text: string
}

const dangers = new Set('drop delete truncate alter grant revoke cascade update volumedelete'.split(' '))
const keywords = new Set(
  (
    'select from where and or not insert into values set create table view index on join left right inner outer group by order limit offset as in is ' +
    'null returning with union all distinct begin commit rollback explain analyze vacuum copy to do call using if exists schema role user database ' +
    'function trigger constraint primary key references default case when then else end having like between get post put patch head mutation query fragment subscription'
  ).split(' '),
)

/** Characters that are looked at; what is beyond is shown as it is. */
const lengthMax = 50_000

/** In the order of what PostgreSQL tries: a comment in a string is a string. Every pattern takes at least one character and backtracks over none. */
const sqlPattern =
  /(?<comment>--[^\n]*|\/\*)|(?<text>[eE]'(?:[^'\\]|\\[^]|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|\$(?<tag>(?:[A-Za-z_]\w*)?)\$)|(?<word>"(?:[^"]|"")*(?:"|$)|[A-Za-z_\u0080-\uFFFF][\w$\u0080-\uFFFF]*)|(?<number>\d[\d.]*)|[^]/gu
const callPattern = /(?<text>"(?:[^"\\\n]|\\[^])*(?:"|$))|(?<word>[A-Za-z_]\w*)|(?<number>\d[\d.]*)|[^]/gu

/** Splits a statement so that joining the pieces gives it back, character by character. */
export function tokenize(text: string, protocol: string): readonly Token[] {
  const head = text.slice(0, lengthMax).toWellFormed()
  if (head !== text.slice(0, lengthMax)) return [{ kind: 'plain', text }]
  const tokens = new Pieces()
  const pattern = protocol === 'postgres' ? sqlPattern : callPattern
  pattern.lastIndex = 0
  for (let found = pattern.exec(head); found !== null; found = pattern.exec(head)) {
    const groups = found.groups ?? {}
    const end = endOf(head, found[0], groups, pattern.lastIndex)
    tokens.add(kindOf(groups), head.slice(found.index, end))
    pattern.lastIndex = end
  }
  tokens.add('plain', text.slice(lengthMax))
  return tokens.list
}

/** Comments nest and quotes with a tag end at their tag: no pattern says that. */
function endOf(text: string, matched: string, groups: Readonly<Record<string, string | undefined>>, end: number): number {
  if (groups['tag'] !== undefined) {
    const close = text.indexOf(matched, end)
    return close < 0 ? text.length : close + matched.length
  }
  if (matched !== '/*') return end
  let depth = 1
  let at = end
  while (depth > 0 && at < text.length) {
    const two = text.slice(at, at + 2)
    if (two === '/*') depth += 1
    if (two === '*/') depth -= 1
    at += two === '/*' || two === '*/' ? 2 : 1
  }
  return at
}

function kindOf(groups: Readonly<Record<string, string | undefined>>): TokenKind {
  if (groups['comment'] !== undefined) return 'comment'
  if (groups['text'] !== undefined) return 'text'
  if (groups['number'] !== undefined) return 'number'
  const word = groups['word']?.toLowerCase() ?? ''
  if (dangers.has(word)) return 'danger'
  return keywords.has(word) ? 'keyword' : 'plain'
}

/** Neighbours of one kind become one. */
class Pieces {
  readonly list: Token[] = []
  add(kind: TokenKind, text: string): void {
    const last = this.list.at(-1)
    if (text === '') return
    if (last?.kind === kind) this.list[this.list.length - 1] = { kind, text: last.text + text }
    else this.list.push({ kind, text })
  }
}
