import { setTimeout as sleep } from 'node:timers/promises'
import { visibleLine } from '@sallyport/core'
import { z } from 'zod'
import { connectControl, type ControlClient } from './control-client.ts'
import { CommandFailure, exitCodes } from './failure.ts'

/** What a running gate keeps whole, and work on it. */

const drillShape = z.object({
  passed: z.boolean(),
  atMs: z.number(),
  snapshot: z.string().nullable(),
  snapshotMadeAtMs: z.number().nullable(),
  restoreMs: z.number(),
  rows: z.number(),
  compared: z.number(),
  answers: z.array(z.object({ ask: z.string(), expected: z.string(), answer: z.string().nullable(), passed: z.boolean() })),
  why: z.string(),
})
const targetShape = z.object({
  name: z.string(),
  kind: z.string(),
  by: z.enum(['copy', 'stream']).nullable(),
  newestCopy: z.object({ snapshot: z.string(), madeAtMs: z.number(), retainUntilMs: z.number() }).nullable(),
  wouldLoseMs: z.number().nullable(),
  restoreTookMs: z.number().nullable(),
  lastDrill: z.object({ passed: z.boolean(), atMs: z.number(), why: z.string() }).nullable(),
  drilled: z.boolean(),
  stream: z
    .object({
      state: z.string(),
      why: z.string().nullable(),
      behindBytes: z.number().nullable(),
      durableAtMs: z.number().nullable(),
      provenAtMs: z.number().nullable(),
    })
    .nullable(),
  copies: z.number(),
  held: z.number(),
})
export type Target = z.infer<typeof targetShape>
const targetsShape = z.object({
  targets: z.array(targetShape),
  storage: z
    .object({
      bytes: z.number(),
      walBytes: z.number(),
      addedBytesPerDay: z.number(),
      bytesIn30Days: z.number(),
      quotaBytes: z.number().nullable(),
      freeBytes: z.number(),
    })
    .nullable(),
  holds: z.array(z.object({ snapshot: z.string(), upstream: z.string().nullable(), reason: z.string() })),
  worth: z.string(),
  problem: z.string().nullable(),
})
export type Targets = z.infer<typeof targetsShape>
const jobShape = z.object({
  id: z.string(),
  state: z.enum(['waiting', 'running', 'done', 'failed']),
  step: z.string(),
  done: z.number(),
  total: z.number(),
  startedAtMs: z.number(),
  endedAtMs: z.number().nullable(),
  result: z
    .discriminatedUnion('what', [
      z.object({ what: z.literal('copy'), snapshot: z.string(), rows: z.number(), bytes: z.number(), things: z.number() }),
      z.object({ what: z.literal('drill'), drill: drillShape }),
      z.object({
        what: z.literal('restore'),
        put: z.number(),
        same: z.number(),
        left: z.number(),
        leftNames: z.array(z.string()),
        place: z.string(),
      }),
      z.object({ what: z.literal('extract'), file: z.string(), rows: z.number(), sha256: z.string() }),
    ])
    .nullable(),
  error: z.object({ code: z.string(), message: z.string(), notDone: z.string(), next: z.string() }).nullable(),
})
type Job = z.infer<typeof jobShape>
export type KeepingResult = NonNullable<Job['result']>

const askEveryMs = 250

export async function readTargets(control: ControlClient): Promise<Targets> {
  return await control.get('/api/v1/vault/targets', targetsShape)
}

interface Order {
  readonly what: 'copy' | 'drill' | 'extract' | 'restore'
  readonly name: string
  readonly snapshot?: string
  readonly thing?: string
  readonly beside?: string
}

/** Has the gate do it, says how far it is, and waits for as long as it takes. @throws CommandFailure with what the gate said when it failed */
export async function order(state: string, wanted: Order, say: (line: string) => void): Promise<KeepingResult> {
  const control = await connectControl(state)
  let job = await control.post('/api/v1/keeping/jobs', wanted, jobShape)
  let said = ''
  while (job.state === 'waiting' || job.state === 'running') {
    const line = describeStep(job)
    if (line !== said) say(line)
    said = line
    await sleep(askEveryMs)
    job = await control.get(`/api/v1/keeping/jobs/${job.id}`, jobShape)
  }
  if (job.result !== null) return job.result
  const { code, message, notDone, next } = job.error ?? { code: 'internal', message: 'It failed.', notDone: '', next: '' }
  throw new CommandFailure(exitCodes.failed, code, visibleLine(message), notDone, next)
}

function describeStep({ state, step, done, total }: Job): string {
  if (state === 'waiting') return 'waiting for what was begun before …'
  return total > 0 ? `${step}: ${done} of ${total} …` : `${step === '' ? 'beginning' : step} …`
}

/** One line: what would be lost right now, how long a restore took, and what is missing. */
export function describeTarget({ name, kind, by, wouldLoseMs, restoreTookMs, lastDrill, drilled, stream }: Target): string {
  const lose =
    wouldLoseMs === null || by === null
      ? 'NO PROVEN COPY: all of it would be lost'
      : wouldLoseMs === 0
        ? 'would lose nothing that was committed'
        : `would lose ${describeTime(wouldLoseMs)}`
  const took = restoreTookMs === null ? 'never restored' : `restored in ${describeTime(restoreTookMs)}`
  const drill =
    lastDrill === null
      ? 'no drill yet'
      : `${lastDrill.passed ? 'drill passed' : 'DRILL FAILED'} ${new Date(lastDrill.atMs).toISOString()}${lastDrill.passed ? '' : `: ${visibleLine(lastDrill.why)}`}`
  const wal = stream === null ? '' : `, WAL ${stream.state}${stream.why === null ? '' : ` (${visibleLine(stream.why)})`}`
  const demand = drilled ? '' : '; NOTHING MAY BE DESTROYED: a drill is demanded, and none passed in time'
  return `${visibleLine(name)}  ${kind}  ${lose}, ${took}, ${drill}${wal}${demand}`
}

/** One line: the room that copies take, and will. */
export function describeStorage(storage: NonNullable<Targets['storage']>): string {
  const { bytes, walBytes, addedBytesPerDay, bytesIn30Days, quotaBytes, freeBytes } = storage
  const quota = quotaBytes === null ? 'no quota' : `a quota of ${showBytes(quotaBytes)}`
  return `Copies take ${showBytes(bytes)} and WAL ${showBytes(walBytes)}; a day adds ${showBytes(addedBytesPerDay)}; in 30 days about ${showBytes(bytesIn30Days)}. ${showBytes(freeBytes)} free, ${quota}.`
}

export function showBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), units.length)
  return `${(bytes / 1024 ** power).toFixed(1)} ${units[power - 1] ?? ''}`
}

export function describeTime(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`
  return ms < 172_800_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} d`
}
