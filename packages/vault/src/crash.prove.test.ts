import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { runVault, startVault, type VaultProcess } from '../../../tests/conformance/vault-process.ts'
import { askRaw, beginSeal, content, listIds, sealParts } from '../../../tests/conformance/vault-raw.ts'

const reportShape = z.object({ ok: z.boolean(), snapshots: z.number(), damage: z.array(z.unknown()) })
/** In a short run the longest of them are left out. */
const rounds = 6

let vault: VaultProcess
const acknowledged = new Set<string>()
beforeAll(async () => {
  vault = await startVault()
})
afterAll(async () => await vault.remove())

/** After the crash: all that was acknowledged is there, whatever else is listed is whole, nothing unfinished is left, and work goes on. */
async function checkAfterCrash(): Promise<void> {
  vault = await vault.again()
  const ids = await listIds(vault)
  for (const id of acknowledged) expect(ids).toContain(id)
  expect(readdirSync(join(vault.folder, 'staging'))).toEqual([])
  const { code, document } = await runVault(['verify', vault.folder])
  expect(reportShape.parse(document)).toMatchObject({ ok: true, damage: [], snapshots: ids.length })
  expect(code).toBe(0)
  acknowledged.add(await sealParts(vault, { again: `${ids.length}` }))
}

describe('kill -9', { timeout: 180_000 }, () => {
  it('while a part is put: nothing of it is ever listed', async () => {
    for (let round = 0; round < rounds; round++) {
      const seal = await beginSeal(vault)
      const sent = request({
        socketPath: vault.socketPath,
        method: 'PUT',
        path: `/v1/seals/${seal}/part?name=a`,
        headers: { authorization: `Bearer ${vault.token()}` },
        agent: false,
      })
      const broken = new Promise<void>((resolve) => sent.once('error', () => resolve()))
      const bytes = randomBytes(1 << 20)
      // Never ended: however far the vault got, the part is not whole.
      for (let piece = 0; piece <= round * 2; piece++) if (!sent.write(bytes)) await Promise.race([once(sent, 'drain'), broken])
      const before = acknowledged.size
      await vault.kill()
      await broken
      await checkAfterCrash()
      expect((await listIds(vault)).length).toBe(before + 1)
    }
  })

  it('while seals are finished: each snapshot is there whole or not at all, and what was acknowledged is there', async () => {
    for (let round = 0; round < rounds; round++) {
      const seals = await Promise.all(Array.from({ length: 6 }, () => beginSeal(vault)))
      for (const seal of seals) {
        await askRaw(vault, 'PUT', `/v1/seals/${seal}/part?name=a`, { body: randomBytes(2_500_000) })
        await askRaw(vault, 'PUT', `/v1/seals/${seal}/part?name=b`, { body: 'same in all' })
      }
      const finished = seals.map(async (seal) => {
        const answer = await askRaw(vault, 'POST', `/v1/seals/${seal}/finish`, { body: content }).catch(() => null)
        const id = /"id":"([0-9a-f]{64})"/.exec(answer?.text ?? '')?.[1]
        if (answer?.status === 201 && id !== undefined) acknowledged.add(id)
      })
      // The later the round, the more of them are through when the vault dies.
      if (round > 0) await Promise.race(finished)
      if (round > 2) await Promise.all(finished.slice(0, round))
      await vault.kill()
      await Promise.all(finished)
      await checkAfterCrash()
    }
  })
})
