import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { z } from 'zod'
import { runAct, type ActResult } from '../drill/act.ts'
import { databaseActs, type Memory } from '../drill/acts.ts'
import { openStage, type Stage } from '../drill/stage.ts'
import { logAct } from '../drill/tampering.ts'
import { exitCodes } from '../failure.ts'

const optionsShape = z.object({ json: z.boolean().default(false), keep: z.string().optional() })
type Options = z.infer<typeof optionsShape>

export function makeCommand(): Command {
  const command = new Command('drill').description(
    'Tries the safety devices for real, in a gate of its own. No live gate is touched.',
  )
  command
    .command('incident')
    .description('Plays the incident against a real database behind a real gate, and each control that stops it.')
    .option('--json', 'one JSON object an act: act, expected, observed, client, milliseconds, eventIndexes, evidence')
    .option('--keep <directory>', 'leave log, vault and databases there, so that every claim can be checked again')
    .addHelpText('after', drillHelp)
    .action(async (given: unknown) => drillIncident(optionsShape.parse(given)))
  return command
}

const drillHelp = `
What it takes: a PostgreSQL of its own, a relay, a vault, a gate and two virtual persons, all on loopback, in a folder of their own.
psql plays the agent where there is one, node-postgres else; each act names its client.

Exit codes:
  0  every act ended as expected
  1  one did not; it is named
  2  the command line was wrong`

async function drillIncident(options: Options): Promise<void> {
  const startedMs = performance.now()
  const directory = options.keep === undefined ? mkdtempSync(join(tmpdir(), 'sallyport-drill-')) : resolve(options.keep)
  const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`)
  say('Building a stage: a PostgreSQL with 184,000 rows, a relay, a vault, a gate, two virtual persons …')
  const stage = await openStage(directory, () => Date.now())
  const results: ActResult[] = []
  try {
    say(`Ready after ${seconds(performance.now() - startedMs)}. ${stage.client.name} plays the agent.\n`)
    for await (const result of playAll(stage)) {
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

async function* playAll(stage: Stage): AsyncGenerator<ActResult, void> {
  const memory: Memory = { ordersBefore: '', request: '', expiring: '', snapshot: '' }
  const runner = { nowMs: () => performance.now(), logSize: () => stage.logSize().catch(() => 0) }
  for (const act of [...databaseActs, logAct]) yield await runAct(act, { stage, memory }, runner)
}

function describeResult(number: number, { act, observed, expected, client, milliseconds, matches, evidence }: ActResult): string {
  const facts = Object.entries(evidence)
    .map(([name, value]) => `${name}: ${String(value)}`)
    .filter((fact) => fact.length < 160)
  const lines = [
    `${matches ? '  ok  ' : ' FAIL '}${number}. ${act}`,
    `        ${observed}${matches ? '' : `\n        expected: ${expected}`}`,
  ]
  for (const fact of facts) lines.push(`          ${fact}`)
  lines.push(`          (${client}, ${seconds(milliseconds)})`)
  return `${lines.join('\n')}\n`
}

function describeKept(directory: string): string {
  return [
    `Kept in ${directory}. Check it yourself:`,
    `  sallyport log verify ${directory}`,
    `  sallyport vault verify ${join(directory, 'vault')}`,
    `  sallyport log show ${directory} --count 50`,
    `  the databases: start them with pg_ctl on ${join(directory, 'playground', 'data')}`,
  ].join('\n')
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}
