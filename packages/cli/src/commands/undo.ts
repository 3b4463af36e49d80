import { createInterface } from 'node:readline/promises'
import { Command } from 'commander'
import { z } from 'zod'
import { paths, snapshotsShape, undoneShape, type ListedSnapshot } from '../control-api.ts'
import { connectControl, longAnswerTimeoutMs } from '../control-client.ts'
import { describeCopied } from '../copied-names.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { stateOption } from '../state-directory.ts'

const optionsShape = z.object({ yes: z.boolean().default(false), state: z.string(), json: z.boolean().default(false) })
type Options = z.infer<typeof optionsShape>

export function makeCommand(): Command {
  return new Command('undo')
    .description(
      'Puts back what a snapshot holds, through the running gate. Refuses, saying why, where that would overwrite what came since.',
    )
    .argument('<snapshot>', 'its id, the beginning of one, or `last`')
    .option('--yes', 'do not ask')
    .addOption(stateOption())
    .option('--json', 'one JSON object: snapshot, rows, tables, verified, note')
    .action(async (wanted: string, given: unknown) => undo(wanted, optionsShape.parse(given)))
}

async function undo(wanted: string, options: Options): Promise<void> {
  const control = await connectControl(options.state)
  const { snapshots } = await control.get(paths.snapshots, snapshotsShape)
  const snapshot = chooseSnapshot(snapshots, wanted)
  if (!options.yes) await confirm(snapshot)
  const undone = await control.post(paths.undo, { snapshotId: snapshot.id }, undoneShape, longAnswerTimeoutMs)
  if (!undone.verified) process.exitCode = exitCodes.failed
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ snapshot: snapshot.id, ...undone })}\n`)
    return
  }
  const checked = undone.verified ? 'compared with the snapshot: equal' : 'NOT equal to the snapshot when compared'
  process.stdout.write(
    `Put back ${undone.rows.toLocaleString('en')} rows in ${undone.tables.join(', ') || 'no table'}; ${checked}.\n`,
  )
  if (undone.note !== '') process.stdout.write(`${undone.note}\n`)
}

function chooseSnapshot(snapshots: readonly ListedSnapshot[], wanted: string): ListedSnapshot {
  const newestFirst = snapshots.toSorted((left, right) => right.madeAtMs - left.madeAtMs)
  const matching = wanted === 'last' ? newestFirst.slice(0, 1) : newestFirst.filter((snapshot) => snapshot.id.startsWith(wanted))
  const [snapshot] = matching
  if (snapshot && matching.length === 1) return snapshot
  const what =
    matching.length > 1
      ? `${matching.length} snapshots begin with that.`
      : wanted === 'last'
        ? 'The vault holds no snapshot.'
        : 'The vault holds no snapshot of that id.'
  throw new CommandFailure(
    exitCodes.failed,
    'no_snapshot',
    what,
    'Nothing was put back.',
    'See what there is: sallyport vault list',
  )
}

export function describeUndo(snapshot: ListedSnapshot): string {
  const tables = describeCopied(Object.keys(snapshot.checksums))
  const made = new Date(snapshot.madeAtMs).toISOString()
  const rows = snapshot.rows.toLocaleString('en')
  const what =
    snapshot.kind === 'tables'
      ? `puts back the tables ${tables} with ${rows} rows`
      : `puts ${rows} rows of ${tables} back as they were`
  return `Snapshot ${snapshot.id.slice(0, 16)} of ${snapshot.upstream}, made ${made}: ${what}.\n`
}

async function confirm(snapshot: ListedSnapshot): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new CommandFailure(
      exitCodes.usage,
      'not_confirmed',
      describeUndo(snapshot).trim(),
      'Nothing was put back: nobody is there to confirm it.',
      'Add --yes.',
    )
  }
  process.stderr.write(describeUndo(snapshot))
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await prompt.question('Go on? (yes/no) ')
  prompt.close()
  if (answer.trim().toLowerCase() === 'yes') return
  throw new CommandFailure(
    exitCodes.failed,
    'not_confirmed',
    'You did not say yes.',
    'Nothing was put back.',
    'Run it again when you are sure.',
  )
}
