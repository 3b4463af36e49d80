import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { examineVault } from './vault-examination.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sp-vault-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function examine(text: string): readonly string[] {
  const path = join(folder, 'sallyport.yaml')
  writeFileSync(path, text)
  const findings = examineVault(join(folder, 'state'), path)
  return findings.filter(({ about }) => about !== 'vault' && about !== 'drills').map(({ about, verdict, what }) => `${about} ${verdict}: ${what}`)
}

test('says what is lost with which disk, and nothing more once it is not', () => {
  expect(examine('version: 1\n')).toEqual([
    expect.stringMatching(/^copies note: Copies lie on this machine only/),
    expect.stringMatching(/^recovery note: There is no recovery recipient/),
  ])
  const safe = 'version: 1\nvault: { buckets: ["s3://one-bucket", "s3://two-bucket"], folder: true, recovery: [age1qq] }\n'
  expect(examine(safe)).toEqual(['copies good: Every copy goes to 2 buckets under Object Lock and to the vault’s folder.'])
  expect(examine('version: 1\nvault: { buckets: nonsense }\n')[0]).toMatch(/^copies note: What the configuration says/)
})
