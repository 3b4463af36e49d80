import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { listTables, sumTables, type Ask, type TableSum } from '@sallyport/connectors'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { runCommandLine } from '../fakes/command-line.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'

const slow = { timeout: 60_000, interval: 50 }
const restoredShape = z.object({
  tables: z.number(),
  sums: z.record(z.string(), z.object({ rows: z.number(), sha256: z.string() })),
})
let postgres: PostgresServer
let gate: TestGate
let scratch: string

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'sp-moment-'))
  // Run as root, servers run as somebody else, who must get in.
  chmodSync(scratch, 0o755)
  postgres = await startPostgres()
  gate = await startGate({ postgres, upstreams: { 'orders-db': { continuous: { every: '200ms' } } } })
}, 60_000)
afterAll(async () => {
  await gate.stop()
  await postgres.stop()
  rmSync(scratch, { recursive: true, force: true })
})

const facts = (type: string): readonly unknown[] =>
  gate
    .events()
    .filter((event) => event.type === type)
    .map(({ data }) => data)

/** Checksums of all tables, in one snapshot of the server. */
async function sumAll(): Promise<ReadonlyMap<string, TableSum>> {
  const client = new pg.Client({ connectionString: postgres.url() })
  await client.connect()
  try {
    const ask: Ask = async (sql, values = []) =>
      (await client.query<(string | null)[]>({ text: sql, values: [...values], rowMode: 'array' })).rows
    return await sumTables(ask, await listTables(ask))
  } finally {
    await client.end()
  }
}

describe('continuous protection', () => {
  it('begins by itself: a slot, a stream, a base copy', async () => {
    await expect.poll(() => facts('protection.began'), slow).toHaveLength(1)
    await expect.poll(() => facts('snapshot.sealed'), slow).toContainEqual(expect.objectContaining({ kind: 'base' }))
    // Restored for real, and compared with the original.
    await expect.poll(() => facts('drill'), slow).toEqual([expect.objectContaining({ drill: 'chain', passed: true })])
    const slots = await postgres.query('SELECT slot_name, active, restart_lsn IS NOT NULL AS kept FROM pg_replication_slots')
    expect(slots).toEqual([{ slot_name: expect.stringMatching(/^sallyport_[0-9a-f]{16}$/), active: true, kept: true }])
  })

  it('restores the second before a DROP, row for row', async () => {
    await arrange(
      postgres,
      'CREATE TABLE kept AS SELECT i, md5(i::text) AS text FROM generate_series(1, 5000) i; CREATE TABLE lost (a int, b text[]); INSERT INTO lost SELECT i, array[i::text] FROM generate_series(1, 1000) i',
    )
    const before = await sumAll()
    const [{ at = '' } = {}] = await postgres.query(
      `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, pg_sleep(0.01)`,
    )
    await arrange(postgres, 'DROP TABLE lost; DELETE FROM kept WHERE i > 10; CREATE TABLE later ()')
    const [{ lsn = '' } = {}] = await postgres.query(`SELECT pg_logical_emit_message(true, 'test', 'end')::text AS lsn`)
    await durable(String(lsn))
    const { code, output, errors } = await runCommandLine(
      [
        'vault',
        'restore',
        '--json',
        `--dir=${join(gate.directory, 'vault')}`,
        `--to-time=${String(at)}`,
        `--into=${join(scratch, 'time')}`,
      ],
      { folder: scratch },
    )
    expect(errors).toContain('WAL')
    expect(code, errors).toBe(0)
    const { sums } = restoredShape.parse(JSON.parse(output))
    expect(sums).toEqual(Object.fromEntries([...before].map(([label, sum]) => [`postgres: ${label}`, sum])))
  }, 120_000)
})

async function durable(lsn: string): Promise<void> {
  await expect
    .poll(
      async () =>
        (
          await postgres.query(
            `SELECT flush_lsn >= $1::pg_lsn AS there FROM pg_stat_replication WHERE application_name = 'sallyport'`,
            [lsn],
          )
        )[0]?.['there'],
      slow,
    )
    .toBe(true)
}
