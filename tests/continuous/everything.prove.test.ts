import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { listTables, sumTables, type Ask } from '@sallyport/connectors'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { runCommandLine } from '../fakes/command-line.ts'
import { startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'

vi.setConfig({ testTimeout: 1_800_000, hookTimeout: 1_200_000 })

/** `npm run prove:restore`: a server with everything that PostgreSQL stores, under a workload, restored to a moment: every table, sequence and large object equal. */

const slow = { timeout: 900_000, interval: 100 }
const sumShape = z.object({ rows: z.number(), sha256: z.string() })
const restoredShape = z.object({ data: z.string(), tables: z.number(), rows: z.number(), sums: z.record(z.string(), sumShape) })
/** In Debian's contrib, made by one CREATE EXTENSION alone. */
const extensions = [
  'hstore',
  'citext',
  'ltree',
  'cube',
  'seg',
  'isn',
  'intarray',
  'pg_trgm',
  'btree_gist',
  'btree_gin',
  'tablefunc',
  'uuid-ossp',
  'unaccent',
  'pgcrypto',
  'fuzzystrmatch',
  'earthdistance',
  'lo',
  'bloom',
  'dict_int',
]
const writers = 3
let postgres: PostgresServer
let gate: TestGate
let scratch: string

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'sp-everything-'))
  chmodSync(scratch, 0o755)
  postgres = await startPostgres()
  const offered = new Set((await postgres.query('SELECT name FROM pg_available_extensions')).map(({ name }) => String(name)))
  for (const name of extensions.filter((one) => offered.has(one))) await postgres.query(`CREATE EXTENSION "${name}" CASCADE`)
  await postgres.query(readFileSync(new URL('./everything.sql', import.meta.url), 'utf8'))
  if (offered.has('hstore'))
    await postgres.query(
      `CREATE TABLE extended AS SELECT 'a=>1'::hstore AS h, 'Text'::citext AS c, 'a.b'::ltree AS l, '(1,2)'::cube AS d`,
    )
  gate = await startGate({ postgres, upstreams: { 'orders-db': { continuous: { every: '500ms' } } } })
  await postgres.query('ALTER ROLE app_protect BYPASSRLS')
})
afterAll(async () => {
  await gate?.stop()
  await postgres?.stop()
  rmSync(scratch, { recursive: true, force: true })
})

async function connect(): Promise<{ readonly client: pg.Client; readonly ask: Ask }> {
  const client = new pg.Client({ connectionString: postgres.url() })
  await client.connect()
  const ask: Ask = async (sql, values = []) =>
    (await client.query<(string | null)[]>({ text: sql, values: [...values], rowMode: 'array' })).rows
  return { client, ask }
}

/** Everything of the live server at one moment of its own. */
async function photograph(): Promise<{
  readonly lsn: string
  readonly atMs: number
  readonly sums: Record<string, z.infer<typeof sumShape>>
  readonly pages: readonly string[]
  readonly last: number
}> {
  const { client, ask } = await connect()
  const still = await connect()
  try {
    // A commit is in WAL a moment before others see it: writers wait while the position is taken, and no longer.
    await still.ask('BEGIN')
    await still.ask('LOCK TABLE busy IN SHARE MODE')
    await ask('BEGIN ISOLATION LEVEL REPEATABLE READ')
    const [row] = await ask(
      `SELECT pg_logical_emit_message(false, 'test', 'now')::text, (extract(epoch FROM clock_timestamp()) * 1000)::bigint::text`,
    )
    await still.ask('ROLLBACK')
    const sums = await sumTables(ask, await listTables(ask))
    const pages = (await ask('SELECT loid::text, pageno::text, data::text FROM pg_largeobject'))
      .map((row) => row.join(','))
      .sort()
    const [[last = ''] = []] = await ask('SELECT last_value::text FROM counted')
    return {
      pages,
      last: Number(last),
      lsn: row?.[0] ?? '',
      atMs: Number(row?.[1]),
      sums: Object.fromEntries([...sums].map(([label, sum]) => [`postgres: ${label}`, sum])),
    }
  } finally {
    await still.client.end()
    await client.end()
  }
}

function work(): { stop(): Promise<void> } {
  let stopped = false
  const running = Array.from({ length: writers }, async () => {
    const { client } = await connect()
    while (!stopped) await client.query('UPDATE busy SET n = n + 1 WHERE id = 1 + floor(random() * 500)')
    await client.end()
  })
  return {
    stop: async () => {
      stopped = true
      await Promise.all(running)
    },
  }
}

async function durable(): Promise<void> {
  const [{ lsn = '' } = {}] = await postgres.query(`SELECT pg_logical_emit_message(true, 'test', 'end')::text AS lsn`)
  const there = `SELECT flush_lsn >= $1::pg_lsn AS there FROM pg_stat_replication WHERE application_name = 'sallyport'`
  await expect.poll(async () => (await postgres.query(there, [String(lsn)]))[0]?.['there'], slow).toBe(true)
}

async function restore(into: string, ...words: readonly string[]): Promise<z.infer<typeof restoredShape>> {
  const place = [`--dir=${join(gate.directory, 'vault')}`, `--into=${join(scratch, into)}`]
  const { code, output, errors } = await runCommandLine(['vault', 'restore', '--json', ...place, ...words], { folder: scratch })
  expect(code, errors).toBe(0)
  return restoredShape.parse(JSON.parse(output))
}

describe('a server with everything, under a workload', () => {
  it('comes back row for row at a position, and at the second before a DROP', async () => {
    await expect
      .poll(
        () =>
          gate
            .events()
            .filter(({ type }) => type === 'drill')
            .map(({ data }) => data),
        slow,
      )
      .toEqual([expect.objectContaining({ passed: true })])
    const load = work()
    const here = await photograph()
    await postgres.query(
      'DROP TABLE doomed; DELETE FROM made WHERE id > 100; TRUNCATE by_list; SELECT lo_unlink(oid) FROM pg_largeobject_metadata',
    )
    await durable()
    await load.stop()
    await durable()
    const there = await restore('position', `--to-lsn=${here.lsn}`)
    expect(there.tables).toBeGreaterThan(1_000)
    expect(there.sums).toEqual(here.sums)
    // What is in no table of its own: large objects and sequences, from the server that stands there now.
    const linesOf = async (table: string): Promise<readonly string[]> => {
      const file = join(scratch, `${table}.csv`)
      await restore('position', `--to-lsn=${here.lsn}`, `--table=${table}`, `--file=${file}`)
      return readFileSync(file, 'utf8').trimEnd().split('\n').slice(1).sort()
    }
    expect(here.pages.length).toBeGreaterThan(20)
    expect(await linesOf('pg_catalog.pg_largeobject')).toEqual(here.pages)
    // A sequence is told in WAL some values ahead: it may skip, and never repeats.
    expect(Number((await linesOf('public.counted'))[0]?.split(',')[0])).toBeGreaterThanOrEqual(here.last)
    const then = await restore('second', `--to-time=${new Date(here.atMs).toISOString()}`)
    const { ['postgres: public.busy']: busyThen, ...restThen } = then.sums
    const { ['postgres: public.busy']: busyHere, ...restHere } = here.sums
    expect(restThen).toEqual(restHere)
    expect(busyThen?.rows).toBe(busyHere?.rows)
  })
})
