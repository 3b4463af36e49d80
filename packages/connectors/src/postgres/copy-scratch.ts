import { createHash } from 'node:crypto'
import type { SqlChannel } from '@sallyport/core'
import { quoteColumns, quoteIdentifier } from './catalog-name.ts'
import type { TableShape } from './catalog-shape.ts'
import { checksumRows, type Checksum } from './checksum.ts'

/** A temporary table on the protect connection, filled with rows out of the vault; it dies with its transaction. */
interface Scratch {
  /** Its name in SQL. */
  readonly name: string
  readonly checksum: Checksum
  /** SHA-256 of the bytes that came out of the vault. */
  readonly bytesSha256: string
}

/** COPY takes no empty list of columns; a table without columns needs none. */
export function columnList(columns: readonly string[]): string {
  return columns.length === 0 ? '' : ` (${quoteColumns(columns)})`
}

/**
 * Makes the scratch table, fills it from `chunks`, and computes its checksum. It has the table's own types and nothing else: no
 * constraint, default or trigger stands between the bytes and the rows.
 */
export async function fillScratch(
  protect: SqlChannel,
  label: string,
  shape: TableShape,
  columns: readonly string[],
  chunks: AsyncIterable<Uint8Array>,
): Promise<Scratch> {
  const name = `pg_temp.${quoteIdentifier(label)}`
  const typed = columns.map((column) => {
    const known = shape.columns.find((one) => one.name === column)
    if (!known) throw new Error(`column ${column} is not in the shape of ${shape.label}`)
    return `${quoteIdentifier(column)} ${known.type}${known.collation === null ? '' : ` COLLATE ${known.collation}`}`
  })
  await protect.query(`CREATE TEMP TABLE ${quoteIdentifier(label)} (${typed.join(', ')}) ON COMMIT DROP`)
  const hash = createHash('sha256')
  const copied = await protect.copyIn(`COPY ${name}${columnList(columns)} FROM STDIN (FORMAT binary)`, hashing(chunks, hash))
  const checksum = await checksumRows(protect, `${name} r`, columns)
  if (checksum.rows !== copied) throw new Error(`${copied} rows were copied to the scratch table, which holds ${checksum.rows}`)
  return { name, checksum, bytesSha256: hash.digest('hex') }
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
