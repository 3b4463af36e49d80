import { execFile } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { PostgresServer } from '../../tests/servers/postgres.ts'
import { benchPrograms, findMissingPrograms, installLine, pathOfPrograms } from '../../tools/machine.ts'

/** Seconds by the clock that `work` took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await work()
  return (performance.now() - startMs) / 1000
}

/** Runs a program to its end, and throws what it complained of. */
export async function runProgram(
  program: string,
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  await promisify(execFile)(program, [...words], {
    env: { PATH: process.env['PATH'], ...environment },
    maxBuffer: 64 << 20,
    cwd: '/',
  })
}

/** Bytes of all files below a folder. */
export function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}

/** restic, or the line that installs it. */
export function findRestic(): string {
  const missing = findMissingPrograms(benchPrograms, pathOfPrograms())
  if (missing.length > 0) throw new Error(`the bench of the vault needs restic beside it: ${installLine(missing)}`)
  return 'restic'
}

/** What PostgreSQL's programs read of where a server is. */
export function accessOf(server: PostgresServer, database: string): Readonly<Record<string, string>> {
  const { user, password } = server.superuser
  return { PGHOST: server.host, PGPORT: String(server.port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database }
}

/** The value below which this share of them lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}
