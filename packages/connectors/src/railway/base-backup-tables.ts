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
  /** More rows than hashes fit in one value of PostgreSQL's. */
  readonly large: boolean
}

export interface TableSum {
  readonly rows: number
  readonly sha256: string
}

export const volumeTableSchema = z.object({
  label: z.string().min(3),
  columns: z.array(z.string()),
  lockable: z.boolean(),
  large: z.boolean(),
})
const nameSchema = z.array(z.string())

/** A hash has 32 bytes. The estimate may be old, so the file's size counts too: a row has at least 28 bytes of it. */
const largeRows = 10_000_000
const largeBytes = 2 ** 30

/**
 * Every table that stores rows of its own, parts of partitioned tables and filled materialized views included. Not the temporary ones of other
 * sessions, which no copy can hold. Generated columns that are not stored are computed from the others, and stay out.
 */
const tablesSql = `SELECT pg_catalog.json_build_object('label', pg_catalog.format('%I.%I', n.nspname, c.relname),
    'lockable', c.relkind = 'r', 'large', c.reltuples > ${largeRows} OR pg_catalog.pg_relation_size(c.oid) > ${largeBytes}, 'columns',
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
 * A checksum over a multiset of rows: SHA-256 over the sorted SHA-256 of each row's binary image. It needs no key and no order that a type might
 * lack. Hashes are gathered in one value, which may have 1 GiB: those of a large table in 256 values, by their first byte.
 */
export async function sumTable(ask: Ask, { label, columns, large }: VolumeTable): Promise<TableSum> {
  const image = `pg_catalog.record_send(ROW(${columns.map((column) => `r.${column}`).join(', ')}))`
  const hashes = `(SELECT pg_catalog.sha256(${image}) AS h FROM ONLY ${label} r) d`
  const gather = (value: string, order: string): string =>
    `pg_catalog.sha256(COALESCE(pg_catalog.string_agg(${value}, ''::pg_catalog.bytea ORDER BY ${order}), ''::pg_catalog.bytea))`
  const source = large
    ? `(SELECT pg_catalog.count(*) AS n, pg_catalog.get_byte(d.h, 0) AS bucket, ${gather('d.h', 'd.h')} AS h FROM ${hashes} GROUP BY 2) d`
    : `(SELECT pg_catalog.count(*) AS n, 0 AS bucket, ${gather('d.h', 'd.h')} AS h FROM ${hashes}) d`
  const rows = await ask(
    `SELECT COALESCE(pg_catalog.sum(d.n), 0)::pg_catalog.text, pg_catalog.encode(${gather('d.h', 'd.bucket')}, 'hex') FROM ${source}`,
  )
  const [count, sha256] = rows[0] ?? []
  return {
    rows: z.coerce.number().int().min(0).parse(count),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .parse(sha256),
  }
}

/** Of all tables: what a copy must show again. */
export async function sumTables(ask: Ask, tables: readonly VolumeTable[]): Promise<ReadonlyMap<string, TableSum>> {
  const sums = new Map<string, TableSum>()
  for (const table of tables) sums.set(table.label, await sumTable(ask, table))
  return sums
}
