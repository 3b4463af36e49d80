/**
 * Listens to the store in a thread of its own, and hands it what is killed here: the gate's thread may be busy with what agents send. What came from
 * another gate it hears before its next write upstream. It decides nothing; the line of the gate's own thread hears and says the same, a little later.
 */
import { readlinkSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { MessagePort, workerData } from 'node:worker_threads'
import type pg from 'pg'
import { z } from 'zod'
import { openConnection, type Run } from './connection.ts'
import { hintOf, killShape, writeKill } from './kill-row.ts'

const dataShape = z.object({
  url: z.string(),
  gate: z.string(),
  memory: z.instanceof(SharedArrayBuffer),
  port: z.instanceof(MessagePort),
  pulls: z.instanceof(MessagePort),
})
const pulledShape = killShape.omit({ id: true }).extend({ mark: z.string() })
const againMs = 250
const aliveEveryMs = 1_000

const data = dataShape.parse(workerData)
const heard = new Int32Array(data.memory)
let line: pg.Client | null = null
const connection = openConnection(data.url, `${data.gate} ear`)

let turn: Promise<unknown> = Promise.resolve()

/** One after the other, on the one line there is. @throws Error when there is none */
function say(sql: string, values: readonly unknown[] = []): ReturnType<Run> {
  const answered = turn
    .catch(() => undefined)
    .then(async () => {
      if (line === null) throw new Error('there is no line to the store')
      const { rows, rowCount } = await line.query<Record<string, unknown>>(sql, [...values])
      return { rows, count: rowCount ?? 0 }
    })
  turn = answered
  return answered
}

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
      await say('SELECT 1')
    }
  } finally {
    line = null
    void client.end().catch(() => undefined)
  }
}

/** Waits for no disk: what it says need not outlive anything. Lost when there is no line: the row of the kill says the same. */
async function callOut(hint: string): Promise<void> {
  await say("SELECT set_config('synchronous_commit', 'off', true), pg_notify('sallyport', $1)", [`ahead ${hint}`])
}

/** The store's own row, so that other gates stop even when this gate's thread never gets to it. Without a line that thread tries, and says so. */
async function writeDown(order: unknown): Promise<void> {
  const pulled = pulledShape.parse(order)
  const hint = hintOf(pulled.kind, pulled.name).trim()
  if (hint !== '') await callOut(hint)
  await writeKill(say, pulled)
}

data.port.on('message', (hint: unknown) => void callOut(z.string().parse(hint)).catch(() => undefined))
data.pulls.on('message', (order: unknown) => void writeDown(order).catch(() => undefined))
// The switch's thread runs ahead of others where it may, and takes this one along.
data.pulls.postMessage(readThread())

function readThread(): string {
  try {
    return readlinkSync('/proc/thread-self')
  } catch {
    return ''
  }
}

for (;;) {
  await listen().catch(() => undefined)
  await pause(againMs)
}
