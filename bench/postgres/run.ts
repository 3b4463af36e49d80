import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs, promisify } from 'node:util'
import { z } from 'zod'
import { findFreePort, startPostgres } from '../../tests/servers/postgres.ts'

/**
 * pgbench through each path, in interleaved rounds of one run, as ratios to the direct path of the same round.
 *   node bench/postgres/run.ts [--seconds 2] [--rounds 1] [--clients 1,8,32] [--scripts select,tpcb] [--modes simple,extended,prepared]
 *     [--gate 'COMMAND'] [--json FILE]
 * The gate is a command that gets the upstream's URL in SALLYPORT_BENCH_URL and as `--url URL`, and prints one line of JSON:
 * {"port", "user", "password", "database"}. It is ended by SIGTERM.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '1' },
    clients: { type: 'string', default: '1,8,32' },
    scripts: { type: 'string', default: 'select,tpcb' },
    modes: { type: 'string', default: 'simple,extended,prepared' },
    paths: { type: 'string', default: 'direct,pipe,pgbouncer,gate' },
    gate: { type: 'string', default: `${process.execPath} bench/postgres/fake-gate.ts` },
    json: { type: 'string' },
    scale: { type: 'string', default: '10' },
  },
})
const run = promisify(execFile)
const ready = z.object({
  port: z.number(),
  user: z.string().optional(),
  password: z.string().optional(),
  database: z.string().optional(),
  /** Of the process that carries the bytes, when it is not the command itself. */
  pid: z.number().optional(),
})
interface Path {
  readonly name: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  /** The process between client and server, for its CPU time. */
  readonly pid: number | null
}
interface Cell {
  readonly round: number
  readonly path: string
  readonly script: string
  readonly mode: string
  readonly clients: number
  readonly tps: number
  readonly latencyMs: number
  /** CPU time of the process in between, microseconds a transaction; steadier than tps on a machine with other work. */
  readonly cpuMicroseconds: number | null
}

const started: ChildProcess[] = []
const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'))
const server = await startPostgres(['shared_buffers=256MB', 'max_connections=200'])
const direct: Path = {
  name: 'direct',
  port: server.port,
  user: server.superuser.user,
  password: server.superuser.password,
  database: 'postgres',
  pid: null,
}

async function startProcess(
  command: string,
  args: readonly string[],
): Promise<Omit<z.infer<typeof ready>, 'pid'> & { pid: number | null }> {
  const child = spawn(command, [...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, SALLYPORT_BENCH_URL: server.url() },
  })
  started.push(child)
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`${command} ended with ${code}`)))
  })
  const said = ready.parse(JSON.parse(line))
  return { ...said, pid: said.pid ?? child.pid ?? null }
}

async function startPgbouncer(): Promise<Path> {
  const port = await findFreePort()
  const users = join(folder, 'users')
  writeFileSync(users, `"${direct.user}" "${direct.password}"\n`)
  const configuration = join(folder, 'pgbouncer.ini')
  const lines = [
    '[databases]',
    `postgres = host=127.0.0.1 port=${server.port} user=${direct.user} password=${direct.password}`,
    '[pgbouncer]',
    `listen_port = ${port}`,
  ]
  lines.push(
    'listen_addr = 127.0.0.1',
    'unix_socket_dir =',
    'auth_type = scram-sha-256',
    `auth_file = ${users}`,
    'pool_mode = session',
    'default_pool_size = 100',
    'max_client_conn = 200',
  )
  writeFileSync(configuration, `${lines.join('\n')}\n`)
  for (const file of [users, configuration]) chmodSync(file, 0o644)
  chmodSync(folder, 0o755)
  const asRoot = process.getuid?.() === 0
  const child = spawn('/usr/sbin/pgbouncer', [...(asRoot ? ['-u', 'postgres'] : []), '-q', configuration], { stdio: 'ignore' })
  started.push(child)
  const path = { ...direct, name: 'pgbouncer', port, pid: child.pid ?? null }
  const deadline = Date.now() + 10_000
  while (!(await answers(path))) if (Date.now() > deadline || child.exitCode !== null) throw new Error('pgbouncer did not start')
  return path
}

async function answers(path: Path): Promise<boolean> {
  const psql = run('psql', ['-h', '127.0.0.1', '-p', String(path.port), '-U', path.user, '-Atc', 'select 1', path.database], {
    env: { ...process.env, PGPASSWORD: path.password },
  })
  return psql.then(
    () => true,
    () => false,
  )
}

async function measure(
  path: Path,
  script: string,
  mode: string,
  clients: number,
  seconds: string = values.seconds,
): Promise<Pick<Cell, 'tps' | 'latencyMs' | 'cpuMicroseconds'>> {
  const args = [
    '-n',
    '-h',
    '127.0.0.1',
    '-p',
    String(path.port),
    '-U',
    path.user,
    '-M',
    mode,
    '-c',
    String(clients),
    '-j',
    '1',
    '-T',
    seconds,
  ]
  if (script === 'select') args.push('-S')
  const before = cpuSeconds(path.pid)
  const { stdout } = await run('pgbench', [...args, path.database], { env: { ...process.env, PGPASSWORD: path.password } })
  const tps = /tps = ([\d.]+)/.exec(stdout)?.[1]
  const latency = /latency average = ([\d.]+) ms/.exec(stdout)?.[1]
  if (tps === undefined || latency === undefined) throw new Error(`pgbench said: ${stdout}`)
  const done = Number(/transactions actually processed: (\d+)/.exec(stdout)?.[1] ?? 0)
  const used = cpuSeconds(path.pid) - before
  return {
    tps: Number(tps),
    latencyMs: Number(latency),
    cpuMicroseconds: path.pid === null || done === 0 ? null : (used * 1e6) / done,
  }
}

/** User and system time of all threads, from /proc (clock ticks of 10 ms); of children too, since the gate's command may be a launcher. */
function cpuSeconds(pid: number | null): number {
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

async function openPaths(): Promise<readonly Path[]> {
  const wanted = values.paths.split(',')
  const paths: Path[] = []
  for (const name of wanted) {
    if (name === 'direct') paths.push(direct)
    else if (name === 'pipe') {
      const { port, pid } = await startProcess(process.execPath, ['bench/postgres/pipe.ts', '--port', String(server.port)])
      paths.push({ ...direct, name, port, pid })
    } else if (name === 'pgbouncer') paths.push(await startPgbouncer())
    else if (name === 'gate') {
      const [command = '', ...args] = values.gate.split(' ')
      const { port, user, password, database, pid } = await startProcess(command, [...args, '--url', server.url()])
      paths.push({ name, port, user: user ?? '', password: password ?? '', database: database ?? '', pid })
    } else throw new Error(`no path is called ${name}`)
  }
  return paths
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((left, right) => left - right)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

function cpuOf(cells: readonly Cell[], path: string): string {
  const used = cells.flatMap((cell) => (cell.path === path && cell.cpuMicroseconds !== null ? [cell.cpuMicroseconds] : []))
  return used.length === 0 ? '-' : median(used).toFixed(1)
}

function report(cells: readonly Cell[], paths: readonly Path[]): void {
  const groups = Map.groupBy(
    cells,
    ({ script, mode, clients }) => `${script.padEnd(7)} ${mode.padEnd(9)} ${String(clients).padStart(2)}`,
  )
  const others = paths.map(({ name }) => name)
  console.log(
    `${'script  mode      clients'.padEnd(24)}${others.map((name) => name.padStart(20)).join('')}   gate/pipe  gate/pgbouncer  CPU µs a transaction: ${others.join(' ')}`,
  )
  for (const [group, found] of groups) {
    const tps = new Map(others.map((name) => [name, median(found.filter(({ path }) => path === name).map((cell) => cell.tps))]))
    const base = tps.get('direct') ?? 0
    const shown = others.map((name) =>
      `${(tps.get(name) ?? 0).toFixed(0)} (${((tps.get(name) ?? 0) / base).toFixed(2)})`.padStart(20),
    )
    const ratio = (over: string): string => ((tps.get('gate') ?? 0) / (tps.get(over) ?? 0)).toFixed(2)
    console.log(
      `${group.padEnd(24)}${shown.join('')}   ${ratio('pipe').padStart(9)}  ${ratio('pgbouncer').padStart(14)}  ${others.map((name) => cpuOf(found, name)).join(' ')}`,
    )
  }
}

try {
  const paths = await openPaths()
  await run(
    'pgbench',
    ['-i', '-q', '-s', values.scale, '-h', '127.0.0.1', '-p', String(server.port), '-U', direct.user, 'postgres'],
    { env: { ...process.env, PGPASSWORD: direct.password } },
  )
  // Compilers and caches warm up outside the figures, on every path alike.
  for (const path of paths) {
    for (const script of values.scripts.split(','))
      for (const mode of values.modes.split(',')) await measure(path, script, mode, 8, '1')
  }
  const cells: Cell[] = []
  for (let round = 1; round <= Number(values.rounds); round += 1) {
    for (const script of values.scripts.split(',')) {
      for (const mode of values.modes.split(',')) {
        for (const clients of values.clients.split(',').map(Number)) {
          for (const path of paths)
            cells.push({ round, path: path.name, script, mode, clients, ...(await measure(path, script, mode, clients)) })
        }
      }
    }
  }
  report(cells, paths)
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ command: process.argv.slice(1), cells }, null, 1)}\n`)
} finally {
  for (const child of started) child.kill('SIGTERM')
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}
