import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isSelfContained } from './test-order.ts'

/** Which tests a run is of: those of `npm test`, or the long proofs (`*.prove.test.ts`) that it leaves out and `npm run prove:tests` runs. */
export type TestSelection = 'short' | 'long'

/** Says to vitest.config.ts which tests are meant; it is called by vitest, not by us. */
export const selectionVariable = 'SALLYPORT_TESTS'

export interface TestFiles {
  /** Each gets a process of its own. */
  readonly alone: readonly string[]
  /** Those that keep to themselves, one after another in the same process. */
  readonly together: readonly string[]
}

const folders = ['packages', 'tests', 'tools']
const longEnding = '.prove.test.ts'

/** The test files of a selection, as paths below `root`. */
export function findTestFiles(root: string, selection: TestSelection): TestFiles {
  const found = globSync(
    folders.map((folder) => `${folder}/**/*.test.ts`),
    { cwd: root, exclude: ['**/node_modules/**'] },
  )
  const files = found.filter((file) => file.endsWith(longEnding) === (selection === 'long')).toSorted()
  // What a long proof does stands in the test that it imports.
  const together = selection === 'long' ? [] : files.filter((file) => isSelfContained(readFileSync(join(root, file), 'utf8')))
  return { alone: files.filter((file) => !together.includes(file)), together }
}

/** What the environment asks for. A word that is none of ours is refused: it would run other tests than whoever set it believes. */
export function selectionOf(word: string | undefined): TestSelection {
  if (word === undefined || word === 'short') return 'short'
  if (word === 'long') return 'long'
  throw new Error(`${selectionVariable} is "${word}"; it takes short or long`)
}
