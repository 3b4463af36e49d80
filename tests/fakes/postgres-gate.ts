import pg from 'pg'
import type { Listener } from '@sallyport/core'
import { postgresProtocol, type PostgresSettings } from '../../packages/gateway/src/protocols/postgres/index.ts'
import { openPostgresUpstreams } from '../../packages/gateway/src/upstreams/postgres/index.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { FakeGate, type FakeOptions } from './govern.ts'
import { RawClient } from './postgres-client.ts'

/** A real PostgreSQL, the real protocol in front of it, and a scripted govern in between. */
export interface PostgresGate {
  readonly server: PostgresServer
  readonly fake: FakeGate
  readonly port: number
  readonly secret: string
  raw(parameters?: readonly (readonly [string, string])[]): Promise<RawClient>
  client(): Promise<pg.Client>
  /** Environment for psql and pgbench. */
  readonly environment: NodeJS.ProcessEnv
  stop(): Promise<void>
}

export async function startPostgresGate(
  options: FakeOptions = {},
  settings: Partial<PostgresSettings> = {},
  shared?: PostgresServer,
): Promise<PostgresGate> {
  const server = shared ?? (await startPostgres())
  const fake = new FakeGate(options)
  const secret = fake.issue('robot')
  const upstreams = openPostgresUpstreams(
    [{ name: 'orders', environment: 'production', useUrl: server.url(), protectUrl: server.url() }],
    fake.gate.killSwitch,
  )
  const listener: Listener = await postgresProtocol.listen(fake.gate, upstreams, { host: '127.0.0.1', port: 0, ...settings })
  const { port } = listener.address
  const environment = {
    ...process.env,
    PGHOST: '127.0.0.1',
    PGPORT: String(port),
    PGUSER: 'robot',
    PGPASSWORD: secret,
    PGDATABASE: 'orders',
  }
  return {
    server,
    fake,
    port,
    secret,
    environment,
    raw: (parameters) => RawClient.open(port, 'robot', secret, 'orders', parameters),
    client: async () => {
      const client = new pg.Client({ host: '127.0.0.1', port, user: 'robot', password: secret, database: 'orders' })
      client.on('error', () => undefined)
      await client.connect()
      return client
    },
    stop: async () => {
      await listener.close()
      if (shared === undefined) await server.stop()
    },
  }
}
