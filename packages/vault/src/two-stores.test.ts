import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { hourMs, VaultBench } from '../../../tests/fakes/vault-bench.ts'
import { FolderStore } from './folder-store.ts'
import { openFolder } from './vault-folder.ts'
import { verifyFolder } from './verify.ts'
import type { Report } from './verify-report.ts'

const folders: string[] = []
const benches: VaultBench[] = []
afterEach(() => {
  for (const bench of benches.splice(0)) bench.remove()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function makeBench(): { readonly bench: VaultBench; readonly second: string; verify: () => Promise<Report> } {
  const second = mkdtempSync(join(tmpdir(), 'spv-'))
  const bench = new VaultBench({}, (folder) => [new FolderStore(folder), new FolderStore(second)])
  folders.push(second)
  benches.push(bench)
  const stores = [new FolderStore(bench.folder), new FolderStore(second)]
  return { bench, second, verify: async () => await verifyFolder(await openFolder(bench.folder, null, stores)) }
}

it('every copy lies in both stores, and either gives it back', async () => {
  const { bench, second, verify } = makeBench()
  const vault = await bench.start()
  const bytes = randomBytes(200_000)
  const id = await vault.seal(bytes, hourMs)
  expect(await verify()).toMatchObject({ ok: true, snapshots: 1 })
  for (const folder of [bench.folder, second]) {
    for (const kind of ['chunks', 'manifests']) rmSync(join(folder, kind), { recursive: true })
    expect((await vault.read(id)).equals(bytes)).toBe(true)
    const report = await verify()
    expect(report).toMatchObject({ ok: false, lost: [] })
    expect(new Set(report.damage.map(({ kind }) => kind))).toEqual(new Set(['missing_manifest', 'missing_chunk']))
    // A start makes the store whole again from the other.
    const again = await bench.start()
    expect(await again.look()).toMatchObject({ failed: [] })
    expect(await verify()).toMatchObject({ ok: true, snapshots: 1, damage: [] })
  }
})

it('a store that is added later gets what the first has, with its retention', async () => {
  const { bench, second, verify } = makeBench()
  const vault = await bench.start()
  const ids = [await vault.seal(randomBytes(90_000), hourMs), await vault.seal(randomBytes(100), 9 * hourMs)]
  rmSync(second, { recursive: true })
  const again = await bench.start()
  await again.look()
  expect(await verify()).toMatchObject({ ok: true, snapshots: ids.length })
  expect(readdirSync(join(second, 'manifests')).length).toBe(2)
  bench.pass(2 * hourMs)
  expect((await again.look()).expired).toEqual([ids[0]])
  expect(readdirSync(join(second, 'manifests')).length).toBe(1)
  expect(await verify()).toMatchObject({ ok: true, snapshots: 1, expired: 1 })
})
