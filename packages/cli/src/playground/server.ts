import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'
import { CommandFailure, exitCodes } from '../failure.ts'
import { startChild, type Child } from '../process-child.ts'
import { writePrivateFile } from '../state-directory.ts'
import { findBinaries, type Binaries } from './binaries.ts'
import { clusterNameOf, waitForLeftover } from './leftover.ts'
import { canEnter, findUnprivilegedUser, type OsUser } from './os-user.ts'
import { choosePort } from './port.ts'

/** The two databases of a playground. Each has a server of its own, since each lies on a volume of its own. */
export const databaseNames = ['production', 'staging'] as const
export type DatabaseName = (typeof databaseNames)[number]

/** One embedded PostgreSQL of a playground, running. */
export interface PlaygroundServer {
  readonly name: DatabaseName
  readonly child: Child
  /** Where the cluster lies; its data directory is `data` in it. */
  readonly folder: string
  readonly port: number
  readonly superuserPassword: string
  /** True when the cluster was made just now and holds nothing yet. */
  readonly isNew: boolean
  /** Call when the databases are filled; until then the next start makes the cluster anew. */
  markComplete(): void
}

const readyTimeoutMs = 30_000
/** The guardian itself escalates after 8 and 10 s; this is for a guardian that hangs. */
const stopTimeoutMs = 12_000

const recordShape = z.object({
  /** Where the cluster lies: beside the state, or elsewhere when the server's user cannot get there. */
  folder: z.string(),
  port: z.number().int().nullable(),
  complete: z.boolean(),
})
type ServerRecord = z.infer<typeof recordShape>

export type PlaygroundServers = { readonly [Name in DatabaseName]: PlaygroundServer }

/** Starts both servers at once. When one fails, the other is stopped. */
export async function startPlaygroundServers(stateDirectory: string, signal?: AbortSignal): Promise<PlaygroundServers> {
  const [production, staging] = await Promise.allSettled(
    databaseNames.map((name) => startPlaygroundServer(stateDirectory, name, signal)),
  )
  if (production?.status === 'fulfilled' && staging?.status === 'fulfilled')
    return { production: production.value, staging: staging.value }
  for (const started of [production, staging]) if (started?.status === 'fulfilled') await started.value.child.stop()
  throw [production, staging].find((one) => one?.status === 'rejected')?.reason
}

/**
 * Starts the server, making its cluster first when there is none, when making it was interrupted, or when its volume was deleted.
 */
export async function startPlaygroundServer(
  stateDirectory: string,
  name: DatabaseName,
  signal?: AbortSignal,
): Promise<PlaygroundServer> {
  const user = findUnprivilegedUser()
  const recordFile = recordFileOf(stateDirectory, name)
  let record = readRecord(recordFile) ?? { folder: makeClusterFolder(stateDirectory, name, user), port: null, complete: false }
  const { folder } = record
  const save = (): void => writePrivateFile(recordFile, `${JSON.stringify(record)}\n`)
  save()
  if (user) letThrough(stateDirectory, folder)
  const binaries = findBinaries(user, join(folder, 'binaries'))
  const data = join(folder, 'data')
  await waitForLeftover(folder, data)
  const isNew = !record.complete || !existsSync(data)
  if (isNew) {
    record = { ...record, complete: false }
    save()
    await makeCluster(binaries, data, passwordFile(stateDirectory, name), user)
  }
  const superuserPassword = readFileSync(passwordFile(stateDirectory, name), 'utf8').trim()
  const start = (port: number): Promise<Child> => startServer({ name, binaries, folder, port, stateDirectory, user, signal })
  const { child, port } = await startOnFreePort(start, record.port)
  record = { ...record, port }
  save()
  const markComplete = (): void => {
    record = { ...record, complete: true }
    save()
  }
  return { name, child, folder, port, superuserPassword, isNew, markComplete }
}

/** Production's has the plain names: there was one server once. */
function suffixOf(name: DatabaseName): string {
  return name === 'production' ? '' : `-${name}`
}

function recordFileOf(stateDirectory: string, name: DatabaseName): string {
  return join(stateDirectory, `playground${suffixOf(name)}.json`)
}

/** Puts a data directory in the place of one that is gone, for the next start. Takes it away from where it was. */
export function putBackData(stateDirectory: string, name: DatabaseName, from: string): void {
  const record = readRecord(recordFileOf(stateDirectory, name))
  const data = record === null ? null : join(record.folder, 'data')
  if (data === null || existsSync(data)) {
    throw new CommandFailure(
      exitCodes.failed,
      'refused',
      `There is no place for a data directory of ${name}: ${data === null ? 'the playground was never started' : `${data} is there already`}.`,
      'Nothing was moved.',
      'Start the playground once, and put back only what is gone.',
    )
  }
  try {
    renameSync(from, data)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EXDEV')) throw error
    cpSync(from, data, { recursive: true, preserveTimestamps: true })
    takeOverOwner(from, data)
    rmSync(from, { recursive: true, force: true })
  }
}

/** A copy belongs to whoever made it; the server's user must own its data. */
function takeOverOwner(from: string, to: string): void {
  const { uid, gid } = statSync(from)
  if (process.getuid?.() !== 0) return
  for (const path of ['', ...readdirSync(to, { recursive: true, encoding: 'utf8' })]) chownSync(join(to, path), uid, gid)
}

function readRecord(file: string): ServerRecord | null {
  if (!existsSync(file)) return null
  const record = recordShape.safeParse(JSON.parse(readFileSync(file, 'utf8')))
  return record.success && existsSync(record.data.folder) ? record.data : null
}

function passwordFile(stateDirectory: string, name: DatabaseName): string {
  return join(stateDirectory, 'secrets', `playground${suffixOf(name)}.superuser`)
}

/**
 * Beside the rest of the state when the server's user can get there. As root the state often lies under a home folder only root may enter;
 * then the cluster goes where servers keep theirs.
 */
function makeClusterFolder(stateDirectory: string, name: DatabaseName, user: OsUser | null): string {
  const state = realpathSync(stateDirectory)
  if (user === null || canEnter(join(state, '..'), user)) {
    const folder = join(state, `playground${suffixOf(name)}`)
    mkdirSync(folder, { recursive: true, mode: user ? 0o711 : 0o700 })
    return folder
  }
  const base = ['/var/lib', tmpdir()].find((candidate) => existsSync(candidate) && canEnter(candidate, user))
  if (base === undefined) {
    throw new CommandFailure(
      exitCodes.failed,
      'not_supported',
      `PostgreSQL cannot run as root, and the user it runs as instead cannot enter the folders above ${state}.`,
      'No playground was made.',
      'Start in a folder that every user may enter, or run as an ordinary user.',
    )
  }
  const folder = mkdtempSync(join(base, `sallyport-playground${suffixOf(name)}-`))
  chmodSync(folder, 0o711)
  return folder
}

/** The state's folders may be passed through, not listed; every file in them stays 0600. Only where the cluster lies inside. */
function letThrough(stateDirectory: string, folder: string): void {
  if (folder.startsWith(realpathSync(stateDirectory))) chmodSync(stateDirectory, 0o711)
}

async function makeCluster(binaries: Binaries, data: string, passwordFile: string, user: OsUser | null): Promise<void> {
  rmSync(data, { recursive: true, force: true })
  mkdirSync(dirname(passwordFile), { recursive: true, mode: 0o700 })
  const password = randomBytes(24).toString('base64url')
  writePrivateFile(passwordFile, `${password}\n`)
  const handed = `${data}.password`
  rmSync(handed, { force: true })
  writeFileSync(handed, `${password}\n`, { mode: 0o600, flag: 'wx' })
  mkdirSync(data, { mode: 0o700 })
  if (user) for (const path of [handed, data]) chownSync(path, user.uid, user.gid)
  const flags = [
    '-U',
    'postgres',
    '-A',
    'scram-sha-256',
    '--pwfile',
    handed,
    '-E',
    'UTF8',
    '--no-locale',
    '--locale-provider=libc',
    '-N',
  ]
  try {
    await promisify(execFile)(binaries.initdb, ['-D', data, ...flags], { cwd: '/', env: serverEnvironment(), ...user })
  } catch (error) {
    const said =
      error instanceof Error && 'stderr' in error ? String(error.stderr).trim().split('\n').slice(-5).join('\n') : String(error)
    throw new CommandFailure(
      exitCodes.failed,
      'start_failed',
      `PostgreSQL could not make the playground's cluster:\n${said}`,
      'No playground was made.',
      'Put your own database behind the gate with `sallyport init`, or mend what PostgreSQL names.',
      { cause: error },
    )
  } finally {
    rmSync(handed, { force: true })
  }
}

/** Nothing of ours is the server's business, least of all credentials in our environment. */
function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
}

async function startOnFreePort(
  start: (port: number) => Promise<Child>,
  preferred: number | null,
): Promise<{ child: Child; port: number }> {
  // Between finding a free port and binding it somebody else may take it.
  for (let tries = 0; ; tries++) {
    const port = await choosePort(tries === 0 ? preferred : null)
    try {
      return { child: await start(port), port }
    } catch (error) {
      const portTaken = error instanceof CommandFailure && error.message.includes('could not bind')
      if (!portTaken || tries >= 3) throw error
    }
  }
}

interface ServerStart {
  readonly name: DatabaseName
  readonly binaries: Binaries
  readonly folder: string
  readonly port: number
  readonly stateDirectory: string
  readonly user: OsUser | null
  readonly signal: AbortSignal | undefined
}

function startServer({ name, binaries, folder, port, stateDirectory, user, signal }: ServerStart): Promise<Child> {
  const settings = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'wal_level=replica',
    'max_wal_senders=10',
    'max_connections=100',
    `cluster_name=${clusterNameOf(folder)}`,
  ]
  return startChild({
    name: `playground database ${name}`,
    command: process.execPath,
    args: [
      fileURLToPath(new URL('./guardian.ts', import.meta.url)),
      `--postgres=${binaries.postgres}`,
      `--data=${join(folder, 'data')}`,
      ...(user ? [`--uid=${user.uid}`, `--gid=${user.gid}`] : []),
      '--',
      ...settings,
    ],
    env: serverEnvironment(),
    logFile: join(stateDirectory, 'logs', `playground${suffixOf(name)}.log`),
    readyTimeoutMs,
    stopTimeoutMs,
    signal,
  })
}
