import { cpuSeconds, environmentOf, run, type Path } from './path.ts'

/** What pgbench runs: its own two scripts, and its reads with a connection each. */
export const scriptNames = ['select', 'tpcb', 'connect'] as const
export type ScriptName = (typeof scriptNames)[number]
export const modeNames = ['simple', 'extended', 'prepared'] as const
export type ModeName = (typeof modeNames)[number]

export interface Load {
  readonly script: ScriptName
  readonly mode: ModeName
  readonly clients: number
}

export interface Measured {
  readonly tps: number
  readonly latencyMs: number
  /** CPU time of the process in between, microseconds a transaction; steadier than tps on a machine with other work. */
  readonly cpuMicroseconds: number | null
}

const flags: { readonly [Script in ScriptName]: readonly string[] } = { select: ['-S'], tpcb: [], connect: ['-S', '-C'] }

/** pgbench by one path for so many seconds. */
export async function measure(path: Path, { script, mode, clients }: Load, seconds: number): Promise<Measured> {
  const args = ['-n', '-M', mode, '-c', String(clients), '-j', '1', '-T', String(seconds), ...flags[script]]
  const before = cpuSeconds(path.pid)
  const { stdout } = await run('pgbench', args, { env: environmentOf(path) })
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

/** Makes pgbench's own tables, and one whose COPY is 100 MB long. */
export async function prepareTables(direct: Path, scale: number): Promise<void> {
  const env = environmentOf(direct)
  await run('pgbench', ['-i', '-q', '-s', String(scale)], { env })
  const wide = `CREATE TABLE wide AS SELECT repeat('x', 999) AS line FROM generate_series(1, 100000)`
  await run('psql', ['-Atqc', wide, '-c', 'VACUUM ANALYZE wide'], { env })
}
