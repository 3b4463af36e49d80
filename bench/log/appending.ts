import { mkdtempSync, rmSync, statSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Event, noteSigner } from '@sallyport/core'
import { type FileLog, openLog } from '../../packages/gateway/src/log/file-log.ts'

export interface Appended {
  readonly writers: number
  readonly eventsPerSecond: number
  /** Events for each second of processor time of this process, threads included. */
  readonly eventsPerCpuSecond: number
  readonly bytesPerEvent: number
  /** From the call to its acknowledgement. */
  readonly tookMs: readonly number[]
}

/** Of the size of a gate's usual intent. */
function intent(place: number): Event {
  return {
    type: 'intent',
    atMs: 1_700_000_000_000 + place,
    session: 'a1b2c3d4e5f6a1b2c3d4e5f6',
    agent: 'coder',
    data: {
      intent: String(place),
      text: 'INSERT INTO orders (id, what) VALUES ($1, $2)',
      bytesSha256: 'e3b0c44298fc1c14'.repeat(4),
    },
  }
}

/** Appends with so many writers, each waiting for its event to be durable before the next; checkpoints and tiles are written meanwhile. */
export async function append(writers: number, forMs: number): Promise<Appended> {
  const folder = mkdtempSync(join(tmpdir(), 'sp-bench-'))
  const directory = join(folder, 'log')
  const signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))
  const clock = { nowMs: () => Date.now(), sleep: async () => undefined }
  const log = await openLog({ directory, signer, clock, witness: null })
  try {
    await run(log, writers, forMs / 4)
    const before = log.size()
    const cpu = process.cpuUsage()
    const startedMs = performance.now()
    const tookMs = await run(log, writers, forMs)
    const seconds = (performance.now() - startedMs) / 1000
    const { user, system } = process.cpuUsage(cpu)
    const events = log.size() - before
    const cpuSeconds = (user + system) / 1e6
    const bytesPerEvent = Math.round(bytesOf(join(directory, 'entries')) / log.size())
    return { writers, eventsPerSecond: events / seconds, eventsPerCpuSecond: events / cpuSeconds, bytesPerEvent, tookMs }
  } finally {
    await log.close()
    rmSync(folder, { recursive: true })
  }
}

async function run(log: FileLog, writers: number, forMs: number): Promise<readonly number[]> {
  const endMs = performance.now() + forMs
  const tookMs: number[] = []
  let place = 0
  const write = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const startedMs = performance.now()
      await log.append(intent(place++))
      tookMs.push(performance.now() - startedMs)
    }
  }
  await Promise.all(Array.from({ length: writers }, write))
  return tookMs
}

function bytesOf(directory: string): number {
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)
}
