import { createServer, type Server, type ServerResponse } from 'node:http'
import { SallyportError, type Event } from '@sallyport/core'
import { type Family, Tally } from './tally.ts'

/** What is asked when somebody looks: it costs nothing before. */
export interface MetricsPorts {
  readonly log: {
    subscribe(listener: (events: readonly { readonly event: Event }[]) => void): () => void
    health(): {
      readonly size: number
      readonly state: string
      readonly checkpointSize: number | null
      readonly witnessedSize: number | null
      readonly oldestReadAgeMs: number
    }
  }
  readonly upstreams: readonly string[]
  readonly sessions: () => number
  readonly kills: () => number
  /** Whether agents should be sent here, and if not, what is in the way. */
  readonly ready: () => Promise<{ readonly ready: boolean; readonly problems: readonly string[] }>
  readonly receivers: () => readonly { readonly name: string; readonly behind: number; readonly failures: number }[]
}

export interface Metrics {
  /** `host:port`. */
  readonly address: string
  close(): Promise<void>
}

const connectionsMax = 16
const requestTimeoutMs = 5_000

/** `GET /metrics`, `/healthz` (it answers) and `/readyz` (it can work) on a listener of its own, on this machine only; null when none is configured. It shows counts, and no text of anybody's. */
export async function startMetrics(
  address: { readonly host: string; readonly port: number } | null,
  ports: MetricsPorts,
): Promise<Metrics | null> {
  if (address === null) return null
  const tally = new Tally(ports.upstreams)
  const unsubscribe = ports.log.subscribe((events) => {
    for (const { event } of events) tally.see(event)
  })
  const server = createServer({ requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs }, (request, response) => {
    const path = request.method === 'GET' ? request.url : undefined
    if (path === '/readyz') return void answerReady(ports, response)
    const known = path === '/metrics' || path === '/healthz'
    response.writeHead(known ? 200 : 404, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
    if (path === '/healthz') response.end('ok\n')
    else response.end(known ? render([...tally.families(), ...gauges(ports)]) : 'GET /metrics, /healthz or /readyz\n')
  })
  server.maxConnections = connectionsMax
  const port = await listen(server, address)
  return {
    address: `${address.host}:${port}`,
    close: async () => {
      unsubscribe()
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

async function answerReady({ ready }: MetricsPorts, response: ServerResponse): Promise<void> {
  const answer = await ready().catch(() => ({ ready: false, problems: ['unknown'] }))
  response.writeHead(answer.ready ? 200 : 503, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(answer)}\n`)
}

function listen(server: Server, { host, port }: { readonly host: string; readonly port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new SallyportError(
          'internal',
          `Nothing can listen for metrics on ${host}:${port}.`,
          'The gate did not start.',
          'Choose another port for listen.metrics.',
          { cause },
        ),
      )
    })
    server.listen({ host, port, exclusive: true }, () => {
      const bound = server.address()
      resolve(bound === null || typeof bound === 'string' ? port : bound.port)
    })
  })
}

function gauges({ log, sessions, kills, receivers }: MetricsPorts): readonly Family[] {
  const health = log.health()
  const gauge = (name: string, help: string, value: number): Family => ({
    name,
    help,
    type: 'gauge',
    samples: [{ labels: {}, value }],
  })
  const usage = process.cpuUsage()
  const told = receivers()
  return [
    gauge('sallyport_sessions', 'Sessions that are open.', sessions()),
    gauge('sallyport_kills_in_force', 'Kills that nobody has released.', kills()),
    gauge('sallyport_log_entries', 'Entries of the log that are durable.', health.size),
    gauge('sallyport_log_failed', '1 when the log has failed, and nothing runs.', health.state === 'failed' ? 1 : 0),
    gauge(
      'sallyport_log_unsigned_entries',
      'Entries behind the last signed checkpoint.',
      health.size - (health.checkpointSize ?? 0),
    ),
    gauge(
      'sallyport_log_unwitnessed_entries',
      'Entries behind the last witnessed checkpoint.',
      health.size - (health.witnessedSize ?? 0),
    ),
    gauge(
      'sallyport_log_read_age_seconds',
      'Age of the oldest counted read that is not durable yet.',
      health.oldestReadAgeMs / 1000,
    ),
    {
      name: 'sallyport_receiver_behind_entries',
      help: 'Entries of the log that a receiver was not asked about yet.',
      type: 'gauge',
      samples: told.map(({ name, behind }) => ({ labels: { receiver: name }, value: behind })),
    },
    {
      name: 'sallyport_receiver_failures',
      help: 'Failures in a row of a receiver.',
      type: 'gauge',
      samples: told.map(({ name, failures }) => ({ labels: { receiver: name }, value: failures })),
    },
    {
      name: 'process_cpu_seconds_total',
      help: 'Processor time of the gate.',
      type: 'counter',
      samples: [{ labels: {}, value: (usage.user + usage.system) / 1e6 }],
    },
    gauge('process_resident_memory_bytes', 'Memory of the gate.', process.memoryUsage.rss()),
  ]
}

/** Prometheus text format 0.0.4. */
export function render(families: readonly Family[]): string {
  const lines = families.flatMap(({ name, help, type, samples }) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(({ suffix = '', labels, value }) => {
      const pairs = Object.entries(labels).map(
        ([key, text]) => `${key}="${text.replace(/[\\"\n]/g, (one) => (one === '\n' ? '\\n' : `\\${one}`))}"`,
      )
      return `${name}${suffix}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`
    }),
  ])
  return `${lines.join('\n')}\n`
}
