/**
 * Listens to the store in a thread of its own, and calls out what this gate stops: the gate's thread may be busy with what agents send, and hears what
 * came here before its next write upstream. It decides nothing; the line of the gate's own thread hears and says the same, a little later.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { MessagePort, workerData } from 'node:worker_threads'
import type pg from 'pg'
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
let line: pg.Client | null = null
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
    line = client
    for (;;) {
      await pause(aliveEveryMs)
      // A cable that was pulled says nothing.
      await client.query('SELECT 1')
    }
  } finally {
    line = null
    void client.end().catch(() => undefined)
  }
}

// Lost when there is no line: the row of the kill says the same.
data.port.on('message', (hint: unknown) => {
  line?.query("SELECT pg_notify('sallyport', $1)", [`ahead ${z.string().parse(hint)}`]).catch(() => undefined)
})

for (;;) {
  await listen().catch(() => undefined)
  await pause(againMs)
}
