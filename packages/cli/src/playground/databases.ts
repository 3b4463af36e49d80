import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { writePrivateFile } from '../state-directory.ts'
import { databaseNames, type DatabaseName, type PlaygroundServer, type PlaygroundServers } from './server.ts'
import { fillShop, productionSize, stagingSize, type ShopSize } from './shop.ts'

const sizes: { readonly [Name in DatabaseName]: ShopSize } = { production: productionSize, staging: stagingSize }

/** `use` owns the tables; `protect` reads everything, replicates, and may act as the owner to put a copy back. */
const roles = ['use', 'protect'] as const
type Role = (typeof roles)[number]

/** Makes roles and database of each server that holds nothing yet, and fills them, both at once. */
export async function makeDatabases(servers: PlaygroundServers, stateDirectory: string, anchor: Date): Promise<void> {
  const passwords = { use: passwordOf(stateDirectory, 'use'), protect: passwordOf(stateDirectory, 'protect') }
  await Promise.all(
    databaseNames
      .map((name) => servers[name])
      .filter(({ isNew }) => isNew)
      .map(async (server) => {
        await makeDatabase(server, passwords, anchor)
        server.markComplete()
      }),
  )
}

async function makeDatabase(
  server: PlaygroundServer,
  passwords: { readonly [Name in Role]: string },
  anchor: Date,
): Promise<void> {
  const { name } = server
  await asSuperuser(server, 'postgres', async (client) => {
    // A failing statement is written to the server's log; these hold passwords.
    await client.query('SET log_min_error_statement = panic')
    await client.query(`CREATE ROLE app_use LOGIN PASSWORD ${client.escapeLiteral(passwords.use)}`)
    await client.query(`CREATE ROLE app_protect LOGIN REPLICATION PASSWORD ${client.escapeLiteral(passwords.protect)}`)
    await client.query('GRANT app_use, pg_read_all_data, pg_signal_backend TO app_protect')
    // Puts rows back without firing triggers a second time.
    await client.query('GRANT SET ON PARAMETER session_replication_role TO app_protect')
    await client.query(`CREATE DATABASE ${name}`)
  })
  await asSuperuser(server, name, async (client) => {
    await client.query(`REVOKE CONNECT, TEMPORARY ON DATABASE ${name} FROM PUBLIC`)
    await client.query(`GRANT CONNECT, TEMPORARY ON DATABASE ${name} TO app_use`)
    await client.query(`GRANT CONNECT, TEMPORARY, CREATE ON DATABASE ${name} TO app_protect`)
    await client.query('GRANT USAGE, CREATE ON SCHEMA public TO app_use, app_protect')
    await client.query('GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO app_protect')
    await client.query('SET ROLE app_use')
    await fillShop(client, sizes[name], anchor)
  })
}

/** The gate's two credentials for each database, as files for `file:` references. The ports may be others at every start. */
export function writeCredentials(
  ports: { readonly [Name in DatabaseName]: { readonly port: number } },
  stateDirectory: string,
): void {
  for (const name of databaseNames) {
    for (const role of roles) {
      const password = readFileSync(passwordFile(stateDirectory, role), 'utf8').trim()
      const url = `postgres://app_${role}:${password}@127.0.0.1:${ports[name].port}/${name}?sslmode=disable`
      writePrivateFile(join(stateDirectory, 'secrets', `${name}.${role}`), `${url}\n`)
    }
  }
}

function passwordFile(stateDirectory: string, role: Role): string {
  return join(stateDirectory, 'secrets', `app_${role}.password`)
}

/** Kept when it is there: a server that was filled before knows it. */
function passwordOf(stateDirectory: string, role: Role): string {
  const file = passwordFile(stateDirectory, role)
  if (existsSync(file)) return readFileSync(file, 'utf8').trim()
  const password = randomBytes(24).toString('base64url')
  mkdirSync(join(stateDirectory, 'secrets'), { recursive: true, mode: 0o700 })
  writePrivateFile(file, `${password}\n`)
  return password
}

async function asSuperuser(
  server: PlaygroundServer,
  database: string,
  work: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port: server.port,
    user: 'postgres',
    password: server.superuserPassword,
    database,
  })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}
