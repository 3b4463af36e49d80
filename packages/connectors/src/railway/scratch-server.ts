import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Client } from 'pg'
import type { Ask } from './base-backup-tables.ts'
import type { FileOwner } from './base-backup-tar.ts'
import { findServerPrograms, reachServerProgram } from './scratch-server-binaries.ts'

/** A place for one database server of the gate's own, for as long as a copy is being proven. */
export interface ScratchPlace {
  readonly folder: string
  /** Where the data directory is to be unpacked; empty. */
  readonly data: string
  readonly owner: FileOwner | null
}

/** A server that lives on a Unix socket in a folder only its user can enter. No network, no password. */
export interface ScratchServer {
  readonly ask: Ask
  /** The way into another of its databases; what is done in it ends with the connection. */
  open(database: string): Promise<{ readonly ask: Ask; readonly end: () => Promise<void> }>
  /** The folder of its socket: only the user it runs as can enter. */
  readonly socket: string
  /** Of the process that ends it when we die. */
  readonly guardianPid: number
  stop(): Promise<void>
}

/** Replaying WAL takes as long as it takes; a server that is silent for this long is not replaying. */
const readyTimeoutMs = 300_000
const queryTimeoutMs = 3_600_000
const stopTimeoutMs = 70_000

/** PostgreSQL refuses to run as root, and nothing that comes out of a copy should. Null when we are not root: then it runs as us. */
export function findScratchUser(): FileOwner | null {
  if (process.getuid?.() !== 0) return null
  const ask = (flag: string): number =>
    Number(execFileSync('id', [flag, 'nobody'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString())
  return { uid: ask('-u'), gid: ask('-g') }
}

export function makeScratchPlace(): ScratchPlace {
  const owner = findScratchUser()
  const folder = mkdtempSync(join(tmpdir(), `sallyport-scratch-${process.pid}-`))
  chmodSync(folder, owner === null ? 0o700 : 0o711)
  const data = join(folder, 'data')
  const socket = join(folder, 'socket')
  for (const path of [data, socket]) {
    mkdirSync(path, { mode: 0o700 })
    if (owner !== null) chownSync(path, owner.uid, owner.gid)
  }
  return { folder, data, owner }
}

export interface ScratchStart {
  readonly place: ScratchPlace
  /** The server's own superuser: only it may switch off what the copied database sets for its roles. */
  readonly superuser: string
  readonly database: string
  /** True: folder and all are taken away when it stops, or when we die. */
  readonly remove: boolean
  /** Replays WAL up to somewhere before it is ready. */
  readonly recovery?: ScratchRecovery
}

export interface ScratchRecovery {
  /** Of recovery, as they stand in a configuration file. */
  readonly settings: readonly string[]
  /** What the server says while it replays. */
  readonly said: (text: string) => void
}

/** Starts the unpacked server. Settings of the copied one that would let its owner run code, reach out or wait for somebody are not taken over. */
export async function startScratchServer({ place, superuser, database, remove, recovery }: ScratchStart): Promise<ScratchServer> {
  const { folder, data, owner } = place
  const major = Number.parseInt(readFileSync(join(data, 'PG_VERSION'), 'utf8'), 10)
  const programs = await findServerPrograms(major)
  if (programs === null) throw new Error(`this machine has no programs of PostgreSQL ${major} to start the copy with`)
  const program = reachServerProgram(programs, join(folder, 'programs'), owner)
  const files = writeSettings(place, major, remove, recovery?.settings ?? null)
  const child = spawn(
    process.execPath,
    [
      fileURLToPath(new URL('./scratch-server-guardian.ts', import.meta.url)),
      `--postgres=${program}`,
      `--data=${data}`,
      ...(remove ? [`--remove=${folder}`] : []),
      ...(owner === null ? [] : [`--uid=${owner.uid}`, `--gid=${owner.gid}`]),
      '--',
      ...files,
    ],
    { cwd: '/', stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] ?? '' } },
  )
  child.stdin.on('error', () => undefined)
  const stop = (): Promise<void> => stopChild(child)
  let client: Client | null = null
  try {
    await waitUntilReady(child, recovery?.said ?? null)
    client = await connect(join(folder, 'socket'), superuser, database, major)
  } catch (error) {
    await client?.end().catch(() => undefined)
    await stop()
    throw error
  }
  const connected = client
  return {
    ask: async (sql, values = []) => askAsText(connected, sql, values),
    socket: join(folder, 'socket'),
    guardianPid: child.pid ?? 0,
    open: async (name) => {
      const other = await connect(join(folder, 'socket'), superuser, name, major)
      return { ask: async (sql, values = []) => askAsText(other, sql, values), end: () => other.end().catch(() => undefined) }
    },
    stop: async () => {
      await connected.end().catch(() => undefined)
      await stop()
    },
  }
}

/** Configuration files of our own in place of the copied ones; names as `-c` settings. */
function writeSettings(
  { folder, data, owner }: ScratchPlace,
  major: number,
  remove: boolean,
  recovery: readonly string[] | null,
): readonly string[] {
  const settings = [
    `listen_addresses = ''`,
    `unix_socket_directories = '${join(folder, 'socket')}'`,
    'unix_socket_permissions = 0700',
    'port = 5432',
    'max_connections = 8',
    'max_wal_senders = 0',
    'wal_level = minimal',
    'archive_mode = off',
    'autovacuum = off',
    // A scratch is never read again after a power cut.
    `fsync = ${remove ? 'off' : 'on'}`,
    'jit = off',
    'shared_buffers = 64MB',
    'max_prepared_transactions = 64',
    'max_locks_per_transaction = 256',
    `shared_preload_libraries = ''`,
    `session_preload_libraries = ''`,
    ...(major >= 17 ? ['event_triggers = off', 'summarize_wal = off'] : []),
    ...(recovery ?? []),
  ]
  const write = (name: string, text: string, below = folder): string => {
    const path = join(below, name)
    writeFileSync(path, text, { mode: 0o600 })
    if (owner !== null) chownSync(path, owner.uid, owner.gid)
    return path
  }
  const configuration = write('postgresql.conf', `${settings.join('\n')}\n`)
  const access = write('pg_hba.conf', 'local all all trust\n')
  const identities = write('pg_ident.conf', '')
  // Read from the data directory whatever config_file says; and signs of a server that waits for another one.
  for (const name of ['postgresql.auto.conf', 'standby.signal', 'recovery.signal']) rmSync(join(data, name), { force: true })
  if (recovery !== null) write('recovery.signal', '', data)
  return [`config_file=${configuration}`, `hba_file=${access}`, `ident_file=${identities}`]
}

async function waitUntilReady(child: ChildProcess, hear: ((text: string) => void) | null): Promise<void> {
  let said = ''
  let wake: () => void = () => undefined
  let state: 'starting' | 'ready' | 'ended' = 'starting'
  const timer = setTimeout(() => wake(), readyTimeoutMs)
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2_000)
    hear?.(text)
    // Who replays says so: it is given up only when it is silent.
    if (hear !== null) timer.refresh()
  })
  child.stdout?.once('data', () => {
    state = 'ready'
    wake()
  })
  child.once('close', () => {
    if (state === 'starting') state = 'ended'
    wake()
  })
  child.once('error', () => wake())
  const isStarting = (): boolean => state === 'starting'
  if (isStarting()) await new Promise<void>((resolve) => (wake = resolve))
  clearTimeout(timer)
  if (isReady(state)) return
  const fatal = said.split('\n').findLast((line) => /FATAL|PANIC/.test(line)) ?? said.trim().split('\n').at(-1) ?? ''
  throw new Error(`the copy did not start as a server: ${fatal.replace(/^.*?(FATAL|PANIC)/, '$1').slice(0, 300)}`)
}

function isReady(state: string): boolean {
  return state === 'ready'
}

async function connect(socket: string, superuser: string, database: string, major: number): Promise<Client> {
  // Loaded only where it is used: a gate's start is to be quick.
  const { default: pg } = await import('pg')
  // What a client asks for at its start stands above what the copied database sets for its roles and databases.
  const first = ['session_preload_libraries=', 'local_preload_libraries=', 'row_security=off', 'search_path=pg_catalog']
  const options = [...first, ...(major >= 17 ? ['event_triggers=off'] : [])].map((setting) => `-c ${setting}`).join(' ')
  const client = new pg.Client({
    host: socket,
    port: 5432,
    user: superuser,
    database,
    password: '',
    ssl: false,
    options,
    connectionTimeoutMillis: 30_000,
    query_timeout: queryTimeoutMs,
  })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

async function askAsText(
  client: Client,
  sql: string,
  values: readonly (string | null)[],
): Promise<readonly (readonly (string | null)[])[]> {
  const result = await client.query<(string | null)[]>({
    text: sql,
    values: [...values],
    rowMode: 'array',
    types: { getTypeParser: () => (text: string) => text },
  })
  return result.rows
}

async function stopChild(child: ChildProcess): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    child.once('close', () => resolve())
    child.once('error', () => resolve())
  })
  child.stdin?.end()
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  await ended
  clearTimeout(timer)
}

/** Takes a place away, whatever is in it. */
export function removeScratch({ folder }: ScratchPlace): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}
