import { createHash } from 'node:crypto'
import { chmodSync, createReadStream, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { makeScratchCluster, makeScratchPlace, removeScratch, startScratchServer } from '@sallyport/connectors'
import { judgeAnswer, type CheckedAnswer, type DrillCheck, type Extracted } from '@sallyport/core'
import { applySettings, copyFailed, fetchDump, sumOf, workers, type DumpOptions } from './dump.ts'
import { makeRoles } from './facts.ts'
import type { DatabaseCopy } from './manifest.ts'
import { findDumpPrograms, runProgram } from './program.ts'
import { listTables, sumLargeObjects, sumTable, type Ask, type TableSum } from './table-sum.ts'
import { makePrivateFolder, scratchAccess } from './target.ts'

interface Readable {
  read(name: string): AsyncIterable<Uint8Array>
}

/** A database restored from a copy into a server of its own, and found equal to what the manifest says. */
export interface Restored {
  readonly ask: Ask
  readonly socket: string
  /** In words. */
  readonly place: string
}

/** An operator's question must not hold up a drill for good. */
const checkTimeoutMs = 300_000

/**
 * Restores a copy with pg_restore into a scratch server of the same version, compares definitions and every table, and calls `work` while it runs.
 * The server runs as a user without rights, hears nothing but a socket that only it can reach, and is taken away afterwards.
 */
export async function withRestored<Result>(
  copy: DatabaseCopy,
  readable: Readable,
  options: DumpOptions,
  work: (restored: Restored) => Promise<Result>,
): Promise<Result> {
  const programs = await findDumpPrograms(copy.serverMajor)
  const own = makePrivateFolder()
  const place = makeScratchPlace()
  try {
    await fetchDump(readable, copy.files, own.folder, options)
    const { serverMajor, encoding, collate, ctype, icu } = copy
    const missing = await makeScratchCluster(place, serverMajor, { encoding, collate, ctype, icu }).catch((error: unknown) => {
      throw noServer(serverMajor, error)
    })
    const server = await startScratchServer({ place, superuser: 'postgres', database: 'postgres', remove: true }).catch(
      (error: unknown) => {
        throw noServer(serverMajor, error)
      },
    )
    try {
      const socket = join(place.folder, 'socket')
      await makeRoles(server.ask, copy)
      options.report({ step: 'restoring', done: 0, total: copy.tables.length })
      const words = [
        '--format=directory',
        `--jobs=${workers}`,
        '--exit-on-error',
        '--no-tablespaces',
        '--no-subscriptions',
        '--no-password',
      ]
      await runProgram({
        program: programs.restore,
        words: [...words, '--dbname=postgres', join(own.folder, 'dump')],
        environment: scratchAccess(socket),
        signal: options.signal,
      })
      await compareDefinitions(programs, join(own.folder, 'dump'), socket, options.signal)
      await compareTables(copy, server.ask, options)
      const note = missing === null ? '' : `, its text ordered by bytes since this machine lacks the locale ${missing}`
      return await work({ ask: server.ask, socket, place: `a scratch server of PostgreSQL ${serverMajor}${note}` })
    } finally {
      await server.stop()
    }
  } catch (error) {
    options.signal.throwIfAborted()
    throw error
  } finally {
    own.remove()
    removeScratch(place)
  }
}

function noServer(major: number, cause: unknown): Error {
  const why = cause instanceof Error ? cause.message.slice(0, 300) : 'no reason was given'
  return copyFailed(
    'The copy could not be proven',
    `no scratch server could be had (${why}). Install the server of PostgreSQL ${major} on the gate's machine (in Debian: apt-get install postgresql-${major})`,
    cause,
  )
}

/** Bytes of a schema written out, at most. */
const definitionBytesMax = 256 << 20

/** What the dump defines and what the restored database then has, line by line. */
async function compareDefinitions(
  programs: { readonly dump: string; readonly restore: string },
  dump: string,
  socket: string,
  signal: AbortSignal,
): Promise<void> {
  const flags = ['--schema-only', '--no-subscriptions', '--no-tablespaces', '--file=-']
  const sealed = await runProgram({
    program: programs.restore,
    words: ['--format=directory', ...flags, dump],
    environment: {},
    signal,
    bytesMax: definitionBytesMax,
  })
  const restored = await runProgram({
    program: programs.dump,
    words: [...flags, '--no-password'],
    environment: scratchAccess(socket),
    signal,
    bytesMax: definitionBytesMax,
  })
  const [left, right] = [definitionLines(sealed), definitionLines(restored)]
  const different = left.findIndex((line, index) => line !== right[index])
  if (different === -1 && left.length === right.length) return
  const line = left[different === -1 ? right.length : different] ?? right[left.length] ?? ''
  throw copyFailed(
    'The copy could not be proven',
    `restored, it defines something else, first at ${JSON.stringify(line.slice(0, 200))}`,
  )
}

/** In an order of its own: programs may sort what depends on nothing by oid. Comments and settings hold versions and chance. */
function definitionLines(text: Buffer): readonly string[] {
  return text
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '' && !/^(--|SET |SELECT pg_catalog\.set_config\(|REFRESH MATERIALIZED VIEW |\\(un)?restrict )/.test(line))
    .toSorted()
}

async function compareTables(copy: DatabaseCopy, ask: Ask, { report, signal }: DumpOptions): Promise<void> {
  await applySettings(ask, 'session')
  const tables = await listTables(ask)
  const sums = new Map<string, TableSum>()
  for (const table of tables) {
    signal.throwIfAborted()
    report({ step: 'comparing', done: sums.size, total: tables.length })
    sums.set(table.label, await sumTable(ask, table))
  }
  const expected = new Set(copy.tables.map(({ label }) => label))
  const extra = tables.find(({ label }) => !expected.has(label))
  if (extra !== undefined)
    throw copyFailed('The copy could not be proven', `restored, it has a table ${extra.label} that the original has not`)
  for (const { label, rows, sha256 } of copy.tables) {
    if (!sums.has(label)) throw copyFailed('The copy could not be proven', `restored, it has no table ${label}`)
    const sum = sumOf(sums, label)
    if (sum.rows !== rows)
      throw copyFailed('The copy could not be proven', `table ${label} has ${sum.rows} rows in it, and ${rows} in the original`)
    if (sum.sha256 !== sha256)
      throw copyFailed('The copy could not be proven', `table ${label} has other rows in it than in the original`)
  }
  const objects = await sumLargeObjects(ask)
  if (objects.rows !== copy.largeObjects.rows || objects.sha256 !== copy.largeObjects.sha256)
    throw copyFailed('The copy could not be proven', 'its large objects are not those of the original')
}

/** Asks the operator's own questions. One that fails is an answer that did not pass. */
export async function askChecks(ask: Ask, checks: readonly DrillCheck[]): Promise<readonly CheckedAnswer[]> {
  const answers: CheckedAnswer[] = []
  if (checks.length === 0) return answers
  await ask('SELECT pg_catalog.set_config($1, $2, false)', ['statement_timeout', String(checkTimeoutMs)])
  await ask('SELECT pg_catalog.set_config($1, $2, false)', ['search_path', '"$user", public'])
  for (const check of checks) {
    try {
      const rows = await ask(check.ask)
      answers.push(judgeAnswer(check, rows[0]?.[0] ?? null))
    } catch (error) {
      const why = error instanceof Error ? error.message.slice(0, 200) : 'no reason was given'
      answers.push({ ...judgeAnswer(check, null), answer: `failed: ${why}`, passed: false })
    }
  }
  return answers
}

/** Writes one table, with all that belongs to it, as SQL that makes it anew. */
export async function extractTable(
  copy: DatabaseCopy,
  { socket }: Restored,
  name: string,
  folder: string,
  signal: AbortSignal,
): Promise<Extracted> {
  const table = copy.tables.find(({ label }) => label === name)
  if (table === undefined) {
    const known = copy.tables.slice(0, 20).map(({ label }) => label)
    throw copyFailed(
      'No table was taken out',
      `the copy has no table ${JSON.stringify(name.slice(0, 128))}; it has ${known.join(', ')}`,
    )
  }
  const programs = await findDumpPrograms(copy.serverMajor)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, `${table.label.replaceAll(/[^A-Za-z0-9_.-]/g, '_').slice(0, 100)}.sql`)
  const unfinished = `${file}.new`
  await runProgram({
    program: programs.dump,
    words: ['--strict-names', `--table=${table.label}`, '--no-password', `--file=${unfinished}`],
    environment: scratchAccess(socket),
    signal,
  })
  chmodSync(unfinished, 0o600)
  renameSync(unfinished, file)
  const sum = createHash('sha256')
  await pipeline(createReadStream(file), sum)
  return { file, rows: table.rows, sha256: sum.digest('hex') }
}
