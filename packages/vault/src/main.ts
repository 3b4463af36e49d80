import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { systemCode, toFailure, VaultFailure } from './failure.ts'
import { releaseHold } from './release.ts'
import { listFolder, restoreSnapshot, type ReportRestore } from './restore.ts'
import { serve, type ServeSettings } from './serve.ts'
import { readWhole } from './disk.ts'
import { openByRecovery } from './recover.ts'
import { makeRecoveryPair } from './recovery.ts'
import { openStores, type StoreSettings } from './open-stores.ts'
import { openFolder, type ReadableVault, type VaultFolder } from './vault-folder.ts'
import { listStreams, readBytes } from './wal-folder.ts'
import { verifyFolder } from './verify.ts'

const usage = `usage:
  vault serve --dir DIR --socket PATH --token-file PATH
              [--user NAME] [--gate-user NAME] [--immutable] [--new-credential] [--while-stdin-open]
              [--open-seals-max N] [--seal-bytes-max N] [--idle-ms N] [--quota-bytes N] [--expiry-every-ms N] [--watch-every-ms N]
              [--recovery-recipient AGE…] [STORES]
  vault list DIR [STORES]
  vault verify DIR [--public-key HEX] [--sample SHARE] [STORES]
  vault restore DIR ID --to FOLDER [STORES]
  vault streams DIR [--recovery-identity FILE] [--public-key HEX] [STORES]
  vault read DIR ID --part NAME [--recovery-identity FILE] [STORES]
  vault read DIR STREAM --from LSN [--until-ms TIME] [--recovery-identity FILE] [STORES]
  vault release DIR ID [STORES]
  vault recovery-pair
  vault recover list|ID --recovery-identity FILE [--dir DIR] [--public-key HEX] [--to FOLDER] [STORES]

STORES  --bucket s3://BUCKET/PREFIX?region=…&endpoint=… (several: every copy goes to each) [--bucket-credential FILE] [--folder-too]
        without one, copies lie in DIR itself

serve   keeps copies; prints one line of JSON once it is ready; ends on SIGTERM, SIGINT and, with --while-stdin-open, when its input ends
list    the sealed snapshots, read from the folder
verify  reads everything, or a share of the chunks, and says what is not as it was sealed; without the key file it checks signatures and hashes of what is stored
restore writes the parts of a snapshot as files; goes on where the same restore was cut short
streams the streams of WAL, and the base copies that they go on from
read    writes one part, or WAL from a position on, to standard output, proven piece by piece; ends with 1 at the first byte that cannot be had
release ends the legal hold on a snapshot; the vault must be stopped
recovery-pair makes an age identity to be kept offline, and its recipient
recover lists, or restores, by the recovery identity and the stores alone: no file of a vault is needed

list, verify and restore print one JSON document. Exit codes: 0 all well, 1 damage or failure, 2 usage.
`
const exitCodes = { ok: 0, failed: 1, usage: 2 } as const

const integer = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER)
const serveFlags = z.object({
  dir: z.string().min(1),
  socket: z.string().min(1),
  'token-file': z.string().min(1),
  user: z.string().optional(),
  'gate-user': z.string().optional(),
  'new-credential': z.boolean().default(false),
  'while-stdin-open': z.boolean().default(false),
  immutable: z.boolean().default(false),
  'open-seals-max': integer.default(1_024),
  'seal-bytes-max': integer.default(64 * 2 ** 30),
  'idle-ms': integer.default(3_600_000),
  'quota-bytes': integer.optional(),
  'expiry-every-ms': integer.default(3_600_000),
  'watch-every-ms': integer.default(600_000),
})
const storeFlags = z.object({
  bucket: z.array(z.string()).default([]),
  'bucket-credential': z.string().optional(),
  'folder-too': z.boolean().default(false),
  'recovery-recipient': z.array(z.string()).default([]),
  'recovery-identity': z.string().optional(),
  sample: z.coerce.number().gt(0).max(1).default(1),
})
const recoverFlags = z.object({ dir: z.string().optional(), to: z.string().optional(), 'public-key': z.string().optional() })
const identityBytesMax = 64 << 10

const flagTypes = {
  dir: { type: 'string' },
  socket: { type: 'string' },
  'token-file': { type: 'string' },
  user: { type: 'string' },
  'gate-user': { type: 'string' },
  'new-credential': { type: 'boolean' },
  'while-stdin-open': { type: 'boolean' },
  immutable: { type: 'boolean' },
  'open-seals-max': { type: 'string' },
  'seal-bytes-max': { type: 'string' },
  'idle-ms': { type: 'string' },
  'quota-bytes': { type: 'string' },
  'expiry-every-ms': { type: 'string' },
  'watch-every-ms': { type: 'string' },
  'public-key': { type: 'string' },
  bucket: { type: 'string', multiple: true },
  'bucket-credential': { type: 'string' },
  'folder-too': { type: 'boolean' },
  sample: { type: 'string' },
  'recovery-recipient': { type: 'string', multiple: true },
  'recovery-identity': { type: 'string' },
  to: { type: 'string' },
  part: { type: 'string' },
  from: { type: 'string' },
  'until-ms': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

async function main(words: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: flagTypes,
  })
  if (values.help === true) {
    process.stdout.write(usage)
    return exitCodes.ok
  }
  const [command, folder, id, ...more] = positionals
  const publicKey = values['public-key'] ?? null
  if (more.length > 0) return explainUsage()
  if (command === 'serve' && folder === undefined) return await runServe(values)
  if (command === 'recovery-pair' && folder === undefined) return print(await makeRecoveryPair(), true)
  if (folder === undefined) return explainUsage()
  if (command === 'recover' && id === undefined) return await runRecover(folder, values)
  const flags = storeFlags.safeParse(values)
  if (!flags.success) return explainUsage()
  const opened = async (): Promise<VaultFolder> =>
    await openFolder(folder, publicKey, await openStores(folder, storesOf(flags.data), Date.now))
  if (command === 'release' && id !== undefined) {
    const stores = await openStores(folder, storesOf(flags.data), Date.now)
    return print(await releaseHold(folder, stores, id, Date.now()), true)
  }
  const readable = async (): Promise<ReadableVault> => {
    const identityFile = flags.data['recovery-identity']
    return identityFile === undefined ? await opened() : await openByIdentity(folder, flags.data, identityFile, publicKey)
  }
  if (command === 'streams' && id === undefined) return print(await listStreams(await readable()), true)
  if (command === 'read' && id !== undefined && (values.part === undefined) !== (values.from === undefined)) {
    const untilMs = values['until-ms'] === undefined ? null : integer.parse(values['until-ms'])
    const at = values.part === undefined ? { from: values.from ?? '', untilMs } : { part: values.part }
    return await writeBytes(readBytes(await readable(), id, at))
  }
  if (command === 'list' && id === undefined) return print(await listFolder(await opened()), true)
  if (command === 'verify' && id === undefined) {
    const report = await verifyFolder(await opened(), { sample: flags.data.sample, random: Math.random })
    return print(report, report.ok)
  }
  if (command === 'restore' && id !== undefined && values.to !== undefined) {
    const report = await restoreSnapshot(await opened(), id, values.to, tellProgress())
    return print(report, report.ok)
  }
  return explainUsage()
}

/** `what`: `list`, or the snapshot to restore. */
async function runRecover(what: string, values: Readonly<Record<string, unknown>>): Promise<number> {
  const flags = storeFlags.safeParse(values)
  const { dir = '', to, 'public-key': publicKey = null } = recoverFlags.parse(values)
  const identityFile = flags.data?.['recovery-identity']
  if (!flags.success || identityFile === undefined) return explainUsage()
  // Without a bucket the copies lie in a folder, which must be named then.
  if (dir === '' && flags.data.bucket.length === 0) return explainUsage()
  const vault = await openByIdentity(dir, flags.data, identityFile, publicKey)
  if (what === 'list') return print({ vault: vault.publicKey, ...(await listFolder(vault)) }, true)
  if (to === undefined) return explainUsage()
  const report = await restoreSnapshot(vault, what, to, tellProgress())
  return print({ vault: vault.publicKey, ...report }, report.ok)
}

async function openByIdentity(
  folder: string,
  flags: z.infer<typeof storeFlags>,
  identityFile: string,
  publicKey: string | null,
): ReturnType<typeof openByRecovery> {
  const identity = (await readWhole(identityFile, identityBytesMax)).toString('utf8')
  const secret = /^AGE-SECRET-KEY-\S+$/m.exec(identity)?.[0] ?? ''
  return await openByRecovery(await openStores(folder, storesOf(flags), Date.now), secret, publicKey)
}

async function writeBytes(bytes: AsyncIterable<Uint8Array>): Promise<number> {
  await pipeline(bytes, process.stdout, { end: false })
  return exitCodes.ok
}

const progressEveryMs = 500

/** A line of JSON on standard error now and then: how far it is. */
function tellProgress(): ReportRestore {
  let saidMs = 0
  return ({ part, done, total }) => {
    const nowMs = performance.now()
    if (nowMs - saidMs < progressEveryMs) return
    saidMs = nowMs
    process.stderr.write(`${JSON.stringify({ progress: { part, done, total } })}\n`)
  }
}

function storesOf(flags: z.infer<typeof storeFlags>): StoreSettings {
  return { buckets: flags.bucket, bucketCredentialFile: flags['bucket-credential'] ?? null, folderToo: flags['folder-too'] }
}

async function runServe(values: unknown): Promise<number> {
  const parsed = serveFlags.safeParse(values)
  const stores = storeFlags.safeParse(values)
  if (!parsed.success || !stores.success) return explainUsage()
  const flags = parsed.data
  const settings: ServeSettings = {
    folder: flags.dir,
    socketPath: flags.socket,
    tokenFile: flags['token-file'],
    user: flags.user ?? null,
    gateUser: flags['gate-user'] ?? null,
    newCredential: flags['new-credential'],
    stores: storesOf(stores.data),
    immutable: flags.immutable,
    recoveryRecipients: stores.data['recovery-recipient'],
    limits: {
      openMax: flags['open-seals-max'],
      sealBytesMax: flags['seal-bytes-max'],
      storedBytesMax: flags['quota-bytes'] ?? null,
      idleMs: flags['idle-ms'],
    },
    expiryEveryMs: flags['expiry-every-ms'],
    watchEveryMs: flags['watch-every-ms'],
  }
  const ended = untilEnd(flags['while-stdin-open'])
  const vault = await serve(settings, { wallMs: () => Date.now(), monotonicMs: () => performance.now() })
  print(
    {
      ready: true,
      publicKey: vault.publicKey,
      socket: flags.socket,
      snapshots: vault.snapshots,
      damaged: vault.damaged,
      unready: vault.unready,
    },
    true,
  )
  await ended
  await vault.close()
  return exitCodes.ok
}

function untilEnd(whileStdinOpen: boolean): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
    if (!whileStdinOpen) return
    process.stdin.once('end', resolve).once('error', resolve).resume()
  })
}

function print(document: object, well: boolean): number {
  process.stdout.write(`${JSON.stringify(document)}\n`)
  return well ? exitCodes.ok : exitCodes.failed
}

function explainUsage(): number {
  process.stderr.write(usage)
  return exitCodes.usage
}

try {
  process.exitCode = await main(process.argv.slice(2))
  // A reader of standard input would keep the process alive.
  process.stdin.destroy()
} catch (error) {
  const failure = toFailure(error)
  const isUsage = failure.code === 'bad_request' || systemCode(error)?.startsWith('ERR_PARSE_ARGS') === true
  const message = isUsage && !(error instanceof VaultFailure) && error instanceof Error ? error.message : failure.message
  process.stderr.write(`${JSON.stringify({ error: failure.code, message })}\n`)
  process.exitCode = isUsage ? exitCodes.usage : exitCodes.failed
  process.stdin.destroy()
}
