import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startPostgres, type PostgresServer } from '../../../../tests/servers/postgres.ts'
import { wallClock } from '../access/clock.ts'
import { parseConfig, type Config } from '../config.ts'
import { openDatabase } from '../store/database.ts'
import { keepPerson } from '../store/person.ts'
import type { Store } from '../store/store.ts'
import { openStore } from './store.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-store-'))
let server: PostgresServer
let count = 0

beforeAll(async () => {
  server = await startPostgres()
  await Promise.all(['one', 'other', 'orders'].map((name) => server.query(`CREATE DATABASE ${name}`)))
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

function secret(url: string): string {
  const path = join(folder, `secret-${count++}`)
  writeFileSync(path, url, { mode: 0o600 })
  return `file:${path}`
}

function configure(store: string | null, upstream = server.url('orders')): Config {
  const use = secret(upstream)
  const text = JSON.stringify({ version: 1, store, agents: {}, upstreams: { orders: { protocol: 'postgres', use } } })
  const read = parseConfig(text, join(folder, 'sallyport.yaml'))
  if (!read.ok) throw new Error(read.mistakes.map(({ what }) => what).join())
  return read.config
}

function open(config: Config, database = openDatabase(':memory:'), gate = `gate-${count++}`): Promise<Store> {
  return openStore(config, database, gate, wallClock, () => undefined)
}

it('takes a reference, never the secret itself', () => {
  const read = parseConfig(
    JSON.stringify({ version: 1, store: 'postgres://a:secret@localhost/store', agents: {}, upstreams: {} }),
    'sallyport.yaml',
  )
  expect(read.ok).toBe(false)
  expect(JSON.stringify(read)).not.toContain('secret@')
})

it('stays with the store that it was used with', async () => {
  const database = openDatabase(':memory:')
  const first = await open(configure(secret(server.url('one'))), database, 'gate')
  await first.close()
  const again = await open(configure(secret(server.url('one'))), database, 'gate')
  await again.close()
  await expect(open(configure(secret(server.url('other'))), database)).rejects.toMatchObject({
    code: 'refused_by_guard',
    message: expect.stringContaining('another one than before'),
  })
  await expect(open(configure(null), database)).rejects.toMatchObject({ message: expect.stringContaining('names none') })
})

it('leaves no people behind for a store where nobody is enrolled', async () => {
  const database = openDatabase(':memory:')
  const ada = { name: 'ada', userHandle: 'u', passkeys: [], codeApp: null, enrolledAtMs: 1, admission: null, removed: null }
  database.prepare('INSERT INTO people (name, body) VALUES (?, ?)').run('ada', '{}')
  keepPerson(database, ada)
  await expect(open(configure(secret(server.url('one'))), database)).rejects.toMatchObject({
    code: 'refused_by_guard',
    message: expect.stringContaining('people are enrolled in its own'),
  })
  await expect(open(configure(null), database)).resolves.toBeDefined()
})

it('does not start when the store lies where agents reach, however the host is written', async () => {
  const elsewhere = server.url('one').replace('127.0.0.1', 'localhost').replace('postgres:test-superuser', 'agent:other')
  await expect(open(configure(secret(server.url('one')), elsewhere))).rejects.toMatchObject({
    code: 'refused_by_guard',
    message: expect.stringContaining('upstream orders'),
  })
})

it.each(['not a url', 'mysql://root:secret@localhost/store', 'postgres://gate:secret@store.example/gates'])(
  'does not start with %s',
  async (url) => {
    const failure: unknown = await open(configure(secret(url))).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'store_unavailable' })
    expect(JSON.stringify([failure, String(failure)])).not.toContain('secret@')
  },
)

it('says that a store is away, without its address', async () => {
  const failure: unknown = await open(configure(secret('postgres://gate:secret@127.0.0.1:1/store'))).catch(
    (error: unknown) => error,
  )
  expect(failure).toMatchObject({ code: 'store_unavailable', notDone: expect.stringContaining('Nothing') })
  expect(String(failure)).not.toContain('secret')
})
