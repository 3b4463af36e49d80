import { expect, test } from 'vitest'
import { isSelfContained, orderFiles } from './test-order.ts'

test('what takes long comes first, then what starts processes, then the larger file', () => {
  const texts: Readonly<Record<string, string>> = {
    'packages/core/src/small.test.ts': 'x',
    'packages/core/src/large.test.ts': 'x'.repeat(500),
    'packages/vault/src/server.test.ts': 'await startPostgres()',
    'tests/stories/1-first.test.ts': 'x',
    'tests/drill.test.ts': 'x',
  }
  const order = orderFiles(Object.keys(texts), (file) => ({ text: texts[file] ?? '', bytes: texts[file]?.length ?? 0 }))
  expect(order).toEqual([
    'tests/drill.test.ts',
    'tests/stories/1-first.test.ts',
    'packages/vault/src/server.test.ts',
    'packages/core/src/large.test.ts',
    'packages/core/src/small.test.ts',
  ])
})

test('a file that starts something or touches what its process shares gets a process of its own', () => {
  expect(isSelfContained(`import { x } from './x.ts'\ntest('x', () => expect(x()).toBe(1))`)).toBe(true)
  for (const line of [
    'await startPostgres()',
    'gate = await startPostgresGate()',
    "execFileSync('true')",
    "process.env['HOME'] = '/nowhere'",
    'vi.useFakeTimers()',
    'globalThis.fetch = none',
    'new Worker(file)',
    "import { useTrialDatabase } from '../../../../tests/servers/trial-database.ts'",
  ])
    expect(isSelfContained(line)).toBe(false)
})
