import { expect, test } from 'vitest'
import { isSelfContained, orderFiles } from './test-order.ts'

test('what takes long comes first, then what needs a process of its own, then the larger file', () => {
  const texts: Readonly<Record<string, string>> = {
    'packages/core/src/small.test.ts': 'x',
    'packages/core/src/clock.test.ts': 'vi.useFakeTimers()',
    'packages/core/src/large.test.ts': 'x'.repeat(500),
    'packages/vault/src/server.test.ts': 'await startPostgres()',
    'tests/stories/1-first.test.ts': 'x',
    'tests/drill.prove.test.ts': 'x',
  }
  const order = orderFiles(Object.keys(texts), (file) => ({ text: texts[file] ?? '', bytes: texts[file]?.length ?? 0 }))
  expect(order).toEqual([
    'tests/drill.prove.test.ts',
    'tests/stories/1-first.test.ts',
    'packages/core/src/clock.test.ts',
    'packages/core/src/large.test.ts',
    'packages/vault/src/server.test.ts',
    'packages/core/src/small.test.ts',
  ])
})

test('a file that touches what its process shares gets a process of its own', () => {
  for (const line of [
    `import { x } from './x.ts'\ntest('x', () => expect(x()).toBe(1))`,
    "const seed = process.env['SEED'] ?? '1'; if (process.env.SEED === '2') x()",
    "import { runProcess } from './process.ts'",
    'await vi.waitFor(() => expect(x()).toBe(1))',
    'vi.setConfig(patience)',
    'await startPostgres()',
    "process.kill(child.pid, 'SIGKILL'); await gate.process.ended",
  ])
    expect(isSelfContained(line), line).toBe(true)
  for (const line of [
    "process.env['HOME'] = '/nowhere'",
    'process.env.HOME = home',
    "delete process.env['HOME']",
    "process.on('exit', end)",
    'process.memoryUsage().rss',
    'vi.useFakeTimers()',
    "vi.mock('./x.ts')",
    'globalThis.fetch = none',
    'new Worker(file)',
  ])
    expect(isSelfContained(line), line).toBe(false)
})
