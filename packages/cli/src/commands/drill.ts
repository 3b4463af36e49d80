import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { z } from 'zod'
import { runAct, type ActResult } from '../drill/act.ts'
import { cloudActs } from '../drill/cloud-acts.ts'
import { databaseActs } from '../drill/database-acts.ts'
import { drillKill } from '../drill/kill-drill.ts'
import { emptyMemory } from '../drill/play.ts'
import { recoveryActs } from '../drill/recovery-acts.ts'
import { openStage, type Stage } from '../drill/stage.ts'
import { logAct } from '../drill/tampering.ts'
import { drillRestore } from '../drill/restore.ts'
import { exitCodes } from '../failure.ts'
import { stateOption } from '../state-directory.ts'

const optionsShape = z.object({ json: z.boolean().default(false), keep: z.string().optional() })
const killShape = z.object({ runs: z.number(), json: z.boolean().default(false) })
type Options = z.infer<typeof optionsShape>
const restoreShape = z.object({ state: z.string(), json: z.boolean().default(false) })

export function makeCommand(): Command {
  const command = new Command('drill').description(
    'Tries the safety devices for real: the incident in a gate of its own, restores from the copies of the running one.',
  )
  command
    .command('incident')
    .description('Plays the incident against a cloud and databases behind a real gate, and each control that stops it.')
    .option('--json', 'one JSON object an act: act, expected, observed, client, milliseconds, eventIndexes, evidence')
    .option('--keep <directory>', 'leave log, vault and databases there, so that every claim can be checked again')
    .addHelpText('after', drillHelp)
    .action(async (given: unknown) => drillIncident(optionsShape.parse(given)))
  command
    .command('kill')
    .description(
      'Kills canary sessions while other agents keep the gate busy, and measures how long each was still heard upstream.',
    )
    .option('--runs <number>', 'how many canaries', parseRuns, 20)
    .option('--json', 'one JSON object: runs, haltMs, acknowledgedMs, bytesAfterAcknowledgement, loadStatements')
    .action(async (given: unknown) => {
      const { runs, json } = killShape.parse(given)
      if (!(await drillKill(runs, json))) process.exitCode = exitCodes.failed
    })
  command
    .command('restore')
    .description(
      'Has the running gate restore the newest copy of what it keeps into a scratch server, compare it and ask your own questions. What could not be proven failed.',
    )
    .argument('[name]', 'what is kept, as sallyport.yaml calls it (default: everything, one after the other)')
    .addOption(stateOption())
    .option('--json', 'one JSON object a thing: name, drill, error')
    .action(async (name: string | undefined, given: unknown) => drillRestore(name, restoreShape.parse(given)))
  return command
}

function parseRuns(text: string): number {
  const runs = Number(text)
  if (!Number.isInteger(runs) || runs < 1 || runs > 1000)
    throw new InvalidArgumentError('A whole number from 1 to 1000 is needed.')
  return runs
}

const drillHelp = `
What it takes: two PostgreSQL servers of its own, a cloud on whose volumes they lie, relays, a vault, a gate and two virtual persons, all on
loopback, in a folder of their own. curl and psql play the agent where there are any, node:https and node-postgres else; each act names its client.

Exit codes:
  0  every act ended as expected
  1  one did not; it is named
  2  the command line was wrong`

async function drillIncident(options: Options): Promise<void> {
  const startedMs = performance.now()
  const directory = options.keep === undefined ? mkdtempSync(join(tmpdir(), 'sallyport-drill-')) : resolve(options.keep)
  const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`)
  say(
    'Building a stage: databases with 184,000 and 5,000 rows, the cloud they lie on, relays, a vault, a gate, two virtual persons …',
  )
  const stage = await openStage(directory, () => Date.now())
  const results: ActResult[] = []
  try {
    say(
      `Ready after ${seconds(performance.now() - startedMs)}. ${stage.httpAgent.name} and ${stage.client.name} play the agent.\n`,
    )
    for await (const result of playAll(stage)) {
      if ('heading' in result) {
        say(`${result.heading}\n`)
        continue
      }
      results.push(result)
      if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
      else say(describeResult(results.length, result))
    }
  } finally {
    await stage.stop()
    if (options.keep === undefined) rmSync(directory, { recursive: true, force: true })
  }
  const failed = results.filter(({ matches }) => !matches)
  say(
    `${failed.length === 0 ? 'Every act ended as it had to' : `${failed.length} of ${results.length} acts did not end as they had to`}: ${results.length} acts, ${seconds(performance.now() - startedMs)} in all.`,
  )
  if (options.keep !== undefined) say(describeKept(directory))
  if (failed.length > 0) process.exitCode = exitCodes.failed
}

async function* playAll(stage: Stage): AsyncGenerator<ActResult | { readonly heading: string }, void> {
  const play = { stage, memory: emptyMemory() }
  const runner = { nowMs: () => performance.now(), logSize: () => stage.logSize().catch(() => 0) }
  yield { heading: 'The incident' }
  for (const act of cloudActs) yield await runAct(act, play, runner)
  yield { heading: 'What people may still do, and how it is brought back' }
  for (const act of recoveryActs) yield await runAct(act, play, runner)
  yield { heading: 'The same agent on the database itself, and the safety devices; now in team mode' }
  await stage.becomeTeam()
  for (const act of [...databaseActs, logAct]) yield await runAct(act, play, runner)
}

function describeResult(number: number, { act, observed, expected, client, milliseconds, matches, evidence }: ActResult): string {
  const lines = [
    `${matches ? '  ok  ' : ' FAIL '}${String(number).padStart(2)}. ${act}`,
    `          → ${observed}  (${client}, ${seconds(milliseconds)})`,
    ...(matches ? [] : [`          expected: ${expected}`]),
    ...wrapFacts(
      Object.entries(evidence)
        .filter(([, value]) => value !== '')
        .map(([name, value]) => cut(`${name}: ${String(value)}`.replaceAll(/\s+/g, ' ').trim())),
    ).map((line) => `            ${line}`),
  ]
  return `${lines.join('\n')}\n`
}

/** Columns of a line of facts, and of one fact; `--json` has them whole. */
const lineLengthMax = 120
const factLengthMax = 130

/** Short facts share a line. */
function wrapFacts(facts: readonly string[]): readonly string[] {
  return facts.reduce<string[]>((lines, fact) => {
    const last = lines.at(-1)
    const joined = `${last ?? ''} · ${fact}`
    return last === undefined || joined.length > lineLengthMax ? [...lines, fact] : [...lines.slice(0, -1), joined]
  }, [])
}

function cut(text: string): string {
  return text.length <= factLengthMax ? text : `${text.slice(0, factLengthMax)} …`
}

function describeKept(directory: string): string {
  return [
    `Kept in ${directory}. Check it yourself:`,
    `  sallyport log verify ${directory}`,
    `  sallyport vault verify ${join(directory, 'vault')}`,
    `  sallyport log show ${directory} --count 50`,
    `  what reached the cloud, byte for byte: ${join(directory, 'cloud', 'requests.jsonl')}`,
    `  the databases: start them with pg_ctl on ${join(directory, 'playground', 'data')}`,
  ].join('\n')
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}
