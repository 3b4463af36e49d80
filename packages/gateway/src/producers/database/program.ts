import { execFile, spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { SallyportError } from '@sallyport/core'

/** PostgreSQL's own programs for copies of whole databases. */
export interface DumpPrograms {
  readonly dump: string
  readonly restore: string
  readonly major: number
}

/** Where they are kept beside each other, a folder a version; on PATH they are often a wrapper that chooses for itself. */
function candidates(): readonly string[] {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).map((version) => join(debian, version, 'bin')) : []
  const redHat = existsSync('/usr') ? readdirSync('/usr').filter((name) => name.startsWith('pgsql-')) : []
  const onPath = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder.startsWith('/'))
  return [...versions, ...redHat.map((name) => join('/usr', name, 'bin')), '/usr/local/pgsql/bin', ...onPath]
}

async function readMajor(program: string): Promise<number | null> {
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], { timeout: 5_000, cwd: '/' })
    const [, major] = /\(PostgreSQL\) (\d+)/.exec(stdout) ?? []
    return major === undefined ? null : Number(major)
  } catch {
    return null
  }
}

/** Of the server's own version, else of the next newer one: older programs refuse newer servers. @throws SallyportError `no_copy_possible` */
export async function findDumpPrograms(serverMajor: number): Promise<DumpPrograms> {
  const found: DumpPrograms[] = []
  for (const folder of candidates()) {
    const [dump, restore] = [join(folder, 'pg_dump'), join(folder, 'pg_restore')]
    if (!existsSync(dump) || !existsSync(restore)) continue
    const major = await readMajor(dump)
    if (major === serverMajor) return { dump, restore, major }
    if (major !== null && major > serverMajor) found.push({ dump, restore, major })
  }
  const [best] = found.toSorted((left, right) => left.major - right.major)
  if (best !== undefined) return best
  throw new SallyportError(
    'no_copy_possible',
    `No copy of the whole database can be made: this machine has no pg_dump and pg_restore of PostgreSQL ${serverMajor} or newer.`,
    'Nothing was copied.',
    `Install the client programs of PostgreSQL ${serverMajor} (in Debian: apt-get install postgresql-client-${serverMajor}), then try again.`,
  )
}

export interface Run {
  readonly program: string
  readonly words: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  /** Of what it prints. Beyond it the program is ended. */
  readonly bytesMax?: number
}

const saidMax = 4_096

const setpriv = '/usr/bin/setpriv'

/** A gate that is killed leaves no program behind that holds a transaction open: on Linux the kernel ends it with the gate. Elsewhere it ends by itself. */
function leash(): readonly string[] {
  return existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL', '--'] : []
}

/** Runs a program with an environment of its own, and no shell. Resolves with what it printed. @throws Error with the end of what it complained of */
export async function runProgram({ program, words, environment, signal, bytesMax = 0 }: Run): Promise<Buffer> {
  signal.throwIfAborted()
  const [command, ...rest] = [...leash(), program, ...words]
  const child = spawn(command ?? program, rest, {
    cwd: '/',
    stdio: ['ignore', bytesMax === 0 ? 'ignore' : 'pipe', 'pipe'],
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', ...environment },
  })
  const pieces: Buffer[] = []
  let bytes = 0
  let said = ''
  child.stdout?.on('data', (piece: Buffer) => {
    bytes += piece.length
    if (bytes > bytesMax) child.kill('SIGKILL')
    else pieces.push(piece)
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-saidMax)))
  const stop = (): void => void child.kill('SIGTERM')
  signal.addEventListener('abort', stop, { once: true })
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    signal.throwIfAborted()
    if (code === 0) return Buffer.concat(pieces)
    const lines = said.split('\n').filter((line) => line.trim() !== '')
    const reason = lines.findLast((line) => /error:|FATAL/.test(line)) ?? lines.at(-1) ?? 'it did not say why'
    throw new Error(`${program.split('/').at(-1) ?? program} ended with ${code ?? 'a signal'}: ${reason.slice(0, 400)}`)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
