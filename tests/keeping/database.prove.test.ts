import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openProducer } from '../../packages/gateway/src/producers/index.ts'
import type { Producer } from '@sallyport/core'
import { describeProducer } from '../conformance/producer.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { MemorySeal } from '../fakes/memory-seal.ts'
import { beginOwnTransaction } from './own-transaction.ts'
import { richDatabase } from './rich-database.ts'

const options = { report: () => undefined, signal: new AbortController().signal }
const root = mkdtempSync(join(tmpdir(), 'sallyport-databases-'))
const place = process.env['TMPDIR']
let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres(['max_locks_per_transaction=256'])
  // What is left behind is looked for here, where nobody else leaves anything; servers' own user must get there.
  const { chmodSync } = await import('node:fs')
  chmodSync(root, 0o711)
  vi.stubEnv('TMPDIR', root)
})
afterAll(async () => {
  vi.stubEnv('TMPDIR', place)
  await server.stop()
  rmSync(root, { recursive: true, force: true })
})

function open(database: string): Producer {
  return openProducer({ kind: 'database', upstream: database }, () => ({
    target: { host: server.host, port: server.port, ...server.superuser, database, tls: 'disable', rootCertificate: null },
    begin: () => beginOwnTransaction(server.url(database)),
  }))
}

let count = 0
describeProducer(
  'database',
  async () => {
    count += 1
    const name = `kept_${count}`
    await server.query(`CREATE DATABASE ${name}`)
    await server.query(
      `CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders VALUES (1, 'a'), (2, 'b')`,
      [],
      name,
    )
    return {
      producer: open(name),
      change: async () => void (await server.query(`INSERT INTO orders VALUES (3, 'c')`, [], name)),
      destroy: async () => void (await server.query(`DROP DATABASE ${name} WITH (FORCE)`)),
      thing: 'public.orders',
      questions: {
        right: { ask: 'SELECT count(*) FROM orders', is: '2' },
        wrong: { ask: 'SELECT count(*) FROM orders', atMost: 1 },
        broken: { ask: 'SELECT 1/0', is: '1' },
      },
    }
  },
  () => join(root, 'shelf'),
)

describe('a database with a little of everything, and a thousand tables', () => {
  it('is restored equal to what it was in one snapshot, while somebody writes', async () => {
    await server.query('CREATE DATABASE rich')
    await server.query(richDatabase(1_000), [], 'rich')
    await server.query(
      'CREATE TABLE busy (id int PRIMARY KEY, n int); INSERT INTO busy SELECT g, 0 FROM generate_series(1, 1000) g',
      [],
      'rich',
    )
    const client = new pg.Client({ connectionString: server.url('rich') })
    await client.connect()
    const enough = new AbortController()
    let rounds = 0
    const writing = (async () => {
      while (!enough.signal.aborted) {
        await client.query('UPDATE busy SET n = n + 1')
        rounds += 1
      }
    })()
    await vi.waitFor(() => expect(rounds).toBeGreaterThan(0))
    const producer = open('rich')
    const seal = new MemorySeal()
    const copying = producer.copy(seal, options)
    await Promise.allSettled([copying])
    enough.abort()
    await writing
    await client.end()
    const content = await copying
    expect(Object.keys(content.checksums)).toEqual(
      expect.arrayContaining([
        'public.every_type',
        'public.many_1000',
        '"odd ""schema"."odd table; --"',
        'public.no_columns',
        'large objects',
      ]),
    )
    const checks = [
      { ask: 'SELECT count(DISTINCT n) FROM busy', is: '1' },
      { ask: `SELECT nextval('counter')`, is: '10' },
      { ask: 'SELECT count(*) FROM parted', is: '2000' },
      { ask: 'SELECT n FROM kept_view', is: '2000' },
      { ask: 'SELECT count(*) FROM pg_largeobject_metadata', is: '3' },
    ]
    const proof = await producer.prove(seal.reader(content), { ...options, checks })
    expect(proof.answers.filter(({ passed }) => !passed)).toEqual([])
    const taken = await producer.extract?.(seal.reader(content), 'public.every_type', join(root, 'shelf'), options.signal)
    expect(readFileSync(taken?.file ?? '', 'utf8')).toContain('by_trigram')
  }, 300_000)
})

describe('what cannot be copied whole', () => {
  it('is refused, saying why: rows that the role may not see', async () => {
    await server.query('CREATE DATABASE hidden')
    await server.query(
      `CREATE TABLE secrets (x int); ALTER TABLE secrets ENABLE ROW LEVEL SECURITY; INSERT INTO secrets VALUES (1)`,
      [],
      'hidden',
    )
    await server.query(`CREATE ROLE half LOGIN PASSWORD 'half-secret'; GRANT pg_read_all_data TO half`, [], 'hidden')
    const url = server.url('hidden').replace(/\/\/[^@]+@/, '//half:half-secret@')
    const producer = openProducer({ kind: 'database', upstream: 'hidden' }, () => ({
      target: {
        host: server.host,
        port: server.port,
        user: 'half',
        password: 'half-secret',
        database: 'hidden',
        tls: 'disable',
        rootCertificate: null,
      },
      begin: () => beginOwnTransaction(url),
    }))
    const error = await producer.copy(new MemorySeal(), options).catch((reason: unknown) => reason)
    expect(String(error)).toMatch(/row.level security/i)
    expect(String(error)).not.toContain('half-secret')
  })
})
