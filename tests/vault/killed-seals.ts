import { randomBytes } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { runVault, startVault, type VaultProcess } from '../conformance/vault-process.ts'
import { askRaw, beginSeal, content, listIds } from '../conformance/vault-raw.ts'

const reportShape = z.object({ ok: z.boolean(), snapshots: z.number(), unreferenced: z.number(), damage: z.array(z.unknown()) })

export interface KilledSeals {
  readonly kills: number
  /** How many seals were acknowledged, and how many of those were gone afterwards. */
  readonly acknowledged: number
  readonly lost: number
  /** Snapshots that nobody was told of and are whole nevertheless. */
  readonly unannounced: number
  /** What no snapshot needs: to be let go in its time. */
  readonly unreferencedChunks: number
  readonly faults: readonly string[]
}

/** Kills a vault at random moments of its seals, starts it anew each time and looks whether all that it acknowledged is there, and is whole. */
export async function killSeals(kills: number, flags: readonly string[], random: () => number): Promise<KilledSeals> {
  let vault = await startVault(flags)
  const acknowledged = new Map<string, Buffer>()
  const faults: string[] = []
  let [lost, lastReport] = [0, { snapshots: 0, unreferenced: 0 }]
  const shared = randomBytes(300_000)
  try {
    const sealMs = await measureSeal(vault, shared, acknowledged)
    for (let kill = 0; kill < kills; kill++) {
      const bytes = Buffer.concat([shared, randomBytes(50_000)])
      const sealing = sealOne(vault, bytes)
      await new Promise((resolve) => setTimeout(resolve, random() * sealMs * 1.3))
      await vault.kill()
      const id = await sealing
      if (id !== null) acknowledged.set(id, bytes)
      vault = await vault.again()
      const ids = new Set(await listIds(vault))
      for (const known of acknowledged.keys()) if (!ids.has(known)) lost++
      if (readdirSync(join(vault.folder, 'staging')).length > 0) faults.push(`kill ${kill}: staging was not cleared`)
      if (kill % 10 < 9 && kill < kills - 1) continue
      const { document } = await runVault(['verify', vault.folder, ...flags])
      const report = reportShape.parse(document)
      lastReport = report
      if (!report.ok) faults.push(`kill ${kill}: ${JSON.stringify(report.damage).slice(0, 300)}`)
    }
    for (const [id, bytes] of acknowledged) {
      const { text } = await askRaw(vault, 'GET', `/v1/snapshots/${id}/part?name=rows`)
      if (text !== bytes.toString('utf8')) faults.push(`snapshot ${id} did not come back as it was`)
    }
  } finally {
    await vault.kill()
    rmSync(vault.root, { recursive: true, force: true })
  }
  const unannounced = lastReport.snapshots - acknowledged.size
  return { kills, acknowledged: acknowledged.size, lost, unannounced, unreferencedChunks: lastReport.unreferenced, faults }
}

async function measureSeal(vault: VaultProcess, bytes: Buffer, acknowledged: Map<string, Buffer>): Promise<number> {
  const startMs = performance.now()
  const id = await sealOne(vault, bytes)
  if (id === null) throw new Error('the first seal failed')
  acknowledged.set(id, bytes)
  return performance.now() - startMs
}

/** Null when the vault died before it said that the snapshot is sealed. */
async function sealOne(vault: VaultProcess, bytes: Buffer): Promise<string | null> {
  try {
    const seal = await beginSeal(vault)
    await askRaw(vault, 'PUT', `/v1/seals/${seal}/part?name=rows`, { body: bytes })
    const { status, text } = await askRaw(vault, 'POST', `/v1/seals/${seal}/finish`, { body: content })
    return status === 201 ? (/"id":"([0-9a-f]{64})"/.exec(text)?.[1] ?? null) : null
  } catch {
    return null
  }
}
