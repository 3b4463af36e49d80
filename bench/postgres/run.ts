import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startPostgres, type PostgresServer } from '../../tests/servers/postgres.ts'
import { measureIdle, type Idle } from './idle.ts'
import { measure, modeNames, prepareTables, scriptNames, type Load } from './load.ts'
import { flagsOf, partNames, readRuns, type Run } from './part.ts'
import { pathNames, Paths, type Path } from './path.ts'
import { explainRuns, writeRuns, type Cell } from './results.ts'
import { timeCopyOut, timeFirstAnswers } from './single.ts'

/**
 * pgbench, new sessions and a long COPY through each path, in interleaved rounds of one run, as ratios to the direct path of the same rounds.
 *   npm run bench                 all of it, some ten minutes; the tables are written to bench/postgres/RESULTS.md
 *   npm run bench -- --quick      one round of short ones with 8 clients, about a minute; nothing is written unless --results FILE says where
 * Parts: --scripts select,tpcb,connect  --modes simple,extended,prepared  --clients 1,8,32  --paths direct,pipe,pgbouncer,gate (and pipe-durable)
 *   --singles first,copy,idle (or none)  --seconds 3  --rounds 2  --scale 10  --json FILE  --results FILE
 *   npm run bench -- --part select-simple --json one.json     one of the parts of the table, each under three minutes
 *   npm run bench -- --collect one.json,two.json             writes the tables of what such runs measured
 * Another gate: --gate 'COMMAND', which gets the upstream's URL as `--url URL`, prints one line of JSON, {"port", "user", "password",
 * "database"}, and is ended by SIGTERM: bench/postgres/fake-gate.ts is the protocol alone.
 */
const usualPaths = 'direct,pipe,pgbouncer,gate'
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    clients: { type: 'string' },
    scripts: { type: 'string' },
    modes: { type: 'string' },
    paths: { type: 'string', default: usualPaths },
    singles: { type: 'string' },
    gate: { type: 'string', default: `${process.execPath} bench/postgres/real-gate.ts` },
    json: { type: 'string' },
    results: { type: 'string' },
    scale: { type: 'string', default: '10' },
    part: { type: 'string' },
    collect: { type: 'string' },
  },
})

interface Plan {
  readonly loads: readonly Load[]
  readonly paths: readonly (typeof pathNames)[number][]
  readonly seconds: number
  readonly rounds: number
  readonly firstAnswers: number
  readonly copies: number
  readonly idles: number
}

/** Of a start of pgbench, and of what it does before and after its time. */
const overheadSeconds = 0.6
/** A transaction of several statements is compiled after some thousands of them, not after a second of them. */
const warmSeconds = { select: 1, connect: 1, tpcb: 4 } as const
const warmClients = 8

function choose<Name extends string>(asked: string | undefined, names: readonly Name[], usual: readonly Name[]): readonly Name[] {
  if (asked === undefined) return usual
  if (asked === '') return []
  return asked.split(',').map((name) => {
    const found = names.find((one) => one === name)
    if (found === undefined) throw new Error(`${name} is none of ${names.join(', ')}`)
    return found
  })
}

function makePlan(): Plan {
  const { quick } = values
  const [part] = values.part === undefined ? [] : choose(values.part, partNames, [])
  const asked = part === undefined ? values : flagsOf[part]
  const scripts = choose(asked.scripts, scriptNames, scriptNames)
  const modes = choose(asked.modes, modeNames, quick ? ['simple', 'prepared'] : modeNames)
  const clients = (asked.clients ?? (quick ? '8' : '1,8,32')).split(',').map(Number)
  const loads = scripts.flatMap((script) =>
    // A connection for each transaction is the same in every mode; 32 of them at once say no more than 8.
    (script === 'connect' ? modes.slice(0, 1) : modes).flatMap((mode) =>
      clients.filter((count) => script !== 'connect' || count <= 8).map((count) => ({ script, mode, clients: count })),
    ),
  )
  const partial = asked.scripts !== undefined || values.paths !== usualPaths
  const singleNames = ['first', 'copy', 'idle', 'none'] as const
  const singles = choose(asked.singles, singleNames, partial ? ['none'] : ['first', 'copy', 'idle'])
  return {
    loads,
    paths: choose(asked.paths ?? values.paths, pathNames, pathNames),
    seconds: Number(values.seconds ?? (quick ? 1 : 3)),
    rounds: Number(values.rounds ?? (quick ? 1 : 2)),
    firstAnswers: singles.includes('first') ? (quick ? 10 : 40) : 0,
    copies: singles.includes('copy') ? (quick ? 1 : 5) : 0,
    idles: singles.includes('idle') ? (quick ? 1 : 3) : 0,
  }
}

/** What is warmed up, once for each path: compilers and caches stay outside the figures, on every path alike. */
function warmUps({ loads }: Plan): readonly Load[] {
  const kinds = new Map(loads.map(({ script, mode }) => [`${script} ${mode}`, { script, mode, clients: warmClients }]))
  return [...kinds.values()]
}

function estimateSeconds(plan: Plan): number {
  const { loads, paths, seconds, rounds, firstAnswers, copies, idles } = plan
  const warming = warmUps(plan).reduce((sum, { script }) => sum + warmSeconds[script] + overheadSeconds, 0)
  const runs = loads.length * rounds * (seconds + overheadSeconds) + warming
  return 20 + idles * 8 + paths.length * (runs + firstAnswers * 0.1 + copies)
}

type Measured = Pick<Run, 'cells' | 'firstAnswersMs' | 'copies' | 'idle'>

async function runPlan(plan: Plan, paths: readonly Path[], postgres: PostgresServer): Promise<Measured> {
  for (const path of paths) for (const load of warmUps(plan)) await measure(path, load, warmSeconds[load.script])
  const cells: Cell[] = []
  const firstAnswersMs: Measured['firstAnswersMs'] = []
  const copies = new Map<string, Awaited<ReturnType<typeof timeCopyOut>>[]>()
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const load of plan.loads) {
      for (const path of paths) cells.push({ round, path: path.name, ...load, ...(await measure(path, load, plan.seconds)) })
      process.stderr.write('.')
    }
  }
  if (plan.firstAnswers > 0)
    for (const path of paths) firstAnswersMs.push([path.name, [...(await timeFirstAnswers(path, plan.firstAnswers))]])
  for (let round = 1; round <= plan.copies; round += 1)
    for (const path of paths) copies.set(path.name, [...(copies.get(path.name) ?? []), await timeCopyOut(path)])
  const idle: readonly Idle[] = plan.idles === 0 ? [] : await measureIdle(postgres, plan.idles)
  process.stderr.write('\n')
  return { cells, firstAnswersMs, copies: [...copies], idle: [...idle] }
}

async function runHere(plan: Plan): Promise<Run> {
  const { loads, rounds, seconds } = plan
  console.log(
    `${loads.length} loads × ${plan.paths.length} paths × ${rounds} rounds of ${seconds} s, ${plan.firstAnswers} first answers and ${plan.copies} copies of each path, ${plan.idles} starts: about ${Math.ceil(estimateSeconds(plan) / 60)} min. Nothing else should run on this machine.`,
  )
  const startedMs = performance.now()
  const before = loadavg()
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'))
  const server = await startPostgres(['shared_buffers=256MB', 'max_connections=200'])
  const opened = new Paths(server, folder)
  try {
    const paths: Path[] = []
    if (loads.length + plan.firstAnswers + plan.copies > 0) {
      for (const name of plan.paths) paths.push(await opened.open(name, values.gate.split(' ')))
      await prepareTables(await opened.open('direct', []), Number(values.scale))
    }
    const measured = await runPlan(plan, paths, server)
    const minutes = (performance.now() - startedMs) / 60_000
    const about = values.part ?? process.argv.slice(2).join(' ')
    return { about, minutes, rounds, seconds, load: { before, after: loadavg() }, paths: [...plan.paths], ...measured }
  } finally {
    await opened.close()
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const collected = values.collect === undefined ? null : readRuns(values.collect.split(','))
const runs = collected ?? [await runHere(makePlan())]
const isWhole = collected !== null || process.argv.slice(2).every((argument) => argument === '--json' || argument === values.json)
const results = values.results ?? (isWhole ? fileURLToPath(new URL('RESULTS.md', import.meta.url)) : undefined)
console.log(writeRuns(runs))
if (results !== undefined) writeFileSync(results, explainRuns(runs))
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(runs[0], null, 1)}\n`)
