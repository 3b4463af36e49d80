import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { projectRoot } from './source-tree.ts'
import { findStories, findStrayPatches, tryMutant, type MutantResult } from './story-mutants.ts'
import { casesOf } from '../tests/breadth.ts'

const guard = 'packages/guard/src/guard.ts'
const source = `export function mayDrop(approved: boolean): boolean {\n  return approved\n}\n`

function story(number: number, body: string): Record<string, string> {
  const imports = `import { expect, test } from 'vitest'\nimport { mayDrop } from '../../${guard}'\n`
  return { [`tests/stories/${number}-planted.test.ts`]: `${imports}test('planted', async () => {\n${body}\n})\n` }
}

function patch(number: number, line: string, file = guard): Record<string, string> {
  const head = `--- a/${file}\n+++ b/${file}\n@@ -1,3 +1,3 @@\n`
  return {
    [`tests/stories/mutants/${number}.patch`]: `${head} export function mayDrop(approved: boolean): boolean {\n-  return approved\n+${line}\n }\n`,
  }
}

const sound = `expect(mayDrop(false)).toBe(false)`
const files: Record<string, string> = {
  'package.json': '{ "name": "planted", "type": "module" }\n',
  '.gitignore': 'node_modules\n',
  'vitest.config.ts': `import { defineConfig } from 'vitest/config'\nexport default defineConfig({ test: { include: ['tests/**/*.test.ts'], testTimeout: 500 } })\n`,
  [guard]: source,
  ...story(1, sound),
  ...patch(1, '  return true'),
  ...story(2, `expect(typeof mayDrop(false)).toBe('boolean')`),
  ...patch(2, '  return true'),
  ...story(3, sound),
  ...patch(3, '  return ((('),
  ...story(4, sound),
  ...patch(4, '  return true', 'packages/guard/src/gone.ts'),
  ...story(5, `expect(mayDrop(false)).toBe(true)`),
  ...patch(5, '  return true'),
  ...story(6, `if (mayDrop(false)) await new Promise(() => undefined)\nexpect(1).toBe(1)`),
  ...patch(6, '  return true'),
  ...story(7, `if (mayDrop(false)) throw new TypeError('not an assertion')\nexpect(1).toBe(1)`),
  ...patch(7, '  return true'),
  ...story(8, sound),
  'tests/stories/mutants/8.patch': `--- a/tests/stories/8-planted.test.ts\n+++ b/tests/stories/8-planted.test.ts\n@@ -1,1 +1,1 @@\n-x\n+y\n`,
  ...story(9, sound),
  ...patch(12, '  return true'),
}

let root = ''

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'sallyport-planted-'))
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), text)
  }
  symlinkSync(join(projectRoot, 'node_modules'), join(root, 'node_modules'))
  execFileSync('git', ['init', '--quiet'], { cwd: root })
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

async function tryStory(number: number): Promise<MutantResult> {
  const found = findStories(root).find((each) => each.number === number)
  if (found === undefined) throw new Error(`story ${number} was not found`)
  return tryMutant(root, found)
}

test('a story that notices the missing defence kills its mutant', async () => {
  expect(await tryStory(1)).toEqual({
    number: 1,
    killed: true,
    what: expect.stringMatching(/^AssertionError: expected true to be false/),
  })
})

test('a story that passes without the defence is a survivor', async () => {
  expect(await tryStory(2)).toEqual({ number: 2, killed: false, what: expect.stringMatching(/^SURVIVED/) })
})

const unproven: readonly (readonly [number, RegExp])[] = [
  [3, /cannot even run/],
  [4, /does not apply/],
  [5, /fails as it is/],
  [6, /not by assertion: .*timed out/],
  [7, /not by assertion: TypeError/],
  [8, /a defence lies under packages/],
  [9, /has no .*9\.patch/],
]
test.each(casesOf(unproven, 4))('story %i proves nothing', async (number, what) => {
  expect(await tryStory(number)).toEqual({ number, killed: false, what: expect.stringMatching(what) })
})

test('a patch without a story is named', () => {
  expect(findStrayPatches(root)).toEqual(['tests/stories/mutants/12.patch'])
})
