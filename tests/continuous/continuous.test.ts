import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { listTables, sumTables, type Ask, type TableSum } from '@sallyport/connectors'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import type { HttpPerson } from '../fakes/http-person.ts'
import { runCommandLine, type CommandLineEnd } from '../fakes/command-line.ts'
import { runVault } from '../conformance/vault-process.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { inDepth } from '../breadth.ts'

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 })

/** A restore takes seconds on a machine at rest, and this one may be busy. */
const slow = { timeout: 200_000, interval: 50 }
const restoredShape = z.object({
  tables: z.number(),
  sums: z.record(z.string(), z.object({ rows: z.number(), sha256: z.string() })),
})
let postgres: PostgresServer
let gate: TestGate
let scratch: string
let ben: HttpPerson

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'sp-moment-'))
  // Run as root, servers run as somebody else, who must get in.
  chmodSync(scratch, 0o755)
  postgres = await startPostgres()
  gate = await startGate({ postgres, wait: '0ms', upstreams: { 'orders-db': { continuous: { every: '200ms' } } } })
  await gate.person('ada')
  ben = await gate.person('ben')
})
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
    const { code, output, errors } = await restore(`--to-time=${String(at)}`)
    expect(errors).toContain('WAL')
    expect(code, errors).toBe(0)
    const { sums } = restoredShape.parse(JSON.parse(output))
    expect(sums).toEqual(Object.fromEntries([...before].map(([label, sum]) => [`postgres: ${label}`, sum])))
  })

  it.each(inDepth('lets what no copy covers run with one person and a restore point, which is in the vault before it runs'))(
    '%s',
    async () => {
      await postgres.query('CREATE DATABASE victim OWNER app_use')
      await postgres.query('CREATE TABLE last_words AS SELECT 42 AS answer', [], 'victim')
      const agent = await gate.connect('coder')
      expect((await agent.run('DROP DATABASE victim')).sqlState).not.toBe('00000')
      const request = await gate.pendingRequest('coder')
      expect(facts('request.opened').at(-1)).toMatchObject({ question: { copy: 'restore_point', approvalsNeeded: 1 } })
      await ben.approve(request)
      expect(await agent.run('DROP DATABASE victim')).toMatchObject({ sqlState: '00000' })
      await agent.close()
      const order = gate.events().flatMap(({ type }) => (['restore_point', 'intent'].includes(type) ? [type] : []))
      expect(order.slice(-2)).toEqual(['restore_point', 'intent'])
      const { name } = pointShape.parse(facts('restore_point').at(-1))
      const { output, errors, code } = await restore(
        `--to-restore-point=${name}`,
        '--database=victim',
        '--table=public.last_words',
        `--file=${join(scratch, 'words.csv')}`,
      )
      expect(code, errors).toBe(0)
      expect(output).toContain('"rows":1')
      expect(readFileSync(join(scratch, 'words.csv'), 'utf8')).toBe('answer\n42\n')
    },
  )

  it('lets no agent end it', async () => {
    const [{ slot_name: slot = '' } = {}] = await postgres.query('SELECT slot_name FROM pg_replication_slots')
    const agent = await gate.connect('coder')
    const asked = facts('request.opened').length
    expect(await agent.run(`SELECT pg_drop_replication_slot('${String(slot)}')`)).toMatchObject({ sqlState: '42501' })
    expect(await agent.run(`SELECT pg_replication_slot_advance('${String(slot)}', pg_current_wal_lsn())`)).toMatchObject({
      sqlState: '42501',
    })
    // Not even people can let that pass: it could not be undone.
    expect(facts('request.opened')).toHaveLength(asked)
    for (const sql of ['ALTER SYSTEM SET wal_level = minimal', `ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`]) {
      expect((await agent.run(sql)).sqlState, sql).not.toBe('00000')
      expect(facts('request.opened').at(-1), sql).toMatchObject({ question: { operations: [{ kind: 'escalate' }] } })
    }
    await agent.close()
  })

  it.each(inDepth('loses nothing that was confirmed when the gate is killed, and goes on in the same stream'))('%s', async () => {
    const before = facts('protection.began')
    await arrange(postgres, 'CREATE TABLE during (i int)')
    const inserting = (async () => {
      for (let i = 0; i < 200; i += 1) await postgres.query('INSERT INTO during VALUES ($1)', [i])
    })()
    await gate.crash()
    await inserting
    await gate.start()
    const [{ lsn = '' } = {}] = await postgres.query(`SELECT pg_logical_emit_message(true, 'test', 'after')::text AS lsn`)
    await durable(String(lsn))
    expect(facts('protection.began')).toEqual(before)
    const { document } = await runVault(['streams', join(gate.directory, 'vault')])
    expect(document).toMatchObject({ streams: [{ damage: null }] })
    expect((await runVault(['verify', join(gate.directory, 'vault')])).document).toMatchObject({ ok: true, damage: [] })
  })

  it.each(inDepth('notices a slot that somebody dropped, and makes it anew'))('%s', async () => {
    await vi.waitFor(async () => {
      await postgres.query(`SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active`)
      await postgres.query(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots`)
    }, slow)
    await expect
      .poll(() => facts('alarm'), slow)
      .toContainEqual(expect.objectContaining({ kind: 'protection_slot', upstream: 'orders-db' }))
    await expect
      .poll(async () => (await postgres.query('SELECT active FROM pg_replication_slots'))[0]?.['active'], slow)
      .toBe(true)
  })

  it.each(inDepth('begins anew, and says so, when the server let WAL go that the vault lacks'))('%s', async () => {
    await gate.halt()
    await postgres.query(`ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`)
    await postgres.query('SELECT pg_reload_conf()')
    await vi.waitFor(async () => {
      await postgres.query(
        'CREATE TABLE IF NOT EXISTS filling (text text); INSERT INTO filling SELECT repeat(md5(i::text), 50) FROM generate_series(1, 20000) i',
      )
      await postgres.query('SELECT pg_switch_wal()')
      await postgres.query('CHECKPOINT')
      expect(await postgres.query('SELECT wal_status FROM pg_replication_slots')).toEqual([{ wal_status: 'lost' }])
    }, slow)
    await postgres.query('ALTER SYSTEM RESET max_slot_wal_keep_size')
    await postgres.query('SELECT pg_reload_conf()')
    const before = facts('protection.began').length
    await gate.start()
    await expect.poll(() => facts('protection.began').length, slow).toBe(before + 1)
    expect(facts('protection.broken')).toHaveLength(1)
    expect(facts('alarm')).toContainEqual(expect.objectContaining({ kind: 'protection_broken' }))
    // The new stream has a base copy of its own.
    const bases = facts('snapshot.sealed').filter((data) => z.object({ kind: z.string() }).parse(data).kind === 'base').length
    await expect
      .poll(
        () => facts('snapshot.sealed').filter((data) => z.object({ kind: z.string() }).parse(data).kind === 'base').length,
        slow,
      )
      .toBeGreaterThanOrEqual(bases)
    const { stream } = z.object({ stream: z.string() }).parse(facts('protection.began').at(-1))
    await expect.poll(() => facts('drill').at(-1), slow).toMatchObject({ stream, passed: true })
  })
})

const pointShape = z.object({ name: z.string() })

/** `vault restore … --into` a new folder. */
async function restore(...words: readonly string[]): Promise<CommandLineEnd> {
  const into = `--into=${join(scratch, randomBytes(4).toString('hex'))}`
  return await runCommandLine(['vault', 'restore', '--json', `--dir=${join(gate.directory, 'vault')}`, into, ...words], {
    folder: scratch,
  })
}

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
