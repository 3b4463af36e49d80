import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { findProcessesOf } from '../../../../tests/fakes/own-processes.ts'
import { clusterNameOf } from './leftover.ts'
import { startPlayground, type Playground } from './playground.ts'
import { countShopRows, productionSize, stagingSize } from './shop.ts'
import { inDepth } from '../../../../tests/breadth.ts'

const anchor = new Date('2026-06-30T00:00:00Z')
const root = mkdtempSync(join(tmpdir(), 'sallyport-playground-test-'))
chmodSync(root, 0o711)
const state = join(root, 'state')
const start = (stateDirectory: string): Promise<Playground> =>
  startPlayground({ stateDirectory, anchor, postgresPort: 0, controlPort: 0 })
let playground: Playground

beforeAll(async () => {
  playground = await start(state)
})
afterAll(async () => {
  await playground.server.stop()
  rmSync(root, { recursive: true, force: true })
})

const credential = (name: string): string => readFileSync(join(state, 'secrets', name), 'utf8').trim()

async function query(name: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: credential(name) })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}

async function countRows(name: string, tables: readonly string[]): Promise<{ [table: string]: number }> {
  const counts: { [table: string]: number } = {}
  for (const table of tables) counts[table] = Number((await query(name, `SELECT count(*) AS rows FROM ${table}`))[0]?.['rows'])
  return counts
}

const checksum = async (name: string): Promise<string> => {
  const rows = await query(name, 'SELECT orders::text AS line FROM orders ORDER BY id')
  return createHash('sha256').update(JSON.stringify(rows)).digest('hex')
}

describe('data', () => {
  test('production has exactly 184,000 rows, staging a few thousand', async () => {
    const production = countShopRows(productionSize)
    expect(await countRows('production.use', Object.keys(production))).toEqual(production)
    expect(Object.values(production).reduce((sum, rows) => sum + rows, 0)).toBe(184_000)
    const staging = countShopRows(stagingSize)
    expect(await countRows('staging.use', Object.keys(staging))).toEqual(staging)
    expect(Object.values(staging).reduce((sum, rows) => sum + rows, 0)).toBeLessThan(6_000)
  })

  test('every order adds up, views answer, the sequence goes on', async () => {
    const wrong = await query(
      'production.use',
      `SELECT orders.id FROM orders JOIN order_items ON order_id = orders.id GROUP BY orders.id HAVING total <> sum(quantity * unit_price)`,
    )
    expect(wrong).toEqual([])
    expect(
      Number((await query('production.use', 'SELECT count(*) AS months FROM revenue_by_month'))[0]?.['months']),
    ).toBeGreaterThan(10)
    const [next] = await query(
      'staging.use',
      `INSERT INTO orders (customer_id, shipping_address) VALUES (1, '{}') RETURNING id, number`,
    )
    expect(next).toEqual({ id: String(stagingSize.orders + 1), number: `SP-${100_001 + stagingSize.orders}` })
    await query('staging.use', `DELETE FROM orders WHERE number = 'SP-${100_001 + stagingSize.orders}'`)
  })
})

describe('the configuration', () => {
  test('puts the gate before both databases and the cloud they lie on, and the gate accepts it', () => {
    const { ids, port } = playground.cloud
    expect(parse(readFileSync(playground.configuration, 'utf8'))).toMatchObject({
      listen: { http: expect.stringMatching(/^127\.0\.0\.1:\d+$/) },
      upstreams: {
        production: { protocol: 'postgres' },
        staging: { protocol: 'postgres' },
        cloud: {
          protocol: 'http',
          connector: 'railway',
          hosts: ['backboard.railway.com'],
          dial: `127.0.0.1:${port}`,
          tied: { volume: { [ids.volumes.production]: 'production', [ids.volumes.staging]: 'staging' } },
        },
      },
      agents: { coder: { may: ['any staging', 'any production', 'any cloud'] } },
    })
    const gateway = fileURLToPath(new URL('../../../gateway/bin/gateway.js', import.meta.url))
    expect(execFileSync(process.execPath, [gateway, '--check', '--config', playground.configuration]).toString()).toBe('')
  })

  test('what answers at its address is what its certificates vouch for, by the name that agents use', async () => {
    const { port, authorityFile } = playground.cloud
    const ca = readFileSync(authorityFile)
    const open = (servername: string): Promise<boolean> =>
      new Promise((resolve) => {
        const socket = connect({ host: '127.0.0.1', port, servername, ca }, () => resolve(socket.authorized))
        socket.on('error', () => resolve(false))
        socket.once('secureConnect', () => socket.destroy())
      })
    expect(await open('backboard.railway.com')).toBe(true)
    expect(await open('api.railway.com')).toBe(false)
  })
})

describe('roles', () => {
  test('use owns the tables and is no superuser; protect reads, replicates, and cannot become superuser', async () => {
    const [use] = await query(
      'production.use',
      `SELECT rolsuper, rolcreaterole, rolcreatedb, (SELECT bool_and(tableowner = 'app_use') FROM pg_tables WHERE schemaname = 'public') AS owns FROM pg_roles WHERE rolname = current_user`,
    )
    expect(use).toEqual({ rolsuper: false, rolcreaterole: false, rolcreatedb: false, owns: true })
    const [protect] = await query(
      'production.protect',
      `SELECT rolsuper, rolreplication, pg_has_role('app_use', 'USAGE') AS acts FROM pg_roles WHERE rolname = current_user`,
    )
    expect(protect).toEqual({ rolsuper: false, rolreplication: true, acts: true })
    await query('production.protect', `SET session_replication_role = replica; SELECT pg_create_restore_point('try')`)
    await expect(query('production.protect', 'SET ROLE postgres')).rejects.toThrow('permission denied')
  })

  test('a wrong or missing password is refused, and so is the operating system user alone', async () => {
    for (const password of ['', 'app_use', 'postgres']) {
      for (const user of ['postgres', 'app_use', 'nobody']) {
        const client = new pg.Client({ host: '127.0.0.1', port: playground.port, user, password, database: 'production' })
        await expect(client.connect()).rejects.toThrow(/password authentication failed|password must be/)
      }
    }
  })
})

describe('secrets', () => {
  test('no password is in a command line, the configuration, the log or a readable file', () => {
    const secrets = readdirSync(join(state, 'secrets'))
      .filter((name) => /\.(password|superuser|token)$/.test(name))
      .map(credential)
    expect(secrets.length).toBe(6)
    const commandLines = findProcessesOf(root).map((seen) => seen.commandLine)
    expect(commandLines.length).toBeGreaterThan(1)
    const places = [
      ...commandLines,
      readFileSync(playground.configuration, 'utf8'),
      ...readdirSync(join(state, 'logs')).map((name) => readFileSync(join(state, 'logs', name), 'utf8')),
    ]
    for (const secret of secrets) {
      expect(secret.length).toBeGreaterThanOrEqual(32)
      for (const place of places) expect(place).not.toContain(secret)
    }
    for (const name of readdirSync(join(state, 'secrets')))
      expect(lstatSync(join(state, 'secrets', name)).mode & 0o777).toBe(0o600)
    expect(lstatSync(join(state, 'secrets')).mode & 0o777).toBe(0o700)
    expect(lstatSync(state).mode & 0o066).toBe(0)
  })

  test('the server listens on loopback only and has no local socket', async () => {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: playground.port,
      user: 'postgres',
      password: credential('playground.superuser'),
      database: 'postgres',
    })
    await client.connect()
    const { rows } = await client.query(
      "SELECT current_setting('listen_addresses') AS addresses, current_setting('unix_socket_directories') AS sockets",
    )
    await client.end()
    expect(rows).toEqual([{ addresses: '127.0.0.1', sockets: '' }])
  })
})

describe.each(inDepth('again'))('%s', () => {
  test('a second start finds port, passwords and rows', async () => {
    const before = { port: playground.port, use: credential('production.use'), rows: await checksum('production.use') }
    await query('production.use', 'DELETE FROM audit_log WHERE id <= 5')
    await playground.server.stop()
    playground = await start(state)
    expect({ port: playground.port, use: credential('production.use'), rows: await checksum('production.use') }).toEqual(before)
    expect((await countRows('production.use', ['audit_log']))['audit_log']).toBe(productionSize.audit - 5)
  })

  test('what was committed before every process was killed is there again', async () => {
    await query('production.use', `INSERT INTO categories (id, name) VALUES (99, 'Written just before')`)
    const name = clusterNameOf(join(state, 'playground'))
    const before = findProcessesOf(name).map(({ pid }) => pid)
    expect(before.length).toBeGreaterThan(5)
    playground.server.kill()
    await playground.server.ended
    playground = await start(state)
    // None of the old server's lives beside the new one: two on one cluster would destroy it.
    expect(findProcessesOf(name).filter(({ pid }) => before.includes(pid))).toEqual([])
    expect(await query('production.use', 'SELECT name FROM categories WHERE id = 99')).toEqual([{ name: 'Written just before' }])
  })

  test('a taken port is replaced, and the credentials name the new one', async () => {
    const old = playground.port
    await playground.server.stop()
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(old, '127.0.0.1', resolve))
    playground = await start(state)
    await new Promise((resolve) => server.close(resolve))
    expect(playground.port).not.toBe(old)
    expect(await query('production.use', 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })
})
