/**
 * How long a destructive statement waits for its restore point: `node bench/vault/restore-point.ts [POINTS]`. A real PostgreSQL that syncs, a real
 * vault, and the gate's own receiver, idle and under a workload. In the same run, interleaved: what a raw put of a small piece into the vault takes,
 * and what the disk takes bare. Goals of DESIGN §11: p50 ≤ 6 ms, p95 ≤ 20 ms.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { showLsn, type KillSwitch } from '@sallyport/core'
import { startProtections, type Protections } from '../../packages/gateway/src/protection/index.ts'
import { openPostgresUpstreams } from '../../packages/gateway/src/upstreams/postgres/index.ts'
import { openVault, type VaultClient } from '../../packages/gateway/src/vault/vault-client.ts'
import { startVault } from '../../tests/conformance/vault-process.ts'
import { startPostgres, type PostgresServer } from '../../tests/servers/postgres.ts'

const points = Number(process.argv[2] ?? 200)
const writers = 4
const clock = {
  nowMs: () => Date.now(),
  sleep: async (ms: number, signal?: AbortSignal): Promise<void> =>
    void (await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)),
}
const killSwitch: KillSwitch = { epoch: () => 0, epochOf: () => 0, stopped: () => null }

interface Samples {
  readonly point: number[]
  readonly put: number[]
  readonly bare: number[]
}

const percentile = (values: readonly number[], part: number): number =>
  [...values].sort((left, right) => left - right)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? NaN

async function timed(samples: number[], job: () => Promise<unknown>): Promise<void> {
  const startMs = performance.now()
  await job()
  samples.push(performance.now() - startMs)
}

async function measure(protections: Protections, vault: VaultClient, folder: string): Promise<Samples> {
  const samples: Samples = { point: [], put: [], bare: [] }
  const stream = await vault.wal.begin({ upstream: 'raw', upstreamIdentity: '1:1', timeline: 1, segmentBytes: 16 << 20 })
  const file = openSync(join(folder, 'bare'), 'w', 0o600)
  const bytes = Buffer.alloc(8_192, 7)
  for (let turn = 0; turn < points; turn += 1) {
    const fromLsn = showLsn(0x100_0000n + BigInt(turn * bytes.length))
    await timed(samples.point, () => protections.mark('orders-db', `bench-${turn}-${samples.point.length}`))
    await timed(samples.put, () => vault.wal.append(stream, { fromLsn, bytes, retainMs: 60_000 }))
    await timed(samples.bare, async () => {
      writeSync(file, bytes)
      fdatasyncSync(file)
    })
  }
  closeSync(file)
  return samples
}

/** Small transactions without a pause, until told to stop. */
function work(postgres: PostgresServer): { stop(): Promise<number> } {
  let stopped = false
  const running = Array.from({ length: writers }, async () => {
    const client = new pg.Client({ connectionString: postgres.url() })
    await client.connect()
    let count = 0
    for (; !stopped; count += 1)
      await client.query('UPDATE accounts SET balance = balance + 1 WHERE id = 1 + floor(random() * 1000)')
    await client.end()
    return count
  })
  return {
    stop: async () => {
      stopped = true
      return (await Promise.all(running)).reduce((sum, count) => sum + count, 0)
    },
  }
}

function tell(title: string, { point, put, bare }: Samples): void {
  const [p50, p95] = [percentile(point, 0.5), percentile(point, 0.95)]
  const ratio = p50 / percentile(put, 0.5)
  const ms = (value: number): string => value.toFixed(2).padStart(7)
  process.stdout.write(`${title.padEnd(30)} p50 ${ms(p50)} ms  p95 ${ms(p95)} ms   = ${ratio.toFixed(2)} × a raw put\n`)
  process.stdout.write(
    `  raw put into the vault        p50 ${ms(percentile(put, 0.5))} ms  p95 ${ms(percentile(put, 0.95))} ms\n`,
  )
  process.stdout.write(
    `  write and fdatasync, bare     p50 ${ms(percentile(bare, 0.5))} ms  p95 ${ms(percentile(bare, 0.95))} ms\n`,
  )
}

const folder = mkdtempSync(join(tmpdir(), 'sp-bench-point-'))
const postgres = await startPostgres(['fsync=on'])
const process_ = await startVault()
try {
  await postgres.query(
    'CREATE TABLE accounts AS SELECT id, 0 AS balance FROM generate_series(1, 1000) id; ALTER TABLE accounts ADD PRIMARY KEY (id)',
  )
  const vault = await openVault(process_)
  const url = `${postgres.url()}?sslmode=disable`
  const upstreams = openPostgresUpstreams(
    [{ name: 'orders-db', environment: 'production', useUrl: url, protectUrl: url }],
    killSwitch,
  )
  const memory = new Map<string, string>()
  const protections = startProtections(
    {
      vault,
      clock,
      source: (name) => upstreams.replicate(name),
      log: { append: async () => 0 },
      memory: { get: (name) => memory.get(name) ?? null, set: (name, value) => void memory.set(name, value) },
    },
    [{ upstream: 'orders-db', keepMs: 3_600_000, baseEveryMs: 86_400_000, pieceEveryMs: 5_000, drill: false }],
  )
  while (protections.state('orders-db') === null) await sleep(50)
  tell('restore point, server idle', await measure(protections, vault, folder))
  const load = work(postgres)
  const beganMs = performance.now()
  const samples = await measure(protections, vault, folder)
  const seconds = (performance.now() - beganMs) / 1000
  const transactions = await load.stop()
  tell(`restore point, ${Math.round(transactions / seconds)} writes/s`, samples)
  await protections.close()
  upstreams.close()
  vault.close()
} finally {
  await process_.remove()
  await postgres.stop()
  rmSync(folder, { recursive: true, force: true })
}
