import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sha256Hex } from '@sallyport/core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { runVault, startVault, startVaultIn, type VaultProcess } from '../../../tests/conformance/vault-process.ts'
import { listIds, sealParts } from '../../../tests/conformance/vault-raw.ts'
import { openFolder } from './vault-folder.ts'
import { verifyFolder } from './verify.ts'
import type { Report } from './verify-report.ts'

const restoreShape = z.object({
  ok: z.boolean(),
  restored: z.array(z.object({ name: z.string() })),
  lost: z.array(z.object({ name: z.string() })),
})

const big = randomBytes(2_300_000)
const roots: string[] = []
let original: VaultProcess
let ids: string[] = []
let folder = ''

beforeAll(async () => {
  original = await startVault()
  ids = [
    await sealParts(original, { 'tables/orders/data': big, 'tables/orders/ddl': 'create table orders()' }),
    await sealParts(original, { 'tables/users/data': 'alice\nbob\n' }),
    await sealParts(original, { last: 'the newest' }),
  ]
  await original.end()
})
afterAll(async () => {
  await original.remove()
  for (const root of roots) rmSync(root, { recursive: true, force: true })
})
beforeEach(() => {
  const root = mkdtempSync(join(tmpdir(), 'spv-'))
  roots.push(root)
  folder = join(root, 'vault')
  cpSync(original.folder, folder, { recursive: true })
})

function files(under: string): string[] {
  return readdirSync(join(folder, under), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

function overwrite(path: string, bytes: Uint8Array | string): void {
  rmSync(path, { force: true })
  writeFileSync(path, bytes, { mode: 0o400 })
}

function flip(path: string, offset: number, mask = 1): void {
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(offset) ^ mask, offset)
  overwrite(path, bytes)
}

async function verify(publicKey: string | null = null): Promise<Report> {
  return await verifyFolder(await openFolder(folder, publicKey))
}

describe('vault verify', () => {
  it('finds nothing wrong in what nobody touched, with the key and without', async () => {
    expect(await verify()).toMatchObject({ ok: true, decrypted: true, snapshots: 3, damage: [], unreferenced: 0 })
    rmSync(join(folder, 'key'))
    expect(await verify()).toMatchObject({ ok: true, decrypted: false, snapshots: 3, damage: [] })
    expect((await verify(original.publicKey)).ok).toBe(true)
    const { code, document } = await runVault(['verify', folder, '--public-key', original.publicKey])
    expect({ code, document }).toMatchObject({ code: 0, document: { ok: true, decrypted: false } })
  })

  it('finds a flipped bit anywhere in a chunk, and names file, snapshot and part', async () => {
    const [chunk = ''] = files('chunks').filter((path) => statSync(path).size > 60_000)
    for (const offset of [0, 8, 20, 50, 50_000, statSync(chunk).size - 1]) {
      flip(chunk, offset)
      expect((await verify()).damage).toMatchObject([
        { kind: 'damaged_chunk', file: chunk.slice(folder.length + 1), snapshot: ids[0], part: 'tables/orders/data' },
      ])
      flip(chunk, offset)
    }
    rmSync(join(folder, 'key'))
    flip(chunk, 77)
    expect((await verify()).damage).toMatchObject([{ kind: 'damaged_chunk', snapshot: ids[0], part: 'part 1' }])
    const { code, document } = await runVault(['verify', folder])
    expect({ code, document }).toMatchObject({ code: 1, document: { ok: false, damage: [{ kind: 'damaged_chunk' }] } })
  })

  it('finds a flipped bit in every other file it keeps', async () => {
    const missed: string[] = []
    const paths = ['identity', 'clock', 'credential', 'key'].map((name) => join(folder, name)).concat(files('manifests'))
    for (const path of paths) {
      const size = statSync(path).size
      for (const offset of [0, 10, Math.floor(size / 2), size - 10, size - 1]) {
        flip(path, offset)
        const whole = await verify().then(
          (report) => report.ok,
          () => false,
        )
        if (whole) missed.push(`${path.slice(folder.length + 1)} at ${offset}`)
        flip(path, offset)
      }
    }
    expect(missed).toEqual([])
    expect((await verify()).ok).toBe(true)
  })

  it('finds what is missing, cut short or in the place of another', async () => {
    const [first = '', second = ''] = files('chunks')
    const bytes = [readFileSync(first), readFileSync(second)] as const
    unlinkSync(first)
    expect((await verify()).damage).toMatchObject([{ kind: 'missing_chunk', file: first.slice(folder.length + 1) }])
    overwrite(first, bytes[1])
    expect((await verify()).damage).toMatchObject([{ kind: 'damaged_chunk', file: first.slice(folder.length + 1) }])
    overwrite(first, bytes[0].subarray(0, -1))
    expect((await verify()).damage).toMatchObject([{ kind: 'damaged_chunk' }])
    rmSync(first)
    symlinkSync(second, first)
    expect((await verify()).damage).toMatchObject([{ kind: 'damaged_chunk' }])
  })

  it('finds a manifest that was taken away, except the newest, which only the log can miss', async () => {
    const manifests = files('manifests')
    for (const index of [0, 1]) {
      const path = manifests[index] ?? ''
      renameSync(path, join(folder, '..', 'aside'))
      expect((await verify()).damage.map((one) => one.kind)).toEqual(['missing_manifest'])
      renameSync(join(folder, '..', 'aside'), path)
    }
    rmSync(manifests[2] ?? '')
    const { damage, unreferenced } = await verify()
    expect(damage).toEqual([])
    expect(unreferenced).toBe(1)
  })

  it('finds manifests that this vault did not sign, whoever did', async () => {
    const other = await startVault()
    roots.push(other.root)
    const forgedId = await sealParts(other, { 'tables/users/data': 'mallory\n' })
    await other.end()
    const [theirs = ''] = readdirSync(join(other.folder, 'manifests'))
    const forged = readFileSync(join(other.folder, 'manifests', theirs))
    writeFileSync(join(folder, 'manifests', `000000000004-${forgedId}`), forged)
    expect((await verify()).damage).toMatchObject([{ kind: 'forged_manifest', snapshot: forgedId }])
    rmSync(join(folder, 'manifests', `000000000004-${forgedId}`))

    // A genuine line with another genuine signature, under a name that fits its bytes.
    const [one = '', two = ''] = files('manifests').map((path) => readFileSync(path, 'utf8'))
    const mixed = `${one.split('\n')[0] ?? ''}\n${two.split('\n')[1] ?? ''}\n`
    writeFileSync(join(folder, 'manifests', `000000000004-${sha256Hex(mixed)}`), mixed)
    expect((await verify()).damage).toMatchObject([{ kind: 'forged_manifest' }])
  })

  it('finds an old manifest that is played again as a new one', async () => {
    copyFileSync(files('manifests')[0] ?? '', join(folder, 'manifests', `000000000004-${ids[0] ?? ''}`))
    expect((await verify()).damage.map((one) => one.kind)).toEqual(['damaged_manifest'])
  })

  it('finds files that are not the vault’s', async () => {
    writeFileSync(join(folder, 'manifests', 'note.txt'), 'x')
    writeFileSync(join(folder, 'chunks', '00', 'f'.repeat(64)), 'x')
    writeFileSync(join(folder, 'more'), 'x')
    expect((await verify()).damage.map((one) => one.kind).sort()).toEqual(['damaged_state', 'foreign_file', 'foreign_file'])
  })

  it('tells a whole forged vault by its public key', async () => {
    const other = await startVault()
    roots.push(other.root)
    await other.end()
    const { code, said } = await runVault(['verify', other.folder, '--public-key', original.publicKey])
    expect(code).toBe(1)
    expect(said).toContain('another vault')
  })

  it('changes nothing in the folder', async () => {
    const state = (): string =>
      files('.')
        .map((path) => `${path} ${statSync(path).mtimeMs} ${statSync(path).size}`)
        .join('\n')
    const before = state()
    await verify()
    await runVault(['list', folder])
    expect(state()).toBe(before)
  })
})

describe('vault restore', () => {
  it('writes every part as it was sealed', async () => {
    const to = join(folder, '..', 'out')
    expect((await runVault(['restore', folder, ids[0] ?? '', '--to', to])).code).toBe(0)
    expect(readFileSync(join(to, 'parts', 'tables', 'orders', 'data')).equals(big)).toBe(true)
    expect(readFileSync(join(to, 'parts', 'tables', 'orders', 'ddl'), 'utf8')).toBe('create table orders()')
    expect(statSync(join(to, 'parts', 'tables', 'orders', 'data')).mode & 0o077).toBe(0)
    expect((await runVault(['restore', folder, ids[0] ?? '', '--to', to])).code).toBe(2)
  })

  it('goes on where it was cut short, takes nothing for whole that is not, and mixes no two snapshots', async () => {
    const to = join(folder, '..', 'resumed')
    const part = join(to, 'parts', 'tables', 'orders', 'data')
    expect((await runVault(['restore', folder, ids[0] ?? '', '--to', to])).code).toBe(0)
    // As a restore that was killed leaves it: its mark, one part whole, one half-written under a name of its own.
    rmSync(join(to, 'snapshot.json'))
    writeFileSync(join(to, 'restoring'), ids[0] ?? '')
    writeFileSync(join(to, 'unfinished'), 'half')
    const before = statSync(part).ino
    rmSync(join(to, 'parts', 'tables', 'orders', 'ddl'))
    expect((await runVault(['restore', folder, ids[1] ?? '', '--to', to])).said).toContain('Another snapshot was being restored')
    expect((await runVault(['restore', folder, ids[0] ?? '', '--to', to])).code).toBe(0)
    expect(readFileSync(join(to, 'parts', 'tables', 'orders', 'ddl'), 'utf8')).toBe('create table orders()')
    expect(statSync(part).ino).toBe(before)
    expect(readdirSync(to).toSorted()).toEqual(['parts', 'snapshot.json'])
    // Whoever wrote something else under a part's name does not get it called restored.
    rmSync(join(to, 'snapshot.json'))
    writeFileSync(join(to, 'restoring'), ids[0] ?? '')
    chmodSync(part, 0o600)
    writeFileSync(part, 'something else')
    const { code, document } = await runVault(['restore', folder, ids[0] ?? '', '--to', to])
    expect(code).toBe(1)
    expect(restoreShape.parse(document)).toMatchObject({ ok: false, lost: [{ name: 'tables/orders/data' }] })
  })

  it('fails loudly on damage, names what is lost and restores the rest', async () => {
    const [chunk = ''] = files('chunks').filter((path) => statSync(path).size > 60_000)
    flip(chunk, 1_000)
    const to = join(folder, '..', 'out')
    const { code, document } = await runVault(['restore', folder, (ids[0] ?? '').slice(0, 8), '--to', to])
    expect(code).toBe(1)
    expect(restoreShape.parse(document)).toMatchObject({
      ok: false,
      restored: [{ name: 'tables/orders/ddl' }],
      lost: [{ name: 'tables/orders/data' }],
    })
    expect(readdirSync(join(to, 'parts', 'tables', 'orders'))).toEqual(['ddl'])
  })
})

describe('a vault with damage', () => {
  it('serves what is whole, goes on sealing, and keeps a second file of a chunk that has rotted', async () => {
    const [chunk = ''] = files('chunks').filter((path) => statSync(path).size < 1_000)
    flip(chunk, 45)
    flip(files('manifests')[1] ?? '', 100)
    chmodSync(folder, 0o700)
    const vault = await startVaultIn(join(folder, '..'), ['--new-credential'])
    expect((await listIds(vault)).length).toBe(2)
    await sealParts(vault, { a: big.subarray(0, 1 << 20), b: 'create table orders()', c: 'alice\nbob\n', d: 'the newest' })
    await vault.end()
    const { damage } = await verify()
    expect(new Set(damage.map((one) => one.kind))).toEqual(new Set(['damaged_chunk', 'damaged_manifest', 'missing_manifest']))
    const restored = await runVault(['restore', folder, ids[0] ?? '', '--to', join(folder, '..', 'out')])
    expect(restoreShape.parse(restored.document).ok).toBe(true)
  })
})
