import { randomBytes, randomInt } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { runVault, startVault, type VaultProcess } from './vault-process.ts'
import { sealParts } from './vault-raw.ts'
import { readVault } from './vault-reader.ts'

let vault: VaultProcess
let identity = ''
beforeAll(async () => {
  const pair = z.object({ identity: z.string(), recipient: z.string() }).parse((await runVault(['recovery-pair'])).document)
  ;({ identity } = pair)
  vault = await startVault(['--recovery-recipient', pair.recipient])
})
afterAll(async () => await vault.remove())

it('a program written from docs/formats-vault.md reads every snapshot with the recovery identity alone', async () => {
  const rows = Array.from({ length: 20_000 }, (_, id) => `${id}\t${randomInt(1_000_000)}\t${randomInt(1_000_000)}\n`)
  const changed = rows.map((row, id) => (id % 700 === 0 ? `${id}\tchanged\n` : row))
  const noise = randomBytes(90_000)
  await sealParts(vault, { 'tables/orders/data': rows.join(''), 'tables/orders/ddl': 'create table orders()', noise })
  await sealParts(vault, { 'tables/orders/data': changed.join(''), empty: '' })
  const [first, second] = await readVault(vault.folder, identity)
  expect(first?.parts.get('tables/orders/data')?.toString()).toBe(rows.join(''))
  expect(first?.parts.get('noise')?.equals(noise)).toBe(true)
  expect(first).toMatchObject({ sequence: 1, rows: 1, told: 0 })
  expect(second?.parts.get('tables/orders/data')?.toString()).toBe(changed.join(''))
  expect(second?.parts.get('empty')?.length).toBe(0)
  // What makes a second copy small was really used.
  expect(second?.told).toBeGreaterThan(0)
})
