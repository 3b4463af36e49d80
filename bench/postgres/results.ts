import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { findPostgresBinaries } from '../../tests/servers/postgres.ts'
import type { Load, Measured } from './load.ts'
import type { Copied } from './single.ts'

/** One run of pgbench. */
export interface Cell extends Load, Measured {
  readonly round: number
  readonly path: string
}

/** From connecting to the first answer, and a long answer, by path. */
export interface Singles {
  readonly firstAnswersMs: ReadonlyMap<string, readonly number[]>
  readonly copies: ReadonlyMap<string, readonly Copied[]>
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((left, right) => left - right)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

const ratio = (over: number, under: number): string =>
  Number.isFinite(over / under) && under !== 0 ? (over / under).toFixed(2) : '–'

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
export function writeTables(cells: readonly Cell[], singles: Singles, paths: readonly string[]): string {
  const others = paths.filter((path) => path !== 'direct')
  const head = ['load', 'clients', 'direct /s', ...others.map((path) => `${path} × direct`), 'gate × pipe', 'gate × pgbouncer']
  const lines = [...head, ...others.map((path) => `${path} CPU µs`)]
  const table = rowsOf(cells, paths).map(({ load, tps, cpu }) => {
    const at = (path: string): number => tps.get(path) ?? Number.NaN
    const used = (path: string): string => (Number.isFinite(cpu.get(path)) ? (cpu.get(path) ?? 0).toFixed(0) : '–')
    return [
      `${load.script} ${load.mode}`,
      String(load.clients),
      Number.isFinite(at('direct')) ? at('direct').toFixed(0) : '–',
      ...others.map((path) => ratio(at(path), at('direct'))),
      ratio(at('gate'), at('pipe')),
      ratio(at('gate'), at('pgbouncer')),
      ...others.map(used),
    ]
  })
  return [markdown(lines, table), '', ...writeSingles(singles)].join('\n')
}

function writeSingles({ firstAnswersMs, copies }: Singles): readonly string[] {
  const direct = median(firstAnswersMs.get('direct') ?? [])
  const first = [...firstAnswersMs].map(([path, took]) => [path, median(took).toFixed(2), ratio(median(took), direct)])
  const directly = median((copies.get('direct') ?? []).map(({ seconds }) => seconds))
  const copied = [...copies].map(([path, all]) => {
    const seconds = median(all.map((copy) => copy.seconds))
    const grown = all.flatMap(({ grownMib }) => grownMib ?? [])
    return [path, seconds.toFixed(2), ratio(seconds, directly), grown.length === 0 ? '–' : Math.max(...grown).toFixed(0)]
  })
  return [
    ...(first.length === 0 ? [] : [markdown(['first answer of a new session', 'ms', '× direct'], first), '']),
    ...(copied.length === 0 ? [] : [markdown(['COPY OUT 100 MB', 's', '× direct', 'memory grew at most, MiB'], copied), '']),
  ]
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
