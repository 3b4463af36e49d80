import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { startVault, type VaultProcess } from '../conformance/vault-process.ts'
import { askRaw, beginSeal, listIds, sealParts } from '../conformance/vault-raw.ts'
import { startObjectStore, type ObjectStore } from '../servers/object-store.ts'
import { findFreePort } from '../servers/postgres.ts'

const healthShape = z.object({ snapshots: z.number(), unready: z.string().nullable() })
let store: ObjectStore
let port = 0
let way: Server | null = null
const sockets = new Set<Socket>()
beforeAll(async () => {
  store = await startObjectStore()
  port = await findFreePort()
})
afterAll(async () => {
  closeWay()
  await store.stop()
})

/** Between vault and bucket: there, or not. */
async function openWay(): Promise<void> {
  const target = Number(new URL(store.endpoint).port)
  way = createServer((socket) => {
    const further = connect(target, '127.0.0.1')
    for (const one of [socket, further]) {
      sockets.add(one)
      one.on('error', () => undefined).on('close', () => sockets.delete(one))
    }
    socket.pipe(further).pipe(socket)
  })
  await new Promise<void>((resolve) => way?.listen(port, '127.0.0.1', resolve))
}

function closeWay(): void {
  way?.close()
  way = null
  for (const socket of sockets) socket.destroy()
}

const health = async (vault: VaultProcess): Promise<z.infer<typeof healthShape>> =>
  healthShape.parse(JSON.parse((await askRaw(vault, 'GET', '/v1/health')).text))

describe('a vault whose bucket cannot be reached when it starts', () => {
  it('says so, witnesses, seals nothing, and goes on with every copy once the bucket answers', async () => {
    const place = (await store.makeBucket('copies')).replace(
      encodeURIComponent(store.endpoint),
      encodeURIComponent(`http://127.0.0.1:${port}`),
    )
    const flags = ['--bucket', place, '--bucket-credential', store.credentialFile]
    await openWay()
    let vault = await startVault(flags)
    try {
      const sealed = await sealParts(vault, { rows: 'some rows' })
      await vault.end()
      closeWay()
      vault = await vault.again(flags)
      expect(await health(vault)).toMatchObject({ snapshots: 0, unready: expect.stringContaining('cannot be reached') })
      expect((await askRaw(vault, 'GET', '/v1/witness')).status).toBe(200)
      const verbs = [
        ['POST', '/v1/seals'],
        ['GET', '/v1/snapshots'],
        ['GET', `/v1/newest?upstream=x`],
        ['GET', '/v1/expiries'],
      ] as const
      for (const [method, path] of verbs) {
        const { status, text } = await askRaw(vault, method, path)
        expect([status, text]).toEqual([503, expect.stringContaining('store_unreachable')])
      }
      await openWay()
      await expect.poll(async () => (await health(vault)).unready, { timeout: 60_000, interval: 500 }).toBeNull()
      expect(await listIds(vault)).toContain(sealed)
      expect(await beginSeal(vault)).toMatch(/^[0-9a-f]{32}$/)
    } finally {
      await vault.remove()
    }
  })
})
