import { expect, test } from 'vitest'
import type { Clock } from '@sallyport/core'
import { FollowedLog, makePeopleBench } from '../../../../tests/fakes/people.ts'
import { makeSignedIn, origin, port } from '../../../../tests/fakes/visit.ts'
import { limits } from './limits.ts'
import { type Batch, followFeed } from './stream.ts'

/** Sleeps that end when the test says so. */
class SteppedClock implements Clock {
  readonly asked: number[] = []
  #wake: (() => void)[] = []
  nowMs(): number {
    return 0
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.asked.push(ms)
    return new Promise((resolve) => {
      this.#wake.push(resolve)
      signal?.addEventListener('abort', () => resolve(), { once: true })
    })
  }
  step(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

async function append(log: FollowedLog, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n += 1) await log.append({ type: 'decision', atMs: n, data: { n } })
}

const indexes = (batch: Batch | void): readonly number[] => batch?.records.map(({ index }) => index) ?? []

function readBytes(step: { readonly value?: unknown } | undefined): Uint8Array {
  return step?.value instanceof Uint8Array ? step.value : new Uint8Array()
}

test('what there was, then what comes, each once and in order', async () => {
  const [log, clock, stop] = [new FollowedLog(), new SteppedClock(), new AbortController()]
  await append(log, 0, 3)
  const batches = followFeed(log, clock, null, stop.signal)
  expect(indexes((await batches.next()).value)).toEqual([0, 1, 2])
  const next = batches.next()
  await append(log, 3, 4)
  expect(indexes((await next).value)).toEqual([3])
  const after = batches.next()
  await append(log, 4, 5)
  // Not before the flush is due: the page is not written to more than four times a second.
  expect(await Promise.race([after.then(() => 'early'), Promise.resolve('not yet')])).toBe('not yet')
  expect(clock.asked).toContain(limits.flushMs)
  clock.step()
  expect(indexes((await after).value)).toEqual([4])
  stop.abort()
  await batches.return()
  expect(log.followers).toBe(0)
})

test('events that come between subscribing and reading are neither lost nor doubled', async () => {
  const [log, clock, stop] = [new FollowedLog(), new SteppedClock(), new AbortController()]
  await append(log, 0, 2)
  const read = log.recent.bind(log)
  log.recent = async (after, limit) => {
    await append(log, 2, 4)
    const records = await read(after, limit)
    await append(log, 4, 5)
    return records
  }
  const batches = followFeed(log, clock, 0, stop.signal)
  expect(indexes((await batches.next()).value)).toEqual([1, 2, 3])
  expect(indexes((await batches.next()).value)).toEqual([4])
  stop.abort()
  await batches.return()
})

test('a flood is cut to the newest, and says how much it left out', async () => {
  const [log, clock, stop] = [new FollowedLog(), new SteppedClock(), new AbortController()]
  const batches = followFeed(log, clock, null, stop.signal)
  await batches.next()
  await append(log, 0, limits.backlog * 3)
  const batch = (await batches.next()).value
  expect(batch?.records.length).toBeLessThanOrEqual(limits.backlog)
  expect((batch?.records.length ?? 0) + (batch?.skipped ?? 0)).toBe(limits.backlog * 3)
  expect(indexes(batch).at(-1)).toBe(limits.backlog * 3 - 1)
  stop.abort()
  await batches.return()
})

test('a reader that was away learns how much it missed', async () => {
  const [log, clock, stop] = [new FollowedLog(), new SteppedClock(), new AbortController()]
  await append(log, 0, 500)
  const batches = followFeed(log, clock, 9, stop.signal)
  const batch = (await batches.next()).value
  expect(batch?.records).toHaveLength(limits.recent)
  expect((batch?.skipped ?? 0) + (batch?.records.length ?? 0)).toBe(490)
  stop.abort()
  await batches.return()
})

test('over the page’s stream: Last-Event-ID is the place on the log, and a reader that leaves is forgotten', async () => {
  const bench = makePeopleBench()
  const { site, visit } = await makeSignedIn(bench)
  await append(bench.log, 1, 6)
  const cookie = [...visit.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const answer = await site.app.request(`${origin}/live/stream?after=0`, {
    headers: { host: `localhost:${port}`, cookie, 'last-event-id': '4' },
  })
  expect(answer.headers.get('content-type')).toBe('text/event-stream')
  const reader = answer.body?.getReader()
  const first = new TextDecoder().decode(readBytes(await reader?.read()))
  expect(first).toMatch(/^event: lines\nid: 5\ndata: \{"lines":\[\{"index":5,/)
  expect(bench.log.followers).toBe(1)
  await reader?.cancel()
  await expect.poll(() => bench.log.followers).toBe(0)
})

test('a stream ends with its session', async () => {
  const bench = makePeopleBench()
  const { site, visit } = await makeSignedIn(bench)
  const cookie = [...visit.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const answer = await site.app.request(`${origin}/live/stream`, { headers: { host: `localhost:${port}`, cookie } })
  const reader = answer.body?.getReader()
  await reader?.read()
  await visit.get('/live')
  await visit.post('/sign-out', {})
  bench.clock.shiftMs += limits.heartbeatMs
  await append(bench.log, 0, 1)
  let ended = false
  while (!ended) ended = (await reader?.read())?.done ?? true
  expect(bench.log.followers).toBe(0)
})
