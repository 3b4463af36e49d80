import { z } from 'zod'

/** A way to ask a server, live or scratch. Values are text, or null. */
export type Ask = (sql: string, values?: readonly (string | null)[]) => Promise<readonly (readonly (string | null)[])[]>

/** An ordinary table of the database that lies on the volume, with all that tells one content from another. */
export interface VolumeTable {
  /** Quoted and qualified, as it may stand in SQL. */
  readonly label: string
  /** Names of its stored columns, quoted, in order. */
  readonly columns: readonly string[]
  /** A materialized view cannot be locked; what refreshes it meanwhile is found by comparing. */
  readonly lockable: boolean
}

export interface TableSum {
  readonly rows: number
  readonly sha256: string
}

export const volumeTableSchema = z.object({ label: z.string().min(3), columns: z.array(z.string()), lockable: z.boolean() })
const nameSchema = z.array(z.string())

/**
 * Every table that stores rows of its own, parts of partitioned tables and filled materialized views included. Not the temporary ones of other
 * sessions, which no copy can hold. Generated columns that are not stored are computed from the others, and stay out.
 */
const tablesSql = `SELECT pg_catalog.json_build_object('label', pg_catalog.format('%I.%I', n.nspname, c.relname),
    'lockable', c.relkind = 'r', 'columns',
    COALESCE((SELECT pg_catalog.json_agg(pg_catalog.quote_ident(a.attname) ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'), '[]'::pg_catalog.json))::pg_catalog.text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relispopulated
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
  ORDER BY n.nspname, c.relname`

export async function listTables(ask: Ask): Promise<readonly VolumeTable[]> {
  const rows = await ask(tablesSql)
  return rows.map(([text]) => volumeTableSchema.parse(JSON.parse(text ?? 'null')))
}

/** Tables whose rows are in no WAL and in no base backup. */
export async function listUnlogged(ask: Ask): Promise<readonly string[]> {
  const rows = await ask(`SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence = 'u' ORDER BY 1`)
  return nameSchema.parse(rows.map(([name]) => name))
}

/** Tablespaces of its own making, outside the data directory. */
export async function listTablespaces(ask: Ask): Promise<readonly string[]> {
  const rows = await ask(
    `SELECT spcname FROM pg_catalog.pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY 1`,
  )
  return nameSchema.parse(rows.map(([name]) => name))
}

/** Databases on the same server, which go with the volume too. */
export async function listOtherDatabases(ask: Ask): Promise<readonly string[]> {
  const rows = await ask(`SELECT datname FROM pg_catalog.pg_database
    WHERE datname <> pg_catalog.current_database() AND NOT datistemplate AND datname <> 'postgres' ORDER BY 1`)
  return nameSchema.parse(rows.map(([name]) => name))
}

/**
 * Types whose binary form is made by a function that is neither the server's nor an extension library's from where libraries are installed.
 * Reading one would run code that came with the copy.
 */
export async function listStrangeTypes(ask: Ask): Promise<readonly string[]> {
  const rows = await ask(`SELECT pg_catalog.format('%I.%I', n.nspname, t.typname) FROM pg_catalog.pg_type t
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace JOIN pg_catalog.pg_proc p ON p.oid = t.typsend
    WHERE p.prolang <> 12 AND NOT (p.prolang = 13 AND p.probin ~ '^[$]libdir/[A-Za-z0-9_-]+$') ORDER BY 1`)
  return nameSchema.parse(rows.map(([name]) => name))
}

export async function countRows(ask: Ask, { label }: VolumeTable): Promise<number> {
  const rows = await ask(`SELECT pg_catalog.count(*)::pg_catalog.text FROM ONLY ${label}`)
  return z.coerce.number().int().min(0).parse(rows[0]?.[0])
}

/**
 * A checksum over a multiset of rows that needs no order, no key and no memory: the SHA-256 of each row's binary image is cut into four numbers
 * of 63 bits, and each of the four is summed up. Equal sums mean equal rows, each as often as before, as far as chance goes: this compares a copy
 * with its original, where nobody chooses the rows to fit.
 */
export async function sumTable(ask: Ask, { label, columns }: VolumeTable): Promise<TableSum> {
  const image = `pg_catalog.record_send(ROW(${columns.map((column) => `r.${column}`).join(', ')}))`
  const lane = (at: number): string =>
    `pg_catalog.sum((('x' || pg_catalog.substr(d.h, ${at * 16 + 1}, 16))::pg_catalog.bit(64) & B'0${'1'.repeat(63)}')::pg_catalog.int8::pg_catalog.numeric)`
  const lanes = [0, 1, 2, 3].map((at) => `COALESCE(${lane(at)}, 0)::pg_catalog.text`)
  const rows = await ask(`SELECT s.n::pg_catalog.text, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
      pg_catalog.concat_ws(' ', s.n, s.a, s.b, s.c, s.d), 'UTF8')), 'hex')
    FROM (SELECT pg_catalog.count(*) AS n, ${lanes.map((sql, at) => `${sql} AS ${'abcd'.charAt(at)}`).join(', ')}
      FROM (SELECT pg_catalog.encode(pg_catalog.sha256(${image}), 'hex') AS h FROM ONLY ${label} r) d) s`)
  const [count, sha256] = rows[0] ?? []
  return {
    rows: z.coerce.number().int().min(0).parse(count),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .parse(sha256),
  }
}

/** Sums of all tables, and together: what a copy must show again. */
export async function sumTables(ask: Ask, tables: readonly VolumeTable[]): Promise<ReadonlyMap<string, TableSum>> {
  const sums = new Map<string, TableSum>()
  for (const table of tables) sums.set(table.label, await sumTable(ask, table))
  return sums
}
