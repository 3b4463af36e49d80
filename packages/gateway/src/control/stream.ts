import type { Clock } from '@sallyport/core'
import { limits } from './limits.ts'
import type { Recorded } from './overview.ts'
import type { Feed } from './ports.ts'

/** What happened since the last batch. An empty one is a sign of life. */
export interface Batch {
  readonly records: readonly Recorded[]
  /** How many were too many to carry; they are on the log. */
  readonly skipped: number
}

/** Follows the log from `after`, in batches, never faster than the flush, never with more in memory than the backlog. */
export async function* followFeed(
  feed: Feed,
  clock: Clock,
  after: number | null,
  signal: AbortSignal,
): AsyncGenerator<Batch, void> {
  let waiting: Recorded[] = []
  let skipped = 0
  let wake = (): void => undefined
  const stop = feed.subscribe((recorded) => {
    waiting.push(recorded)
    if (waiting.length > limits.backlog) {
      waiting = waiting.slice(waiting.length - limits.backlog / 2)
      skipped += limits.backlog / 2 + 1
    }
    wake()
  })
  try {
    // Subscribed first and read after, so that nothing falls between; what comes twice is told by its index.
    const known = await feed.recent(after, limits.recent)
    let last = known.at(-1)?.index ?? after ?? -1
    const first = known[0]?.index
    yield { records: known, skipped: after !== null && first !== undefined ? Math.max(0, first - after - 1) : 0 }
    while (!signal.aborted) {
      if (waiting.length === 0) await waitForMore(clock, signal, (resolve) => (wake = resolve))
      const seen = last
      const records = waiting.filter(({ index }) => index > seen)
      last = records.at(-1)?.index ?? last
      const lost = skipped
      waiting = []
      skipped = 0
      if (signal.aborted) return
      yield { records, skipped: lost }
      await clock.sleep(limits.flushMs, signal)
    }
  } finally {
    stop()
  }
}

async function waitForMore(clock: Clock, signal: AbortSignal, onWake: (resolve: () => void) => void): Promise<void> {
  const done = new AbortController()
  const woken = new Promise<void>((resolve) => onWake(resolve))
  await Promise.race([woken, clock.sleep(limits.heartbeatMs, AbortSignal.any([signal, done.signal]))])
  done.abort()
}

/** A streamed answer: each chunk is pulled only when the reader has room, and the source is ended when the reader leaves. */
export function streamText(
  contentType: string,
  make: (signal: AbortSignal) => AsyncGenerator<string, void>,
  onEnd: () => void,
): Response {
  const gone = new AbortController()
  const source = make(gone.signal)
  const encoder = new TextEncoder()
  let ended = false
  const end = (): void => {
    if (!ended) onEnd()
    ended = true
  }
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const step = await source.next()
          if (!step.done) return controller.enqueue(encoder.encode(step.value))
        } catch {
          // The reader comes back and gets a proper answer then; half a stream can't carry one.
        }
        end()
        controller.close()
      },
      async cancel() {
        gone.abort()
        end()
        await source.return()
      },
    },
    { highWaterMark: 1 },
  )
  return new Response(body, { headers: { 'content-type': contentType, 'cache-control': 'no-store' } })
}
