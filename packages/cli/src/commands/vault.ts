import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { z } from 'zod'
import { connectControl } from '../control-client.ts'
import { describeCopied } from '../copied-names.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { readRun, stateOption } from '../state-directory.ts'
import { readVaultFlags } from '../vault-flags.ts'
import { describeStorage, describeTarget, readTargets, showBytes, type Targets } from '../keeping.ts'
import { isMoment, momentShape, restoreMoment } from '../vault-moment.ts'
import { addKeeping } from '../vault-keeping.ts'
import { askVaultProgram } from '../vault-program.ts'
import { addUnpack } from '../vault-unpack.ts'

const optionsShape = z.object({
  state: z.string().default('.sallyport'),
  json: z.boolean().default(false),
  publicKey: z.string().optional(),
  to: z.string().optional(),
  dir: z.string().optional(),
  config: z.string().optional(),
  sample: z.string().optional(),
  identity: z.string().optional(),
  bucket: z.array(z.string()).default([]),
  bucketCredential: z.string().optional(),
})
type Options = z.infer<typeof optionsShape>

const listShape = z.object({
  snapshots: z.array(
    z.object({
      id: z.string(),
      sequence: z.number(),
      kind: z.string(),
      upstream: z.string(),
      madeAtMs: z.number(),
      retainUntilMs: z.number(),
      rows: z.number(),
      parts: z.number(),
      storedBytes: z.number(),
      checksums: z.record(z.string(), z.string()),
    }),
  ),
  damaged: z.array(z.object({ file: z.string(), what: z.string() })),
})
const verifyShape = z.object({
  ok: z.boolean(),
  vault: z.string(),
  decrypted: z.boolean(),
  snapshots: z.number(),
  parts: z.number(),
  chunks: z.number(),
  bytes: z.number(),
  newest: z.object({ sequence: z.number(), id: z.string() }).nullable(),
  expired: z.number(),
  sample: z.number(),
  lost: z.array(z.string()),
  traces: z.array(z.object({ file: z.string(), what: z.string() })),
  damage: z.array(
    z.object({
      kind: z.string(),
      file: z.string(),
      what: z.string(),
      snapshot: z.string().optional(),
      part: z.string().optional(),
      range: z.object({ from: z.number(), bytes: z.number() }).optional(),
    }),
  ),
})
const restoreShape = z.object({
  ok: z.boolean(),
  snapshot: z.object({ id: z.string(), upstream: z.string() }),
  restored: z.array(z.object({ name: z.string(), bytes: z.number() })),
  lost: z.array(z.object({ name: z.string(), what: z.string() })),
})

/** `vault list|verify|restore`: all three read the folder itself and need no running vault. */
export function makeCommand(): Command {
  const vault = new Command('vault').description(
    'Sealed copies: what there is, whether it is whole, and having it back. `copy`, `take` and `put-back` ask the running gate; the others read the places of the copies themselves, with no gate or vault running.',
  )
  vault
    .command('list')
    .description('all sealed snapshots, oldest first')
    .argument('[folder]', "the vault's folder, or a state with one in it (default: `vault` in the state)")
    .addOption(stateOption())
    .addOption(configOption())
    .option('--json', 'one JSON object: snapshots, damaged, targets (null where no gate could be asked)')
    .action(async (folder: string | undefined, given: unknown) => await list(folder, optionsShape.parse(given)))
  vault
    .command('verify')
    .description(
      're-reads every byte and names what is not as it was sealed. Without the key file it still checks signatures and hashes of what is stored.',
    )
    .argument('[folder]', "the vault's folder, or a state with one in it (default: `vault` in the state)")
    .option('--public-key <hex>', 'the vault that it must be; else a whole forged vault would pass')
    .option('--sample <share>', 'reads this share of the chunks only, chosen at random, such as 0.05')
    .addOption(stateOption())
    .addOption(configOption())
    .option('--json', 'one JSON object: ok, snapshots, chunks, bytes, damage, traces, lost, …')
    .action(async (folder: string | undefined, given: unknown) => await verify(folder, optionsShape.parse(given)))
  vault
    .command('restore')
    .description(
      'writes the parts of a snapshot as files, or a whole server as it was at a moment (continuous protection). To put rows and tables back in place, use `undo`.',
    )
    .argument('[snapshot]', 'its id, or the first 8 or more digits of one; none with a moment')
    .option('--to <folder>', 'for the parts of a snapshot: a new or empty folder, or one in which the same restore was cut short')
    .option('--to-time <time>', 'the server as it was then, such as 2026-03-01T14:30:00Z')
    .option('--to-lsn <lsn>', 'the server as it was at this position in WAL')
    .option('--to-restore-point <name>', 'the server as it was at this restore point; the log names them')
    .option('--to-end', 'the server as far as the vault has it')
    .option('--into <folder>', 'for a server: a new or empty folder, or one in which the same restore was cut short')
    .option('--upstream <name>', 'which server, where the vault holds several')
    .option('--base <snapshot>', 'the base copy to begin with (default: the newest before the moment)')
    .option('--table <name>', 'of the restored server this table alone is wanted, such as public.orders, as a file')
    .option('--database <name>', 'the database that the table is in (default: the upstream’s)')
    .option('--file <file>', 'where the table goes, as CSV that COPY reads')
    .option('--dir <folder>', "the vault's folder, or a state with one in it (default: `vault` in the state)")
    .addOption(stateOption())
    .addOption(configOption())
    .option('--json', 'one JSON object: ok, snapshot, restored, lost; of a server data, tables, rows, sums, …')
    .action(async (id: string | undefined, given: unknown) => {
      const [options, moment] = [optionsShape.parse(given), momentShape.parse(given)]
      if (id === undefined || isMoment(moment)) {
        const words = { flags: storesOf(options.dir, options), folder: folderOf(options.dir, options) }
        return await restoreMoment(words, moment)
      }
      return await restore(id, options)
    })
  addKeeping(vault)
  addRecovery(vault)
  addUnpack(vault)
  return vault
}

function addRecovery(vault: Command): void {
  vault
    .command('recovery-pair')
    .description('a new age identity, to be kept offline, and its recipient for `vault: recovery:` in sallyport.yaml')
    .option('--json', 'one JSON object: identity, recipient')
    .action(async (given: unknown) => await makePair(optionsShape.parse(given).json))
  vault
    .command('recover')
    .description('lists or restores copies by the offline recovery identity alone: no file of a gate or a vault is needed')
    .argument('[snapshot]', 'its id, or the first 8 or more digits of one (default: lists all)')
    .requiredOption('--identity <file>', 'the file with the age identity (AGE-SECRET-KEY-1…)')
    .option('--bucket <place>', 's3://BUCKET/PREFIX?region=REGION where the copies lie (again for another)', collect)
    .option('--bucket-credential <file>', 'ACCESS_KEY_ID:SECRET_ACCESS_KEY, readable by you alone')
    .option('--dir <folder>', 'a folder where the copies lie, instead of a bucket')
    .option('--public-key <hex>', 'the vault that it must be; it stands on the recovery sheet')
    .option('--to <folder>', 'with a snapshot: a new or empty folder for its parts, or one in which the same was cut short')
    .option('--json', 'one JSON object: vault, snapshots, damaged; with a snapshot vault, ok, restored, lost')
    .action(async (id: string | undefined, given: unknown) => await recover(id, optionsShape.parse(given)))
  vault
    .command('release')
    .description(
      'ends the legal hold on a snapshot. The vault must be stopped, and this needs its folder: no credential can do it.',
    )
    .argument('<snapshot>', 'its whole id')
    .option('--dir <folder>', "the vault's folder, or a state with one in it (default: `vault` in the state)")
    .addOption(stateOption())
    .addOption(configOption())
    .action(async (id: string, given: unknown) => await release(id, optionsShape.parse(given)))
}

function configOption(): Option {
  return new Option(
    '--config <file>',
    'the configuration that names the buckets (default: of the running gate, else sallyport.yaml)',
  )
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

/** Where the copies lie: what the configuration says, unless a folder was named. */
function storesOf(folder: string | undefined, options: Options): readonly string[] {
  if (folder !== undefined && options.config === undefined) return []
  const configuration = resolve(options.config ?? readRun(options.state)?.configuration ?? 'sallyport.yaml')
  return existsSync(configuration) ? readVaultFlags(configuration).stores : []
}

async function makePair(asJson: boolean): Promise<void> {
  const { text } = await askVaultProgram(['recovery-pair'])
  if (asJson) return void process.stdout.write(text)
  const { identity, recipient } = z.object({ identity: z.string(), recipient: z.string() }).parse(JSON.parse(text))
  process.stdout.write(
    `Recovery identity (print it, keep it in a safe, never on this machine):\n  ${identity}\nWrite beside it the vault's name, which \`sallyport vault verify\` prints.\n\nRecipient, for sallyport.yaml:\n  vault:\n    recovery: [${recipient}]\n`,
  )
}

async function recover(id: string | undefined, options: Options): Promise<void> {
  const flag = (name: string, value: string | undefined): readonly string[] => (value === undefined ? [] : [`--${name}=${value}`])
  const words = [
    ...flag('recovery-identity', options.identity && resolve(options.identity)),
    ...options.bucket.map((bucket) => `--bucket=${bucket}`),
    ...flag('bucket-credential', options.bucketCredential && resolve(options.bucketCredential)),
    ...flag('dir', options.dir && resolve(options.dir)),
    ...flag('public-key', options.publicKey),
    ...flag('to', options.to && resolve(options.to)),
  ]
  const { text, code } = await askVaultProgram(['recover', ...words, '--', id ?? 'list'])
  process.exitCode = code
  if (options.json) return void process.stdout.write(text)
  const { vault } = z.object({ vault: z.string() }).parse(JSON.parse(text))
  process.stdout.write(`Vault: ${vault}. Compare it with the one on your recovery sheet.\n`)
  if (id === undefined) writeList(listShape.parse(JSON.parse(text)))
  else writeRestored(restoreShape.parse(JSON.parse(text)), resolve(options.to ?? ''))
}

async function release(id: string, options: Options): Promise<void> {
  await askVaultProgram(['release', ...storesOf(options.dir, options), '--', folderOf(options.dir, options), id])
  process.stdout.write(`The hold on ${id} has ended. Its copies stay locked until the time that the hold last kept ahead.\n`)
}

async function list(folder: string | undefined, options: Options): Promise<void> {
  const { text, code } = await askVaultProgram(['list', ...storesOf(folder, options), '--', folderOf(folder, options)])
  const listing = listShape.parse(JSON.parse(text))
  process.exitCode = listing.damaged.length > 0 ? exitCodes.failed : code
  const targets = folder === undefined ? await findTargets(options.state) : null
  if (options.json) return void process.stdout.write(`${JSON.stringify({ ...listing, targets })}\n`)
  writeList(listing)
  if (targets === null) return
  for (const target of targets.targets) process.stdout.write(`KEPT  ${describeTarget(target)}\n`)
  for (const { snapshot, reason } of targets.holds) process.stdout.write(`HELD  ${snapshot.slice(0, 16)}  ${showText(reason)}\n`)
  if (targets.storage !== null) process.stdout.write(`${describeStorage(targets.storage)}\n`)
}

/** Only the running gate knows what it keeps, and how drills of it went. */
async function findTargets(state: string): Promise<Targets | null> {
  try {
    return await readTargets(await connectControl(state))
  } catch {
    return null
  }
}

function writeList({ snapshots, damaged }: z.infer<typeof listShape>): void {
  if (snapshots.length === 0) process.stdout.write('No snapshot was sealed yet.\n')
  for (const one of snapshots) {
    const what = `${one.kind} of ${describeCopied(Object.keys(one.checksums).map(showText)) || 'nothing'}`
    const until = new Date(one.retainUntilMs).toISOString().slice(0, 10)
    process.stdout.write(
      `${one.id.slice(0, 16)}  ${new Date(one.madeAtMs).toISOString()}  ${showText(one.upstream)}  ${one.rows.toLocaleString('en')} rows  ${showBytes(one.storedBytes)}  kept until ${until}  ${what}\n`,
    )
  }
  for (const one of damaged) process.stdout.write(`DAMAGED  ${showText(one.file)}: ${one.what}\n`)
}

async function verify(folder: string | undefined, options: Options): Promise<void> {
  const key = options.publicKey === undefined ? [] : ['--public-key', options.publicKey]
  const sample = options.sample === undefined ? [] : [`--sample=${options.sample}`]
  const words = [...key, ...sample, ...storesOf(folder, options), '--', folderOf(folder, options)]
  const { text, code } = await askVaultProgram(['verify', ...words])
  const report = verifyShape.parse(JSON.parse(text))
  process.exitCode = code
  if (options.json) return void process.stdout.write(text)
  for (const one of report.damage) {
    const where =
      one.snapshot === undefined
        ? ''
        : ` (snapshot ${one.snapshot.slice(0, 16)}${one.part === undefined ? '' : `, part ${showText(one.part)}`}${one.range === undefined ? '' : `, bytes ${one.range.from} to ${one.range.from + one.range.bytes - 1}`})`
    process.stdout.write(`${one.kind}  ${showText(one.file)}: ${one.what}${where}\n`)
  }
  for (const one of report.traces) process.stdout.write(`TRACE  ${showText(one.file)}: ${one.what}\n`)
  for (const id of report.lost)
    process.stdout.write(`LOST  snapshot ${id}: not every part of it can be had. \`sallyport vault restore\` gives the others.\n`)
  const read = `${report.snapshots} snapshots, ${report.parts} parts, ${report.chunks} chunks${report.sample < 1 ? `, of which ${(report.sample * 100).toLocaleString('en')} % chosen at random` : ''}, ${showBytes(report.bytes)} read`
  process.stdout.write(
    `${report.ok ? 'Whole' : `DAMAGED in ${report.damage.length} places`}: ${read}${report.decrypted ? ', decrypted and compared' : '; not decrypted, as there is no key'}.\n`,
  )
  const newest = report.newest ? `number ${report.newest.sequence}, ${report.newest.id}` : 'none'
  process.stdout.write(
    `Newest snapshot: ${newest}. That none came after it only the log can say (its last \`snapshot.sealed\`).\nVault: ${report.vault}\n`,
  )
}

async function restore(id: string, options: Options): Promise<void> {
  if (options.to === undefined)
    throw new CommandFailure(
      exitCodes.usage,
      'bad_request',
      'There is no folder to restore into.',
      'Nothing was restored.',
      'Name a new one by --to.',
    )
  const to = resolve(options.to)
  const { text, code } = await askVaultProgram([
    'restore',
    '--to',
    to,
    ...storesOf(options.dir, options),
    '--',
    folderOf(options.dir, options),
    id,
  ])
  process.exitCode = code
  if (options.json) return void process.stdout.write(text)
  writeRestored(restoreShape.parse(JSON.parse(text)), to)
}

function writeRestored(report: z.infer<typeof restoreShape>, to: string): void {
  for (const one of report.restored) process.stdout.write(`${showText(one.name)}  ${showBytes(one.bytes)}\n`)
  for (const one of report.lost) process.stdout.write(`LOST  ${showText(one.name)}: ${one.what}\n`)
  const whole = report.ok
    ? `All ${report.restored.length} parts`
    : `Only ${report.restored.length} of ${report.restored.length + report.lost.length} parts`
  process.stdout.write(`${whole} of snapshot ${report.snapshot.id.slice(0, 16)} written to ${to}/parts.\n`)
}

/** As `log verify` takes the state or the log in it, so does this: where a gate's state was kept, the vault is in it. */
function folderOf(folder: string | undefined, options: Options): string {
  if (folder === undefined) return join(resolve(options.state), 'vault')
  const within = join(resolve(folder), 'vault')
  return !existsSync(join(resolve(folder), 'identity')) && existsSync(join(within, 'identity')) ? within : resolve(folder)
}

/** Names come from upstreams: nothing in them may move a cursor or turn the line around. */
function showText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}
