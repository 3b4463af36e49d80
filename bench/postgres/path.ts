import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'
import { findFreePort, type PostgresServer } from '../../tests/servers/postgres.ts'

export const run = promisify(execFile)

/** One way from a client to the server. */
export interface Path {
  readonly name: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  /** The process between client and server, for its CPU time and memory; null where there is none. */
  readonly pid: number | null
}

export const pathNames = ['direct', 'pipe', 'pipe-durable', 'pgbouncer', 'gate'] as const
export type PathName = (typeof pathNames)[number]

const ready = z.object({
  port: z.number(),
  user: z.string().default(''),
  password: z.string().default(''),
  database: z.string().default(''),
  /** Of the process that carries the bytes, when it is not the command itself. */
  pid: z.number().optional(),
})

/** Opens the paths that are asked for, and ends what it started. */
export class Paths {
  readonly #server: PostgresServer
  readonly #folder: string
  readonly #direct: Path
  readonly #started: ChildProcess[] = []

  constructor(server: PostgresServer, folder: string) {
    this.#server = server
    this.#folder = folder
    this.#direct = {
      name: 'direct',
      port: server.port,
      user: server.superuser.user,
      password: server.superuser.password,
      database: 'postgres',
      pid: null,
    }
  }

  /** @param gate the gate's command and its arguments */
  async open(name: PathName, gate: readonly string[]): Promise<Path> {
    switch (name) {
      case 'direct':
        return this.#direct
      case 'pipe':
      case 'pipe-durable': {
        const program = fileURLToPath(new URL(`${name}.ts`, import.meta.url))
        const { port, pid } = await this.#start(process.execPath, [program, '--port', String(this.#server.port)])
        return { ...this.#direct, name, port, pid }
      }
      case 'pgbouncer':
        return this.#startPgbouncer()
      case 'gate': {
        const [command = '', ...args] = gate
        const said = await this.#start(command, [...args, '--url', this.#server.url()])
        return { ...said, name }
      }
    }
  }

  async #start(command: string, args: readonly string[]): Promise<Omit<z.infer<typeof ready>, 'pid'> & { pid: number | null }> {
    const child = spawn(command, [...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#started.push(child)
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve)
      child.once('exit', (code) => reject(new Error(`${command} ended with ${code}`)))
    })
    const said = ready.parse(JSON.parse(line))
    return { ...said, pid: said.pid ?? child.pid ?? null }
  }

  async #startPgbouncer(): Promise<Path> {
    const { user, password } = this.#direct
    const port = await findFreePort()
    const users = join(this.#folder, 'users')
    writeFileSync(users, `"${user}" "${password}"\n`)
    const configuration = join(this.#folder, 'pgbouncer.ini')
    const lines = [
      '[databases]',
      `postgres = host=127.0.0.1 port=${this.#server.port} user=${user} password=${password}`,
      '[pgbouncer]',
      `listen_port = ${port}`,
      'listen_addr = 127.0.0.1',
      'unix_socket_dir =',
      'auth_type = scram-sha-256',
      `auth_file = ${users}`,
      'pool_mode = session',
      'default_pool_size = 100',
      'max_client_conn = 200',
    ]
    writeFileSync(configuration, `${lines.join('\n')}\n`)
    for (const file of [users, configuration]) chmodSync(file, 0o644)
    chmodSync(this.#folder, 0o755)
    const asRoot = process.getuid?.() === 0
    const child = spawn('/usr/sbin/pgbouncer', [...(asRoot ? ['-u', 'postgres'] : []), '-q', configuration], { stdio: 'ignore' })
    this.#started.push(child)
    const path = { ...this.#direct, name: 'pgbouncer', port, pid: child.pid ?? null }
    const deadline = Date.now() + 10_000
    while (!(await answers(path)))
      if (Date.now() > deadline || child.exitCode !== null) throw new Error('pgbouncer did not start')
    return path
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#started.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const ended = new Promise((resolve) => child.once('exit', resolve))
        child.kill('SIGTERM')
        await ended
      }),
    )
  }
}

/** What libpq's programs need to take this path. */
export function environmentOf({ port, user, password, database }: Path): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PGHOST: '127.0.0.1',
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: database,
  }
}

function answers(path: Path): Promise<boolean> {
  return run('psql', ['-Atc', 'select 1'], { env: environmentOf(path) }).then(
    () => true,
    () => false,
  )
}

/** User and system time of all threads, from /proc (clock ticks of 10 ms); of children too, since the gate's command may be a launcher. */
export function cpuSeconds(pid: number | null): number {
  if (pid === null) return 0
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    const own = (Number(fields[11]) + Number(fields[12])) / 100
    const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' '),
    )
    return own + children.filter((child) => child !== '').reduce((sum, child) => sum + cpuSeconds(Number(child)), 0)
  } catch {
    return 0
  }
}

/** Resident now, and the most it was since `forgetPeak`, MiB. */
export function memoryMib(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0)
  return { now: kib('VmRSS') / 1024, peak: kib('VmHWM') / 1024 }
}

/** Linux: "5" resets the peak (proc_pid_clear_refs(5)). */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}
