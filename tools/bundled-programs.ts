/** The programs that a whole run of the tests starts from one file each, made at its beginning. */
export const bundledPrograms = [
  { name: 'gateway', source: 'packages/gateway/src/main.ts' },
  { name: 'vault', source: 'packages/vault/src/main.ts' },
  { name: 'cli', source: 'packages/cli/src/cli.ts' },
  // And what stands for one of them.
  { name: 'gateway-process', source: 'tests/fakes/gateway-process.ts' },
  { name: 'stuck-gate', source: 'tests/fakes/stuck-gate.ts' },
  { name: 'switch-host', source: 'tests/fakes/switch-host.ts' },
  { name: 'up-process', source: 'tests/fakes/up-process.ts' },
] as const

export type BundledProgram = (typeof bundledPrograms)[number]['name']

/** Names the folder where they lie, for tests; without it they are started from their sources. */
export const bundleVariable = 'SALLYPORT_TEST_PROGRAMS'
