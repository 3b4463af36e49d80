import { performance } from 'node:perf_hooks'
import pg from 'pg'
import { z } from 'zod'

/** Fifty clients that behave, as a process of their own, each in a loop of SELECTs. Answers `measure` with what was seen since the last one. */
export const goodAskShape = z.discriminatedUnion('ask', [
  z.object({
    ask: z.literal('start'),
    port: z.number(),
    agent: z.string(),
    handle: z.string(),
    database: z.string(),
    clients: z.number(),
  }),
  z.object({ ask: z.literal('measure') }),
])
export const measuredShape = z.object({
  queries: z.number(),
  failures: z.array(z.string()),
  p50Ms: z.number(),
  p99Ms: z.number(),
  maxMs: z.number(),
})
export type Measured = z.infer<typeof measuredShape>

/** Between two statements of one client: the gate is to be at work, not at its limit, where p99 would measure the queue. */
const pauseMs = 20

let latenciesMs: number[] = []
let failures: string[] = []

if (import.meta.main) {
  process.on('message', (message) => void hear(goodAskShape.parse(message)))
  process.on('disconnect', () => process.exit(0))
}

async function hear(asked: z.infer<typeof goodAskShape>): Promise<void> {
  if (asked.ask === 'measure') {
    const sorted = latenciesMs.toSorted((left, right) => left - right)
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
    process.send?.({ queries: sorted.length, failures, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: sorted.at(-1) ?? 0 })
    latenciesMs = []
    failures = []
    return
  }
  const { port, agent, handle, database } = asked
  const clients = Array.from(
    { length: asked.clients },
    () => new pg.Client({ host: '127.0.0.1', port, user: agent, password: handle, database }),
  )
  await Promise.all(clients.map((client) => client.connect()))
  for (const client of clients) void loop(client)
  process.send?.({ started: true })
}

async function loop(client: pg.Client): Promise<void> {
  client.on('error', (error) => failures.push(error.message))
  for (let number = 0; ; number += 1) {
    const startedMs = performance.now()
    try {
      await client.query(`SELECT note FROM good_rows WHERE id = ${1 + (number % 1000)}`)
      latenciesMs.push(performance.now() - startedMs)
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error))
      return
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}
