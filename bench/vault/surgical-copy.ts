/**
 * How long a statement waits for the copy of what it would lose. Lock, look again, hash, COPY into a
 * real vault, read back, restore to a scratch table, compare: all that stands between a destructive statement and its run. In the same rounds:
 * PostgreSQL's own COPY of those rows to nowhere, and `pg_dump` of the table. Goals of DESIGN §11: 46 ms, 115 ms, 0.73 s for 100, 10,000 and
 * 100,000 rows.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Vault } from '@sallyport/core'
import { closeParsers, describe as describeSql } from '../../packages/connectors/src/postgres/describe.ts'
import { resolve } from '../../packages/connectors/src/postgres/resolve.ts'
import { snapshot } from '../../packages/connectors/src/postgres/snapshot.ts'
import { openVault } from '../../packages/gateway/src/vault/vault-client.ts'
import { startVault } from '../../tests/conformance/vault-process.ts'
import { openAccess, type RealAccess } from '../../tests/fakes/sql-access.ts'
import { findPostgresBinaries, startPostgres, type PostgresServer } from '../../tests/servers/postgres.ts'
import { accessOf, quantile, runProgram, timed } from './measure.ts'

const sizes = [
  { rows: 100, goalMs: 46 },
  { rows: 10_000, goalMs: 115 },
  { rows: 100_000, goalMs: 730 },
] as const
type Size = (typeof sizes)[number]

interface Samples {
  readonly size: Size
  readonly drop: number[]
  readonly rows: number[]
  readonly copyOut: number[]
  readonly dump: number[]
}

/** From the moment at which the statement is known to its copy in the vault, proven. The statement itself does not run. */
async function copyFor(sql: string, access: RealAccess, vault: Vault): Promise<number> {
  const resolved = await resolve(await describeSql({ sql }), access.upstream)
  const about = { upstream: 'bench', upstreamIdentity: 'bench', digest: 'bench', retainMs: 3_600_000 }
  const seconds = await timed(() => vault.seal(about, (seal) => snapshot(resolved, access.upstream, seal)))
  await access.release()
  return seconds
}

async function readAll(access: RealAccess, table: string): Promise<void> {
  for await (const chunk of access.protect.copyOut(`COPY ${table} TO STDOUT (FORMAT binary)`)) void chunk
}

async function fill(server: PostgresServer): Promise<void> {
  for (const { rows } of sizes)
    // What each row holds differs from size to size, so that no chunk of one is in the vault for another.
    await server.query(
      `CREATE TABLE orders_${rows} AS SELECT g AS id, g % 1009 AS customer, md5((g + ${rows})::text) AS note, now() AS at
         FROM generate_series(1, ${rows}) g;
       ALTER TABLE orders_${rows} ADD PRIMARY KEY (id); ANALYZE orders_${rows}`,
      [],
      'shop',
    )
}

async function measure(server: PostgresServer, rounds: number, folder: string): Promise<readonly Samples[]> {
  const running = await startVault()
  const vault = await openVault(running)
  const access = await openAccess(server.url('shop'), server.url('shop'))
  const all = sizes.map((size): Samples => ({ size, drop: [], rows: [], copyOut: [], dump: [] }))
  try {
    for (let round = 0; round <= rounds; round += 1) {
      for (const { size, drop, rows, copyOut, dump } of all) {
        const table = `orders_${size.rows}`
        // Other bytes in each round: nothing of a copy is in the vault before.
        await server.query(`UPDATE ${table} SET note = md5(note)`, [], 'shop')
        const words = ['--format=custom', '--compress=0', `--table=${table}`, `--file=${join(folder, 'dump')}`]
        const took = [
          await copyFor(`DROP TABLE ${table}`, access, vault),
          await copyFor(`DELETE FROM ${table} WHERE id > 0`, access, vault),
          await timed(() => readAll(access, table)),
          await timed(() => runProgram(join(findPostgresBinaries(), 'pg_dump'), words, accessOf(server, 'shop'))),
        ] as const
        // The first round warms everything up.
        if (round === 0) continue
        for (const [place, samples] of [drop, rows, copyOut, dump].entries()) samples.push(took[place] ?? NaN)
      }
    }
    return all
  } finally {
    await access[Symbol.asyncDispose]()
    vault.close()
    await running.remove()
  }
}

function tell(all: readonly Samples[], rounds: number): readonly string[] {
  const ms = (samples: readonly number[]): string => `${(quantile(samples, 0.5) * 1000).toFixed(0)} ms`
  return [
    `What a statement waits for the copy of the rows that it would lose: median of ${rounds} rounds, beside COPY and pg_dump of the same table.`,
    '',
    '| rows | copy before DROP TABLE | before DELETE of all | goal | of the goal | COPY TO STDOUT alone | pg_dump --table |',
    '| ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
    ...all.map(({ size, drop, rows, copyOut, dump }) => {
      const share = (samples: readonly number[]): string => ((quantile(samples, 0.5) * 1000) / size.goalMs).toFixed(2)
      const cells = [ms(drop), ms(rows), `${size.goalMs} ms`, `${share(drop)}, ${share(rows)}`, ms(copyOut), ms(dump)]
      return `| ${size.rows.toLocaleString('en')} | ${cells.join(' | ')} |`
    }),
  ]
}

export async function benchSurgicalCopies(rounds: number): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'sp-bench-copy-'))
  // The server syncs, as a real one does: a copy takes locks, and locks are written down.
  const server = await startPostgres(['fsync=on'])
  try {
    await server.query('CREATE DATABASE shop')
    await fill(server)
    return tell(await measure(server, rounds, folder), rounds)
  } finally {
    await server.stop()
    await closeParsers()
    rmSync(folder, { recursive: true, force: true })
  }
}
