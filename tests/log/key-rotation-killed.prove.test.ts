import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeEntry, decodeSegment, formatVerifierKey, noteSigner } from '@sallyport/core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openLog } from '../../packages/gateway/src/log/file-log.ts'
import { openStateFolder } from '../../packages/gateway/src/access/state-folder.ts'
import { openVault } from '../../packages/gateway/src/vault/vault-client.ts'
import { readRotations } from '../../packages/gateway/src/log/rotations.ts'
import { diskFileSystem } from '../../packages/gateway/src/log/file-system.ts'
import { startVaultIn, startVault, type VaultProcess } from '../conformance/vault-process.ts'

const program = new URL('rotating-start.ts', import.meta.url).pathname
const clock = { nowMs: () => Date.now(), sleep: async () => {} }
let template: VaultProcess

beforeAll(async () => {
  template = await startVault()
  const state = join(template.root, 'state')
  const folder = openStateFolder(state)
  const client = await openVault(template)
  const signer = noteSigner(folder.origin, folder.logSeed)
  const log = await openLog({ directory: join(state, 'log'), signer, clock, witness: await client.witness(signer.key) })
  for (let place = 0; place < 300; place += 1) await log.append({ type: 'statement', atMs: place, data: { place } })
  await log.close()
  client.close()
  await template.end()
})
afterAll(async () => {
  await template.remove()
})

function settle(vault: VaultProcess, dieAt: number): Promise<{ readonly signal: string | null; readonly output: string }> {
  const args = [program, join(vault.root, 'state'), vault.socketPath, vault.tokenFile, String(dieAt)]
  return new Promise((resolve) => {
    execFile(process.execPath, args, (error, stdout) => resolve({ signal: error?.signal ?? null, output: String(stdout) }))
  })
}

/** One rotation that dies before its change `dieAt`, then a start that is left alone, then a thief of the old key. */
async function rotate(dieAt: number): Promise<boolean> {
  const root = mkdtempSync(join(template.root, 'run-'))
  execFileSync('cp', ['-a', ...['vault', 'state', 'run'].map((part) => join(template.root, part)), root])
  const vault = await startVaultIn(root)
  const state = join(root, 'state')
  const old = openStateFolder(state)
  const next = noteSigner(old.origin, Buffer.alloc(32, 5))
  writeFileSync(join(state, 'log.key.next'), Buffer.alloc(32, 5).toString('hex'), { mode: 0o600 })
  const died = await settle(vault, dieAt)
  const { output } = await settle(vault, 0)
  expect(output, `died at ${dieAt}`).toContain('settled')
  expect(existsSync(join(state, 'log.key.next'))).toBe(false)
  expect(readFileSync(join(state, 'log.key'), 'utf8')).toBe(Buffer.alloc(32, 5).toString('hex'))
  const rotations = await readRotations(diskFileSystem, join(state, 'log'))
  expect(rotations).toHaveLength(1)
  const client = await openVault(vault)
  const log = await openLog({
    directory: join(state, 'log'),
    signer: next,
    clock,
    witness: await client.witness(next.key, rotations),
  })
  await log.append({ type: 'statement', atMs: 1, data: { after: true } })
  await log.close()
  expect(log.health()).toMatchObject({ witnessedSize: log.size(), problem: null })
  const signer = noteSigner(old.origin, old.logSeed)
  await expect(client.witness(signer.key)).rejects.toMatchObject({ code: 'log_unavailable' })
  client.close()
  const events = segmentEvents(state)
  expect(events.filter(({ type }) => type === 'log.key_rotated')).toMatchObject([
    { data: { from: formatVerifierKey(signer.key), to: formatVerifierKey(next.key), size: rotations[0]?.size } },
  ])
  await vault.end()
  return died.signal === 'SIGKILL'
}

function segmentEvents(state: string): readonly { readonly type: string; readonly data: object }[] {
  const bytes = readFileSync(join(state, 'log', 'entries', '0000000000000000.log'))
  return decodeSegment(bytes, true).groups.flatMap(({ entries }) => entries.map(decodeEntry))
}

test('a rotation that is killed before any change of the disk goes on where it was', async () => {
  let died = 0
  for (let dieAt = 1; await rotate(dieAt); dieAt += 1) died = dieAt
  process.stdout.write(`killed before each of ${died} changes of the disk; every start after it settled, with one rotation\n`)
  expect(died).toBeGreaterThan(10)
})
