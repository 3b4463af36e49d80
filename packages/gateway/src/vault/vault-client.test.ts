import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SnapshotContent } from '@sallyport/core'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { startVault } from '../../../../tests/conformance/vault-process.ts'
import { askRaw } from '../../../../tests/conformance/vault-raw.ts'
import { openVault } from './vault-client.ts'

const about = { upstream: 'orders-db', upstreamIdentity: '1', digest: 'd', retainMs: 3_600_000 }
const content: SnapshotContent = { kind: 'rows', rows: 1, bytes: 1, checksums: {}, manifest: null }
const folder = mkdtempSync(join(tmpdir(), 'spv-'))
const tokenFile = join(folder, 'token')
writeFileSync(tokenFile, 'a'.repeat(64), { mode: 0o600 })
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function* one(bytes: Uint8Array | string): AsyncGenerator<Uint8Array, void, undefined> {
  yield Buffer.from(bytes)
}

const health = {
  vault: 'b'.repeat(64),
  snapshots: 0,
  newest: null,
  openSeals: 0,
  damaged: [],
  refusals: 0,
  freeBytes: 1,
  clock: { nowMs: 1, jump: null },
  witness: {
    key: 'vault+4d14b8b6+BPu3ga6V5JwYMQeyBnGe0BQcVXYEOBWPxpeoDE0sM2I3',
    log: null,
    size: null,
    checkpoint: null,
    frozen: null,
  },
  osUser: 0,
  immutable: false,
  worth: '',
  expiry: '',
}

describe('a vault that is not there, or not right', () => {
  let server: Server | null = null
  afterEach(() => {
    server?.closeAllConnections()
    server?.close()
  })
  const fake = async (listener: RequestListener): Promise<string> => {
    const socketPath = join(folder, `${randomBytes(4).toString('hex')}.sock`)
    server = createServer(listener)
    await new Promise<void>((resolve) => server?.listen(socketPath, resolve))
    return socketPath
  }

  it('says that it is not running', async () => {
    const gone = openVault({ socketPath: join(folder, 'none.sock'), tokenFile })
    await expect(gone).rejects.toMatchObject({ code: 'vault_unavailable', message: expect.stringContaining('not running') })
    const noToken = openVault({ socketPath: join(folder, 'none.sock'), tokenFile: join(folder, 'none') })
    await expect(noToken).rejects.toMatchObject({ code: 'vault_unavailable' })
  })

  it('does not wait for ever for an answer', async () => {
    const socketPath = await fake(() => undefined)
    const late = openVault({ socketPath, tokenFile, answerMs: 100 })
    await expect(late).rejects.toMatchObject({ code: 'vault_unavailable', message: expect.stringContaining('in time') })
  })

  it('does not take nonsense for an answer', async () => {
    for (const body of ['', 'ok', '{}', '[]', JSON.stringify({ ...health, vault: 'x' })]) {
      const socketPath = await fake((_, response) => void response.end(body))
      await expect(openVault({ socketPath, tokenFile }), body).rejects.toMatchObject({ code: 'vault_unavailable' })
    }
  })

  it('does not take another vault for its own', async () => {
    const vault = await startVault()
    await expect(openVault({ ...vault, publicKey: 'c'.repeat(64) })).rejects.toMatchObject({ code: 'vault_unavailable' })
    const client = await openVault(vault)
    expect(client.publicKey).toBe(vault.publicKey)
    client.close()
    await vault.remove()
  })

  it('never says a credential, in any error', async () => {
    const vault = await startVault()
    writeFileSync(tokenFile, 'a'.repeat(64), { mode: 0o600 })
    const error: unknown = await openVault({ socketPath: vault.socketPath, tokenFile }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'vault_unavailable' })
    const { inspect } = await import('node:util')
    expect(inspect(error, { depth: 10 })).not.toContain('aaaaaaaa')
    await vault.remove()
  })
})

describe('a vault that dies', () => {
  it('in the middle of a part or of a read: an error, never a short copy', async () => {
    const vault = await startVault()
    const client = await openVault(vault)
    const big = randomBytes(8 << 20)
    const snapshot = await client.seal(about, async (seal) => {
      await seal.put({ name: 'a', bytes: one(big) })
      return content
    })
    const opened = await client.open(snapshot.id)
    const reading = (async () => {
      for await (const piece of opened.read('a')) if (piece.length > 0) await vault.kill()
    })()
    await expect(reading).rejects.toMatchObject({ code: 'vault_unavailable' })
    client.close()

    const again = await vault.again()
    const second = await openVault(again)
    const endless = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      for (let piece = 0; ; piece++) {
        if (piece === 3) void again.kill()
        yield randomBytes(1 << 20)
      }
    }
    const sealing = second.seal(about, async (seal) => {
      await seal.put({ name: 'a', bytes: endless() })
      return content
    })
    await expect(sealing).rejects.toMatchObject({ code: 'vault_unavailable' })
    await expect(second.list()).rejects.toMatchObject({ code: 'vault_unavailable' })
    second.close()

    const last = await again.again()
    const third = await openVault(last)
    expect((await third.list()).map((one) => one.id)).toEqual([snapshot.id])
    third.close()
    await last.remove()
  })

  it('keeps no room for copies that failed, and gives up nothing that is sealed', async () => {
    const vault = await startVault()
    const client = await openVault(vault)
    const broken = client.seal(about, async (seal) => {
      await seal.put({ name: 'a', bytes: one(randomBytes(3 << 20)) })
      throw new Error('the connector gave up')
    })
    await expect(broken).rejects.toMatchObject({ code: 'copy_failed', cause: { message: 'the connector gave up' } })
    expect(readdirSync(join(vault.folder, 'staging'))).toEqual([])
    expect((await client.health()).openSeals).toBe(0)
    const snapshot = await client.seal(about, async (seal) => {
      await seal.put({ name: 'a', bytes: one('kept') })
      return content
    })
    const seals = [snapshot.id, snapshot.id.slice(0, 32), '../manifests', '0'.repeat(32)]
    for (const seal of seals) expect((await askRaw(vault, 'POST', `/v1/seals/${seal}/give-up`)).status).toBeGreaterThan(400)
    expect((await client.list()).map((listed) => listed.id)).toEqual([snapshot.id])
    client.close()
    await vault.remove()
  })

  it('two gates at once keep their copies apart', async () => {
    const vault = await startVault()
    const gates = [await openVault(vault), await openVault(vault)] as const
    const sealed = await Promise.all(
      gates.flatMap((gate, number) =>
        Array.from({ length: 5 }, (_, index) =>
          gate.seal({ ...about, upstream: `db-${number}` }, async (seal) => {
            await seal.put({ name: 'a', bytes: one(`gate ${number} copy ${index}`) })
            return content
          }),
        ),
      ),
    )
    expect(new Set(sealed.map((snapshot) => snapshot.id)).size).toBe(10)
    for (const gate of gates) expect((await gate.list()).length).toBe(10)
    for (const gate of gates) gate.close()
    await vault.remove()
  })
})
