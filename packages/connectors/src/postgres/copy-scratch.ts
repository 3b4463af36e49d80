import { createHash } from 'node:crypto'
import type { SqlChannel } from '@sallyport/core'
import { quoteColumns, quoteIdentifier } from './catalog-name.ts'
import type { TableShape } from './catalog-shape.ts'
import { checksumRows, equalChecksums, type Checksum } from './checksum.ts'

/** A temporary table on the protect connection, filled with rows out of the vault; it dies with its transaction. */
interface Loaded {
  /** Its name in SQL. */
  readonly name: string
  readonly rows: number
  /** SHA-256 of the bytes that came out of the vault. */
  readonly bytesSha256: string
}
interface Scratch extends Loaded {
  readonly checksum: Checksum
}

/** COPY takes no empty list of columns; a table without columns needs none. */
export function columnList(columns: readonly string[]): string {
  return columns.length === 0 ? '' : ` (${quoteColumns(columns)})`
}

/**
 * Makes the scratch table and fills it from `chunks`. It has the table's own types and nothing else: no
 * constraint, default or trigger stands between the bytes and the rows.
 */
export async function loadScratch(
  protect: SqlChannel,
  label: string,
  shape: TableShape,
  columns: readonly string[],
  chunks: AsyncIterable<Uint8Array>,
): Promise<Loaded> {
  const name = `pg_temp.${quoteIdentifier(label)}`
  const typed = columns.map((column) => {
    const known = shape.columns.find((one) => one.name === column)
    if (!known) throw new Error(`column ${column} is not in the shape of ${shape.label}`)
    return `${quoteIdentifier(column)} ${known.type}${known.collation === null ? '' : ` COLLATE ${known.collation}`}`
  })
  await protect.query(`CREATE TEMP TABLE ${quoteIdentifier(label)} (${typed.join(', ')}) ON COMMIT DROP`)
  const hash = createHash('sha256')
  const rows = await protect.copyIn(`COPY ${name}${columnList(columns)} FROM STDIN (FORMAT binary)`, hashing(chunks, hash))
  return { name, rows, bytesSha256: hash.digest('hex') }
}

/** As `loadScratch`, with the checksum of what it holds. */
export async function fillScratch(...given: Parameters<typeof loadScratch>): Promise<Scratch> {
  const loaded = await loadScratch(...given)
  const [protect, , , columns] = given
  const checksum = await checksumRows(protect, `${loaded.name} r`, columns)
  if (checksum.rows !== loaded.rows)
    throw new Error(`${loaded.rows} rows were copied to the scratch table, which holds ${checksum.rows}`)
  return { ...loaded, checksum }
}

/** Where the original is read, and how: a FROM item with the alias `r`. */
interface Original {
  readonly protect: SqlChannel
  readonly origin: SqlChannel
  readonly source: string
}

/**
 * Whether the scratch table holds the rows that were copied. What it gives back by COPY, byte for byte what the original gave, is the same rows, and
 * costs a fifth of a checksum. A server that gave them back in another order has to show them by the checksum of both.
 */
export async function holdsSame(
  { name, rows, bytesSha256 }: Loaded,
  columns: readonly string[],
  { protect, origin, source }: Original,
): Promise<boolean> {
  const hash = createHash('sha256')
  const select = `COPY (SELECT ${quoteColumns(columns, 'r')} FROM ${name} r) TO STDOUT (FORMAT binary)`
  for await (const chunk of protect.copyOut(select)) hash.update(chunk)
  if (hash.digest('hex') === bytesSha256) return true
  const original = await checksumRows(origin, source, columns)
  return original.rows === rows && equalChecksums(original, await checksumRows(protect, `${name} r`, columns))
}

/** Bytes a chunk is grown to before it is hashed and passed on: a server sends one message a row. */
const chunkBytes = 65_536

/** Passes bytes on in larger chunks, and hashes them on their way. */
export async function* hashing(
  chunks: AsyncIterable<Uint8Array>,
  hash: { update(chunk: Uint8Array): unknown },
): AsyncIterable<Uint8Array> {
  let gathered: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    gathered.push(chunk)
    length += chunk.length
    if (length < chunkBytes) continue
    yield take(gathered, hash)
    gathered = []
    length = 0
  }
  if (length > 0) yield take(gathered, hash)
}

function take(gathered: readonly Uint8Array[], hash: { update(chunk: Uint8Array): unknown }): Uint8Array {
  const [only] = gathered
  const bytes = only !== undefined && gathered.length === 1 ? only : Buffer.concat(gathered)
  hash.update(bytes)
  return bytes
}
