import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { z } from 'zod'
import { describeCopied } from '../copied-names.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { stateOption } from '../state-directory.ts'

const vaultProgram = fileURLToPath(new URL('../../../vault/src/main.ts', import.meta.url))
/** A listing of a vault that has been at it for years. */
const documentBytesMax = 1 << 30

const optionsShape = z.object({
  state: z.string(),
  json: z.boolean().default(false),
  publicKey: z.string().optional(),
  to: z.string().optional(),
  dir: z.string().optional(),
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
  damage: z.array(
    z.object({
      kind: z.string(),
      file: z.string(),
      what: z.string(),
      snapshot: z.string().optional(),
      part: z.string().optional(),
    }),
  ),
})
const restoreShape = z.object({
  ok: z.boolean(),
  snapshot: z.object({ id: z.string(), upstream: z.string() }),
  restored: z.array(z.object({ name: z.string(), bytes: z.number() })),
  lost: z.array(z.object({ name: z.string(), what: z.string() })),
})
const errorShape = z.object({ error: z.string(), message: z.string() })

/** `vault list|verify|restore`: all three read the folder itself and need no running vault. */
export function makeCommand(): Command {
  const vault = new Command('vault').description(
    'Sealed copies: what there is, whether it is whole, and their parts as files. Reads the folder; needs no running gate or vault.',
  )
  vault
    .command('list')
    .description('all sealed snapshots, oldest first')
    .argument('[folder]', "the vault's folder (default: `vault` in the state)")
    .addOption(stateOption())
    .option('--json', 'one JSON object: snapshots, damaged')
    .action(async (folder: string | undefined, given: unknown) => await list(folder, optionsShape.parse(given)))
  vault
    .command('verify')
    .description(
      're-reads every byte and names what is not as it was sealed. Without the key file it still checks signatures and hashes of what is stored.',
    )
    .argument('[folder]', "the vault's folder (default: `vault` in the state)")
    .option('--public-key <hex>', 'the vault that it must be; else a whole forged vault would pass')
    .addOption(stateOption())
    .option('--json', 'one JSON object: ok, snapshots, chunks, bytes, damage, …')
    .action(async (folder: string | undefined, given: unknown) => await verify(folder, optionsShape.parse(given)))
  vault
    .command('restore')
    .description('writes the parts of a snapshot as files. To put rows and tables back in place, use `undo`.')
    .argument('<snapshot>', 'its id, or the first 8 or more digits of one')
    .requiredOption('--to <folder>', 'a new or empty folder')
    .option('--dir <folder>', "the vault's folder (default: `vault` in the state)")
    .addOption(stateOption())
    .option('--json', 'one JSON object: ok, snapshot, restored, lost')
    .action(async (id: string, given: unknown) => await restore(id, optionsShape.parse(given)))
  return vault
}

async function list(folder: string | undefined, options: Options): Promise<void> {
  const { text, code } = await askVaultProgram(['list', '--', folderOf(folder, options)])
  const { snapshots, damaged } = listShape.parse(JSON.parse(text))
  process.exitCode = damaged.length > 0 ? exitCodes.failed : code
  if (options.json) return void process.stdout.write(text)
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
  const { text, code } = await askVaultProgram(['verify', ...key, '--', folderOf(folder, options)])
  const report = verifyShape.parse(JSON.parse(text))
  process.exitCode = code
  if (options.json) return void process.stdout.write(text)
  for (const one of report.damage) {
    const where =
      one.snapshot === undefined
        ? ''
        : ` (snapshot ${one.snapshot.slice(0, 16)}${one.part === undefined ? '' : `, part ${showText(one.part)}`})`
    process.stdout.write(`${one.kind}  ${showText(one.file)}: ${one.what}${where}\n`)
  }
  const read = `${report.snapshots} snapshots, ${report.parts} parts, ${report.chunks} chunks, ${showBytes(report.bytes)} read`
  process.stdout.write(
    `${report.ok ? 'Whole' : `DAMAGED in ${report.damage.length} places`}: ${read}${report.decrypted ? ', decrypted and compared' : '; not decrypted, as there is no key'}.\n`,
  )
  const newest = report.newest ? `number ${report.newest.sequence}, ${report.newest.id}` : 'none'
  process.stdout.write(
    `Newest snapshot: ${newest}. That none came after it only the log can say (its last \`snapshot.sealed\`).\nVault: ${report.vault}\n`,
  )
}

async function restore(id: string, options: Options): Promise<void> {
  const to = resolve(options.to ?? '')
  const { text, code } = await askVaultProgram(['restore', '--to', to, '--', folderOf(options.dir, options), id])
  const report = restoreShape.parse(JSON.parse(text))
  process.exitCode = code
  if (options.json) return void process.stdout.write(text)
  for (const one of report.restored) process.stdout.write(`${showText(one.name)}  ${showBytes(one.bytes)}\n`)
  for (const one of report.lost) process.stdout.write(`LOST  ${showText(one.name)}: ${one.what}\n`)
  const whole = report.ok
    ? `All ${report.restored.length} parts`
    : `Only ${report.restored.length} of ${report.restored.length + report.lost.length} parts`
  process.stdout.write(`${whole} of snapshot ${report.snapshot.id.slice(0, 16)} written to ${to}/parts.\n`)
}

function folderOf(folder: string | undefined, options: Options): string {
  return folder === undefined ? join(resolve(options.state), 'vault') : resolve(folder)
}

/** Runs the vault's own program on a folder: only it knows the format. Damage (1) still comes with a document. */
async function askVaultProgram(words: readonly string[]): Promise<{ readonly text: string; readonly code: number }> {
  const child = spawn(process.execPath, [vaultProgram, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  const out: Buffer[] = []
  let bytes = 0
  let said = ''
  child.stdout.on('data', (piece: Buffer) => {
    bytes += piece.length
    if (bytes > documentBytesMax) child.kill('SIGKILL')
    else out.push(piece)
  })
  child.stderr.on('data', (piece: Buffer) => (said = (said + piece.toString('utf8')).slice(0, 65_536)))
  await once(child, 'close')
  const text = Buffer.concat(out).toString('utf8')
  if (text !== '' && (child.exitCode === 0 || child.exitCode === 1)) return { text, code: child.exitCode }
  throw describeRefusal(said, child.exitCode)
}

function describeRefusal(said: string, code: number | null): CommandFailure {
  const parsed = errorShape.safeParse(parseJson(said))
  const usage = code === 2
  const what = parsed.success ? parsed.data.message : 'The vault program could not do it.'
  return new CommandFailure(
    usage ? exitCodes.usage : exitCodes.failed,
    parsed.success ? parsed.data.error : 'vault_failed',
    what,
    'Nothing was changed in the vault.',
    usage || (parsed.success && parsed.data.error === 'not_found')
      ? 'Name the right folder or snapshot; see `sallyport vault --help`.'
      : "Run it as the vault's own user, on the vault's folder; `sallyport doctor` names both.",
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** Names come from upstreams: nothing in them may move a cursor or turn the line around. */
function showText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

function showBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), units.length)
  return `${(bytes / 1024 ** power).toFixed(1)} ${units[power - 1] ?? ''}`
}
