import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startPostgres } from '../../tests/servers/postgres.ts'
import { measure, modeNames, prepareTables, scriptNames, type Load } from './load.ts'
import { pathNames, Paths, type Path } from './path.ts'
import { describeMachine, writeTables, type Cell, type Singles } from './results.ts'
import { timeCopyOut, timeFirstAnswers } from './single.ts'

/**
 * pgbench, new sessions and a long COPY through each path, in interleaved rounds of one run, as ratios to the direct path of the same rounds.
 *   npm run bench                 all of it, some ten minutes; the tables are written to bench/postgres/RESULTS.md
 *   npm run bench -- --quick      one round of short ones with 8 clients, about a minute; nothing is written unless --results FILE says where
 * Parts: --scripts select,tpcb,connect  --modes simple,extended,prepared  --clients 1,8,32  --paths direct,pipe,pgbouncer,gate
 *   --singles first,copy (or none)  --seconds 3  --rounds 2  --scale 10  --json FILE  --results FILE
 * Another gate: --gate 'COMMAND', which gets the upstream's URL as `--url URL`, prints one line of JSON, {"port", "user", "password",
 * "database"}, and is ended by SIGTERM: bench/postgres/fake-gate.ts is the protocol alone.
 */
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    clients: { type: 'string' },
    scripts: { type: 'string' },
    modes: { type: 'string' },
    paths: { type: 'string', default: pathNames.join(',') },
    singles: { type: 'string' },
    gate: { type: 'string', default: `${process.execPath} bench/postgres/real-gate.ts` },
    json: { type: 'string' },
    results: { type: 'string' },
    scale: { type: 'string', default: '10' },
  },
})

interface Plan {
  readonly loads: readonly Load[]
  readonly paths: readonly (typeof pathNames)[number][]
  readonly seconds: number
  readonly rounds: number
  readonly firstAnswers: number
  readonly copies: number
}

/** Of a start of pgbench, and of what it does before and after its time. */
const overheadSeconds = 0.6
const warmSeconds = 1
const warmClients = 8

function choose<Name extends string>(asked: string | undefined, names: readonly Name[], usual: readonly Name[]): readonly Name[] {
  if (asked === undefined) return usual
  return asked.split(',').map((name) => {
    const found = names.find((one) => one === name)
    if (found === undefined) throw new Error(`${name} is none of ${names.join(', ')}`)
    return found
  })
}

function makePlan(): Plan {
  const { quick } = values
  const scripts = choose(values.scripts, scriptNames, scriptNames)
  const modes = choose(values.modes, modeNames, quick ? ['simple', 'prepared'] : modeNames)
  const clients = (values.clients ?? (quick ? '8' : '1,8,32')).split(',').map(Number)
  const loads = scripts.flatMap((script) =>
    // A connection for each transaction is the same in every mode; 32 of them at once say no more than 8.
    (script === 'connect' ? modes.slice(0, 1) : modes).flatMap((mode) =>
      clients.filter((count) => script !== 'connect' || count <= 8).map((count) => ({ script, mode, clients: count })),
    ),
  )
  const partial = values.scripts !== undefined || values.paths !== pathNames.join(',')
  const singles = choose(values.singles, ['first', 'copy', 'none'] as const, partial ? ['none'] : ['first', 'copy'])
  return {
    loads,
    paths: choose(values.paths, pathNames, pathNames),
    seconds: Number(values.seconds ?? (quick ? 1 : 3)),
    rounds: Number(values.rounds ?? (quick ? 1 : 2)),
    firstAnswers: singles.includes('first') ? (quick ? 10 : 40) : 0,
    copies: singles.includes('copy') ? (quick ? 1 : 3) : 0,
  }
}

/** What is warmed up, once for each path: compilers and caches stay outside the figures, on every path alike. */
function warmUps({ loads }: Plan): readonly Load[] {
  const kinds = new Map(loads.map(({ script, mode }) => [`${script} ${mode}`, { script, mode, clients: warmClients }]))
  return [...kinds.values()]
}

function estimateSeconds(plan: Plan): number {
  const { loads, paths, seconds, rounds, firstAnswers, copies } = plan
  const runs = loads.length * rounds * (seconds + overheadSeconds) + warmUps(plan).length * (warmSeconds + overheadSeconds)
  return 20 + paths.length * (runs + firstAnswers * 0.1 + copies)
}

async function runPlan(
  plan: Plan,
  paths: readonly Path[],
): Promise<{ readonly cells: readonly Cell[]; readonly singles: Singles }> {
  for (const path of paths) for (const load of warmUps(plan)) await measure(path, load, warmSeconds)
  const cells: Cell[] = []
  const firstAnswersMs = new Map<string, readonly number[]>()
  const copies = new Map<string, Awaited<ReturnType<typeof timeCopyOut>>[]>()
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const load of plan.loads) {
      for (const path of paths) cells.push({ round, path: path.name, ...load, ...(await measure(path, load, plan.seconds)) })
      process.stderr.write('.')
    }
  }
  if (plan.firstAnswers > 0)
    for (const path of paths) firstAnswersMs.set(path.name, await timeFirstAnswers(path, plan.firstAnswers))
  for (let round = 1; round <= plan.copies; round += 1)
    for (const path of paths) copies.set(path.name, [...(copies.get(path.name) ?? []), await timeCopyOut(path)])
  process.stderr.write('\n')
  return { cells, singles: { firstAnswersMs, copies } }
}

const plan = makePlan()
const { loads, rounds, seconds } = plan
console.log(
  `${loads.length} loads × ${plan.paths.length} paths × ${rounds} rounds of ${seconds} s, ${plan.firstAnswers} first answers and ${plan.copies} copies of each path: about ${Math.ceil(estimateSeconds(plan) / 60)} min. Nothing else should run on this machine.`,
)
const startedMs = performance.now()
const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'))
const server = await startPostgres(['shared_buffers=256MB', 'max_connections=200'])
const opened = new Paths(server, folder)
try {
  const paths: Path[] = []
  for (const name of plan.paths) paths.push(await opened.open(name, values.gate.split(' ')))
  await prepareTables(await opened.open('direct', []), Number(values.scale))
  const { cells, singles } = await runPlan(plan, paths)
  const tables = writeTables(cells, singles, plan.paths)
  const minutes = ((performance.now() - startedMs) / 60_000).toFixed(1)
  const isWhole = process.argv.slice(2).every((argument) => argument === '--json' || argument === values.json)
  const results = values.results ?? (isWhole ? fileURLToPath(new URL('RESULTS.md', import.meta.url)) : undefined)
  console.log(`${tables}\n${minutes} min`)
  if (results !== undefined) writeFileSync(results, explain(tables, minutes))
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ plan, cells, firstAnswersMs: [...singles.firstAnswersMs] }, null, 1)}\n`)
} finally {
  await opened.close()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}

function explain(tables: string, minutes: string): string {
  return [
    '# What the way through the gate costs',
    '',
    `Made by \`npm run bench\` in ${minutes} minutes, all paths interleaved in one run: medians of ${rounds} rounds of ${seconds} s.`,
    'Load generator, server and whatever is in between share the processors, so that all of it is the worst case. In the gate everything is on:',
    'describe, decide, log. `pipe` passes bytes on in Node and does nothing else; `pgbouncer` pools sessions. `select` is `pgbench -S`, `tpcb` its',
    'usual script, `connect` is `-S` with a connection for each transaction. CPU is that of the process in between, a transaction.',
    '',
    ...describeMachine().map((line) => `- ${line}`),
    '',
    tables,
  ].join('\n')
}
