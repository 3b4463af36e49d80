import { RawClient } from '../../fakes/postgres-client.ts'
import { makeRoles, rolePassword, startGate, type TestGate } from '../../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../../servers/postgres.ts'
import { fixture } from './fixture.ts'
import { Side } from './side.ts'

/** A server with the same database twice, and the two ways to it: straight to one, through a real gate to the other, as the same role. */
export interface Pair {
  readonly postgres: PostgresServer
  readonly gate: TestGate
  readonly direct: Side
  readonly gated: Side
  /** For clients that are programs: where each way begins. */
  readonly directPlace: Place
  readonly gatedPlace: Place
  stop(): Promise<void>
}

export interface Place {
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
}

export type Parameters = readonly (readonly [string, string])[]

export interface PairSettings {
  /** Of the upstream in the gate's configuration. In `production` what cannot be put back asks people. */
  readonly environment?: 'production' | 'development'
  readonly postgres?: PostgresServer
  /** The gate offers TLS for this host name. */
  readonly tls?: { readonly name: string }
  /** How long the gate waits for people before it refuses, as in its configuration. */
  readonly wait?: string
}

/** What scenarios need of the server. */
export const pairServerSettings = ['max_connections=200', 'max_prepared_transactions=5']

export async function startPair({ environment = 'development', postgres: given, tls, wait }: PairSettings = {}): Promise<Pair> {
  const postgres = given ?? (await startPostgres(pairServerSettings))
  await postgres.query('CREATE DATABASE straight')
  await makeRoles(postgres, 'straight')
  await postgres.query(`SET ROLE app_use; ${fixture}`, [], 'straight')
  // The same oids on both sides, and the same rows.
  await postgres.query('CREATE DATABASE gated TEMPLATE straight')
  const [row] = await postgres.query('SELECT (lo_create(0))::text AS oid')
  const freshOid = Number(row?.['oid'])
  const gate = await startGate({
    postgres,
    agents: { robot: { owner: 'ada', may: ['any orders-db'] } },
    upstreams: { 'orders-db': { database: 'gated', environment } },
    ...(tls === undefined ? {} : { tls }),
    ...(wait === undefined ? {} : { wait }),
  })
  const directPlace = { port: postgres.port, user: 'app_use', password: rolePassword, database: 'straight' }
  const gatedPlace = { port: gate.port, user: 'robot', password: await gate.issue('robot'), database: 'orders-db' }
  const direct = new Side(() => openAt(directPlace), freshOid)
  const gated = new Side(() => openAt(gatedPlace), freshOid)
  const stop = async (): Promise<void> => {
    direct.close()
    gated.close()
    await gate.stop()
    if (given === undefined) await postgres.stop()
  }
  return { postgres, gate, direct, gated, directPlace, gatedPlace, stop }
}

export function openAt({ port, user, password, database }: Place, parameters: Parameters = []): Promise<RawClient> {
  return RawClient.open(port, user, password, database, parameters)
}
