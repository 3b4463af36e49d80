import { describe, expect, it } from 'vitest'
import { tokenize } from './statement-tokens.ts'

const shown = (text: string, protocol = 'postgres'): readonly string[] =>
  tokenize(text, protocol).flatMap(({ kind, text: piece }) => (kind === 'plain' ? [] : [`${kind}:${piece}`]))

describe('the words of a statement are told apart', () => {
  it.each([
    ['DROP TABLE orders', ['danger:DROP', 'keyword:TABLE']],
    ["SELECT 'DROP TABLE' -- DROP", ['keyword:SELECT', "text:'DROP TABLE'", 'comment:-- DROP']],
    ['/* /* DROP */ still a comment */ select 1', ['comment:/* /* DROP */ still a comment */', 'keyword:select', 'number:1']],
    ["select E'a\\' DROP ' || 'it''s'", ['keyword:select', "text:E'a\\' DROP '", "text:'it''s'"]],
    ['$x$ DROP $$ TABLE $x$ delete', ['text:$x$ DROP $$ TABLE $x$', 'danger:delete']],
    ['select $1 from "drop"', ['keyword:select', 'number:1', 'keyword:from']],
    ['/* never ends DROP', ['comment:/* never ends DROP']],
    ["'never ends DROP", ["text:'never ends DROP"]],
    ['dropped, predrop', []],
  ])('%s', (text, expected) => expect(shown(text)).toEqual(expected))

  it('a call has strings and verbs, and no comments to hide in', () => {
    expect(shown('POST /x\n{"a": "mutation { volumeDelete }"} mutation { volumeDelete }', 'http')).toEqual([
      'keyword:POST',
      'text:"a"',
      'text:"mutation { volumeDelete }"',
      'keyword:mutation',
      'danger:volumeDelete',
    ])
    expect(shown('DELETE /x -- not a comment', 'http')).toEqual(['danger:DELETE', 'keyword:not'])
  })
})

it('gives back every character, whatever it is given, and quickly', () => {
  const hostile = ["E'", '\\', "'", '$a$', '/*', '*/', '--', '"', '\u202e', '\ud83d', '\n', 'e', '$', '1']
  let seed = 7
  for (let round = 0; round < 300; round += 1) {
    let text = ''
    for (let length = 0; length < 40; length += 1) {
      seed = (seed * 48_271) % 2_147_483_647
      text += hostile[seed % hostile.length] ?? ''
    }
    for (const protocol of ['postgres', 'http'])
      expect(
        tokenize(text, protocol)
          .map((token) => token.text)
          .join(''),
      ).toBe(text)
  }
  for (const piece of ["'", "E'\\", '/*', '$', "''\\", '"'])
    expect(
      tokenize(piece.repeat(60_000), 'postgres')
        .map((token) => token.text.length)
        .reduce((sum, length) => sum + length, 0),
    ).toBe(piece.length * 60_000)
})
