import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findLayoutBreaches } from './layout.ts'

test('a file that is laid out otherwise is named, and a folder in which nothing was read is no success', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sp-layout-'))
  try {
    expect((await findLayoutBreaches(folder)).findings).toHaveLength(1)
    writeFileSync(join(folder, 'good.ts'), 'export const one = 1;\n')
    expect(await findLayoutBreaches(folder)).toEqual({ findings: [], summary: '1 files' })
    writeFileSync(join(folder, 'bad.ts'), 'export   const one=1')
    expect((await findLayoutBreaches(folder)).findings).toEqual([expect.stringContaining('bad.ts')])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
