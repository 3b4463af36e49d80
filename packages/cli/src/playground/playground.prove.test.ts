import './playground.test.ts'
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import { findProcessesOf, requireRoot, waitUntil } from '../../../../tests/fakes/own-processes.ts'
import { clusterNameOf } from './leftover.ts'
import { startPlayground, type Playground } from './playground.ts'

/** What takes a new playground for each case. */
const anchor = new Date('2026-06-30T00:00:00Z')
const root = mkdtempSync(join(tmpdir(), 'sallyport-playground-prove-'))
chmodSync(root, 0o711)
const start = (stateDirectory: string): Promise<Playground> =>
  startPlayground({ stateDirectory, anchor, postgresPort: 0, controlPort: 0 })
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** All orders of a playground's production, as one sum. */
async function checksum(state: string): Promise<string> {
  const client = new pg.Client({ connectionString: readFileSync(join(state, 'secrets', 'production.use'), 'utf8').trim() })
  await client.connect()
  const { rows } = await client.query('SELECT orders::text AS line FROM orders ORDER BY id')
  await client.end()
  return createHash('sha256').update(JSON.stringify(rows)).digest('hex')
}

test('the same anchor gives the same rows in another cluster; an interrupted one is made anew', async () => {
  const other = join(root, 'other')
  mkdirSync(join(other, 'playground', 'data'), { recursive: true, mode: 0o711 })
  writeFileSync(join(other, 'playground', 'data', 'PG_VERSION'), 'half made')
  writeFileSync(
    join(other, 'playground.json'),
    JSON.stringify({ folder: join(other, 'playground'), port: null, complete: false }),
  )
  const first = await start(join(root, 'state'))
  const second = await start(other)
  try {
    expect(await checksum(other)).toBe(await checksum(join(root, 'state')))
  } finally {
    await second.server.stop()
    await first.server.stop()
  }
})

describe('an awkward place', () => {
  test('state under a folder only root may enter: the cluster goes where the server’s user can get to', async () => {
    requireRoot()
    const closed = join(root, 'closed')
    mkdirSync(closed, { mode: 0o700 })
    const hidden = await start(join(closed, 'state'))
    const record: unknown = JSON.parse(readFileSync(join(closed, 'state', 'playground.json'), 'utf8'))
    const folder = typeof record === 'object' && record !== null && 'folder' in record ? String(record.folder) : ''
    await hidden.server.stop()
    expect(folder).not.toContain(root)
    expect(existsSync(join(folder, 'data', 'PG_VERSION'))).toBe(true)
    rmSync(folder, { recursive: true, force: true })
  })

  test('an ordinary user starts one too', async () => {
    requireRoot()
    const uid = Number(execFileSync('id', ['-u', 'nobody']).toString())
    const gid = Number(execFileSync('id', ['-g', 'nobody']).toString())
    const home = join(root, 'ordinary')
    execFileSync('install', ['-d', '-o', String(uid), '-g', String(gid), home])
    const module = fileURLToPath(new URL('./playground.ts', import.meta.url))
    const script = `const { startPlayground } = await import(${JSON.stringify(module)})
      const playground = await startPlayground({ stateDirectory: ${JSON.stringify(join(home, 'state'))}, anchor: new Date(0), postgresPort: 0, controlPort: 0 })
      console.log('port ' + playground.port)
      await playground.server.stop()`
    const ordinary = spawn(process.execPath, ['--input-type=module', '-e', script], {
      uid,
      gid,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    ordinary.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    await waitUntil('the ordinary user’s playground', () => ordinary.exitCode !== null)
    expect(output).toMatch(/^port \d+$/m)
    expect(ordinary.exitCode).toBe(0)
    await expect.poll(() => findProcessesOf(home)).toEqual([])
    await expect.poll(() => findProcessesOf(clusterNameOf(join(home, 'state', 'playground')))).toEqual([])
  })
})
