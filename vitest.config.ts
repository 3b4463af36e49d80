import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './tools/test-order.ts'

export default defineConfig({
  test: {
    include: ['packages/**/*.test.ts', 'tests/**/*.test.ts', 'tools/**/*.test.ts'],
    globalSetup: ['tests/servers/template-folder.ts'],
    // A process for each file: a crash, a leak or a changed global stays where it happened.
    pool: 'forks',
    // One file more than there are processors: many wait for a server, a time limit or a cool-off.
    maxWorkers: Math.min(availableParallelism() + 1, 6),
    sequence: { sequencer: LongestFirst },
    // A focused test would hide all others.
    allowOnly: false,
    // Real servers on a busy machine: what is waited for may take long, and is never slept for.
    expect: { poll: { timeout: 20_000 } },
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
