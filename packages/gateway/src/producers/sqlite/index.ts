import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, lstat, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { pipeline } from 'node:stream/promises'
import { Worker } from 'node:worker_threads'
import {
  SallyportError,
  type CheckedAnswer,
  type DrillCheck,
  type Producer,
  type Seal,
  type SnapshotReader,
} from '@sallyport/core'
import { z } from 'zod'
import type { Examination, Examined } from './examine.ts'

/** Databases of SQLite's, while they are in use. */
export const sqlite = { id: 'sqlite', open }

const part = 'database'
const hash = z.string().regex(/^[0-9a-f]{64}$/)
const tableSchema = z.object({ name: z.string(), rows: z.int().min(0), sha256: hash })
const sqliteCopySchema = z.object({
  v: z.literal(1),
  format: z.literal('SQLite file'),
  sha256: hash,
  bytes: z.int().min(0),
  tables: z.array(tableSchema),
})
type SqliteCopy = z.infer<typeof sqliteCopySchema>
const answerSchema = z.object({ ask: z.string(), expected: z.string(), answer: z.string().nullable(), passed: z.boolean() })
const examinedSchema: z.ZodType<Examined> = z.object({
  integrity: z.string(),
  tables: z.array(tableSchema),
  answers: z.array(answerSchema),
})

/** Pages at a time: between two times others may write. */
const pagesAtOnce = 1_000

function open(path: string): Producer {
  return {
    kind: 'sqlite',
    identity: async () => {
      const status = await lstat(path).catch(() => null)
      if (status === null || !status.isFile()) throw failed(`${path} is no file that the gate can read`)
      return `file ${status.dev}:${status.ino}`
    },
    copy: (seal, options) => inScratch(options.signal, (scratch) => copyDatabase(path, seal, scratch, options)),
    prove: (reader, { checks, signal }) =>
      inScratch(signal, async (scratch) => {
        const copy = readCopy(reader)
        const answers = await fetchAndCompare(copy, reader, join(scratch, 'restored.db'), checks, signal)
        return { rows: countRows(copy), bytes: copy.bytes, compared: copy.tables.length, answers, place: 'a scratch file' }
      }),
    extract: (reader, name, shelf, signal) =>
      inScratch(signal, async (scratch) => {
        const copy = readCopy(reader)
        const table = copy.tables.find((one) => one.name === name)
        if (table === undefined) throw new Error(`the copy has no table ${JSON.stringify(name.slice(0, 200))}`)
        const restored = join(scratch, 'restored.db')
        await fetchAndCompare(copy, reader, restored, [], signal)
        await mkdir(shelf, { recursive: true, mode: 0o700 })
        const file = join(shelf, `${name.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 100)}.db`)
        await work({ what: 'take', file: restored, table: name, to: `${file}.new` }, signal)
        await chmod(`${file}.new`, 0o600)
        await rename(`${file}.new`, file)
        return { file, rows: table.rows, sha256: await sumFile(file) }
      }),
  }
}

async function copyDatabase(
  path: string,
  seal: Seal,
  scratch: string,
  { report, signal }: Parameters<Producer['copy']>[1],
): ReturnType<Producer['copy']> {
  const file = join(scratch, 'backup.db')
  const source = new DatabaseSync(path, { readOnly: true })
  try {
    await backup(source, file, {
      rate: pagesAtOnce,
      progress: ({ totalPages, remainingPages }) =>
        report({ step: 'copying', done: totalPages - remainingPages, total: totalPages }),
    })
  } finally {
    source.close()
  }
  signal.throwIfAborted()
  const { tables } = examinedSchema.parse(await work({ what: 'examine', file, checks: [] }, signal))
  const { sha256, bytes } = await seal.put({ name: part, bytes: createReadStream(file, { highWaterMark: 1 << 18 }) })
  await rm(file)
  const copy: SqliteCopy = { v: 1, format: 'SQLite file', sha256, bytes, tables: [...tables] }
  await fetchAndCompare(copy, seal, join(scratch, 'restored.db'), [], signal)
  const checksums = Object.fromEntries(tables.map((table) => [table.name, table.sha256]))
  return { kind: 'sqlite', rows: countRows(copy), bytes, checksums, manifest: copy }
}

/** Writes what the vault has into `file`, and throws unless it is, byte by byte and row by row, what was sealed. */
async function fetchAndCompare(
  copy: SqliteCopy,
  reader: Pick<SnapshotReader, 'read'>,
  file: string,
  checks: readonly DrillCheck[],
  signal: AbortSignal,
): Promise<readonly CheckedAnswer[]> {
  await pipeline(reader.read(part), createWriteStream(file, { mode: 0o600, flags: 'wx' }))
  if ((await sumFile(file)) !== copy.sha256) throw new Error('what the vault gave is not what was sealed')
  const { integrity, tables, answers } = examinedSchema.parse(await work({ what: 'examine', file, checks }, signal))
  if (integrity !== 'ok') throw new Error(`restored, the database is not whole: ${integrity.slice(0, 200)}`)
  const different = copy.tables.find((table, index) => {
    const other = tables[index]
    return other?.name !== table.name || other.rows !== table.rows || other.sha256 !== table.sha256
  })
  if (different !== undefined || tables.length !== copy.tables.length) {
    const name = different?.name ?? tables.at(-1)?.name ?? ''
    throw new Error(`restored, table ${JSON.stringify(name)} has other rows than the original`)
  }
  return answers
}

async function work(wanted: Examination, signal: AbortSignal): Promise<unknown> {
  signal.throwIfAborted()
  const worker = new Worker(new URL('./examine-worker.ts', import.meta.url), { workerData: wanted })
  const stop = (): void => void worker.terminate()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await new Promise<unknown>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
      worker.once('exit', () => reject(new Error('the look at the database ended early')))
    })
  } finally {
    signal.removeEventListener('abort', stop)
    await worker.terminate()
  }
}

async function sumFile(file: string): Promise<string> {
  const sum = createHash('sha256')
  await pipeline(createReadStream(file), sum)
  return sum.digest('hex')
}

function countRows({ tables }: SqliteCopy): number {
  return tables.reduce((sum, { rows }) => sum + rows, 0)
}

function readCopy({ manifest, checksums }: SnapshotReader): SqliteCopy {
  const parsed = sqliteCopySchema.safeParse(manifest)
  if (!parsed.success) throw failed('it was not made by this producer, or by another version of it', parsed.error)
  const isSame = parsed.data.tables.every(({ name, sha256 }) => checksums[name] === sha256)
  if (!isSame) throw failed('its manifest says two things of a table')
  return parsed.data
}

async function inScratch<Result>(signal: AbortSignal, task: (scratch: string) => Promise<Result>): Promise<Result> {
  const scratch = await mkdtemp(join(tmpdir(), `sallyport-scratch-${process.pid}-`))
  try {
    return await task(scratch)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SallyportError) throw error
    throw failed(error instanceof Error ? error.message.slice(0, 500) : 'no reason was given', error)
  } finally {
    await rm(scratch, { recursive: true, force: true, maxRetries: 5 })
  }
}

function failed(why: string, cause?: unknown): SallyportError {
  return new SallyportError(
    'copy_failed',
    `The database could not be copied, or the copy not be proven: ${why}.`,
    'No copy counts that was not restored and compared.',
    'Mend what the message names, then try again.',
    { cause },
  )
}
