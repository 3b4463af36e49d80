import type { Command } from 'commander'
import { z } from 'zod'
import { visibleLine } from '@sallyport/core'
import { exitCodes } from './failure.ts'
import { describeTime, order } from './keeping.ts'
import { stateOption } from './state-directory.ts'

const optionsShape = z.object({
  state: z.string(),
  json: z.boolean().default(false),
  snapshot: z.string().optional(),
  beside: z.string().optional(),
})
type Options = z.infer<typeof optionsShape>

/** Commands that have the running gate copy what it keeps whole, and take a single thing out of such a copy. */
export function addKeeping(vault: Command): void {
  vault
    .command('copy')
    .description(
      'has the running gate make a copy of a whole thing now: sealed, restored to a scratch place and compared, or it does not count',
    )
    .argument('<name>', 'a PostgreSQL upstream, or something under `keep:`, as sallyport.yaml calls it')
    .addOption(stateOption())
    .option('--json', 'one JSON object: snapshot, rows, bytes, things, tookMs')
    .action(async (name: string, given: unknown) => copy(name, optionsShape.parse(given)))
  vault
    .command('take')
    .description(
      'takes one table or file out of a whole copy: restored and compared, then written as a file (a table as SQL that makes it anew)',
    )
    .argument('<name>', 'what was copied')
    .argument('<thing>', 'the table, such as public.orders, or the file')
    .option('--snapshot <id>', 'its whole id (default: the newest)')
    .addOption(stateOption())
    .option('--json', 'one JSON object: file, rows, sha256')
    .action(async (name: string, thing: string, given: unknown) => take(name, thing, optionsShape.parse(given)))
  vault
    .command('put-back')
    .description(
      'puts back what is missing of a kept bucket, each object proven before and read back after. What is there is never overwritten: it is named',
    )
    .argument('<name>', 'what was copied')
    .option('--snapshot <id>', 'its whole id (default: the newest)')
    .option('--beside <prefix>', 'all of it under this prefix, such as restored/ (default: where it was)')
    .addOption(stateOption())
    .option('--json', 'one JSON object: put, same, left, leftNames, place')
    .action(async (name: string, given: unknown) => putBack(name, optionsShape.parse(given)))
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

async function copy(name: string, { state, json }: Options): Promise<void> {
  const startedMs = performance.now()
  const result = await order(state, { what: 'copy', name }, say)
  if (result.what !== 'copy') throw new Error('the gate did something else')
  const tookMs = Math.round(performance.now() - startedMs)
  const { snapshot, rows, bytes, things } = result
  if (json) return void process.stdout.write(`${JSON.stringify({ snapshot, rows, bytes, things, tookMs })}\n`)
  process.stdout.write(
    `Snapshot ${snapshot.slice(0, 16)} of ${name}: ${rows.toLocaleString('en')} rows in ${things} tables or files, restored and compared. It took ${describeTime(tookMs)}.\n`,
  )
}

async function take(name: string, thing: string, { state, json, snapshot }: Options): Promise<void> {
  const result = await order(state, { what: 'extract', name, thing, ...(snapshot === undefined ? {} : { snapshot }) }, say)
  if (result.what !== 'extract') throw new Error('the gate did something else')
  const { file, rows, sha256 } = result
  if (json) return void process.stdout.write(`${JSON.stringify({ file, rows, sha256 })}\n`)
  process.stdout.write(`${rows.toLocaleString('en')} rows, compared with the copy, are in ${file}\n`)
}

async function putBack(name: string, { state, json, snapshot, beside }: Options): Promise<void> {
  const more = { ...(snapshot === undefined ? {} : { snapshot }), ...(beside === undefined ? {} : { beside }) }
  const result = await order(state, { what: 'restore', name, ...more }, say)
  if (result.what !== 'restore') throw new Error('the gate did something else')
  const { put, same, left, leftNames, place } = result
  if (left > 0) process.exitCode = exitCodes.failed
  if (json) return void process.stdout.write(`${JSON.stringify({ put, same, left, leftNames, place })}\n`)
  process.stdout.write(`${put} put back into ${visibleLine(place)}; ${same} were there already, the same.\n`)
  if (left === 0) return
  process.stdout.write(`${left} are there with other content, or too large for one request, and were left as they are:\n`)
  for (const one of leftNames) process.stdout.write(`  ${visibleLine(one)}\n`)
}
