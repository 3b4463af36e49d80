import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import pg from 'pg'

/** How a statement ended, as the agent's client saw it. */
export interface Ran {
  /** SQLSTATE, or `00000` when it succeeded; `08006` when the connection went away. */
  readonly sqlState: string
  readonly message: string
  readonly hint: string
  readonly rows: readonly (readonly string[])[]
  readonly notices: readonly string[]
}

export interface AgentAddress {
  readonly host: string
  readonly port: number
  readonly agent: string
  readonly handle: string
  readonly database: string
}

/** A client that plays the agent: Debian's psql where there is one, node-postgres else; evidence names which. */
export interface AgentClient {
  readonly name: 'psql' | 'node-postgres'
  run(address: AgentAddress, sql: string): Promise<Ran>
}

export function findAgentClient(): AgentClient {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const psql = folders.map((folder) => join(folder, 'psql')).find((path) => existsSync(path))
  return psql === undefined
    ? { name: 'node-postgres', run: runNodePostgres }
    : { name: 'psql', run: (address, sql) => runPsql(psql, address, sql) }
}

const runTimeoutMs = 60_000

/** `\set VERBOSITY verbose` puts the SQLSTATE into the error; the handle goes by the environment, never by argv. */
function runPsql(psql: string, { host, port, agent, handle, database }: AgentAddress, sql: string): Promise<Ran> {
  const args = ['-X', '-A', '-t', '-q', '-F', '\u001f', '-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=1', '-c', sql]
  const env = {
    PATH: process.env['PATH'],
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: agent,
    PGPASSWORD: handle,
    PGDATABASE: database,
    PGSSLMODE: 'disable',
    PGCONNECT_TIMEOUT: '15',
  }
  return new Promise((resolve) => {
    execFile(psql, args, { env, timeout: runTimeoutMs, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      const failed = /(?:ERROR|FATAL): +([0-9A-Z]{5}): (.*)/.exec(stderr)
      const hint = /HINT: +(.*)/.exec(stderr)?.[1] ?? ''
      const notices = [...stderr.matchAll(/NOTICE: +[0-9A-Z]{5}: (.*)/g)].map((match) => match[1] ?? '')
      const rows =
        stdout === ''
          ? []
          : stdout
              .trimEnd()
              .split('\n')
              .map((line) => line.split('\u001f'))
      const lost = error === null ? '00000' : '08006'
      resolve({
        sqlState: failed?.[1] ?? lost,
        message: failed?.[2] ?? (error === null ? '' : stderr.trim().slice(0, 500)),
        hint,
        rows,
        notices,
      })
    })
  })
}

async function runNodePostgres({ host, port, agent, handle, database }: AgentAddress, sql: string): Promise<Ran> {
  const client = new pg.Client({
    host,
    port,
    user: agent,
    password: handle,
    database,
    connectionTimeoutMillis: 15_000,
    query_timeout: runTimeoutMs,
  })
  const notices: string[] = []
  client.on('notice', (notice) => notices.push(notice.message ?? ''))
  client.on('error', () => undefined)
  try {
    await client.connect()
    const result = await client.query({ text: sql, rowMode: 'array' })
    return { sqlState: '00000', message: '', hint: '', rows: result.rows.map((row: unknown[]) => row.map(String)), notices }
  } catch (error) {
    const database = error instanceof pg.DatabaseError ? error : null
    return {
      sqlState: database?.code ?? '08006',
      message: error instanceof Error ? error.message : String(error),
      hint: database?.hint ?? '',
      rows: [],
      notices,
    }
  } finally {
    await client.end().catch(() => undefined)
  }
}
