import { parseArgs } from 'node:util'
import pg from 'pg'
import { frugalMemory } from '../../packages/cli/src/compiled-code.ts'
import { shippedPrograms } from '../../packages/cli/src/up.ts'
import { startGate } from '../../tests/servers/gate.ts'
import type { PostgresServer } from '../../tests/servers/postgres.ts'

/**
 * The gate as it ships, for bench/postgres/run.ts: `--gate 'node bench/postgres/real-gate.ts'`. Describe, decide and log are all on.
 * `--node-options=OPTIONS` are Node's for the gate's process, for profiles: `--node-options=--cpu-prof`.
 */
const { values } = parseArgs({ options: { url: { type: 'string' }, 'node-options': { type: 'string' } } })
const { 'node-options': nodeOptions } = values
const url = new URL(values.url ?? '')
const database = url.pathname.slice(1)
const query: PostgresServer['query'] = async (sql, parameters = []) => {
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql, [...parameters])).rows ?? []
  } finally {
    await client.end()
  }
}
const postgres: PostgresServer = {
  host: '127.0.0.1',
  port: Number(url.port),
  superuser: { user: 'postgres', password: url.password },
  url: () => url.href,
  query,
  stop: async () => undefined,
}
const gate = await startGate({
  postgres,
  agents: { bench: { owner: 'ada', may: ['any bench'] } },
  upstreams: { bench: { database, environment: 'production' } },
  gatewayProgram: shippedPrograms.gateway,
  environment: { ...frugalMemory, ...(nodeOptions === undefined ? {} : { NODE_OPTIONS: nodeOptions }) },
})
await query('ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO app_use')
await query('GRANT ALL ON ALL TABLES IN SCHEMA public TO app_use')
const password = await gate.issue('bench')
process.stdout.write(
  `${JSON.stringify({ port: gate.port, user: 'bench', password, database: 'bench', pid: gate.process.pid })}\n`,
)
const stop = (): void => void gate.stop().then(() => process.exit(0))
process.once('SIGTERM', stop)
