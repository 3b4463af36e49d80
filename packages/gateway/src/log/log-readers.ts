import { recover, SallyportError, type Event, type VerdictPorts } from '@sallyport/core'
import type { FileLog, LoggedEvent } from './file-log.ts'

/** Small facts that outlive a run: here, from where on the log has not been looked at by a recovery. */
export interface RunMemory {
  get(name: string): string | null
  set(name: string, value: string): void
}

const readBatch = 1_000

/** Store and log agree again before anything listens. */
export async function recoverRun(
  verdicts: VerdictPorts,
  log: FileLog,
  meta: RunMemory,
  report: (problem: string) => void,
): Promise<void> {
  const from = Number(meta.get('recoverFrom') ?? 0)
  const found = await recover(verdicts, readEvents(log, from, log.size()))
  for (const intent of found.unknown) report(`intent ${intent} has no outcome: it may have run; look at the upstream`)
  const started = await log.append({
    type: 'gate.started',
    atMs: verdicts.clock.nowMs(),
    data: { unknown: found.unknown, givenBack: found.givenBack, applied: found.applied },
  })
  meta.set('recoverFrom', String(started))
}

async function* readEvents(log: FileLog, from: number, to: number): AsyncGenerator<Event, void> {
  for (let next = from; next < to;) {
    const batch = await log.read(next, Math.min(readBatch, to - next))
    if (batch.length === 0)
      throw new SallyportError(
        'log_unavailable',
        `The log ends at ${next}, before ${to}.`,
        'The gate did not start.',
        'Run sallyport log verify.',
      )
    for (const { event } of batch) yield event
    next += batch.length
  }
}

/** The log as it grows, in the shape that the people's listener asks for. */
export function feedOf(log: FileLog): {
  recent(after: number | null, limit: number): Promise<readonly LoggedEvent[]>
  subscribe(listener: (recorded: LoggedEvent) => void): () => void
} {
  return {
    recent: async (after, limit) => {
      const size = log.size()
      const from = Math.max(after === null ? 0 : after + 1, size - limit)
      return from >= size ? [] : log.read(from, size - from)
    },
    subscribe: (listener) => log.subscribe((events) => events.forEach(listener)),
  }
}
