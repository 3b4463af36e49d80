/**
 * How fast the log is on this disk: `node bench/log.ts [SECONDS]`. Everything is measured in one run, interleaved, and the goals of
 * DESIGN §11 are ratios to what the disk does bare.
 */
import fs from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setInterval } from 'node:timers/promises'
import { type Event, noteSigner } from '@sallyport/core'
import { type FileLog, openLog } from '../packages/gateway/src/log/file-log.ts'

const seconds = Number(process.argv[2] ?? 3)
const clock = { nowMs: () => Date.now(), sleep: async () => {} }
const signer = noteSigner('bench.example/log', Buffer.alloc(32, 1))

function event(place: number): Event {
  return {
    type: 'intent',
    atMs: Date.now(),
    session: 'c0ffee00c0ffee00c0ffee00c0ffee00',
    agent: 'deploy-bot',
    data: {
      intent: `intent-${place}`,
      digest: 'a'.repeat(64),
      bytesSha256: 'b'.repeat(64),
      rowsMax: null,
      upstream: 'orders-db',
      actions: ['postgres.update'],
    },
  }
}

const median = (values: readonly number[]): number =>
  [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? NaN
const percentile = (values: readonly number[], part: number): number =>
  [...values].sort((left, right) => left - right)[Math.floor(values.length * part)] ?? NaN

async function bare(directory: string, times: number): Promise<readonly number[]> {
  const file = fs.openSync(join(directory, 'bare'), 'w', 0o600)
  const bytes = Buffer.alloc(400, 1)
  const samples: number[] = []
  for (let turn = 0; turn < times; turn += 1) {
    const start = performance.now()
    fs.writeSync(file, bytes)
    fs.fdatasyncSync(file)
    samples.push(performance.now() - start)
  }
  fs.closeSync(file)
  return samples
}

async function alone(log: FileLog, times: number): Promise<readonly number[]> {
  const samples: number[] = []
  for (let turn = 0; turn < times; turn += 1) {
    const start = performance.now()
    await log.append(event(turn))
    samples.push(performance.now() - start)
  }
  return samples
}

async function crowd(log: FileLog, writers: number): Promise<{ readonly rate: number; readonly p99Ms: number }> {
  const start = performance.now()
  const samples: number[] = []
  let count = 0
  await Promise.all(
    Array.from({ length: writers }, async () => {
      while (performance.now() - start < seconds * 1000) {
        const from = performance.now()
        await log.append(event(count))
        count += 1
        samples.push(performance.now() - from)
      }
    }),
  )
  return { rate: count / ((performance.now() - start) / 1000), p99Ms: percentile(samples, 0.99) }
}

interface ReadFigures {
  readonly nanoseconds: number
  readonly p99Ms: number
  readonly accepted: number
  readonly refused: number
}

/** Nanoseconds of a counted read, and how old reads get before they are durable, at 20,000 a second over 32 sessions. */
async function reads(log: FileLog): Promise<ReadFigures> {
  const sessions = Array.from({ length: 32 }, (_, place) => `session-${place}-c0ffee00c0ffee00`)
  const keys = Array.from(
    { length: 8 },
    (_, place) => `orders-db|deploy-bot|select * from orders where id = $1 and kind = ${place}`,
  )
  const nanoseconds: number[] = []
  const agesMs: number[] = []
  let refused = 0
  const start = performance.now()
  for await (const turn of setInterval(5, 0)) {
    const from = performance.now()
    if (from - start > seconds * 1000) break
    agesMs.push(log.health().oldestReadAgeMs)
    try {
      for (let call = 0; call < 100; call += 1)
        log.appendRead(sessions[call % 32] ?? '', 'deploy-bot', keys[(call + turn) % 8] ?? '')
      nanoseconds.push((performance.now() - from) * 1e4)
    } catch {
      refused += 100
    }
  }
  return { nanoseconds: median(nanoseconds), p99Ms: percentile(agesMs, 0.99), accepted: nanoseconds.length * 100, refused }
}

const directory = await mkdtemp(join(process.env['BENCH_DIRECTORY'] ?? tmpdir(), 'bench-log-'))
try {
  const log = await openLog({ directory: join(directory, 'log'), signer, clock, witness: null })
  await alone(log, 200)
  const bareMs: number[] = []
  const aloneMs: number[] = []
  for (let round = 0; round < 10; round += 1) {
    bareMs.push(...(await bare(directory, 100)))
    aloneMs.push(...(await alone(log, 100)))
  }
  const ratio = median(aloneMs) / median(bareMs)
  console.log(
    `alone: ${median(aloneMs).toFixed(3)} ms, bare write+fdatasync ${median(bareMs).toFixed(3)} ms, ratio ${ratio.toFixed(2)} (goal ≤ 3)`,
  )
  for (const writers of [8, 64, 512]) {
    const { rate, p99Ms } = await crowd(log, writers)
    console.log(
      `${writers} writers: ${Math.round(rate)} durable events/s, p99 ${p99Ms.toFixed(1)} ms${writers === 512 ? ' (goal ≥ 50,000/s)' : ''}`,
    )
  }
  await log.publish()
  const { nanoseconds, p99Ms, accepted, refused } = await reads(log)
  console.log(
    `appendRead: ${Math.round(nanoseconds)} ns (goal ≤ 300), not durable for ${p99Ms.toFixed(1)} ms at p99 (limit 10), ${accepted} accepted, ${refused} refused`,
  )
  const size = log.size()
  const closing = performance.now()
  await log.close()
  console.log(`close: ${Math.round(performance.now() - closing)} ms at ${size} entries`)
  for (const scanBytesMax of [Infinity, 32 * 1024 * 1024]) {
    const start = performance.now()
    const again = await openLog({ directory: join(directory, 'log'), signer, clock, witness: null, scanBytesMax })
    console.log(
      `open: ${Math.round(performance.now() - start)} ms, ${again.health().scannedAll ? 'everything read' : 'from the last checkpoint'}`,
    )
    await again.close()
  }
} finally {
  await rm(directory, { recursive: true })
}
