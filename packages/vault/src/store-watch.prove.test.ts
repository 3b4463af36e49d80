import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GetObjectCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3'
import { afterEach, expect, it } from 'vitest'
import { startVault, startVaultIn, type VaultProcess } from '../../../tests/conformance/vault-process.ts'
import { askRaw, sealParts } from '../../../tests/conformance/vault-raw.ts'
import { startObjectStore } from '../../../tests/servers/object-store.ts'

/** What is done to copies while no vault runs: nothing is there to see it happen, so the next look must find what it left. */
const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
const often = '--watch-every-ms=200'

async function traces(vault: VaultProcess): Promise<string> {
  return (await askRaw(vault, 'GET', '/v1/traces')).text
}
function chunkFiles({ folder }: VaultProcess): readonly string[] {
  const entries = readdirSync(join(folder, 'chunks'), { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

it('tells of a chunk that vanished from the folder, and of one that lost its time, while the vault was stopped', async () => {
  const vault = await startVault([often])
  ends.push(() => vault.remove())
  await sealParts(vault, { rows: randomBytes(900_000) })
  await vault.end()
  const [first = '', second = '', ...rest] = chunkFiles(vault)
  expect(rest.length).toBeGreaterThan(0)
  rmSync(first)
  utimesSync(second, 1_000_000_000, 1_000_000_000)
  const again = await vault.again()
  ends.push(() => again.kill())
  const kindOf = (kind: string, file: string): unknown =>
    expect.stringMatching(new RegExp(`"kind":"${kind}","place":"folder [^"]*","name":"${file.slice(vault.folder.length + 1)}"`))
  await expect.poll(() => traces(again), { timeout: 20_000 }).toEqual(kindOf('gone', first))
  await expect.poll(() => traces(again), { timeout: 20_000 }).toEqual(kindOf('lock_shortened', second))
  for (const file of rest) expect(await traces(again)).not.toContain(file.slice(vault.folder.length + 1))
})

it(
  'tells of a chunk that whoever runs the storage took out of the bucket while the vault was stopped',
  { timeout: 60_000 },
  async () => {
    const server = await startObjectStore()
    ends.push(() => server.stop())
    const place = await server.makeBucket('copies')
    const root = mkdtempSync(join(tmpdir(), 'spv-'))
    const vault = await startVaultIn(root, [often, `--bucket=${place}`, `--bucket-credential=${server.credentialFile}`])
    ends.push(() => vault.remove())
    await sealParts(vault, { rows: randomBytes(900_000) })
    const { Versions = [] } = await server.client.send(new ListObjectVersionsCommand({ Bucket: 'copies', Prefix: 'chunks/' }))
    const { Key = '', VersionId = '' } = Versions[0] ?? {}
    await vault.end()
    await server.takeAway('copies', Key, VersionId)
    const lost = server.client.send(new GetObjectCommand({ Bucket: 'copies', Key, VersionId }))
    await expect(lost).rejects.toMatchObject({ $metadata: { httpStatusCode: 404 } })
    const again = await vault.again()
    ends.push(() => again.kill())
    await expect.poll(() => traces(again), { timeout: 20_000 }).toContain(`"kind":"gone","place":"bucket copies","name":"${Key}"`)
  },
)
