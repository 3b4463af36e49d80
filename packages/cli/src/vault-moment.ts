import { chmodSync, copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { listTables, recoverServer, sumTables, type RecoveredServer } from '@sallyport/connectors'
import { baseManifestShape, parseLsn, walStreamShape, type RecoveryMoment } from '@sallyport/core'
import { z } from 'zod'
import { CommandFailure, exitCodes } from './failure.ts'
import { ProgressLine } from './progress-line.ts'
import { askVaultProgram } from './vault-program.ts'
import { readFromVault } from './vault-stream.ts'

/** The options of `vault restore` that name a moment. */
export const momentShape = z.object({
  upstream: z.string().optional(),
  into: z.string().optional(),
  toTime: z.string().optional(),
  toLsn: z.string().optional(),
  toRestorePoint: z.string().optional(),
  toEnd: z.boolean().default(false),
  base: z.string().optional(),
  table: z.string().optional(),
  database: z.string().optional(),
  file: z.string().optional(),
  json: z.boolean().default(false),
})
export type MomentOptions = z.infer<typeof momentShape>

const streamsShape = z.object({
  streams: z.array(walStreamShape),
  bases: z.array(z.object({ snapshot: z.string(), upstream: z.string(), bytes: z.number(), manifest: baseManifestShape })),
})
type Streams = z.infer<typeof streamsShape>
type Base = Streams['bases'][number]

/** A table's name, each half quoted where it needs to be, as it may stand in SQL. */
const tablePattern = /^("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)\.("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)$/
/** Names of restore points that the gate makes say when: see `markName`. */
const ownPoint = /^sallyport-(\d{13})-/

export function isMoment(options: MomentOptions): boolean {
  return targetsOf(options).length > 0 || options.into !== undefined
}

function targetsOf({ toTime, toLsn, toRestorePoint, toEnd }: MomentOptions): readonly RecoveryMoment[] {
  const targets: RecoveryMoment[] = []
  if (toTime !== undefined) targets.push({ kind: 'time', atMs: readTime(toTime) })
  if (toLsn !== undefined) targets.push({ kind: 'lsn', lsn: toLsn.toUpperCase() })
  if (toRestorePoint !== undefined) targets.push({ kind: 'point', name: toRestorePoint })
  if (toEnd) targets.push({ kind: 'end' })
  return targets
}

function readTime(text: string): number {
  const atMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:?\d\d)$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isFinite(atMs)) return atMs
  throw usage(`${JSON.stringify(text)} is no time`, 'Write it like 2026-03-01T14:30:00Z, with its zone.')
}

/**
 * `vault restore --to-time … --into DIR`: a whole server as it was at a moment, as a data directory, started once and read from end to end. It needs the
 * vault's folder or buckets and PostgreSQL's programs of the same version, and no running gate or vault.
 * @param words which vault: for every command of its program
 */
export async function restoreMoment(
  words: { readonly flags: readonly string[]; readonly folder: string },
  options: MomentOptions,
): Promise<void> {
  const targets = targetsOf(options)
  const [target] = targets
  if (target === undefined || targets.length > 1)
    throw usage('name one moment', 'Give one of --to-time, --to-lsn, --to-restore-point and --to-end.')
  if (options.into === undefined) throw usage('there is no folder to restore into', 'Name a new one by --into.')
  if (options.table !== undefined && (!tablePattern.test(options.table) || options.file === undefined))
    throw usage('one table is written like public.orders, and goes into a file', 'Add --file.')
  const into = resolve(options.into)
  const { text } = await askVaultProgram(['streams', ...words.flags, '--', words.folder])
  const { base, stream } = choose(streamsShape.parse(JSON.parse(text)), options, target)
  const read = (id: string, ...more: readonly string[]): AsyncIterable<Uint8Array> =>
    readFromVault([...words.flags, ...more, '--', words.folder, id])
  const progress = new ProgressLine()
  const recovered = await recoverServer({
    source: {
      base: base.manifest,
      baseBytes: base.bytes,
      stream,
      openBase: () => read(base.snapshot, `--part=${base.manifest.part}`),
      openWal: (from, untilMs) => read(stream.id, `--from=${from}`, ...(untilMs === null ? [] : [`--until-ms=${untilMs}`])),
    },
    target,
    into,
    remove: false,
    report: (step) => progress.show(step),
  })
  try {
    progress.end()
    const tables =
      options.table === undefined ? await readEverything(recovered, base) : await takeTable(recovered, base, into, options)
    tell(recovered, base, stream.lastAtMs, tables, options)
  } finally {
    await recovered.server.stop()
    for (const name of ['socket', 'programs', 'postgresql.conf', 'pg_hba.conf', 'pg_ident.conf', 'out'])
      rmSync(join(into, name), { recursive: true, force: true })
  }
}

/** The newest base copy before the moment, and its stream. */
function choose(
  { streams, bases }: Streams,
  options: MomentOptions,
  target: RecoveryMoment,
): { readonly base: Base; readonly stream: Streams['streams'][number] } {
  const upstreams = [...new Set(bases.map(({ upstream }) => upstream))]
  const upstream = options.upstream ?? (upstreams.length === 1 ? upstreams[0] : undefined)
  if (upstream === undefined)
    throw usage(
      upstreams.length === 0 ? 'this vault holds no base copy, so no moment can be restored' : 'the vault holds several servers',
      upstreams.length === 0 ? 'Add `continuous: {}` to a PostgreSQL upstream.' : `Add --upstream: ${upstreams.join(', ')}.`,
    )
  const fitting = bases.filter(
    (base) =>
      base.upstream === upstream &&
      (options.base === undefined ? isBefore(base, target) : base.snapshot.startsWith(options.base)),
  )
  for (const base of fitting) {
    const stream = streams.find(({ id }) => id === base.manifest.stream)
    if (stream === undefined || (target.kind === 'lsn' && parseLsn(target.lsn) > parseLsn(stream.toLsn))) continue
    return { base, stream }
  }
  const oldest = bases.filter((base) => base.upstream === upstream).at(-1)
  throw new CommandFailure(
    exitCodes.failed,
    'not_found',
    `No base copy of ${upstream} is from before that moment${oldest === undefined ? '' : `: the oldest is of ${new Date(oldest.manifest.endedAtMs).toISOString()}`}.`,
    'Nothing was restored.',
    'Name a later moment.',
  )
}

function isBefore({ manifest }: Base, target: RecoveryMoment): boolean {
  switch (target.kind) {
    case 'time':
      return manifest.endedAtMs <= target.atMs
    case 'lsn':
      return parseLsn(manifest.endLsn) <= parseLsn(target.lsn)
    case 'point': {
      const atMs = ownPoint.exec(target.name)?.[1]
      return atMs === undefined || manifest.endedAtMs <= Number(atMs)
    }
    case 'end':
      return true
  }
}

interface ReadTables {
  readonly tables: number
  readonly rows: number
  readonly sums: Readonly<Record<string, { readonly rows: number; readonly sha256: string }>>
}

/** Every row of every table of every database: what cannot be read was not restored. */
async function readEverything({ server }: RecoveredServer, base: Base): Promise<ReadTables> {
  const databases = await server.ask(
    `SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname <> $1, datname`,
    [base.manifest.database],
  )
  const sums: Record<string, { readonly rows: number; readonly sha256: string }> = {}
  for (const [database] of databases) {
    if (database === null || database === undefined) continue
    const { ask, end } = await server.open(database)
    try {
      for (const [label, sum] of await sumTables(ask, await listTables(ask))) sums[`${database}: ${label}`] = sum
    } finally {
      await end()
    }
  }
  return { tables: Object.keys(sums).length, rows: Object.values(sums).reduce((sum, { rows }) => sum + rows, 0), sums }
}

/** One table as a file that COPY reads again. */
async function takeTable(
  recovered: RecoveredServer,
  base: Base,
  into: string,
  { table = '', database, file = '' }: MomentOptions,
): Promise<ReadTables> {
  const { ask, end } = await recovered.server.open(database ?? base.manifest.database)
  const out = join(recovered.server.socket, 'table.csv')
  try {
    await ask(`COPY (SELECT * FROM ${table}) TO '${out.replaceAll("'", "''")}' WITH (FORMAT csv, HEADER true)`)
    const found = (await listTables(ask)).filter(({ label }) => label === table)
    const sums = await sumTables(ask, found)
    const to = resolve(file)
    mkdirSync(dirname(to), { recursive: true })
    copyFileSync(out, to)
    chmodSync(to, 0o600)
    return { tables: 1, rows: [...sums.values()].reduce((sum, { rows }) => sum + rows, 0), sums: Object.fromEntries(sums) }
  } finally {
    await end()
  }
}

function tell(recovered: RecoveredServer, base: Base, lastAtMs: number, read: ReadTables, options: MomentOptions): void {
  const { data, lastTransaction, reachedEnd } = recovered
  const { major, database } = base.manifest
  if (options.json) {
    const facts = { data, lastTransaction, reachedEnd, streamEndsAtMs: lastAtMs, base: base.snapshot, ...read }
    return void process.stdout.write(`${JSON.stringify(facts)}\n`)
  }
  const file = options.file === undefined ? '' : `The table is in ${resolve(options.file)}: COPY reads it (FORMAT csv, HEADER).\n`
  const end = reachedEnd
    ? `This is the end of the WAL in the vault, sealed at ${new Date(lastAtMs).toISOString()}: what was written later is not in it.\n`
    : ''
  process.stdout.write(
    `Restored to ${lastTransaction ?? 'the base copy'}: ${read.tables} tables, ${read.rows.toLocaleString('en')} rows read from end to end.\n${end}${file}The server (database ${database}, PostgreSQL ${major}) lies in ${data}: start it there with its own settings.\n`,
  )
}

function usage(what: string, next: string): CommandFailure {
  return new CommandFailure(
    exitCodes.usage,
    'bad_request',
    `${what.charAt(0).toUpperCase()}${what.slice(1)}.`,
    'Nothing was restored.',
    next,
  )
}
