import { execFileSync } from 'node:child_process'
import {
  chownSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startVaultIn, type VaultProcess } from '../../../tests/conformance/vault-process.ts'
import { askRaw, sealParts } from '../../../tests/conformance/vault-raw.ts'
import { Fastener } from './fastener.ts'

const user = 'nobody'
const ids = { uid: Number(execFileSync('id', ['-u', user])), gid: Number(execFileSync('id', ['-g', user])) }

/** Whether this machine lets root set the attribute here: in a container without the capability nobody can. */
function canFasten(folder: string): boolean {
  const probe = join(folder, 'probe')
  writeFileSync(probe, '')
  try {
    execFileSync('chattr', ['+i', probe], { stdio: 'ignore' })
    execFileSync('chattr', ['-i', probe], { stdio: 'ignore' })
    return true
  } catch {
    return false
  } finally {
    rmSync(probe)
  }
}

let root = ''
let vault: VaultProcess
let possible = false
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'spv-'))
  chownSync(root, ids.uid, ids.gid)
  possible = canFasten(root)
  vault = await startVaultIn(root, ['--user', user, '--immutable'])
})
afterAll(async () => {
  await vault.kill()
  if (possible) execFileSync('chattr', ['-R', '-i', '-a', vault.folder])
  rmSync(root, { recursive: true, force: true })
})

function filesOf(kind: string): readonly string[] {
  const entries = readdirSync(join(vault.folder, kind), { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

function asVaultUser(command: string): string {
  try {
    return execFileSync('sh', ['-c', command], { ...ids, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] }).toString()
  } catch {
    return 'refused'
  }
}

describe('immutable copies', () => {
  it('can be removed or changed by nobody who is not root: not even the vault’s own user', async () => {
    const id = await sealParts(vault, { data: 'x'.repeat(9_000) })
    const { text } = await askRaw(vault, 'GET', '/v1/health')
    expect(text).toContain(`"immutable":${possible}`)
    expect(text).toContain(possible ? 'Immutable files' : 'does not have it for us')
    if (!possible) return
    const [chunk = ''] = filesOf('chunks')
    const [manifest = ''] = filesOf('manifests')
    for (const file of [chunk, manifest]) {
      for (const act of [
        `rm -f ${file}`,
        `mv ${file} ${root}/gone`,
        `chmod 0600 ${file}`,
        `touch -d @0 ${file}`,
        `sh -c 'echo x > ${file}'`,
        `chattr -i ${file}`,
        `mv ${vault.folder}/chunks ${root}/gone`,
        `rm -rf ${vault.folder}/manifests`,
      ]) {
        expect(asVaultUser(act), act).toBe('refused')
      }
      // Root too has to lift the attribute first.
      expect(() => rmSync(file)).toThrow('EPERM')
      expect(() => truncateSync(file, 0)).toThrow('EPERM')
      expect(() => renameSync(file, join(root, 'gone'))).toThrow('EPERM')
    }
    expect((await askRaw(vault, 'GET', `/v1/snapshots/${id}/part?name=data`)).text).toBe('x'.repeat(9_000))
  })

  it('can be kept for longer, and are fastened after a new start as before', async () => {
    const id = await sealParts(vault, { data: 'y'.repeat(9_000) })
    const retainUntilMs = Date.now() + 40 * 86_400_000
    const body = JSON.stringify({ retainUntilMs })
    expect((await askRaw(vault, 'POST', `/v1/snapshots/${id}/retention`, { body })).status).toBe(200)
    const kept = filesOf('chunks').filter((file) => statSync(file).mtimeMs >= retainUntilMs)
    expect(kept.length).toBe(1)
    await vault.end()
    vault = await vault.again()
    expect((await askRaw(vault, 'GET', `/v1/snapshots/${id}/part?name=data`)).text).toBe('y'.repeat(9_000))
    if (possible) expect(() => rmSync(kept[0] ?? '')).toThrow('EPERM')
  })

  it('are given up only when their own time is over, and only under names of the vault', async () => {
    if (!possible) return
    const fastener = Fastener.start(vault.folder, ids)
    const [chunk = ''] = filesOf('chunks')
    const name = chunk.slice(vault.folder.length + 1)
    const never = async (): Promise<void> => {
      throw new Error('it was given up')
    }
    await expect(fastener.free(name, never)).rejects.toThrow('could not be set')
    for (const foreign of ['key', '../run/token', 'chunks/../key', 'chunks/$(id)', 'chunks/a;id'])
      await expect(fastener.free(foreign, never)).rejects.toThrow('could not be set')
    await fastener.extend(name, 1)
    expect(statSync(chunk).mtimeMs).toBeGreaterThan(Date.now())
    execFileSync('chattr', ['-i', chunk])
    utimesSync(chunk, 1, 1)
    execFileSync('chattr', ['+i', chunk])
    await fastener.free(name, async () => rmSync(chunk))
    expect(filesOf('chunks')).not.toContain(chunk)
    fastener.end()
  })
})
