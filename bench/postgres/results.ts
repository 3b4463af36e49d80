import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { findPostgresBinaries } from '../../tests/servers/postgres.ts'
import type { Load, Measured } from './load.ts'
import type { Run } from './part.ts'

/** One run of pgbench. */
export interface Cell extends Load, Measured {
  readonly round: number
  readonly path: string
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((left, right) => left - right)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

/** What was not run is none, not nothing. */
const ratio = (over: number, under: number): string =>
  Number.isFinite(over / under) && over !== 0 && under !== 0 ? (over / under).toFixed(2) : '–'

interface Row {
  readonly load: Load
  readonly tps: ReadonlyMap<string, number>
  readonly latencyMs: ReadonlyMap<string, number>
  readonly cpu: ReadonlyMap<string, number>
}

function rowsOf(cells: readonly Cell[], paths: readonly string[]): readonly Row[] {
  const groups = Map.groupBy(cells, ({ script, mode, clients }) => `${script} ${mode} ${clients}`)
  return [...groups.values()].flatMap((found) => {
    const [first] = found
    if (first === undefined) return []
    const of = (path: string, what: (cell: Cell) => number | null): number =>
      median(found.filter((cell) => cell.path === path).flatMap((cell) => what(cell) ?? []))
    const by = (what: (cell: Cell) => number | null): ReadonlyMap<string, number> =>
      new Map(paths.map((path) => [path, of(path, what)]))
    const { script, mode, clients } = first
    return [
      {
        load: { script, mode, clients },
        tps: by(({ tps }) => tps),
        latencyMs: by(({ latencyMs }) => latencyMs),
        cpu: by(({ cpuMicroseconds }) => cpuMicroseconds),
      },
    ]
  })
}

/** The figures as Markdown: transactions a second and their ratios in one run, then what is timed one by one. */
export function writeRuns(runs: readonly Run[]): string {
  const cells = runs.flatMap((run) => run.cells)
  const paths = [...new Set(runs.flatMap((run) => run.paths))]
  return [...(cells.length === 0 ? [] : [writeCells(cells, paths), '']), ...runs.flatMap(writeSingles)].join('\n')
}

function writeCells(cells: readonly Cell[], paths: readonly string[]): string {
  const others = paths.filter((path) => path !== 'direct')
  const peers = ['pipe', 'pipe-durable', 'pgbouncer'].filter((path) => paths.includes(path))
  const head = [
    'load',
    'clients',
    'direct /s',
    ...others.map((path) => `${path} × direct`),
    ...peers.map((path) => `gate × ${path}`),
  ]
  const lines = [...head, ...others.map((path) => `${path} CPU µs`)]
  const table = rowsOf(cells, paths).map(({ load, tps, cpu }) => {
    const at = (path: string): number => tps.get(path) ?? Number.NaN
    const used = (path: string): string => ((cpu.get(path) ?? 0) > 0 ? (cpu.get(path) ?? 0).toFixed(0) : '–')
    return [
      `${load.script} ${load.mode}`,
      String(load.clients),
      Number.isFinite(at('direct')) ? at('direct').toFixed(0) : '–',
      ...others.map((path) => ratio(at(path), at('direct'))),
      ...peers.map((path) => ratio(at('gate'), at(path))),
      ...others.map(used),
    ]
  })
  return markdown(lines, table)
}

function writeSingles({ firstAnswersMs, copies, idle }: Run): readonly string[] {
  const direct = median(new Map(firstAnswersMs).get('direct') ?? [])
  const first = [...firstAnswersMs].map(([path, took]) => [path, median(took).toFixed(2), ratio(median(took), direct)])
  const directly = median((new Map(copies).get('direct') ?? []).map(({ seconds }) => seconds))
  const copied = [...copies].map(([path, all]) => {
    const seconds = median(all.map((copy) => copy.seconds))
    const grown = all.flatMap(({ grownMib }) => grownMib ?? [])
    return [path, seconds.toFixed(2), ratio(seconds, directly), grown.length === 0 ? '–' : Math.max(...grown).toFixed(0)]
  })
  return [
    ...(first.length === 0 ? [] : [markdown(['first answer of a new session', 'ms', '× direct'], first), '']),
    ...(copied.length === 0 ? [] : [markdown(['COPY OUT 100 MB', 's', '× direct', 'memory grew at most, MiB'], copied), '']),
    ...(idle.length === 0 ? [] : [markdown(['a gate that nobody uses', 'median', 'most'], idleRows(idle)), '']),
  ]
}

function idleRows(idle: Run['idle']): readonly (readonly string[])[] {
  const row = (name: string, of: (one: Run['idle'][number]) => number): readonly string[] => {
    const all = idle.map(of)
    return [name, median(all).toFixed(0), Math.max(...all).toFixed(0)]
  }
  return [row('ready after, ms', ({ readyMs }) => readyMs), row('resident, MiB', ({ residentMib }) => residentMib)]
}

/** RESULTS.md: what was run, on what, and how busy that was. */
export function explainRuns(runs: readonly Run[]): string {
  const minutes = runs.reduce((sum, run) => sum + run.minutes, 0).toFixed(1)
  const parts = runs.map(
    ({ about, rounds, seconds, load, minutes: took }) =>
      `- \`${about === '' ? 'all of it' : about}\`: ${rounds} rounds of ${seconds} s, ${took.toFixed(1)} min; load average ${(load.before[0] ?? 0).toFixed(1)} before it, ${(load.after[0] ?? 0).toFixed(1)} at its end`,
  )
  return [
    '# What the way through the gate costs',
    '',
    `Made by \`npm run bench\` in ${minutes} minutes, the paths of each part interleaved in one run: medians of its rounds.`,
    'Load generator, server and whatever is in between share the processors, so that all of it is the worst case. In the gate everything is on:',
    'describe, decide, log. `pipe` passes bytes on in Node and does nothing else; `pipe-durable` has as many bytes as an intent on disk before each',
    'write besides, one durable write for all that wait: the floor of what promise 7 costs; `pgbouncer` pools sessions. `select` is `pgbench -S`,',
    '`tpcb` its usual script, `connect` is `-S` with a connection for each transaction. CPU is that of the process in between, a transaction.',
    '',
    ...describeMachine().map((line) => `- ${line}`),
    '',
    'Parts, and how busy the machine was (the bench alone makes a load of three to four):',
    '',
    ...parts,
    '',
    writeRuns(runs),
  ].join('\n')
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, place) => Math.max(name.length, ...rows.map((row) => row[place]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, place) => (place === 0 ? cell.padEnd(widths[place] ?? 0) : cell.padStart(widths[place] ?? 0))).join(' | ')} |`
  const rule = `| ${widths.map((width, place) => (place === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [line(head), rule, ...rows.map(line)].join('\n')
}

/** What it ran on, without names of machines or folders. */
export function describeMachine(): readonly string[] {
  const [cpu] = cpus()
  const version = (command: string, args: readonly string[]): string => {
    const [first = ''] = execFileSync(command, [...args])
      .toString()
      .split('\n')
    return first.trim()
  }
  return [
    `${cpus().length} processors (${(cpu?.model ?? 'unknown').trim()}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB of memory, Linux ${release()}`,
    `Node ${process.version}; ${version(`${findPostgresBinaries()}/postgres`, ['--version'])}; ${version('pgbench', ['--version'])}; ${version('/usr/sbin/pgbouncer', ['--version'])}`,
  ]
}
