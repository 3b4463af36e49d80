/**
 * How long a destructive statement waits for its restore point: `node bench/vault/restore-point.ts [POINTS]`. A real PostgreSQL that syncs, a real
 * vault, and the gate's own receiver, idle and under a workload by pgbench, all of it on the same processors. In the same run, interleaved: what a
 * raw put of a small piece into the vault takes, and what the disk takes bare. Goals of DESIGN §11: p50 ≤ 6 ms, p95 ≤ 20 ms.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { showLsn, type KillSwitch } from '@sallyport/core'
import { startProtections, type Protections } from '../../packages/gateway/src/protection/index.ts'
import { openPostgresUpstreams } from '../../packages/gateway/src/upstreams/postgres/index.ts'
import { openVault, type VaultClient } from '../../packages/gateway/src/vault/vault-client.ts'
import { startVault } from '../../tests/conformance/vault-process.ts'
import { findPostgresBinaries, startPostgres, type PostgresServer } from '../../tests/servers/postgres.ts'

const points = Number(process.argv[2] ?? 200)
const writers = 4
const pauseMs = 50
const clock = {
  nowMs: () => Date.now(),
  sleep: async (ms: number, signal?: AbortSignal): Promise<void> => {
    await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
  },
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
  const bytes = randomBytes(8_192)
  for (let turn = 0; turn < points; turn += 1) {
    const fromLsn = showLsn(0x100_0000n + BigInt(turn * bytes.length))
    // Nobody destroys without a pause: WAL gathers meanwhile, and each point comes at another moment of the server's.
    await sleep(Math.random() * 2 * pauseMs)
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

/** Small transactions by pgbench, so many a second or as many as there is room for, until told to stop. */
function work(postgres: PostgresServer, folder: string, perSecond: number | null): { stop(): Promise<void> } {
  const script = join(folder, 'work.sql')
  writeFileSync(script, '\\set id random(1, 1000)\nUPDATE accounts SET balance = balance + 1 WHERE id = :id;\n')
  const rate = perSecond === null ? [] : [`--rate=${perSecond}`]
  const words = ['--no-vacuum', `--client=${writers}`, '--time=600', `--file=${script}`, ...rate, postgres.url()]
  const running = spawn(join(findPostgresBinaries(), 'pgbench'), words, { stdio: 'ignore' })
  const ended = once(running, 'exit')
  return {
    stop: async () => {
      running.kill('SIGKILL')
      await ended
    },
  }
}

async function countCommits(postgres: PostgresServer): Promise<number> {
  // A backend tells what it did at most once a second, and when it ends.
  const [row] = await postgres.query(`SELECT n_tup_upd::int AS n FROM pg_stat_user_tables WHERE relname = 'accounts'`)
  return Number(row?.['n'])
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
const vaultProcess = await startVault()
try {
  await postgres.query(
    'CREATE TABLE accounts AS SELECT id, 0 AS balance FROM generate_series(1, 1000) id; ALTER TABLE accounts ADD PRIMARY KEY (id)',
  )
  const vault = await openVault(vaultProcess)
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
  for (const perSecond of [400, null]) {
    const before = await countCommits(postgres)
    const beganMs = performance.now()
    const load = work(postgres, folder, perSecond)
    const samples = await measure(protections, vault, folder)
    await load.stop()
    const seconds = (performance.now() - beganMs) / 1000
    const writes = ((await countCommits(postgres)) - before) / seconds
    tell(`restore point, ${Math.round(writes)} writes/s`, samples)
  }
  await protections.close()
  upstreams.close()
  vault.close()
} finally {
  await vaultProcess.remove()
  await postgres.stop()
  rmSync(folder, { recursive: true, force: true })
}
