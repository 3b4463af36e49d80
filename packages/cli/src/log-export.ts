import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeEntry, formatVerifierKey, openCheckpoint } from '@sallyport/core'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import { bundleEntriesMax, bundleShape, verifyBundle } from './bundle.ts'
import { renderBundle } from './bundle-page.ts'
import { CommandFailure, exitCodes } from './failure.ts'
import { entriesOf, readEntry } from './log-entries.ts'
import { findLog, findLogKeys, findWitness, findWitnessKeys, openLogFiles, readText } from './log-files.ts'
import { proveEntries } from './log-proof.ts'
import { matches, searchShape } from './log-search.ts'
import { OcsfExport } from './ocsf.ts'

const defaultDirectory = join('.sallyport', 'log')
const exportShape = z.object({
  as: z.enum(['json', 'ocsf']),
  from: z.number().default(0),
  count: z.number().default(Number.MAX_SAFE_INTEGER),
})
const bundleOptions = z.object({
  session: z.string().min(4).optional(),
  request: z.string().min(4).optional(),
  entry: z.array(z.number()).default([]),
  witness: z.string().optional(),
  out: z.string(),
})

/** `log export` and `log bundle`: what leaves this machine. */
export function addExports(command: Command): void {
  command
    .command('export')
    .description('Writes the log as JSON lines, one event each, for another system; verifies nothing.')
    .argument('[directory]', 'the log, or the state directory that holds it', defaultDirectory)
    .addOption(
      new Option('--as <format>', 'the events as they are, or as OCSF 1.x has them').choices(['json', 'ocsf']).default('json'),
    )
    .option('--from <index>', 'the first entry (default: 0)', parseNumber)
    .option('--count <number>', 'how many entries (default: all)', parseNumber)
    .action(async (directory: string, given: unknown) => exportLog(directory, exportShape.parse(given)))
  command
    .command('bundle')
    .description(
      'Makes one file with some entries and their proofs, for somebody without this log: a page to read, and `sallyport verify` to check it.',
    )
    .argument('[directory]', 'the log, or the state directory that holds it', defaultDirectory)
    .option('--session <id>', 'everything of this session, its counted reads too')
    .option('--request <id>', 'everything about this access request')
    .option('--entry <index...>', 'these entries', collectNumber)
    .option('--witness <file>', "prove against the witness's checkpoint in this file; `none`: against the log's own")
    .requiredOption('--out <file>', 'where to write it')
    .action(async (directory: string, given: unknown) => bundle(directory, bundleOptions.parse(given)))
}

function parseNumber(text: string): number {
  const count = Number(text)
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(count)) throw new InvalidArgumentError('A whole number from 0 is needed.')
  return count
}

function collectNumber(text: string, before: readonly number[] | undefined): readonly number[] {
  return [...(before ?? []), parseNumber(text)]
}

async function exportLog(given: string, { as, from, count }: z.infer<typeof exportShape>): Promise<void> {
  const directory = await findLog(given)
  const checkpoint = await readText(join(directory, 'checkpoint'))
  const translation = new OcsfExport(checkpoint === null ? 'unknown' : openCheckpoint(checkpoint, []).checkpoint.origin)
  for await (const { index, entry } of entriesOf(await openLogFiles(directory))) {
    if (index >= from + count) break
    // Sessions that began before what is wanted are learned of all the same.
    const events = as === 'json' ? [{ index, ...readEntry(entry) }] : translation.translate(index, decodeEntry(entry))
    if (index < from) continue
    for (const event of events) await write(`${JSON.stringify(event)}\n`)
  }
}

/** Whoever reads slowly is waited for. */
async function write(text: string): Promise<void> {
  if (process.stdout.write(text)) return
  await new Promise((resolve) => process.stdout.once('drain', resolve))
}

async function bundle(given: string, options: z.infer<typeof bundleOptions>): Promise<void> {
  const directory = await findLog(given)
  const witness = await findWitness(directory, options.witness)
  const checkpoint = witness?.checkpoint ?? (await readText(join(directory, 'checkpoint')))
  if (checkpoint === null) throw failure('no_checkpoint', 'There is no signed checkpoint.', 'Run `sallyport log verify`.')
  const { size } = openCheckpoint(checkpoint, []).checkpoint
  const source = await openLogFiles(directory)
  const indexes = await choose(source, options, size)
  if (indexes.length === 0)
    throw failure('nothing_found', 'Nothing signed on the log has all of that.', 'Name it with `log search` first.')
  if (indexes.length > bundleEntriesMax)
    throw failure('too_much', `${indexes.length} entries were named, at most ${bundleEntriesMax} fit one file.`, 'Ask for less.')
  const { keys: logKeys, rotations } = await findLogKeys(directory, [], witness)
  const witnessKeys = witness === null ? [] : await findWitnessKeys(directory, [], witness)
  const made = bundleShape.parse({
    format: 'sallyport-bundle/1',
    about: aboutOf(options),
    checkpoint,
    keys: [...logKeys, ...witnessKeys].map(formatVerifierKey),
    ...(rotations.length === 0 ? {} : { rotations: rotations.map(({ note }) => note) }),
    entries: await proveEntries(source, checkpoint, indexes),
  })
  const report = verifyBundle(made, [])
  writeFileSync(options.out, renderBundle(made, report), { mode: 0o600 })
  process.stdout.write(`${indexes.length} entries with their proofs: ${options.out}\n`)
  if (!report.ok)
    throw failure('not_proven', `The file was written, but: ${report.findings.join(' ')}`, 'Run `sallyport log verify`.')
}

async function choose(
  source: Parameters<typeof entriesOf>[0],
  { session, request, entry }: z.infer<typeof bundleOptions>,
  size: number,
): Promise<readonly number[]> {
  if (session === undefined && request === undefined) return entry.toSorted((left, right) => left - right)
  const wanted = searchShape.parse({ session, request })
  const found = new Set(entry)
  for await (const { index, entry: bytes } of entriesOf(source)) {
    if (index >= size) break
    const event = matches(bytes, wanted)
    if (event !== null && event !== 'unreadable') found.add(index)
  }
  return [...found].toSorted((left, right) => left - right)
}

function aboutOf({ session, request, entry }: z.infer<typeof bundleOptions>): string {
  const parts = [
    ...(session === undefined ? [] : [`session ${session}`]),
    ...(request === undefined ? [] : [`access request ${request}`]),
    ...(entry.length === 0 ? [] : [`${entry.length === 1 ? 'entry' : 'entries'} ${entry.slice(0, 20).join(', ')}`]),
  ]
  return `The record of ${parts.join(' and ')}`.slice(0, 500)
}

function failure(code: string, what: string, next: string): CommandFailure {
  return new CommandFailure(exitCodes.failed, code, what, 'Nothing was proven.', next)
}
