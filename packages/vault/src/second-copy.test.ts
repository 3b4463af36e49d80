import { randomInt } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { runVault, startVault, type VaultProcess } from '../../../tests/conformance/vault-process.ts'
import { askRaw, sealParts } from '../../../tests/conformance/vault-raw.ts'
import { roundsOf } from '../../../tests/breadth.ts'

const verifyShape = z.object({
  ok: z.boolean(),
  damage: z.array(z.object({ kind: z.string(), snapshot: z.string().optional() })),
})

let vault: VaultProcess
beforeAll(async () => {
  vault = await startVault()
})
afterAll(async () => await vault.remove())

function makeRow(id: number): string {
  const [cents, customer, day] = [randomInt(1_000_000), randomInt(1_000_000), 10 + randomInt(19)]
  return `${id}\tcustomer-${customer}@example.com\t2026-03-${day}\t${cents}\tpaid\n`
}

function storedFiles(): ReadonlyMap<string, number> {
  const copies = ['chunks', 'manifests'].flatMap((kind) =>
    readdirSync(join(vault.folder, kind), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()),
  )
  return new Map(copies.map((file) => [join(file.parentPath, file.name), statSync(join(file.parentPath, file.name)).size]))
}

const sum = (files: ReadonlyMap<string, number>): number => [...files.values()].reduce((total, bytes) => total + bytes, 0)

describe('the second copy of a table of which 1 % was changed', () => {
  const rows = Array.from({ length: roundsOf(120_000, 60_000) }, (_, id) => makeRow(id))
  const first = rows.join('')
  // As PostgreSQL does: an updated row leaves its place and goes to the end.
  const updated = new Set(Array.from({ length: rows.length / 100 }, () => randomInt(rows.length)))
  const second = rows
    .filter((_, id) => !updated.has(id))
    .concat([...updated].map(makeRow))
    .join('')
  let [firstId, secondId] = ['', '']
  let firstFiles: readonly string[] = []

  it('costs at most 5 % of the first, however scattered the changes are, also after a new start', async () => {
    firstId = await sealParts(vault, { data: first })
    const afterFirst = storedFiles()
    firstFiles = [...afterFirst.keys()]
    await vault.end()
    vault = await vault.again()
    secondId = await sealParts(vault, { data: second })
    const share = (sum(storedFiles()) - sum(afterFirst)) / sum(afterFirst)
    expect(share).toBeLessThan(0.05)
    expect(share).toBeGreaterThan(0.001)
    // Nothing new: nothing but a manifest.
    const before = storedFiles().size
    await sealParts(vault, { data: second })
    expect(storedFiles().size).toBe(before + 1)
  })

  it('gives both back unchanged, and is verified whole', async () => {
    expect((await askRaw(vault, 'GET', `/v1/snapshots/${firstId}/part?name=data`)).text === first).toBe(true)
    expect((await askRaw(vault, 'GET', `/v1/snapshots/${secondId}/part?name=data`)).text === second).toBe(true)
    expect(verifyShape.parse((await runVault(['verify', vault.folder])).document)).toEqual({ ok: true, damage: [] })
  })

  it('names every copy that a rotted chunk takes with it: its own, and those told by it', async () => {
    for (const file of firstFiles.filter((name) => name.includes('/chunks/'))) {
      const rotted = readFileSync(file)
      rotted.writeUInt8(rotted.readUInt8(100) ^ 1, 100)
      rmSync(file)
      writeFileSync(file, rotted, { mode: 0o400 })
    }
    const { damage } = verifyShape.parse((await runVault(['verify', vault.folder])).document)
    const hurt = new Set(damage.map(({ snapshot }) => snapshot))
    expect([hurt.has(firstId), hurt.has(secondId)]).toEqual([true, true])
    // The next copy does not trust it: what it holds is stored anew, in a second file.
    const third = await sealParts(vault, { data: second })
    expect((await askRaw(vault, 'GET', `/v1/snapshots/${third}/part?name=data`)).text === second).toBe(true)
  })
})
