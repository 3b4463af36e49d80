import { spawn, execFileSync, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chownSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { findMemoryFolder } from './memory-folder.ts'
import { openTemplateFolder } from './template-folder.ts'

/** A real PostgreSQL of Debian's, on loopback, made for one test file and thrown away after it. */
export interface PostgresServer {
  readonly host: '127.0.0.1'
  readonly port: number
  readonly superuser: { readonly user: 'postgres'; readonly password: string }
  /** Connection string of the superuser for a database (default `postgres`). */
  url(database?: string): string
  /** Runs SQL as the superuser; rows as objects. */
  query(sql: string, values?: readonly unknown[], database?: string): Promise<readonly Record<string, unknown>[]>
  stop(): Promise<void>
}

/** One that can be made to end as by a crash; it is there again, at the same port, when `restart` resolves. */
export interface RestartablePostgres extends PostgresServer {
  restart(): Promise<void>
}

/** The folder with initdb and postgres, newest version first. Names what to install when there is none. */
export function findPostgresBinaries(): string {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).sort((left, right) => Number(right) - Number(left)) : []
  for (const version of versions) {
    const folder = join(root, version, 'bin')
    if (existsSync(join(folder, 'initdb'))) return folder
  }
  throw new Error('tests need PostgreSQL: apt-get install -y postgresql')
}

/** An unprivileged user for servers that refuse to run as root; undefined when we are not root. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const uid = Number(execFileSync('id', ['-u', 'postgres']).toString())
  const gid = Number(execFileSync('id', ['-g', 'postgres']).toString())
  return { uid, gid }
}

export async function findFreePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}

const superuserPassword = 'test-superuser'

/** A new cluster in `folder`, made by `initdb`; small, since most are copied, and some are copied again by what is tested. */
function makeCluster(folder: string, binaries: string, user: ReturnType<typeof unprivileged>): void {
  const passwordFile = `${folder}.password`
  writeFileSync(passwordFile, superuserPassword, { mode: 0o600 })
  if (user) chownSync(passwordFile, user.uid, user.gid)
  const flags = [
    '-U',
    'postgres',
    '-A',
    'scram-sha-256',
    '--pwfile',
    passwordFile,
    '-E',
    'UTF8',
    '--no-locale',
    '-N',
    '--wal-segsize=4',
  ]
  execFileSync(join(binaries, 'initdb'), ['-D', folder, ...flags], { ...user, stdio: 'pipe', cwd: '/' })
  rmSync(passwordFile)
}

/** Which copies this process's servers run on now: by the number of the cluster they were copied from. */
const numbersInUse = new Set<number>()

function takeNumber(): number {
  let number = 0
  while (numbersInUse.has(number)) number += 1
  numbersInUse.add(number)
  return number
}

/**
 * The same, as a copy of one that was made earlier in this run of the tests, which takes a tenth of the time. The first to come makes it; of two at
 * once, one is kept. Copies of one cluster share its identity, so a second server beside the first is the copy of another one.
 */
function copyCluster(folder: string, binaries: string, user: ReturnType<typeof unprivileged>, number: number): void {
  const templates = openTemplateFolder()
  if (templates === null) return makeCluster(folder, binaries, user)
  const version = createHash('sha256').update(binaries).digest('hex').slice(0, 16)
  const template = join(templates, `postgres-${version}-${number}`)
  if (!existsSync(template)) {
    const place = mkdtempSync(join(templates, 'new-'))
    if (user) chownSync(place, user.uid, user.gid)
    makeCluster(join(place, 'data'), binaries, user)
    try {
      renameSync(join(place, 'data'), template)
    } catch (error) {
      // Somebody else may have been first.
      if (!existsSync(template)) throw error
    }
    rmSync(place, { recursive: true, force: true })
  }
  execFileSync('cp', ['-a', template, folder])
}

/** Starts a server in about half a second. `settings` are postgresql.conf lines such as `max_connections=300`; `binaries` the folder of another version. */
export async function startPostgres(
  settings: readonly string[] = [],
  binaries = findPostgresBinaries(),
): Promise<RestartablePostgres> {
  const user = unprivileged()
  const folder = mkdtempSync(join(openTemplateFolder() ?? findMemoryFolder(), 'sallyport-pg-'))
  if (user) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const number = takeNumber()
  copyCluster(data, binaries, user, number)
  const port = await findFreePort()
  const flags = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    `unix_socket_directories=${folder}`,
    'wal_level=replica',
    'max_wal_senders=10',
    // Power is never cut here, and no query is worth compiling.
    'fsync=off',
    'jit=off',
    ...settings,
  ]
  const words = ['-D', data, ...flags.flatMap((flag) => ['-c', flag])]
  const begin = (): ChildProcess => spawn(join(binaries, 'postgres'), words, { ...user, stdio: 'ignore', cwd: '/' })
  let child = begin()
  const url = (database = 'postgres'): string => `postgres://postgres:${superuserPassword}@127.0.0.1:${port}/${database}`
  await waitUntilReady(url(), child)
  const superuser = new SuperuserConnection(url)
  const query: PostgresServer['query'] = (sql, values = [], database) =>
    database === undefined ? superuser.query(sql, values) : queryOnce(url(database), sql, values)
  const end = async (): Promise<void> => {
    superuser.forget()
    if (child.exitCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGQUIT')
    await ended
  }
  const restart = async (): Promise<void> => {
    await end()
    child = begin()
    await waitUntilReady(url(), child)
  }
  const stop = async (): Promise<void> => {
    await end()
    rmSync(folder, { recursive: true, force: true })
    numbersInUse.delete(number)
  }
  return { host: '127.0.0.1', port, superuser: { user: 'postgres', password: superuserPassword }, url, query, restart, stop }
}

type Rows = readonly Record<string, unknown>[]

async function connect(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

async function ask(client: pg.Client, sql: string, values: readonly unknown[]): Promise<Rows> {
  const result = await client.query<Record<string, unknown>>(sql, [...values])
  return result.rows ?? []
}

async function queryOnce(connectionString: string, sql: string, values: readonly unknown[]): Promise<Rows> {
  const client = await connect(connectionString)
  try {
    return await ask(client, sql, values)
  } finally {
    await client.end()
  }
}

/**
 * The superuser's way to the database `postgres`: to connect takes a server more than to answer, and a test asks hundreds of times. Between two
 * questions everything that a session remembers is forgotten. Other databases, which tests drop, are asked over a connection of their own each time.
 */
class SuperuserConnection {
  readonly #url: (database?: string) => string
  #idle: pg.Client | null = null

  constructor(url: (database?: string) => string) {
    this.#url = url
  }

  async query(sql: string, values: readonly unknown[]): Promise<Rows> {
    const client = await this.#take()
    try {
      return await ask(client, sql, values)
    } finally {
      await this.#giveBack(client)
    }
  }

  /** The one that is idle, if the server still answers it: whoever asks meanwhile gets another. */
  async #take(): Promise<pg.Client> {
    const idle = this.#idle
    this.#idle = null
    return idle !== null && (await isAnswered(idle, '')) ? idle : connect(this.#url())
  }

  /** Nothing stays of what was asked: no lock, no temporary table, no role. A transaction left open ends with its connection. */
  async #giveBack(client: pg.Client): Promise<void> {
    const isWhole = this.#idle === null && client.getTransactionStatus() === 'I' && (await isAnswered(client, 'DISCARD ALL'))
    if (isWhole && this.#idle === null) this.#idle = client
    else await client.end().catch(() => undefined)
  }

  forget(): void {
    this.#idle?.end().catch(() => undefined)
    this.#idle = null
  }
}

const isAnswered = (client: pg.Client, sql: string): Promise<boolean> =>
  client.query(sql).then(
    () => true,
    () => false,
  )

async function waitUntilReady(url: string, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 120_000
  for (;;) {
    if (child.exitCode !== null) throw new Error(`postgres ended at start with ${child.exitCode}`)
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.end()
      return
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
