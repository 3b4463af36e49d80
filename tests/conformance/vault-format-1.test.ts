import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { runVault, startVaultIn } from './vault-process.ts'
import { askRaw, listIds, sealParts } from './vault-raw.ts'

/** A folder as a vault before format 2 wrote it: two snapshots, the second of them nearly the first. */
const fixtureShape = z.object({
  publicKey: z.string(),
  snapshots: z.array(z.string()).length(2),
  files: z.record(z.string(), z.base64()),
})
const fixture = fixtureShape.parse(JSON.parse(readFileSync(new URL('vault-format-1.json', import.meta.url), 'utf8')))
const rows = Array.from({ length: 2000 }, (_, index) => `row ${index} of the first format\n`).join('')
const [first = '', second = ''] = fixture.snapshots
const root = mkdtempSync(join(tmpdir(), 'spv-format-1-'))
const folder = join(root, 'vault')

beforeAll(() => {
  // Folders that were empty.
  for (const name of ['witness', 'staging', 'retention']) mkdirSync(join(folder, name), { recursive: true, mode: 0o700 })
  const tomorrow = Date.now() / 1000 + 86_400
  for (const [name, base64] of Object.entries(fixture.files)) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(path, Buffer.from(base64, 'base64'), { mode: 0o600 })
    if (/^(chunks|manifests)\//.test(name)) utimesSync(path, tomorrow, tomorrow)
  }
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe('a vault of format 1', () => {
  it('is whole, by the key it always had', async () => {
    const { code, document } = await runVault(['verify', '--public-key', fixture.publicKey, '--', folder])
    expect(document).toMatchObject({ ok: true, decrypted: true, snapshots: 2, parts: 3, damage: [] })
    expect(code).toBe(0)
  })

  it('gives its parts back byte by byte', async () => {
    const to = join(root, 'restored')
    const { document } = await runVault(['restore', '--to', to, '--', folder, first])
    expect(document).toMatchObject({ ok: true, lost: [] })
    expect(readFileSync(join(to, 'parts', 'rows'), 'utf8')).toBe(rows)
    expect(readFileSync(join(to, 'parts', 'tables/public.orders/ddl'), 'utf8')).toBe('CREATE TABLE orders ();')
  })

  it('goes on in format 2, both side by side', async () => {
    const vault = await startVaultIn(root, ['--new-credential'])
    try {
      expect(vault.publicKey).toBe(fixture.publicKey)
      const third = await sealParts(vault, { rows: rows.replaceAll('row 9', 'ROW 9') })
      expect((await listIds(vault)).toSorted()).toEqual([first, second, third].toSorted())
      const { text } = await askRaw(vault, 'GET', `/v1/snapshots/${second}/part?name=rows`)
      expect(text).toBe(rows.replaceAll('row 7', 'ROW 7'))
    } finally {
      await vault.end()
    }
    const { document } = await runVault(['verify', '--', folder])
    expect(document).toMatchObject({ ok: true, snapshots: 3, damage: [] })
  })
})
