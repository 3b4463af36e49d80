import { isMap, isScalar, type Document, type LineCounter } from 'yaml'
import type { z } from 'zod'

/** One mistake in sallyport.yaml, said so that it can be mended at once. */
export interface ConfigMistake {
  readonly line: number
  readonly column: number
  readonly what: string
  readonly hint: string
}

/** Where a setting stands in the file. */
export type FindPlace = (at: readonly PropertyKey[]) => { line: number; column: number }

/** What zod says, with its place in the file. */
export function explainIssue(issue: z.core.$ZodIssue, place: FindPlace): readonly ConfigMistake[] {
  const where = issue.path.map(String).join('.')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      ...place([...issue.path, key]),
      what: `"${key}" is no setting${where ? ` of ${where}` : ''}`,
      hint: 'remove it, or look for a misspelling',
    }))
  }
  if (issue.code === 'invalid_key')
    return [
      {
        ...place(issue.path),
        what: `"${String(issue.path.at(-1))}" is no good name`,
        hint: 'a name is letters, digits, "_", "." and "-", at most 63',
      },
    ]
  const missing = issue.code === 'invalid_type' && issue.input === undefined
  return [
    {
      ...place(issue.path),
      what: missing ? `${where} is missing or of the wrong kind` : `${where}: ${issue.message}`,
      hint: issue.message,
    },
  ]
}

/** The line of a setting, or of the nearest thing around it that exists. */
export function locate(document: Document, lines: LineCounter, at: readonly PropertyKey[]): { line: number; column: number } {
  for (let length = at.length; length > 0; length -= 1) {
    const path = at.slice(0, length)
    const parent: unknown = length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
    const pair = isMap(parent)
      ? parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(path.at(-1)))
      : undefined
    const node: unknown = pair?.key ?? document.getIn(path, true)
    const range = isScalar(node) || isMap(node) ? node.range : undefined
    if (range) {
      const { line, col } = lines.linePos(range[0])
      return { line, column: col }
    }
  }
  return { line: 1, column: 1 }
}
