import { getPriority } from 'node:os'
import { Worker } from 'node:worker_threads'
import { once } from 'node:events'
import { expect, it } from 'vitest'

it('puts its own thread ahead where it may, and no other thread of the process', async () => {
  const before = getPriority(process.pid)
  const source = `
    import { parentPort } from 'node:worker_threads'
    import { readlinkSync } from 'node:fs'
    import { getPriority } from 'node:os'
    import { runAhead } from ${JSON.stringify(new URL('thread-priority.ts', import.meta.url).href)}
    const isAhead = runAhead()
    const thread = Number(/\\d+$/.exec(readlinkSync('/proc/thread-self'))[0])
    parentPort.postMessage({ isAhead, priority: getPriority(thread) })`
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`))
  const [said]: unknown[] = await once(worker, 'message')
  // Without the right to it everything stays as it was.
  expect([
    { isAhead: true, priority: -15 },
    { isAhead: false, priority: before },
  ]).toContainEqual(said)
  expect(getPriority(process.pid)).toBe(before)
  await worker.terminate()
})
