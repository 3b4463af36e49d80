import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { arrange, startGate, type AgentConnection, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { runVault } from '../conformance/vault-process.ts'

/** A vault on a small disk of its own that is really full: what needs a copy does not run, and runs again when there is room. */
const disk = mkdtempSync(join(tmpdir(), 'sp-full-'))
const ballast = join(disk, 'ballast')
let postgres: PostgresServer
let gate: TestGate
let agent: AgentConnection

beforeAll(async () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m,mode=0700', 'sallyport', disk])
  postgres = await startPostgres()
  gate = await startGate({ postgres, vaultFlags: [`--dir=${join(disk, 'vault')}`] })
  await arrange(
    postgres,
    `CREATE TABLE orders (id int PRIMARY KEY, note text);
     INSERT INTO orders SELECT g, md5(g::text) || md5((g * 7)::text) FROM generate_series(1, 900) g`,
  )
  agent = await gate.connect('coder')
}, 120_000)
afterAll(async () => {
  await agent.close()
  await gate.stop()
  await postgres.stop()
  execFileSync('umount', [disk])
  rmSync(disk, { recursive: true, force: true })
})

const count = async (): Promise<unknown> => (await postgres.query('SELECT count(*)::int AS n FROM orders'))[0]?.['n']

function fill(leaveBytes: number): void {
  const { bavail, bsize } = statfsSync(disk)
  writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes)))
}

describe('a vault whose disk is full', { timeout: 120_000 }, () => {
  it('lets an agent delete while there is room: the copy is sealed first', async () => {
    expect(await agent.run('DELETE FROM orders WHERE id <= 100')).toMatchObject({ sqlState: '00000', rowCount: 100 })
  })

  it.each([0, 4_096, 20_000])('refuses what needs a copy with %i bytes left, says why, and loses no row', async (leaveBytes) => {
    fill(leaveBytes)
    const refused = await agent.run('DELETE FROM orders WHERE id > 300')
    rmSync(ballast)
    expect(refused.sqlState).not.toBe('00000')
    expect(`${refused.message} ${refused.hint}`).toMatch(/disk of the vault is full|vault/i)
    expect(await count()).toBe(800)
    expect(gate.events().findLast(({ type }) => type === 'snapshot.failed')?.data['code']).toMatch(/copy_failed|vault_unavailable/)
  })

  it('runs again as soon as there is room, and nothing that was acknowledged is lost', async () => {
    expect(await agent.run('DELETE FROM orders WHERE id > 800')).toMatchObject({ sqlState: '00000', rowCount: 100 })
    expect(await count()).toBe(700)
    const { code, document } = await runVault(['verify', join(disk, 'vault')])
    expect({ code, document }).toMatchObject({ code: 0, document: { ok: true, snapshots: 2, damage: [], lost: [] } })
  })

  it('keeps reading and writing down while it is full: reads and plain inserts run', async () => {
    fill(0)
    const read = await agent.run('SELECT count(*) FROM orders')
    const written = await agent.run(`INSERT INTO orders VALUES (5000, 'x')`)
    rmSync(ballast)
    expect([read.sqlState, written.sqlState]).toEqual(['00000', '00000'])
  })
})
