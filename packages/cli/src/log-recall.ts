import { mkdir, mkdtemp, open, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import {
  type ArchivedRange,
  decodeEntryBundle,
  encodeTile,
  leafHash,
  LogFormatError,
  type LogSource,
  tilePath,
  tileWidth,
} from '@sallyport/core'
import type { Command } from 'commander'
import { z } from 'zod'
import { CommandFailure, exitCodes } from './failure.ts'
import { findFirstHere } from './log-entries.ts'
import { findLog, openLogFiles, recalledDirectory } from './log-files.ts'
import { readVaultFlags } from './vault-flags.ts'
import { askVaultProgram } from './vault-program.ts'

const optionsShape = z.object({
  vault: z.string().optional(),
  from: z.string().optional(),
  config: z.string().optional(),
  json: z.boolean().default(false),
})

/** `log recall`: what was archived and dropped, back beside the log, for whoever reads it. */
export function addRecall(command: Command): void {
  command
    .command('recall')
    .description(
      'Reads old entries that were archived back out of the vault, so that `show`, `search`, `session` and `prove` find them.',
    )
    .argument('[directory]', 'the log, or the state directory that holds it', join('.sallyport', 'log'))
    .option('--vault <folder>', "the vault's folder (default: the one beside the log)")
    .option('--config <file>', 'the configuration that names the buckets of the vault')
    .option('--from <folder>', 'take them from what `vault restore` or `vault recover` wrote there, instead of asking the vault')
    .option('--json', 'one JSON object: entries, snapshots, folder')
    .addHelpText('after', recallHelp)
    .action(async (directory: string, given: unknown) => recall(directory, optionsShape.parse(given)))
}

const recallHelp = `
Each entry is compared with its hash in the log's own tiles before it is written into the folder \`recalled\` of the log; remove that folder when
you are done. Run it as a user who may read the vault's folder; where none may, have the copy by \`vault recover ID --identity FILE --to FOLDER\`
and name FOLDER by --from: \`log verify\` prints the id.`

async function recall(given: string, { vault, from, config, json }: z.infer<typeof optionsShape>): Promise<void> {
  const directory = await findLog(given)
  const source = await openLogFiles(directory)
  const end = await findFirstHere(source)
  const ranges = (source.archived ?? []).filter(({ first }) => first < end)
  const folder = join(directory, recalledDirectory)
  let entries = 0
  for (const range of ranges) {
    if (from !== undefined) entries += await take(source, range, from, folder)
    else entries += await fetch(source, range, { folder, vault: resolve(vault ?? join(directory, '..', 'vault')), config })
  }
  if (json) process.stdout.write(`${JSON.stringify({ entries, snapshots: ranges.map(({ snapshot }) => snapshot), folder })}\n`)
  else
    process.stdout.write(
      ranges.length === 0
        ? 'Nothing of this log was archived and dropped.\n'
        : `${entries} entries were read back into ${folder}.\n`,
    )
}

async function fetch(
  source: LogSource,
  range: ArchivedRange,
  { folder, vault, config }: { readonly folder: string; readonly vault: string; readonly config: string | undefined },
): Promise<number> {
  const scratch = await mkdtemp(join(tmpdir(), 'sallyport-recall-'))
  try {
    const { stores } = readVaultFlags(config ?? null)
    await askVaultProgram(['restore', ...stores, `--public-key=${range.vault}`, `--to=${scratch}`, '--', vault, range.snapshot])
    return await take(source, range, scratch, folder)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** Bundles of one range, out of a restored copy, each compared with the log's own tiles before it gets its name. How many entries. */
async function take(source: LogSource, range: ArchivedRange, from: string, folder: string): Promise<number> {
  const last = Math.ceil(range.next / tileWidth)
  let entries = 0
  for (let index = Math.floor(range.first / tileWidth); index < last; index += 1) {
    const path = tilePath({ level: 'entries', index, width: tileWidth })
    const bytes = await readFile(join(from, 'parts', path)).catch(() => null)
    const leaves = await source.tile(tilePath({ level: 0, index, width: tileWidth }))
    if (bytes === null || leaves === null || !isBundleOf(bytes, leaves)) throw notBelieved(range, path)
    await writeWhole(join(folder, path), bytes)
    entries += Math.min(range.next, (index + 1) * tileWidth) - Math.max(range.first, index * tileWidth)
  }
  return entries
}

function isBundleOf(bytes: Uint8Array, leaves: Uint8Array): boolean {
  try {
    return Buffer.compare(encodeTile(decodeEntryBundle(bytes, tileWidth).map(leafHash)), leaves) === 0
  } catch (error) {
    if (error instanceof LogFormatError) return false
    throw error
  }
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await rm(`${path}.new`, { force: true })
  await using file = await open(`${path}.new`, 'wx', 0o600)
  await file.writeFile(bytes)
  await rename(`${path}.new`, path)
}

function notBelieved({ first, next }: ArchivedRange, path: string): CommandFailure {
  return new CommandFailure(
    exitCodes.failed,
    'not_believed',
    `Entries ${first} to ${next - 1} were not read back: ${path} is missing there, or is not what the log's tiles say.`,
    'Nothing that could not be believed was written.',
    'Run `sallyport vault verify`: it names what is damaged.',
  )
}
