import type { SnapshotReader, SqlChannel } from '@sallyport/core'
import { quoteColumns, quoteIdentifier } from './catalog-name.ts'
import type { TableShape } from './catalog-shape.ts'
import { checksumRows, equalChecksums, rowImage, type Checksum } from './checksum.ts'
import type { CopiedTable } from './copy-manifest.ts'
import { columnList, fillScratch } from './copy-scratch.ts'
import { tableName } from './ddl-table.ts'
import { refused } from './restore-object.ts'
import type { Gap } from './restore-shape.ts'

/** A copied table whose rows are out of the vault, in a scratch table. */
export interface Loaded {
  readonly table: CopiedTable
  /** The table as it stood before the undo; null when it was gone. */
  readonly current: TableShape | null
  /** Name of the scratch table in SQL. */
  readonly scratch: string
  /** Of what is in it: the rows that were sealed. */
  readonly checksum: Checksum
}

export async function loadRows(
  protect: SqlChannel,
  table: CopiedTable,
  current: TableShape | null,
  snapshot: SnapshotReader,
): Promise<Loaded> {
  const label = `sallyport_undo_${table.shape.oid}`
  const scratch = await fillScratch(protect, label, table.shape, table.columns, snapshot.read(table.part))
  if (scratch.bytesSha256 !== table.partSha256 || scratch.rows !== table.rows || !isSealedSum(table, scratch.checksum)) {
    throw refused(`the rows of ${table.shape.label} in the vault are not those that were sealed`)
  }
  // Without figures the server takes a scratch table for large, and reads all of the other one.
  await protect.query(`ANALYZE ${scratch.name}`)
  return { table, current, scratch: scratch.name, checksum: scratch.checksum }
}

/** The sealed checksum is that of the part's bytes; of a copy made by an older gate, that of its rows. */
function isSealedSum(table: CopiedTable, rows: Checksum): boolean {
  return table.sha256 === table.partSha256 || equalChecksums(rows, table)
}

/** Columns in which a row of the copy and a row of the present table can be compared: there in both, with one type. */
function comparable({ table, current }: Loaded): readonly string[] {
  return table.columns.filter((name) => {
    const sealed = table.shape.columns.find((column) => column.name === name)
    const now = current?.columns.find((column) => column.name === name)
    return sealed !== undefined && now?.type === sealed.type && now.generated === ''
  })
}

/** The key, when all of it is still there; without it rows are told apart by all their values. */
function usableKey(item: Loaded): readonly string[] | null {
  const { key } = item.table
  const columns = comparable(item)
  return key !== null && key.every((column) => columns.includes(column)) ? key : null
}

/**
 * The image decides; equality of the server's own types comes before it, so that an index finds the rows. Equal images are equal values, and a
 * type's name has a dot when it is not the server's own: its `=` may be in a schema that is not looked in.
 */
function sameKey({ table }: Loaded, key: readonly string[]): string {
  const own = key.filter((column) => table.shape.columns.find(({ name }) => name === column)?.type.includes('.') === false)
  const equal = own.map((column) => `s.${quoteIdentifier(column)} = r.${quoteIdentifier(column)}`)
  return [...equal, `${rowImage(key, 's')} = ${rowImage(key, 'r')}`].join(' AND ')
}

async function countOf(protect: SqlChannel, sql: string, values: readonly (string | null)[] = []): Promise<number> {
  const rows = await protect.query(sql, values)
  return Number(rows[0]?.[0] ?? Number.NaN)
}

/** Refuses when the undo would overwrite or double what came since. Changes nothing. Notes what it will leave alone. */
export async function checkRows(protect: SqlChannel, item: Loaded): Promise<readonly string[]> {
  if (item.current === null) return []
  const key = usableKey(item)
  if (key === null) return checkWithoutKey(protect, item)
  const { table, scratch } = item
  const { undo, shape, writer } = table
  const target = `ONLY ${tableName(shape)} r`
  const columns = comparable(item)
  const joined = `FROM ${scratch} s JOIN ${target} ON ${sameKey(item, key)} WHERE ${rowImage(columns, 's')} <> ${rowImage(columns, 'r')}`
  const different = await countOf(protect, `SELECT count(*)::text ${joined}`)
  const missing = await countOf(
    protect,
    `SELECT count(*)::text FROM ${scratch} s WHERE NOT EXISTS (SELECT FROM ${target} WHERE ${sameKey(item, key)})`,
  )
  const notes: string[] = []
  if (different > 0 && undo.onDifferent === 'refuse')
    throw refused(`${different} rows of ${shape.label} were changed or taken by others since`)
  if (different > 0 && undo.onDifferent === 'keep')
    notes.push(`${different} rows of ${shape.label} were changed since and keep their newer values`)
  if (undo.onDifferent === 'writer') {
    const foreign = await countOf(protect, `SELECT count(*)::text ${joined} AND r.xmin::text IS DISTINCT FROM $1`, [writer])
    if (foreign > 0) throw refused(`${foreign} rows of ${shape.label} were changed since by others`)
  }
  if (undo.onDifferent === 'nulls') {
    const others = columns.filter((column) => !undo.nullColumns.includes(column))
    const set = undo.nullColumns.map(
      (column) => `r.${quoteIdentifier(column)} IS NOT NULL AND ${rowImage([column], 's')} <> ${rowImage([column], 'r')}`,
    )
    const foreign = await countOf(
      protect,
      `SELECT count(*)::text ${joined} AND (${rowImage(others, 's')} <> ${rowImage(others, 'r')} OR ${set.join(' OR ')})`,
    )
    if (foreign > 0) throw refused(`${foreign} rows of ${shape.label} were changed since by others`)
  }
  if (missing > 0 && !undo.insertMissing) {
    if (undo.onDifferent === 'writer') throw refused(`${missing} rows of ${shape.label} are no longer there under their key`)
    notes.push(`${missing} rows of ${shape.label} were deleted since and stay so`)
  }
  return notes
}

/** How often each image occurs in the copy (o) and in the table (n). */
function tally(item: Loaded): string {
  const columns = comparable(item)
  return `(SELECT s.h, s.o, coalesce(r.n, 0) AS n FROM (SELECT ${rowImage(columns, 's')} AS h, count(*) AS o FROM ${item.scratch} s GROUP BY 1) s
    LEFT JOIN (SELECT ${rowImage(columns, 'r')} AS h, count(*) AS n FROM ONLY ${tableName(item.table.shape)} r GROUP BY 1) r ON r.h = s.h) t`
}

/** Without a key a changed row can't be told from a new one: only what is surely gone is put back. */
async function checkWithoutKey(protect: SqlChannel, item: Loaded): Promise<readonly string[]> {
  const { table } = item
  const { shape, mode, undo } = table
  const columns = comparable(item)
  if (mode === 'whole') {
    const extra = await countOf(
      protect,
      `SELECT count(*)::text FROM (SELECT ${rowImage(columns, 'r')} FROM ONLY ${tableName(shape)} r EXCEPT ALL
         SELECT ${rowImage(columns, 's')} FROM ${item.scratch} s) extra`,
    )
    if (extra > 0)
      throw refused(`${extra} rows came to ${shape.label} since, and without a key they can't be told from changed ones`)
  }
  const missing = await countOf(protect, `SELECT coalesce(sum(greatest(t.o - t.n, 0)), 0)::text FROM ${tally(item)}`)
  const present = await countOf(protect, `SELECT coalesce(sum(t.n), 0)::text FROM ${tally(item)}`)
  if (mode === 'rows' && missing > 0 && present > 0) {
    throw refused(`rows equal to some of the copy are in ${shape.label} already, and without a key they can't be told apart`)
  }
  if (missing > 0 && !undo.insertMissing) throw refused(`${missing} rows of ${shape.label} are no longer there as they were`)
  return []
}

/** Puts back what is missing, and sets back what checkRows allowed. The number of rows written. */
export async function putBackRows(protect: SqlChannel, item: Loaded): Promise<number> {
  const { table, scratch, current } = item
  const { shape, undo, columns } = table
  const target = tableName(shape)
  const into = `INSERT INTO ${target}${columnList(columns)} OVERRIDING SYSTEM VALUE SELECT ${quoteColumns(columns, 's')} FROM`
  if (current === null) return written(protect, `${into} ${scratch} s`)
  const key = usableKey(item)
  if (key === null) {
    if (!undo.insertMissing) return 0
    const numbered = `(SELECT s.*, row_number() OVER (PARTITION BY ${rowImage(comparable(item), 's')}) AS sallyport_n,
      ${rowImage(comparable(item), 's')} AS sallyport_h FROM ${scratch} s) s JOIN ${tally(item)} ON t.h = s.sallyport_h AND s.sallyport_n > t.n`
    return written(protect, `${into} ${numbered}`)
  }
  let rows = 0
  if (undo.insertMissing) {
    rows += await written(
      protect,
      `${into} ${scratch} s WHERE NOT EXISTS (SELECT FROM ONLY ${target} r WHERE ${sameKey(item, key)})`,
    )
  }
  const back = undo.onDifferent === 'writer' ? settable(table) : undo.onDifferent === 'nulls' ? undo.nullColumns : []
  if (back.length > 0) {
    const set = back.map((column) => `${quoteIdentifier(column)} = s.${quoteIdentifier(column)}`).join(', ')
    const differs = `${rowImage(comparable(item), 's')} <> ${rowImage(comparable(item), 'r')}`
    rows += await written(
      protect,
      `UPDATE ONLY ${target} r SET ${set} FROM ${scratch} s WHERE ${sameKey(item, key)} AND ${differs}`,
    )
  }
  return rows
}

/** An identity GENERATED ALWAYS takes no value by UPDATE, and so can't have been given one. */
function settable({ columns, shape, key }: CopiedTable): readonly string[] {
  return columns.filter((name) => !key?.includes(name) && shape.columns.find((column) => column.name === name)?.identity !== 'a')
}

async function written(protect: SqlChannel, statement: string): Promise<number> {
  return countOf(protect, `WITH written AS (${statement} RETURNING 1) SELECT count(*)::text FROM written`)
}

/** Values of columns that were dropped or retyped, to the rows that are still there. */
export async function fillGap(protect: SqlChannel, item: Loaded, gap: Gap): Promise<number> {
  if (gap.created || gap.columns.length === 0) return 0
  const { table, scratch } = item
  const names = gap.columns.map(({ name }) => name)
  const target = tableName(table.shape)
  const set = names.map((name) => `${quoteIdentifier(name)} = s.${quoteIdentifier(name)}`).join(', ')
  const key = usableKey(item)
  if (key !== null) return written(protect, `UPDATE ONLY ${target} r SET ${set} FROM ${scratch} s WHERE ${sameKey(item, key)}`)
  // Equal rows are interchangeable: the n-th of them gets the values of the n-th.
  const columns = comparable(item)
  const number = (alias: string): string => `row_number() OVER (PARTITION BY ${rowImage(columns, alias)})`
  return written(
    protect,
    `UPDATE ONLY ${target} u SET ${set} FROM (SELECT s.*, ${rowImage(columns, 's')} AS sallyport_h, ${number('s')} AS sallyport_n FROM ${scratch} s) s,
       (SELECT r.ctid AS sallyport_c, ${rowImage(columns, 'r')} AS sallyport_h, ${number('r')} AS sallyport_n FROM ONLY ${target} r) r
     WHERE u.ctid = r.sallyport_c AND r.sallyport_h = s.sallyport_h AND r.sallyport_n = s.sallyport_n`,
  )
}

/** Whether the rows of the copy are all in the table, by the checksum of the rows as they came out of the vault. What others added since does not count. */
export async function verifyRows(protect: SqlChannel, item: Loaded): Promise<boolean> {
  const { table, scratch, current, checksum } = item
  const target = `ONLY ${tableName(table.shape)} r`
  if (current === null) return equalChecksums(await checksumRows(protect, target, table.columns), checksum)
  const { key } = table
  if (key !== null) {
    const source = `(SELECT r.* FROM ${scratch} s JOIN ${target} ON ${sameKey(item, key)}) r`
    return equalChecksums(await checksumRows(protect, source, table.columns), checksum)
  }
  if (table.mode === 'whole') return equalChecksums(await checksumRows(protect, target, table.columns), checksum)
  return (await countOf(protect, `SELECT coalesce(sum(greatest(t.o - t.n, 0)), 0)::text FROM ${tally(item)}`)) === 0
}
