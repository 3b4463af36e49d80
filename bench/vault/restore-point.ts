/**
 * How long a destructive statement waits for its restore point. A real PostgreSQL that syncs, a real
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
import { quantile, timed } from './measure.ts'

const writers = 4
const pauseMs = 50
const goals = { p50: 6, p95: 20 } as const
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

async function take(samples: number[], job: () => Promise<unknown>): Promise<void> {
  samples.push((await timed(job)) * 1000)
}

async function measure(protections: Protections, vault: VaultClient, folder: string, points: number): Promise<Samples> {
  const samples: Samples = { point: [], put: [], bare: [] }
  const stream = await vault.wal.begin({ upstream: 'raw', upstreamIdentity: '1:1', timeline: 1, segmentBytes: 16 << 20 })
  const file = openSync(join(folder, 'bare'), 'w', 0o600)
  const bytes = randomBytes(8_192)
  for (let turn = 0; turn < points; turn += 1) {
    const fromLsn = showLsn(0x100_0000n + BigInt(turn * bytes.length))
    // Nobody destroys without a pause: WAL gathers meanwhile, and each point comes at another moment of the server's.
    await sleep(Math.random() * 2 * pauseMs)
    await take(samples.point, () => protections.mark('orders-db', `bench-${turn}-${samples.point.length}`))
    await take(samples.put, () => vault.wal.append(stream, { fromLsn, bytes, retainMs: 60_000 }))
    await take(samples.bare, async () => {
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

async function countWrites(postgres: PostgresServer): Promise<number> {
  // A backend tells what it did at most once a second, and when it ends.
  const [row] = await postgres.query(`SELECT n_tup_upd::int AS n FROM pg_stat_user_tables WHERE relname = 'accounts'`)
  return Number(row?.['n'])
}

function tell(title: string, { point, put, bare }: Samples): string {
  const both = (samples: readonly number[]): string =>
    `${quantile(samples, 0.5).toFixed(1)} / ${quantile(samples, 0.95).toFixed(1)}`
  const ratio = (samples: readonly number[]): string => (quantile(point, 0.5) / quantile(samples, 0.5)).toFixed(1)
  return `| ${[title, both(point), both(put), both(bare), ratio(put), ratio(bare)].join(' | ')} |`
}

async function measureAll(
  postgres: PostgresServer,
  vault: VaultClient,
  points: number,
  folder: string,
): Promise<readonly string[]> {
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
  try {
    while (protections.state('orders-db') === null) await sleep(50)
    const lines = [tell('idle', await measure(protections, vault, folder, points))]
    for (const perSecond of [400, null]) {
      const before = await countWrites(postgres)
      const beganMs = performance.now()
      const load = work(postgres, folder, perSecond)
      const samples = await measure(protections, vault, folder, points)
      await load.stop()
      const seconds = (performance.now() - beganMs) / 1000
      const writes = ((await countWrites(postgres)) - before) / seconds
      lines.push(tell(`${writes.toFixed(0)} writes/s${perSecond === null ? ', as many as there is room for' : ''}`, samples))
    }
    return lines
  } finally {
    await protections.close()
    upstreams.close()
  }
}

export async function benchRestorePoints(points: number): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'sp-bench-point-'))
  const postgres = await startPostgres(['fsync=on'])
  const vaultProcess = await startVault()
  try {
    await postgres.query(
      'CREATE TABLE accounts AS SELECT id, 0 AS balance FROM generate_series(1, 1000) id; ALTER TABLE accounts ADD PRIMARY KEY (id)',
    )
    const vault = await openVault(vaultProcess)
    const lines = await measureAll(postgres, vault, points, folder)
    vault.close()
    return [
      `How long a statement waits until its restore point is durable in the vault: median / 95 in a hundred, of ${points} points with pauses of`,
      `${2 * pauseMs} ms at most between them. Goal: ${goals.p50} / ${goals.p95} ms. The writes are pgbench's, one row each.`,
      '',
      '| server | restore point, ms | raw put of 8 KiB, ms | bare write and fdatasync, ms | × put | × bare |',
      '| --- | ---: | ---: | ---: | ---: | ---: |',
      ...lines,
    ]
  } finally {
    await vaultProcess.remove()
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
