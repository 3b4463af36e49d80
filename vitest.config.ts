import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['packages/**/*.test.ts', 'tests/**/*.test.ts', 'tools/**/*.test.ts'],
    globalSetup: ['tests/servers/template-folder.ts'],
    // A process for each file: a crash, a leak or a changed global stays where it happened.
    pool: 'forks',
    // As many files as processors: the default leaves one for the runner, which has little to do.
    maxWorkers: 2,
    // A focused test would hide all others.
    allowOnly: false,
    // Real servers on a busy machine: what is waited for may take long, and is never slept for.
    expect: { poll: { timeout: 20_000 } },
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
