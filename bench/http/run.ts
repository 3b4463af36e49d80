import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs, promisify } from 'node:util'
import { z } from 'zod'
import { loadKept, loadNew, type Path } from './load.ts'

/**
 * HTTPS by CONNECT through each path, in interleaved rounds of one run, as ratios to the direct path of the same round.
 *   node bench/http/run.ts [--seconds 2] [--rounds 3] [--connections 32] [--modes keep-alive] [--peers mitmproxy,mockttp] [--json FILE]
 * `gate`: as it ships, with everything on, the same read each time, so that it is remembered; `gate, varied`: another text each time, so that each is
 * described, searched and decided. `protocol alone`: with a govern that clears at once. Load, proxies and server share the machine.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '32' },
    modes: { type: 'string', default: 'keep-alive,new connections' },
    peers: { type: 'string', default: 'mitmproxy,mockttp' },
    json: { type: 'string' },
  },
})
const host = 'backboard.railway.com'
const ready = z.object({
  port: z.number(),
  authority: z.string(),
  agent: z.string().optional(),
  handle: z.string().optional(),
  /** Of the process whose time is counted, where it is another one than was started. */
  pid: z.number().optional(),
})
const mockttpVersion = '4.6.5'
const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-http-'))
const trust = join(folder, 'world.pem')
const started: ChildProcess[] = []

async function startProcess(
  script: string,
  ...args: readonly string[]
): Promise<Omit<z.infer<typeof ready>, 'pid'> & { readonly pid: number | null }> {
  const child = spawn(process.execPath, [script, '--host', host, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  started.push(child)
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`${script} ended with ${code}`)))
  })
  const parsed = ready.parse(JSON.parse(line))
  return { ...parsed, pid: parsed.pid ?? child.pid ?? null }
}

/** mockttp has a hundred dependencies, and only this run wants it: it is installed beside, from the registry, without scripts. */
async function installPeer(): Promise<string> {
  const place = join(folder, 'peers')
  mkdirSync(place)
  writeFileSync(join(place, 'package.json'), '{"private":true}\n')
  await promisify(execFile)('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', `mockttp@${mockttpVersion}`], {
    cwd: place,
  })
  return place
}

function connectHead(agent: string | undefined, handle: string | undefined): string {
  const basic =
    agent === undefined || handle === undefined
      ? ''
      : `Proxy-Authorization: Basic ${Buffer.from(`${agent}:${handle}`).toString('base64')}\r\n`
  return `CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}:443\r\n${basic}\r\n`
}

async function openPaths(): Promise<readonly Path[]> {
  const server = await startProcess('bench/http/server.ts', '--folder', join(folder, 'world'))
  writeFileSync(trust, server.authority)
  const behind = ['--port', String(server.port), '--trust', trust]
  const paths: Path[] = [{ name: 'direct', port: server.port, authority: server.authority, connect: null, pid: null }]
  const peers = values.peers.split(',').filter((name) => name !== '')
  for (const [name, script, ...more] of [
    ['bare pipe', 'bench/http/pipe.ts'],
    ...(peers.includes('mitmproxy') ? [['mitmproxy', 'bench/http/mitmproxy.ts'] as const] : []),
    ...(peers.includes('mockttp') ? [['mockttp', 'bench/http/mockttp.ts', '--peers', await installPeer()] as const] : []),
    ['gate', 'bench/http/real-gate.ts'],
    ['protocol alone', 'bench/http/fake-gate.ts'],
  ] as const) {
    const place = join(folder, name)
    mkdirSync(place)
    const { port, authority, agent, handle, pid } = await startProcess(script, ...behind, '--folder', place, ...more)
    const path: Path = { name, port, authority, connect: connectHead(agent, handle), pid }
    paths.push(path)
    if (name === 'gate') paths.push({ ...path, name: 'gate, varied', varied: true })
  }
  return paths
}

/** User and system time, from /proc (clock ticks of 10 ms). */
function cpuSeconds(pid: number | null): number {
  if (pid === null) return 0
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

interface Cell {
  readonly round: number
  readonly mode: string
  readonly path: string
  readonly perSecond: number
  readonly cpuMicroseconds: number | null
}

async function measure(round: number, mode: string, path: Path, seconds: number): Promise<Cell> {
  const before = cpuSeconds(path.pid)
  const load = mode === 'keep-alive' ? loadKept : loadNew
  const done = await load(path, host, Number(values.connections), seconds)
  const used = cpuSeconds(path.pid) - before
  return {
    round,
    mode,
    path: path.name,
    perSecond: done.requests / done.seconds,
    cpuMicroseconds: path.pid === null ? null : (used * 1e6) / done.requests,
  }
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((left, right) => left - right)
  return sorted[sorted.length >> 1] ?? 0
}

function report(cells: readonly Cell[], paths: readonly Path[]): void {
  for (const [mode, found] of Map.groupBy(cells, (cell) => cell.mode)) {
    const of = (name: string, value: (cell: Cell) => number): number =>
      median(found.filter(({ path }) => path === name).map(value))
    const direct = of('direct', (cell) => cell.perSecond)
    console.log(`\n${mode}, ${values.connections} connections, median of ${values.rounds}`)
    for (const { name, pid } of paths) {
      const perSecond = of(name, (cell) => cell.perSecond)
      const cpu = pid === null ? '' : `, ${of(name, (cell) => cell.cpuMicroseconds ?? 0).toFixed(0)} µs CPU a request`
      console.log(
        `  ${name.padEnd(16)} ${perSecond.toFixed(0).padStart(7)}/s   ${(perSecond / direct).toFixed(2)} of direct${cpu}`,
      )
    }
  }
}

try {
  const paths = await openPaths()
  const modes = values.modes.split(',')
  // Compilers and caches warm up outside the figures, on every path alike.
  for (const mode of modes) for (const path of paths) await measure(0, mode, path, 1)
  const cells: Cell[] = []
  for (let round = 1; round <= Number(values.rounds); round += 1)
    for (const mode of modes) for (const path of paths) cells.push(await measure(round, mode, path, Number(values.seconds)))
  report(cells, paths)
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ command: process.argv.slice(1), cells }, null, 1)}\n`)
} finally {
  for (const child of started) child.kill('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
}
