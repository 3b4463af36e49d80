import { globSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { isSelfContained, LongestFirst } from './tools/test-order.ts'

const include = ['packages/**/*.test.ts', 'tests/**/*.test.ts', 'tools/**/*.test.ts']
const files = globSync(include, { cwd: import.meta.dirname, exclude: ['**/node_modules/**'] })
const selfContained = files.filter((file) => isSelfContained(readFileSync(`${import.meta.dirname}/${file}`, 'utf8')))

export default defineConfig({
  test: {
    globalSetup: ['tests/servers/template-folder.ts'],
    pool: 'forks',
    // Two files more than there are processors: a third of the time of most is waiting, for a server, a time limit or a cool-off.
    maxWorkers: Math.min(availableParallelism() + 2, 8),
    sequence: { sequencer: LongestFirst },
    // A focused test would hide all others.
    allowOnly: false,
    // Real servers on a busy machine: what is waited for may take long, and is never slept for.
    expect: { poll: { timeout: 20_000 } },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      // A process for each file: a crash, a leak or a changed global stays where it happened.
      { extends: true, test: { name: 'alone', include, exclude: ['**/node_modules/**', ...selfContained] } },
      { extends: true, test: { name: 'together', include: selfContained, isolate: false } },
    ],
  },
})
