import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { completeLockfile, findLockfileGaps } from './lockfile.ts'

const lock = {
  name: 'planted',
  packages: {
    '': { dependencies: { tool: '1.0.0' } },
    'node_modules/tool': {
      version: '1.0.0',
      dev: true,
      optionalDependencies: { '@tool/linux-x64': '1.0.0', '@tool/binding-darwin-arm64': '^1.0.1' },
    },
    'node_modules/@tool/linux-x64': { version: '1.0.0', dev: true, optional: true },
  },
}

test('a lockfile that npm ci would refuse is found, mended, and then whole', () => {
  const root = mkdtempSync(join(tmpdir(), 'sallyport-lock-'))
  const file = join(root, 'package-lock.json')
  writeFileSync(file, JSON.stringify(lock))
  expect(findLockfileGaps(root).findings[0]).toContain('lacks @tool/binding-darwin-arm64\n')
  writeFileSync(file, completeLockfile(JSON.stringify(lock)))
  expect(findLockfileGaps(root).findings).toEqual([])
  rmSync(root, { recursive: true })
})

test('what is added says for which platform it is, and nothing else changes', () => {
  const mended: unknown = JSON.parse(completeLockfile(JSON.stringify(lock)))
  const entry = { version: '1.0.1', cpu: ['arm64'], dev: true, optional: true, os: ['darwin'] }
  expect(mended).toEqual({ ...lock, packages: { ...lock.packages, 'node_modules/@tool/binding-darwin-arm64': entry } })
})
