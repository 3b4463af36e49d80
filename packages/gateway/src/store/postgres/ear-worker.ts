/**
 * Listens to the store in a thread of its own: the gate's thread may be busy with what agents send, and hears what came here before its next write
 * upstream. It tells what it heard and decides nothing; the line of the gate's own thread hears the same, a little later.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { MessagePort, workerData } from 'node:worker_threads'
import { z } from 'zod'
import { openConnection } from './connection.ts'

const dataShape = z.object({
  url: z.string(),
  gate: z.string(),
  memory: z.instanceof(SharedArrayBuffer),
  port: z.instanceof(MessagePort),
})
const againMs = 250
const aliveEveryMs = 1_000

const data = dataShape.parse(workerData)
const heard = new Int32Array(data.memory)
const connection = openConnection(data.url, `${data.gate} ear`)

/** Resolves when the connection is gone. */
async function listen(): Promise<void> {
  const client = await connection.openLine(aliveEveryMs)
  client.on('notification', ({ payload }) => {
    data.port.postMessage(payload ?? '')
    Atomics.add(heard, 0, 1)
  })
  try {
    await client.query('LISTEN sallyport')
    for (;;) {
      await pause(aliveEveryMs)
      // A cable that was pulled says nothing.
      await client.query('SELECT 1')
    }
  } finally {
    void client.end().catch(() => undefined)
  }
}

for (;;) {
  await listen().catch(() => undefined)
  await pause(againMs)
}
