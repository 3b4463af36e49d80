import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { projectRoot } from './source-tree.ts'
import { findStories } from './story-mutants.ts'

test('each patch of a story still applies: a mutant that cannot be made proves nothing', () => {
  const patches = findStories(projectRoot).map(({ patch }) => patch)
  expect(patches).toHaveLength(10)
  for (const patch of patches) execFileSync('git', ['apply', '--check', patch ?? 'missing'], { cwd: projectRoot })
})
