import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, chmodSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startVault, type VaultProcess } from '../../../../tests/conformance/vault-process.ts'
import { sealParts } from '../../../../tests/conformance/vault-raw.ts'
import { findProgram } from '../../../../tests/fakes/programs.ts'

const cli = findProgram('cli')

async function sallyport(
  ...words: readonly string[]
): Promise<{ readonly code: number | null; readonly out: string; readonly said: string }> {
  const child = spawn(process.execPath, [cli, 'vault', ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, said] = ['', '']
  child.stdout.on('data', (piece) => (out += String(piece)))
  child.stderr.on('data', (piece) => (said += String(piece)))
  await once(child, 'close')
  return { code: child.exitCode, out, said }
}

describe('sallyport vault', () => {
  let vault: VaultProcess
  let id = ''
  beforeAll(async () => {
    vault = await startVault()
    const checksums = { 'public.\u001b[2Jorders\u202e': 'c' }
    const described = JSON.stringify({ kind: 'rows', rows: 1234, bytes: 7, checksums, manifest: {} })
    id = await sealParts(vault, { 'tables/public.orders/data': '1\tpaid\n' }, described)
  })
  afterAll(async () => await vault.remove())

  it('lists what there is while the vault runs, and lets no name move the cursor', async () => {
    const { code, out } = await sallyport('list', vault.folder)
    expect(code).toBe(0)
    expect(out).toContain(id.slice(0, 16))
    expect(out).toContain('1,234 rows')
    expect(out).toContain('public.\\u{1b}[2Jorders\\u{202e}')
    expect(out).not.toContain('\u001b')
    const json: unknown = JSON.parse((await sallyport('list', '--state', vault.root, '--json')).out)
    expect(json).toMatchObject({ snapshots: [{ id, rows: 1234 }], damaged: [] })
  })

  it('restores parts as files', async () => {
    const to = join(vault.root, 'out')
    const { code, out } = await sallyport('restore', id.slice(0, 12), '--dir', vault.folder, '--to', to)
    expect(out).toContain('All 1 parts')
    expect(code).toBe(0)
    expect(readFileSync(join(to, 'parts', 'tables', 'public.orders', 'data'), 'utf8')).toBe('1\tpaid\n')
  })

  it('says 2 for what was asked wrongly', async () => {
    expect((await sallyport('restore', 'zz', '--dir', vault.folder, '--to', join(vault.root, 'none'))).code).toBe(2)
    expect((await sallyport('restore', id)).code).toBe(2)
    expect((await sallyport('shred')).code).toBe(2)
    const { code, said } = await sallyport('verify', join(vault.root, 'nowhere'), '--json')
    expect(code).toBe(1)
    expect(JSON.parse(said)).toMatchObject({ error: { code: 'not_found' } })
  })

  it('says 0 for a whole vault and 1 for a damaged one, naming file, snapshot and part', async () => {
    // The state that holds it is as good, as for `log verify`.
    const whole = await sallyport('verify', vault.root)
    expect(whole.out).toContain('Whole: 1 snapshots')
    expect(whole.code).toBe(0)
    const [file] = readdirSync(join(vault.folder, 'chunks'), { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    )
    const path = join(file?.parentPath ?? '', file?.name ?? '')
    chmodSync(path, 0o600)
    appendFileSync(path, 'x')
    const damaged = await sallyport('verify', vault.folder)
    expect(damaged.code).toBe(1)
    expect(damaged.out).toContain(`${file?.name}`)
    expect(damaged.out).toContain(`snapshot ${id.slice(0, 16)}, part tables/public.orders/data`)
  })
})
