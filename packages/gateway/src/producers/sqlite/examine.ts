import { createHash } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { judgeAnswer, type CheckedAnswer, type DrillCheck } from '@sallyport/core'

/** One table's rows, in the order in which the file holds them. */
export interface TableSum {
  readonly name: string
  readonly rows: number
  readonly sha256: string
}

export interface Examined {
  /** What `PRAGMA integrity_check` says; `ok` when the file is whole. */
  readonly integrity: string
  readonly tables: readonly TableSum[]
  readonly answers: readonly CheckedAnswer[]
}

/** What is wanted of a file: to be looked through, or to have one table taken out of it. */
export type Examination =
  | { readonly what: 'examine'; readonly file: string; readonly checks: readonly DrillCheck[] }
  | { readonly what: 'take'; readonly file: string; readonly table: string; readonly to: string }

/** Reads a whole database, which takes as long as it takes: a worker's work, since the gate has others to serve. */
export function examine({ file, checks }: Extract<Examination, { what: 'examine' }>): Examined {
  // Nothing in the file may do more than be read: no code of extensions, no trust in what its schema calls.
  const database = new DatabaseSync(file, { readOnly: true, allowExtension: false })
  try {
    database.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON')
    const [first] = database.prepare('PRAGMA integrity_check(1)').all()
    const integrity = String(Object.values(first ?? {})[0] ?? 'nothing')
    return { integrity, tables: sumTables(database), answers: askChecks(database, checks) }
  } finally {
    database.close()
  }
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Tables with rows of their own; those of a virtual table lie in its shadow tables, which are listed by themselves. */
function sumTables(database: DatabaseSync): readonly TableSum[] {
  const names = database
    .prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage <> 0 ORDER BY name`)
    .all()
    .map(({ name }) => String(name))
  return names.map((name) => {
    const sum = createHash('sha256')
    let rows = 0
    const statement = database.prepare(`SELECT * FROM ${quote(name)}`)
    statement.setReadBigInts(true)
    for (const row of statement.iterate()) {
      sum.update(imageOf(Object.values(row)))
      rows += 1
    }
    return { name, rows, sha256: sum.digest('hex') }
  })
}

function imageOf(values: readonly unknown[]): string {
  const told = values.map((value) => {
    if (value === null) return 'n'
    if (typeof value === 'bigint') return `i${value}`
    if (typeof value === 'number') return `r${Object.is(value, -0) ? '-0' : value}`
    if (value instanceof Uint8Array) return `b${Buffer.from(value).toString('base64')}`
    return `t${typeof value === 'string' ? value : ''}`
  })
  return `${JSON.stringify(told)}\n`
}

function askChecks(database: DatabaseSync, checks: readonly DrillCheck[]): readonly CheckedAnswer[] {
  return checks.map((check) => {
    try {
      const [value] = Object.values(database.prepare(check.ask).get() ?? {})
      return judgeAnswer(check, value === null || value === undefined ? null : String(value))
    } catch (error) {
      const why = error instanceof Error ? error.message.slice(0, 200) : 'no reason was given'
      return { ...judgeAnswer(check, null), answer: `failed: ${why}`, passed: false }
    }
  })
}

/** One table with its indexes and rows, in a database of its own. */
export function takeTable({ file, table, to }: Extract<Examination, { what: 'take' }>): void {
  const source = new DatabaseSync(file, { readOnly: true, allowExtension: false })
  const target = new DatabaseSync(to, { allowExtension: false })
  try {
    const made = source
      .prepare(
        `SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND type IN ('table', 'index') AND sql IS NOT NULL ORDER BY type DESC`,
      )
      .all(table)
    for (const { sql } of made) target.exec(String(sql))
    // Generated columns are computed anew.
    const columns = source
      .prepare('SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid')
      .all(table)
      .map(({ name }) => quote(String(name)))
      .join(', ')
    const read = source.prepare(`SELECT ${columns} FROM ${quote(table)}`)
    read.setReadBigInts(true)
    const places = read.columns().map(() => '?')
    const write = target.prepare(`INSERT INTO ${quote(table)} (${columns}) VALUES (${places.join(', ')})`)
    target.exec('BEGIN')
    for (const row of read.iterate()) write.run(...Object.values(row))
    target.exec('COMMIT')
  } finally {
    target.close()
    source.close()
  }
}
