import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { findTestFiles, selectionOf, selectionVariable } from './tools/test-files.ts'
import { LongestFirst } from './tools/test-order.ts'

const selection = selectionOf(process.env[selectionVariable])
const { alone, together } = findTestFiles(import.meta.dirname, selection)

export default defineConfig({
  test: {
    globalSetup: ['tests/servers/template-folder.ts', 'tests/servers/built-console.ts'],
    pool: 'forks',
    // Two files more than there are processors: a third of the time of most is waiting, for a server, a time limit or a cool-off.
    maxWorkers: Math.min(availableParallelism() + 2, 8),
    sequence: { sequencer: LongestFirst },
    // Node itself reads the sources, as it does in production: compiled once, by its own cache. No test replaces a module by another.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    // A focused test would hide all others.
    allowOnly: false,
    // Real servers on a busy machine: what is waited for may take long, and is never slept for.
    expect: { poll: { timeout: 60_000 } },
    // On a machine at other work too. It is said beside the test's name, and is to be looked into: it may be a race of ours.
    retry: 1,
    testTimeout: selection === 'long' ? 1_200_000 : 180_000,
    hookTimeout: selection === 'long' ? 1_200_000 : 240_000,
    projects: [
      // A process for each file: what it changes of its process, or counts in it, is its own.
      { extends: true, test: { name: 'alone', include: [...alone] } },
      // One after another in a few processes, each of which loads what is tested once.
      { extends: true, test: { name: 'together', include: [...together], isolate: false } },
    ],
  },
})
