import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, mkdirSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { SallyportError, type Progress, type Seal, type SqlChannel } from '@sallyport/core'
import { readFacts } from './facts.ts'
import { type DatabaseCopy, type DumpFile, partOf } from './manifest.ts'
import { findDumpPrograms, runProgram } from './program.ts'
import { listTables, sumLargeObjects, sumTable, textSettings, type Ask, type TableSum } from './table-sum.ts'
import { type DumpTarget, writeAccess } from './target.ts'

/** A transaction of the gate's own on the database, with the `protect` credential. */
export interface OwnTransaction {
  readonly identity: string
  readonly channel: SqlChannel
  /** Ends it, and the connection. */
  end(): Promise<void>
}

export interface DumpSource {
  readonly target: DumpTarget
  begin(): Promise<OwnTransaction>
}

export interface DumpOptions {
  readonly report: (progress: Progress) => void
  readonly signal: AbortSignal
}

/** Programs and connections at work at once: the server has others to serve. */
export const workers = Math.max(1, Math.min(4, availableParallelism()))

/** Writers are never waited for longer than this: pg_dump itself only keeps others from changing the tables' shape. */
const lockTimeoutMs = 30_000

/**
 * Dumps the database into `folder` and sums up every table, both in the same snapshot: what is compared after a restore is what was read at that
 * moment, not what pg_dump says it wrote.
 */
export async function dumpDatabase(
  source: DumpSource,
  folder: string,
  { report, signal }: DumpOptions,
): Promise<Omit<DatabaseCopy, 'files'>> {
  const leader = await source.begin()
  try {
    const ask: Ask = (sql, values) => leader.channel.query(sql, values)
    await ask('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY')
    await applySettings(ask)
    const facts = await readFacts(ask)
    const programs = await findDumpPrograms(facts.serverMajor)
    const snapshot = (await ask('SELECT pg_catalog.pg_export_snapshot()'))[0]?.[0] ?? ''
    const tables = await listTables(ask)
    report({ step: 'dumping and counting', done: 0, total: tables.length })
    const stop = new AbortController()
    const either = AbortSignal.any([signal, stop.signal])
    const dumping = runProgram({
      program: programs.dump,
      words: [
        '--format=directory',
        `--jobs=${workers}`,
        `--snapshot=${snapshot}`,
        '--compress=0',
        '--no-subscriptions',
        '--no-password',
        `--lock-wait-timeout=${lockTimeoutMs}`,
        `--file=${join(folder, 'dump')}`,
      ],
      environment: writeAccess(source.target, folder),
      signal: either,
    })
    const summing = sumAll(source, snapshot, tables, (done) =>
      report({ step: 'dumping and counting', done, total: tables.length }),
    )
    const [, sums] = await bothOrFirstError(dumping, summing, () => stop.abort())
    const largeObjects = await sumLargeObjects(ask)
    return {
      v: 1,
      format: 'pg_dump directory',
      ...facts,
      programsMajor: programs.major,
      tables: tables.map((table) => ({ ...table, ...sumOf(sums, table.label) })),
      largeObjects,
    }
  } finally {
    await leader.end()
  }
}

/** So that values are written out alike on every server. */
export async function applySettings(ask: Ask, until: 'transaction' | 'session' = 'transaction'): Promise<void> {
  for (const [name, value] of textSettings)
    await ask(`SELECT pg_catalog.set_config($1, $2, ${until === 'transaction'})`, [name, value])
}

/** Both are waited for, so that nothing runs on behind an error. */
async function bothOrFirstError<Left, Right>(
  left: Promise<Left>,
  right: Promise<Right>,
  stop: () => void,
): Promise<[Left, Right]> {
  let first: { readonly error: unknown } | null = null
  const note = (error: unknown): never => {
    first ??= { error }
    stop()
    throw error
  }
  const settled = await Promise.allSettled([left.catch(note), right.catch(note)])
  const [one, other] = settled
  if (one.status === 'fulfilled' && other.status === 'fulfilled') return [one.value, other.value]
  throw thrownBy(first, settled)
}

function thrownBy(first: { readonly error: unknown } | null, settled: readonly PromiseSettledResult<unknown>[]): unknown {
  return first === null ? settled.find((one) => one.status === 'rejected')?.reason : first.error
}

type Tables = Awaited<ReturnType<typeof listTables>>

/** Several connections, each with the same snapshot, take the next table as they are done with one. */
async function sumAll(
  source: DumpSource,
  snapshot: string,
  tables: Tables,
  done: (count: number) => void,
): Promise<ReadonlyMap<string, TableSum>> {
  const sums = new Map<string, TableSum>()
  const waiting = [...tables]
  const work = async (): Promise<void> => {
    if (waiting.length === 0) return
    const own = await source.begin()
    try {
      const ask: Ask = (sql, values) => own.channel.query(sql, values)
      await ask('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY')
      await ask(`SET TRANSACTION SNAPSHOT '${snapshot.replaceAll("'", '')}'`)
      await applySettings(ask)
      for (let table = waiting.shift(); table !== undefined; table = waiting.shift()) {
        sums.set(table.label, await sumTable(ask, table))
        done(sums.size)
      }
    } catch (error) {
      waiting.length = 0
      throw error
    } finally {
      await own.end()
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: workers }, work))
  const failed = ended.find((one) => one.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return sums
}

export function sumOf(sums: ReadonlyMap<string, TableSum>, label: string): TableSum {
  const sum = sums.get(label)
  if (sum === undefined) throw new Error(`table ${label} was not summed up`)
  return sum
}

/** Puts every file of the dump into the vault. */
export async function putDump(seal: Seal, folder: string, { report, signal }: DumpOptions): Promise<DumpFile[]> {
  const dump = join(folder, 'dump')
  const names = readdirSync(dump).toSorted()
  const files: DumpFile[] = []
  for (const name of names) {
    signal.throwIfAborted()
    report({ step: 'sealing', done: files.length, total: names.length })
    const bytes = createReadStream(join(dump, name), { highWaterMark: 1 << 18 })
    files.push({ name, ...(await seal.put({ name: partOf(name), bytes })) })
  }
  return files
}

/** Writes the files of a dump, as they now lie in the vault, into `folder/dump`. @throws SallyportError when they are not what was put */
export async function fetchDump(
  copy: { read(name: string): AsyncIterable<Uint8Array> },
  files: readonly DumpFile[],
  folder: string,
  { report, signal }: DumpOptions,
): Promise<void> {
  const dump = join(folder, 'dump')
  mkdirSync(dump, { mode: 0o700 })
  for (const [index, { name, sha256 }] of files.entries()) {
    report({ step: 'reading back', done: index, total: files.length })
    const path = join(dump, name)
    const sum = createHash('sha256')
    const summing = async function* (pieces: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
      for await (const piece of pieces) {
        sum.update(piece)
        yield piece
      }
    }
    await pipeline(copy.read(partOf(name)), summing, createWriteStream(path, { mode: 0o600, flags: 'wx' }), { signal })
    if (sum.digest('hex') !== sha256) throw copyFailed('The copy could not be proven', `${name} is not what was sealed`)
  }
}

export function copyFailed(what: string, why: string, cause?: unknown): SallyportError {
  return new SallyportError(
    'copy_failed',
    `${what}: ${why}.`,
    'No copy counts that was not restored and compared.',
    'Mend what the message names, then try again.',
    {
      cause,
    },
  )
}
