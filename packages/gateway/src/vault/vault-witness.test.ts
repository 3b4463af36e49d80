import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  addSignatures,
  consistencyProof,
  encodeBase64,
  type Hash,
  isCosigned,
  leafHash,
  nodeHash,
  type NoteSigner,
  noteSigner,
  openCheckpoint,
  rootAt,
  signCheckpoint,
  signRotation,
  type Witness,
} from '@sallyport/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startVault, type VaultProcess } from '../../../../tests/conformance/vault-process.ts'
import { openVault, type VaultClient } from './vault-client.ts'

const origin = 'gate.example/log'
const signer = noteSigner(origin, Buffer.alloc(32, 1))
const never = new AbortController().signal

/** A log of so many entries; `salt` makes it another history from its entry `from` on. */
class Tree {
  readonly #leaves: readonly Hash[]
  constructor(size: number, salt = '', from = 0) {
    this.#leaves = Array.from({ length: size }, (_, index) => leafHash(Buffer.from(`entry ${index}${index >= from ? salt : ''}`)))
  }

  node(level: number, index: number): Hash {
    if (level === 0) return this.#leaves[index] ?? Buffer.alloc(0)
    return nodeHash(this.node(level - 1, 2 * index), this.node(level - 1, 2 * index + 1))
  }

  async checkpoint(size: number, by: NoteSigner = signer, name = origin): Promise<string> {
    return signCheckpoint({ origin: name, size, root: await rootAt(this, size) }, by)
  }

  async proof(from: number, to: number): Promise<readonly string[]> {
    return (await consistencyProof(this, from, to)).map((hash) => encodeBase64(hash))
  }
}

describe('the vault as a witness', () => {
  let vault: VaultProcess
  let client: VaultClient
  let witness: Witness
  const tree = new Tree(40)
  const offer = async (from: number, to: number, log = tree): Promise<string> =>
    await witness.cosign(
      { oldSize: from, proof: from === 0 ? [] : await log.proof(from, to), checkpoint: await log.checkpoint(to) },
      never,
    )
  const kept = (): string => join(vault.folder, 'witness', 'checkpoint')
  const reopen = async (): Promise<void> => {
    client.close()
    vault = await vault.again()
    client = await openVault(vault)
    witness = await client.witness(signer.key)
  }
  beforeEach(async () => {
    vault = await startVault()
    client = await openVault(vault)
    witness = await client.witness(signer.key)
  })
  afterEach(async () => {
    client.close()
    await vault.remove()
  })

  it('cosigns what extends the last checkpoint, has it on disk before it answers, and still knows it after kill -9', async () => {
    expect(await witness.latest(origin, never)).toBeNull()
    for (const [from, to] of [
      [0, 7],
      [7, 7],
      [7, 8],
      [8, 39],
    ] as const) {
      const line = await offer(from, to)
      const note = addSignatures(await tree.checkpoint(to), line)
      expect(isCosigned(openCheckpoint(note, [signer.key, witness.key]).verdict)).toBe(true)
      expect(readFileSync(kept(), 'utf8')).toBe(note)
    }
    await vault.kill()
    await reopen()
    const latest = await witness.latest(origin, never)
    expect(openCheckpoint(latest ?? '', [signer.key]).checkpoint.size).toBe(39)
    await offer(39, 40)
  })

  it('refuses another history of any size, and keeps what it was offered', async () => {
    await offer(0, 20)
    const fork = new Tree(40, ' forged', 10)
    await expect(offer(20, 30, fork)).rejects.toMatchObject({ name: 'WitnessRefusal', reason: 'inconsistent' })
    await expect(offer(20, 20, fork)).rejects.toMatchObject({ reason: 'inconsistent' })
    const proof = await tree.proof(20, 30)
    await expect(witness.cosign({ oldSize: 20, proof, checkpoint: await fork.checkpoint(30) }, never)).rejects.toMatchObject({
      reason: 'inconsistent',
    })
    await expect(witness.cosign({ oldSize: 20, proof: [], checkpoint: await tree.checkpoint(30) }, never)).rejects.toMatchObject({
      reason: 'inconsistent',
    })
    const evidence = readdirSync(join(vault.folder, 'witness')).filter((name) => name.startsWith('evidence-'))
    expect(evidence.length).toBe(4)
    expect(readFileSync(join(vault.folder, 'witness', evidence[0] ?? ''), 'utf8')).toContain(
      (await fork.checkpoint(30)).split('\n')[2],
    )
    await offer(20, 30)
  })

  it('refuses a log that went back, and one that skips what the witness holds', async () => {
    await offer(0, 20)
    await expect(offer(0, 19)).rejects.toMatchObject({ name: 'WitnessRefusal', reason: 'stale', size: 20 })
    await expect(offer(10, 30)).rejects.toMatchObject({ reason: 'stale', size: 20 })
    await expect(offer(0, 20)).rejects.toMatchObject({ reason: 'stale', size: 20 })
    await expect(witness.cosign({ oldSize: 0, proof: [], checkpoint: await tree.checkpoint(0) }, never)).rejects.toMatchObject({
      reason: 'stale',
      size: 20,
    })
  })

  it('takes checkpoints of the pinned log only', async () => {
    await offer(0, 5)
    const other = noteSigner(origin, Buffer.alloc(32, 2))
    await expect(client.witness(other.key)).rejects.toMatchObject({ code: 'log_unavailable' })
    for (const checkpoint of [await tree.checkpoint(6, other), await tree.checkpoint(6, signer, 'other/log'), 'no note', '']) {
      await expect(witness.cosign({ oldSize: 5, proof: await tree.proof(5, 6), checkpoint }, never)).rejects.toMatchObject({
        name: 'SallyportError',
      })
    }
    expect(openCheckpoint((await witness.latest(origin, never)) ?? '', [signer.key]).checkpoint.size).toBe(5)
    expect(await witness.latest('other/log', never)).toBeNull()
  })

  it('stops cosigning when an older checkpoint is put back under it, while it runs or before it starts', async () => {
    await offer(0, 5)
    copyFileSync(kept(), join(vault.root, 'old'))
    await offer(5, 9)
    copyFileSync(join(vault.root, 'old'), kept())
    await expect(offer(9, 12)).rejects.toMatchObject({ code: 'vault_unavailable' })
    await expect(offer(5, 12)).rejects.toMatchObject({ code: 'vault_unavailable' })
    expect((await client.health()).witness.frozen).toContain('changed on disk')
  })

  it('does not start over when the checkpoint it cosigned is gone', async () => {
    await offer(0, 5)
    await vault.end()
    const { unlinkSync } = await import('node:fs')
    unlinkSync(kept())
    await reopen()
    await expect(offer(0, 3)).rejects.toMatchObject({ code: 'vault_unavailable' })
    expect((await client.health()).witness.frozen).toContain('older than one')
    expect(existsSync(kept())).toBe(false)
  })

  it('takes another key by a statement of the one in force alone, and cosigns nothing more of that one', async () => {
    await offer(0, 20)
    const next = noteSigner(origin, Buffer.alloc(32, 2))
    const thief = noteSigner(origin, Buffer.alloc(32, 3))
    for (const rotation of [signRotation(thief, next, 20), signRotation(signer, next, 19)]) {
      await expect(client.witness(next.key, [rotation])).rejects.toMatchObject({ code: 'log_unavailable' })
      await offer(20, 20)
    }
    const handedOver = signRotation(signer, next, 20)
    await client.witness(next.key, [handedOver])
    // The thief of the old key, who has the gate's way to the vault as well.
    await expect(offer(20, 21)).rejects.toMatchObject({ name: 'SallyportError' })
    await expect(client.witness(signer.key)).rejects.toMatchObject({ code: 'log_unavailable' })
    await expect(client.witness(thief.key, [signRotation(signer, thief, 25)])).rejects.toMatchObject({ code: 'log_unavailable' })
    await expect(client.witness(signer.key, [signRotation(next, signer, 25)])).rejects.toMatchObject({ code: 'log_unavailable' })
    for (const restart of [true, false]) {
      if (restart) {
        await vault.kill()
        client.close()
        vault = await vault.again()
        client = await openVault(vault)
      }
      const again = await client.witness(next.key, [handedOver])
      expect(openCheckpoint((await again.latest(origin, never)) ?? '', [signer.key]).checkpoint.size).toBe(restart ? 20 : 21)
      const size = restart ? 21 : 22
      await again.cosign(
        { oldSize: size - 1, proof: await tree.proof(size - 1, size), checkpoint: await tree.checkpoint(size, next) },
        never,
      )
    }
  })

  it('answers two gates at the same time one after the other', async () => {
    await offer(0, 5)
    const second = await openVault(vault)
    const same = await second.witness(signer.key)
    const fork = new Tree(40, ' forged', 6)
    const results = await Promise.allSettled([
      offer(5, 9),
      same.cosign({ oldSize: 5, proof: await fork.proof(5, 8), checkpoint: await fork.checkpoint(8) }, never),
    ])
    expect(results.filter((result) => result.status === 'fulfilled').length).toBe(1)
    second.close()
  })
})
