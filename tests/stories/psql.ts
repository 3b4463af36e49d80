import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { TestGate } from '../servers/gate.ts'
import { findPostgresBinaries } from '../servers/postgres.ts'

/** How one statement of Debian's psql ended, and every byte that its user got to see. */
export interface PsqlRan {
  /** SQLSTATE; `00000` when it ran, `08006` when the connection went away or never came. */
  readonly sqlState: string
  readonly message: string
  readonly hint: string
  /** The access request that a refusal names. */
  readonly request: string
  readonly rows: readonly (readonly string[])[]
  /** Standard output and standard error, as they came. */
  readonly said: string
}

/** An agent at psql, with a handle of its own. */
export interface Psql {
  readonly handle: string
  /** One `-c`: everything in `sql` is one message. */
  run(sql: string, environment?: Readonly<Record<string, string>>): Promise<PsqlRan>
}

export interface PsqlSettings {
  readonly database?: string
  /** Where to connect, when something stands before the gate. */
  readonly port?: number
  /** The operating system's user it runs as; only when we are root. */
  readonly user?: { readonly uid: number; readonly gid: number }
}

export async function openPsql(gate: TestGate, agent: string, settings: PsqlSettings = {}): Promise<Psql> {
  const handle = await gate.issue(agent)
  const address = {
    PGHOST: gate.host,
    PGPORT: String(settings.port ?? gate.port),
    PGUSER: agent,
    PGPASSWORD: handle,
    PGDATABASE: settings.database ?? 'orders-db',
    PGSSLMODE: 'disable',
    PGCONNECT_TIMEOUT: '15',
  }
  return { handle, run: (sql, environment = {}) => runPsql(sql, { ...address, ...environment }, settings.user) }
}

/** The program itself: what lies on the path is a script that takes longer to find it than it takes to run. */
function findPsql(): string {
  const program = join(findPostgresBinaries(), 'psql')
  if (!existsSync(program)) throw new Error('stories need psql: apt-get install -y postgresql-client')
  return program
}

const flags = ['-X', '-A', '-t', '-q', '-F', '\u001f', '-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=1', '-c']

function runPsql(sql: string, address: Readonly<Record<string, string>>, user: PsqlSettings['user']): Promise<PsqlRan> {
  return new Promise((resolve, reject) => {
    const child = spawn(findPsql(), [...flags, sql], {
      ...user,
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '', ...address },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [out, said] = ['', '']
    child.stdout.on('data', (piece: Buffer) => (out += piece.toString('utf8')))
    child.stderr.on('data', (piece: Buffer) => (said += piece.toString('utf8')))
    child.once('error', reject)
    child.once('close', (code) => resolve(readRan(code, out, said)))
  })
}

function readRan(code: number | null, out: string, said: string): PsqlRan {
  const failed = /(?:ERROR|FATAL): +([0-9A-Z]{5}): (.*)/.exec(said)
  return {
    sqlState: failed?.[1] ?? (code === 0 ? '00000' : '08006'),
    message: failed?.[2] ?? (code === 0 ? '' : said.trim()),
    hint: /HINT: +(.*)/.exec(said)?.[1] ?? '',
    request: [...said.matchAll(/Request ([0-9a-f]{32})/g)].at(-1)?.[1] ?? '',
    rows:
      out === ''
        ? []
        : out
            .replace(/\n$/, '')
            .split('\n')
            .map((line) => line.split('\u001f')),
    said: `${out}${said}`,
  }
}
