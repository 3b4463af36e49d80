import { execFile } from 'node:child_process'
import { generateKeyPairSync, sign } from 'node:crypto'
import { copyFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { noteSigner, type Event } from '@sallyport/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { wallClock } from '../../packages/gateway/src/access/clock.ts'
import { openLog, type FileLog } from '../../packages/gateway/src/log/file-log.ts'
import { diskFileSystem } from '../../packages/gateway/src/log/file-system.ts'
import { LogArchive } from '../../packages/gateway/src/log/log-archive.ts'
import { openVault, type VaultClient } from '../../packages/gateway/src/vault/vault-client.ts'
import { runVault, startVault, type VaultProcess } from '../conformance/vault-process.ts'
import { findProgram } from '../fakes/programs.ts'

/** A real log and a real vault on disk: old entries are archived and dropped, and read by the command line, with and without the vault at hand. */
const signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))
const program = findProgram('cli')
const count = 1_500
const reportShape = z.object({
  ok: z.boolean(),
  size: z.number(),
  findings: z.array(z.looseObject({ kind: z.string() })),
  information: z.array(z.looseObject({ kind: z.string() })),
})
let vaultProcess: VaultProcess
let vault: VaultClient
let log: FileLog
let directory = ''

const event = (place: number): Event => ({
  type: 'statement',
  atMs: 1_600_000_000_000 + place,
  session: place < 100 ? 'old-session' : 'young-session',
  agent: 'coder',
  data: { place, note: 'x'.repeat(100) },
})

async function open(): Promise<FileLog> {
  const witness = await vault.witness(signer.key)
  return await openLog({ directory, signer, clock: wallClock, witness, archive: vault, segmentBytesMax: 60_000 })
}

async function run(...words: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly said: string }> {
  return await new Promise((resolve) => {
    execFile(process.execPath, [program, ...words], { maxBuffer: 64 << 20 }, (error, out, said) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, said }),
    )
  })
}
const verify = async (place = directory): Promise<z.infer<typeof reportShape>> =>
  reportShape.parse(JSON.parse((await run('log', 'verify', place, '--json')).out))

beforeAll(async () => {
  vaultProcess = await startVault()
  vault = await openVault(vaultProcess)
  directory = join(vaultProcess.root, 'log')
  log = await open()
  for (let place = 0; place < count; place += 100)
    await Promise.all(Array.from({ length: 100 }, (_, more) => log.append(event(place + more))))
  await log.publish()
  const ports = { log, vault, system: diskFileSystem, directory, origin: signer.key.name, clock: wallClock }
  const archive = new LogArchive(ports, { afterMs: 0, forMs: 30 * 86_400_000, drop: true })
  await archive.look()
  await log.publish()
}, 120_000)
afterAll(async () => {
  await log.close()
  vault.close()
  await vaultProcess.remove()
})

describe('a log whose beginning lies in the vault', { timeout: 120_000 }, () => {
  it('is verified whole, offline, and says what is archived, where, and for how long', async () => {
    const { ok, findings, information } = await verify()
    expect({ ok, findings }).toEqual({ ok: true, findings: [] })
    const archived = information.filter(({ kind }) => kind === 'archived')
    expect(archived[0]).toMatchObject({ first: 0, vault: vaultProcess.publicKey, origin: signer.key.name })
    expect(archived.map(({ snapshot }) => snapshot)).toEqual(
      log
        .archived()
        .slice(0, archived.length)
        .map(({ snapshot }) => snapshot),
    )
    const { out } = await run('log', 'verify', directory)
    expect(out).toMatch(/Entries 0 to \d+ are not here: the vault .* keeps them until \d{4}-/)
  })

  it('is sealed as a kind of its own, of a thing that no configuration can name', async () => {
    const { document } = await runVault(['list', vaultProcess.folder])
    const { snapshots } = z.object({ snapshots: z.array(z.looseObject({ kind: z.string() })) }).parse(document)
    expect(snapshots[0]).toMatchObject({ kind: 'log', upstream: 'sallyport log', upstreamIdentity: signer.key.name })
  })

  it('says what to do when an entry is asked for that is not here', async () => {
    for (const words of [
      ['show', directory, '--from', '3', '--count', '1'],
      ['prove', '3', directory],
    ]) {
      const { code, said } = await run('log', ...words)
      expect(code).toBe(1)
      expect(said).toMatch(/Entry 3 was archived and is not here/)
      expect(said).toContain('sallyport log recall')
    }
    const searched = await run('log', 'search', directory, '--session', 'old-session', '--json')
    expect(searched.out).toBe('')
    expect(searched.said).toMatch(/entries 0 to \d+ were archived .* not looked at/)
  })

  it('goes on where it was after a new start, and the gate reads old entries out of the vault', async () => {
    await log.close()
    log = await open()
    expect(log.segments()[0]?.first).toBeGreaterThan(256)
    expect((await log.read(5, 1))[0]?.event.data).toMatchObject({ place: 5 })
    await log.append(event(count))
    await log.publish()
    expect((await verify()).ok).toBe(true)
  })

  it('is read as ever once it was recalled, and what is recalled is compared with the tiles', async () => {
    const { code, out } = await run('log', 'recall', directory)
    expect([code, out]).toEqual([0, expect.stringMatching(/^\d+ entries were read back/)])
    const shown = await run('log', 'show', directory, '--from', '3', '--count', '1', '--json')
    expect(JSON.parse(shown.out)).toMatchObject({ index: 3, data: { place: 3 } })
    expect(JSON.parse((await run('log', 'prove', '3', directory)).out)).toMatchObject({ index: 3 })
    const found = await run('log', 'search', directory, '--session', 'old-session', '--json')
    expect(found.out.trim().split('\n')).toHaveLength(100)
    expect(found.said).toBe('')
    const bundle = join(directory, 'recalled', 'tile', 'entries', '000')
    const bytes = readFileSync(bundle)
    writeFileSync(bundle, Buffer.concat([bytes.subarray(0, 10), Buffer.from('X'), bytes.subarray(11)]))
    expect((await verify()).findings).toContainEqual({ kind: 'tile_altered', path: 'tile/entries/000' })
    rmSync(join(directory, 'recalled'), { recursive: true })
  })
})

describe('somebody who makes away with entries', { timeout: 120_000 }, () => {
  const attacked = async (act: (folder: string) => void): Promise<z.infer<typeof reportShape>> => {
    const root = mkdtempSync(join(tmpdir(), 'sp-archive-'))
    try {
      cpSync(directory, join(root, 'log'), { recursive: true })
      cpSync(join(vaultProcess.folder, 'witness'), join(root, 'vault', 'witness'), { recursive: true })
      copyFileSync(join(vaultProcess.folder, 'identity'), join(root, 'vault', 'identity'))
      act(join(root, 'log'))
      return await verify(join(root, 'log'))
    } finally {
      rmSync(root, { recursive: true })
    }
  }
  const receipts = (folder: string): readonly string[] => readdirSync(join(folder, 'archived')).sort()

  it.each([
    ['drops a segment that was never archived', (folder: string) => dropFirst(folder)],
    ['takes a receipt away', (folder: string) => rmSync(join(folder, 'archived', receipts(folder)[0] ?? ''))],
    [
      'lets a receipt promise what it does not',
      (folder: string) => {
        const path = join(folder, 'archived', receipts(folder)[0] ?? '')
        writeFileSync(path, readFileSync(path, 'utf8').replace(/log:0-\d+/, 'log:0-99999'))
      },
    ],
    [
      'lays one receipt under the name of another',
      (folder: string) => {
        const [first = '', second = ''] = receipts(folder)
        renameSync(join(folder, 'archived', second), join(folder, 'archived', first))
      },
    ],
    [
      'seals nothing, and signs a receipt as a vault of his own',
      (folder: string) => {
        const { publicKey, privateKey } = generateKeyPairSync('ed25519')
        const own = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url').toString('hex')
        const path = join(folder, 'archived', receipts(folder)[0] ?? '')
        const line = readFileSync(path, 'utf8').split('\n')[0]?.replace(vaultProcess.publicKey, own) ?? ''
        const signature = sign(null, Buffer.from(`sallyport vault manifest v1\n${line}`), privateKey).toString('base64')
        writeFileSync(path, `${line}\n${signature}\n`)
      },
    ],
    ['removes the hashes of what was archived', (folder: string) => rmSync(join(folder, 'tile', '0', '000'))],
    [
      'changes a hash of what was archived',
      (folder: string) => {
        const path = join(folder, 'tile', '0', '000')
        const bytes = readFileSync(path)
        writeFileSync(path, Buffer.concat([Buffer.alloc(1, (bytes[0] ?? 0) ^ 1), bytes.subarray(1)]))
      },
    ],
  ])('%s: it is found offline', async (_, act) => {
    const { ok, findings } = await attacked(act)
    expect(ok).toBe(false)
    expect(findings.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^(gap|archive_unproven|root_mismatch|truncated)$/)]),
    )
  })

  it('is not believed when a folder to recall from holds something else', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sp-recall-'))
    try {
      const { code, said } = await run('log', 'recall', directory, '--from', folder)
      expect([code, said]).toEqual([1, expect.stringContaining('were not read back')])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

function dropFirst(folder: string): void {
  const [, second = ''] = readdirSync(join(folder, 'entries')).sort()
  for (const name of readdirSync(join(folder, 'entries'))) if (name < second) rmSync(join(folder, 'entries', name))
}
