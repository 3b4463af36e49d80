import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startVaultIn } from '../../../tests/conformance/vault-process.ts'
import { askRaw, listIds, sealParts } from '../../../tests/conformance/vault-raw.ts'

const isRoot = process.getuid?.() === 0

describe('the user of the vault', () => {
  it(
    'is another one when root says so, for good, and the copies are that user’s alone; nobody else can ask for it',
    { timeout: 60_000 },
    async () => {
      const root = mkdtempSync(join(tmpdir(), 'spv-'))
      if (!isRoot) {
        await expect(startVaultIn(root, ['--user', 'nobody'])).rejects.toThrow(/Only a vault started by root|EPERM/)
        rmSync(root, { recursive: true, force: true })
        return
      }
      // The vault's user has to get through to its folder; what lies in it stays closed.
      chmodSync(root, 0o711)
      const uid = Number(execFileSync('id', ['-u', 'nobody']).toString())
      let vault = await startVaultIn(root, ['--user', 'nobody'])
      const id = await sealParts(vault, { data: 'rows' })
      const status = readFileSync(`/proc/${vault.pid}/status`, 'utf8')
      expect(status).toMatch(new RegExp(`^Uid:\\s+${uid}\\s+${uid}\\s+${uid}\\s+${uid}$`, 'm'))
      expect(status).toMatch(/^Groups:\s*$/m)
      expect(status).toMatch(/^CapEff:\s+0+$/m)
      for (const name of ['.', 'key', 'chunks', 'manifests']) expect(statSync(join(vault.folder, name)).uid, name).toBe(uid)
      for (const path of [vault.socketPath, vault.tokenFile]) expect(statSync(path).uid, path).toBe(0)
      expect(statSync(vault.folder).mode & 0o777).toBe(0o700)
      await vault.end()
      vault = await vault.again()
      expect(await listIds(vault)).toEqual([id])
      expect((await askRaw(vault, 'GET', '/v1/health')).text).toContain(`"osUser":${uid}`)
      await vault.end()
      // Started as root again by mistake: the folder is not root's, so nothing starts, and nothing in it becomes root's.
      await expect(vault.again([])).rejects.toThrow(/belongs to another user/)
      await vault.remove()
    },
  )

  it('must exist, and is a name, not an option', async () => {
    for (const name of ['no-such-user-here', '--help', '0', 'a b', '']) {
      const root = mkdtempSync(join(tmpdir(), 'spv-'))
      await expect(startVaultIn(root, [`--user=${name}`])).rejects.toThrow(/Nothing was started/)
      rmSync(root, { recursive: true, force: true })
    }
  })
})
