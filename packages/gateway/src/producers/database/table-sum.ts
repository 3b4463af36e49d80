import { z } from 'zod'

/** A way to ask a server, live or scratch. Values come as text. */
export type Ask = (sql: string, values?: readonly (string | null)[]) => Promise<readonly (readonly (string | null)[])[]>

/** A table with rows of its own, and how its rows are told apart. */
export const dumpedTableSchema = z.object({
  /** Quoted and qualified, as it may stand in SQL. */
  label: z.string().min(3).max(1024),
  /** Quoted names of its stored columns. `text`: compared as it is written out, since its binary form differs between servers. */
  columns: z.array(z.object({ name: z.string(), text: z.boolean() })),
  /** More rows than hashes fit in one value of PostgreSQL's. */
  large: z.boolean(),
})
export type DumpedTable = z.infer<typeof dumpedTableSchema>

export interface TableSum {
  readonly rows: number
  readonly sha256: string
}

/** A hash has 32 bytes. The estimate may be old, so the file's size counts too: a row has at least 28 bytes of it. */
const largeRows = 10_000_000
const largeBytes = 2 ** 30

/** Oids below are the same on every server of a version. */
const firstOwnOid = 16_384

/** How values are written out where text is compared: the same on every server. */
export const textSettings: readonly (readonly [string, string])[] = [
  ['search_path', 'pg_catalog'],
  ['row_security', 'off'],
  ['datestyle', 'ISO, MDY'],
  ['intervalstyle', 'postgres'],
  ['timezone', 'UTC'],
  ['extra_float_digits', '3'],
  ['bytea_output', 'hex'],
  ['statement_timeout', '0'],
]

/**
 * Types whose binary form cannot be compared between two servers: those that hold oids of catalog rows, those without a binary form, those that
 * were made in the database (a row's image names each type by its oid), and whatever is made of them (domains, arrays, composites).
 */
const textTypes = `WITH RECURSIVE made(typ, part) AS (
    SELECT t.oid, t.oid FROM pg_catalog.pg_type t
    UNION SELECT m.typ, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END FROM made m JOIN pg_catalog.pg_type t ON t.oid = m.part
      WHERE t.typtype = 'd' OR (t.typelem <> 0 AND t.typlen = -1))
  SELECT DISTINCT m.typ FROM made m JOIN pg_catalog.pg_type t ON t.oid = m.part
    WHERE t.typtype = 'c' OR t.typsend = 0 OR t.oid >= ${firstOwnOid} OR t.oid = ANY (ARRAY['regclass', 'regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper',
      'regoperator', 'regproc', 'regprocedure', 'regrole', 'regtype']::pg_catalog.regtype[]::pg_catalog.oid[])`

/**
 * Every table whose rows are in a dump: parts of partitioned tables each, but no materialized view (a restore fills it anew), nothing of foreign
 * servers, and of extensions' own tables only those that they say hold the user's rows, all of them.
 */
const tablesSql = `WITH text_type AS (${textTypes})
  SELECT pg_catalog.json_build_object('label', pg_catalog.format('%I.%I', n.nspname, c.relname),
    'large', c.reltuples > ${largeRows} OR pg_catalog.pg_relation_size(c.oid) > ${largeBytes}, 'columns',
    COALESCE((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', pg_catalog.quote_ident(a.attname),
        'text', a.atttypid IN (SELECT typ FROM text_type)) ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'), '[]'::pg_catalog.json))::pg_catalog.text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence <> 't'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
        AND COALESCE(e.extcondition[pg_catalog.array_position(e.extconfig, c.oid)], 'not dumped') <> '')
  ORDER BY pg_catalog.pg_relation_size(c.oid) DESC, n.nspname, c.relname`

/** Largest first. */
export async function listTables(ask: Ask): Promise<readonly DumpedTable[]> {
  const rows = await ask(tablesSql)
  return rows.map(([text]) => dumpedTableSchema.parse(JSON.parse(text ?? 'null')))
}

/**
 * A checksum over a multiset of rows: SHA-256 over the sorted SHA-256 of each row. It needs no key and no order that a type might lack.
 * Hashes are gathered in one value, which may have 1 GiB: those of a large table in 256 values, by their first byte.
 */
export async function sumTable(ask: Ask, { label, columns, large }: DumpedTable): Promise<TableSum> {
  const values = columns.map(({ name, text }) => (text ? `r.${name}::pg_catalog.text` : `r.${name}`))
  return readSum(
    ask,
    `(SELECT pg_catalog.sha256(pg_catalog.record_send(ROW(${values.join(', ')}))) AS h FROM ONLY ${label} r) d`,
    large,
  )
}

/** The same over large objects: their numbers and contents, each page with its place. */
export async function sumLargeObjects(ask: Ask): Promise<TableSum> {
  const [[count] = []] = await ask('SELECT pg_catalog.count(*)::pg_catalog.text FROM pg_catalog.pg_largeobject_metadata')
  if (count === '0') return { rows: 0, sha256: '' }
  const contents = `(SELECT pg_catalog.sha256(pg_catalog.int8send(l.oid::pg_catalog.int8) || pg_catalog.lo_get(l.oid)) AS h
    FROM pg_catalog.pg_largeobject_metadata l) d`
  return readSum(ask, contents, false)
}

async function readSum(ask: Ask, hashes: string, large: boolean): Promise<TableSum> {
  const gather = (value: string, order: string): string =>
    `pg_catalog.sha256(COALESCE(pg_catalog.string_agg(${value}, ''::pg_catalog.bytea ORDER BY ${order}), ''::pg_catalog.bytea))`
  const bucket = large ? 'pg_catalog.get_byte(d.h, 0)' : '0'
  const rows = await ask(
    `SELECT COALESCE(pg_catalog.sum(b.n), 0)::pg_catalog.text, pg_catalog.encode(${gather('b.h', 'b.bucket')}, 'hex')
     FROM (SELECT pg_catalog.count(*) AS n, ${bucket} AS bucket, ${gather('d.h', 'd.h')} AS h FROM ${hashes} GROUP BY 2) b`,
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
