import { setTimeout as sleep } from 'node:timers/promises'
import { join } from 'node:path'
import {
  explainFinding,
  explainInformation,
  type Information,
  LogFormatError,
  type LogReport,
  type LogSource,
  openCheckpoint,
  verifyLog,
  visibleLine,
} from '@sallyport/core'
import { Command, InvalidArgumentError } from 'commander'
import { z } from 'zod'
import { CommandFailure, exitCodes } from '../failure.ts'
import { addExports } from '../log-export.ts'
import { entriesOf, notHere, readEntry } from '../log-entries.ts'
import { addRecall } from '../log-recall.ts'
import { addSessions } from '../log-session.ts'
import { addRotateKey } from '../log-rotate-key.ts'
import { addWitness } from '../log-witness.ts'
import { proveEntries } from '../log-proof.ts'
import { lineOf, matches, searchShape, type Search } from '../log-search.ts'
import { findLog, findLogKeys, findWitness, findWitnessKeys, openLogFiles, readText } from '../log-files.ts'

const defaultDirectory = join('.sallyport', 'log')
/** `log verify --require-witness` without a witness. */
const notExcluded = 3
/** A running gate signs at least every second; it is given this long to sign what was found behind its checkpoint. */
const signingWaitMs = 5000
const signingPollMs = 100

const verifyShape = z.object({
  witness: z.string().optional(),
  logKey: z.array(z.string()).default([]),
  witnessKey: z.array(z.string()).default([]),
  requireWitness: z.boolean().default(false),
  json: z.boolean().default(false),
})
const showShape = z.object({ from: z.number().default(0), count: z.number().default(20), json: z.boolean().default(false) })
const proveShape = z.object({ witness: z.string().optional(), json: z.boolean().default(false) })

export function makeCommand(): Command {
  const command = new Command('log').description(
    'The log: verify it, read it, prove an entry of it. Needs no gate; a running one is not disturbed.',
  )
  command
    .command('verify')
    .description('Checks that nothing was removed from, changed in or slipped into the log.')
    .argument('[directory]', 'the log, or the state directory that holds it', defaultDirectory)
    .option('--witness <file>', "the witness's last checkpoint; `none` to go without (default: the vault's beside the log)")
    .option('--log-key <key...>', "the log's verifier key, name+id+base64; beats what is found")
    .option('--witness-key <key...>', "the witness's verifier key; beats what is found")
    .option('--require-witness', `exit ${notExcluded} when no witness could be compared with`)
    .option('--json', 'one JSON object: ok, size, root, checkpointSize, witnessSize, findings, information')
    .addHelpText('after', verifyHelp)
    .action(async (directory: string, given: unknown) => verify(directory, verifyShape.parse(given)))
  command
    .command('show')
    .description('Prints entries of the log as they stand there; verifies nothing.')
    .argument('[directory]', 'the log, or the state directory that holds it', defaultDirectory)
    .option('--from <index>', 'the first entry (default: 0)', parseCount)
    .option('--count <number>', 'how many (default: 20)', parseCount)
    .option('--json', 'one JSON object a line, with its index')
    .action(async (directory: string, given: unknown) => show(directory, showShape.parse(given)))
  addSearch(command)
  addSessions(command, parseCount)
  addRotateKey(command)
  addWitness(command)
  addRecall(command)
  command
    .command('prove')
    .description(
      'Proves that an entry is in what was signed: entry, inclusion proof and checkpoint as JSON, for whoever has the keys.',
    )
    .argument('<index>', 'the entry', parseCount)
    .argument('[directory]', 'the log, or the state directory that holds it', defaultDirectory)
    .option('--witness <file>', "prove against the witness's checkpoint in this file; `none`: against the log's own")
    .option('--json', 'the same: the proof is JSON in any case')
    .action(async (index: number, directory: string, given: unknown) => prove(index, directory, proveShape.parse(given)))
  addExports(command)
  return command
}

function addSearch(command: Command): void {
  command
    .command('search')
    .description(
      'Prints the entries that have all of what is asked for, such as the whole story of one session; verifies nothing.',
    )
    .argument('[directory]', 'the log, or the state directory that holds it', defaultDirectory)
    .option('--session <id>', 'of this session, or of those whose id begins so; its counted reads too')
    .option('--agent <name>', 'of this agent')
    .option('--request <id>', 'about this access request')
    .option('--type <type...>', 'of these kinds, such as kill or request.approved')
    .option('--text <words>', 'with these words anywhere in it, in capitals or not')
    .option('--since <instant>', 'from this instant on, such as 2026-11-22T10:00:00Z')
    .option('--until <instant>', 'up to this instant')
    .option('--count <number>', 'how many at most (default: 1000)', parseCount)
    .option('--json', 'one JSON object a line, with its index')
    .action(async (directory: string, given: unknown) => search(directory, readSearch(given)))
}

function readSearch(given: unknown): Search {
  const parsed = searchShape.safeParse(given)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new CommandFailure(
    exitCodes.usage,
    'bad_argument',
    `--${String(issue?.path[0] ?? 'option')} cannot be understood: ${issue?.message ?? 'unknown'}.`,
    'Nothing was searched.',
    'An instant is written like 2026-11-22T10:00:00Z; `sallyport log search --help` lists the rest.',
  )
}

async function search(given: string, wanted: Search): Promise<void> {
  const source = await openLogFiles(await findLog(given))
  let found = 0
  for await (const { index, entry } of entriesOf(source)) {
    if (found >= wanted.count) break
    const event = matches(entry, wanted)
    if (event === null) continue
    found += 1
    if (wanted.json) process.stdout.write(`${JSON.stringify({ index, ...readEntry(entry) })}\n`)
    else process.stdout.write(event === 'unreadable' ? `${index} cannot be read\n` : `${lineOf(index, event)}\n`)
  }
  if (found === 0 && !wanted.json) process.stderr.write('Nothing on the log has all of that.\n')
}

const verifyHelp = `
What is trusted: --log-key and --witness-key before the keys in the witness's directory (log.vkey, identity) before the file \`keys\` beside
the log, which proves nothing against someone who can write there and is named in the result. Copy the witness's directory, or its
checkpoint and both keys, to where the gate's user cannot write.

Exit codes of verify:
  0  nothing was found
  1  findings, each printed with the entry it is about
  2  no such log, witness or key
  ${notExcluded}  nothing was found, but truncation is not excluded and --require-witness was given`

function parseCount(text: string): number {
  const count = Number(text)
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(count)) throw new InvalidArgumentError('A whole number from 0 is needed.')
  return count
}

async function verify(given: string, options: z.infer<typeof verifyShape>): Promise<void> {
  const directory = await findLog(given)
  const witness = await findWitness(directory, options.witness)
  const checked = await withKeyErrors(async () => {
    const found = await findLogKeys(directory, options.logKey, witness)
    const checkpoint = witness?.checkpoint ?? null
    const compared =
      witness && checkpoint !== null ? { checkpoint, keys: await findWitnessKeys(directory, options.witnessKey, witness) } : null
    return verifyGrowing(directory, {
      logKeys: found.keys,
      logKeysFrom: found.from,
      rotations: found.rotations,
      witness: compared,
    })
  })
  const ok = checked.findings.length === 0
  if (options.json) process.stdout.write(`${JSON.stringify({ ok, ...checked })}\n`)
  else process.stdout.write(describe(directory, checked, witness?.problem ? `${witness.path}: ${witness.problem}` : null))
  if (!ok) process.exitCode = exitCodes.failed
  else if (options.requireWitness && checked.witnessSize === null) process.exitCode = notExcluded
}

/** A log that grows while it is read ends in entries not signed yet. They are news only if the gate signs those first found: we wait for it. */
async function verifyGrowing(directory: string, options: Parameters<typeof verifyLog>[1]): Promise<LogReport> {
  const first = await verifyLog(await openLogFiles(directory), options)
  const [tail, ...others] = first.findings
  if (tail?.kind !== 'unsigned_tail' || others.length > 0) return first
  for (let waitedMs = 0; waitedMs < signingWaitMs; waitedMs += signingPollMs) {
    const source = await openLogFiles(directory)
    if (sizeOf(source) >= first.size) return verifyLog(source, { ...options, isGrowing: true })
    await sleep(signingPollMs)
  }
  return first
}

function sizeOf({ checkpoint }: LogSource): number {
  try {
    return checkpoint === null ? 0 : openCheckpoint(checkpoint, []).checkpoint.size
  } catch {
    return 0
  }
}

async function withKeyErrors<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof LogFormatError) || (error.part !== 'key' && error.part !== 'note')) throw error
    throw new CommandFailure(
      exitCodes.usage,
      'bad_key',
      `A verifier key, or what replaced it, cannot be read: ${error.message}.`,
      'Nothing was verified.',
      'A key looks like name+id+base64.',
      { cause: error },
    )
  }
}

function describe(directory: string, report: LogReport, problem: string | null): string {
  const lines = [
    `${directory}: ${report.size} entries${report.origin === null ? '' : ` of ${report.origin}`}, root ${report.root}`,
  ]
  if (report.checkpointSize !== null) lines.push(`  signed by the log up to entry ${report.checkpointSize}`)
  if (report.witnessSize !== null) {
    const seen = report.witnessTimeS === null ? '' : ` at ${new Date(report.witnessTimeS * 1000).toISOString()}`
    lines.push(`  witnessed up to entry ${report.witnessSize}${seen}`)
  }
  lines.push(...report.findings.map((finding) => visibleLine(`FINDING: ${explainFinding(finding)}`)))
  lines.push(...[...report.information].sort(byWeight).map((item) => visibleLine(`note: ${explainInformation(item)}`)))
  if (problem !== null)
    lines.push(visibleLine(`note: The witness's checkpoint could not be read (${problem}). Run this as a user who may.`))
  lines.push(
    report.findings.length === 0
      ? 'ok'
      : `${report.findings.length} ${report.findings.length === 1 ? 'finding' : 'findings'}: this log cannot be believed as it stands.`,
  )
  return `${lines.join('\n')}\n`
}

/** What says how far the result reaches comes before what is merely open. */
function byWeight(left: Information, right: Information): number {
  return Number(left.kind === 'intent_without_outcome') - Number(right.kind === 'intent_without_outcome')
}

async function show(given: string, { from, count, json }: z.infer<typeof showShape>): Promise<void> {
  const source = await openLogFiles(await findLog(given))
  let shown = 0
  const refuse = (first: number, next: number): void => {
    if (from < next && from + count > first) throw notHere(source, Math.max(first, from))
  }
  for await (const { index, entry } of entriesOf(source, refuse)) {
    if (index < from) continue
    if (shown >= count) break
    shown += 1
    process.stdout.write(
      json
        ? `${JSON.stringify({ index, ...readEntry(entry) })}\n`
        : `${visibleLine(`${index} ${Buffer.from(entry).toString('utf8')}`)}\n`,
    )
  }
}

async function prove(index: number, given: string, options: z.infer<typeof proveShape>): Promise<void> {
  const directory = await findLog(given)
  const witness = await findWitness(directory, options.witness)
  const checkpoint = witness?.checkpoint ?? (await readText(join(directory, 'checkpoint')))
  if (checkpoint === null)
    throw new CommandFailure(
      exitCodes.failed,
      'no_checkpoint',
      'There is no signed checkpoint.',
      'Nothing was proven.',
      'Run `sallyport log verify`.',
    )
  const [proven] = await proveEntries(await openLogFiles(directory), checkpoint, [index])
  process.stdout.write(`${JSON.stringify({ ...proven, checkpoint })}\n`)
}
