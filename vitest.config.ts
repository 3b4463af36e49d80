import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['packages/**/*.test.ts', 'tests/**/*.test.ts', 'tools/**/*.test.ts'],
    // A process for each file: a crash, a leak or a changed global stays where it happened.
    pool: 'forks',
    // Tests mostly wait for real servers; more files at once than processors shorten the whole.
    maxWorkers: 3,
    // A focused test would hide all others.
    allowOnly: false,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
