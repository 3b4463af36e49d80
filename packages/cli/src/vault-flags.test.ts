import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readVaultFlags } from './vault-flags.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sp-flags-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function write(text: string): string {
  const path = join(folder, 'sallyport.yaml')
  writeFileSync(path, text)
  return path
}

test('what the configuration says of the vault becomes flags, with paths that mean the same anywhere', () => {
  const path = write(
    [
      'version: 1',
      'vault:',
      '  buckets: ["s3://one-bucket?region=eu-central-1", s3://two-bucket/prod]',
      '  credential: file:secrets/bucket',
      '  folder: true',
      '  recovery: [age1qqq]',
      '  quota: 2GiB',
    ].join('\n'),
  )
  expect(readVaultFlags(path)).toEqual({
    stores: [
      '--bucket=s3://one-bucket?region=eu-central-1',
      '--bucket=s3://two-bucket/prod',
      `--bucket-credential=${join(folder, 'secrets/bucket')}`,
      '--folder-too',
    ],
    serve: ['--recovery-recipient=age1qqq', '--quota-bytes=2147483648'],
  })
})

test('nothing said is the folder alone', () => {
  expect(readVaultFlags(write('version: 1\n'))).toEqual({ stores: [], serve: [] })
  expect(readVaultFlags(null)).toEqual({ stores: [], serve: [] })
})
