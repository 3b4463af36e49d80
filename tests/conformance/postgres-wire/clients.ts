import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { findPostgresBinaries } from '../../servers/postgres.ts'
import type { Place } from './pair.ts'

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly said: string
}

/** Runs one of PostgreSQL's own programs against a place. `watch` sees its output grow, and may interrupt it. */
export function runProgram(
  program: 'psql' | 'pgbench',
  flags: readonly string[],
  { port, user, password, database }: Place,
  input = '',
  watch?: (interrupt: () => void) => void,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(findPostgresBinaries(), program), [...flags], {
      cwd: '/',
      env: {
        PATH: process.env['PATH'] ?? '',
        PGHOST: '127.0.0.1',
        PGPORT: String(port),
        PGUSER: user,
        PGPASSWORD: password,
        PGDATABASE: database,
        PGSSLMODE: 'disable',
        PSQL_PAGER: '',
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let [out, said] = ['', '']
    child.stdout.on('data', (piece: Buffer) => (out += piece.toString('utf8')))
    child.stderr.on('data', (piece: Buffer) => (said += piece.toString('utf8')))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, out: withoutMoment(out), said: withoutMoment(said) }))
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
    watch?.(() => child.kill('SIGINT'))
  })
}

/** What differs from one run to the next: process ids, and the time that \watch prints. */
function withoutMoment(text: string): string {
  return text.replaceAll(/PID \d+/g, 'PID').replaceAll(/^\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4} \(every .*$/gm, 'the time')
}
