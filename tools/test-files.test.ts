import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listFiles, projectRoot } from './source-tree.ts'
import { findTestFiles, selectionOf } from './test-files.ts'

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'sallyport-test-files-'))
  const texts: Readonly<Record<string, string>> = {
    'packages/one/src/pure.test.ts': 'expect(1).toBe(1)',
    'packages/one/src/clock.test.ts': 'vi.useFakeTimers()',
    'tests/server.test.ts': 'await startPostgres()',
    'tests/server.prove.test.ts': 'await startPostgres()',
    'tools/pure.prove.test.ts': 'expect(1).toBe(1)',
    'tests/prove.ts': '',
    'packages/one/node_modules/other/its.test.ts': '',
  }
  for (const [file, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), text)
  }
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

test('the long proofs are left out of the short run, and are all of the long one', () => {
  expect(findTestFiles(root, 'short')).toEqual({
    alone: ['packages/one/src/clock.test.ts'],
    together: ['packages/one/src/pure.test.ts', 'tests/server.test.ts'],
  })
  expect(findTestFiles(root, 'long')).toEqual({
    alone: ['tests/server.prove.test.ts', 'tools/pure.prove.test.ts'],
    together: [],
  })
})

test('every test file of this tree is in one of the two runs, and in one alone', () => {
  const { alone, together } = findTestFiles(projectRoot, 'short')
  const long = findTestFiles(projectRoot, 'long')
  const all = [...alone, ...together, ...long.alone, ...long.together].toSorted()
  expect(all).toEqual(listFiles(projectRoot).filter((file) => file.endsWith('.test.ts')))
})

test('whatever a short run leaves out of a test, a long one has', () => {
  const files = listFiles(projectRoot)
  const read = (file: string): string => readFileSync(join(projectRoot, file), 'utf8')
  const shortened = files.filter(
    (file) => /(?<!prove|breadth)\.test\.ts$/.test(file) && /^import .*breadth\.ts'$/m.test(read(file)),
  )
  expect(shortened.length).toBeGreaterThan(20)
  const missing = shortened.filter((file) => {
    const long = file.replace('.test.ts', '.prove.test.ts')
    return !files.includes(long) || !read(long).includes(`import './${basename(file)}'`)
  })
  expect(missing).toEqual([])
})

test('a selection that does not exist is refused', () => {
  expect([selectionOf(undefined), selectionOf('short'), selectionOf('long')]).toEqual(['short', 'short', 'long'])
  for (const word of ['', 'all', 'prove']) expect(() => selectionOf(word)).toThrow('takes short or long')
})
