import { createHash } from 'node:crypto'
import type { Seal, SqlChannel } from '@sallyport/core'
import { quoteColumns, quoteQualified } from './catalog-name.ts'
import { copiedColumns, keyColumns, type TableShape } from './catalog-shape.ts'
import type { CopiedTable } from './copy-manifest.ts'
import type { PlannedTable } from './copy-plan.ts'
import { hashing, holdsSame, loadScratch } from './copy-scratch.ts'
import { readAddress } from './row-walk.ts'

export interface Copy {
  readonly table: CopiedTable
  readonly bytes: number
}

/** Copies a whole table on the protect connection, as others see it; the session's lock keeps it still meanwhile. */
export async function copyWholeTable(session: SqlChannel, protect: SqlChannel, seal: Seal, planned: PlannedTable): Promise<Copy> {
  const { shape, undo } = planned
  // `keep` without insertMissing is ALTER TABLE: rows it rewrote carry the same id.
  const needed = undo.onDifferent === 'writer' || (undo.onDifferent === 'keep' && !undo.insertMissing)
  const writer = needed ? await learnWriter(session, shape) : null
  const source = `ONLY ${quoteQualified(shape.schema, shape.name)} r`
  return copy({ origin: protect, protect, seal, planned, source, writer })
}

/** Copies just the rows at these addresses, as the agent's session sees them. */
export async function copyRows(
  session: SqlChannel,
  protect: SqlChannel,
  seal: Seal,
  planned: PlannedTable,
  addresses: readonly string[],
): Promise<Copy> {
  const { shape, undo, rowLock } = planned
  const list = `'{${addresses.map((address) => `"${readAddress(address)}"`).join(',')}}'::pg_catalog.tid[]`
  const source = `ONLY ${quoteQualified(shape.schema, shape.name)} r WHERE r.ctid OPERATOR(pg_catalog.=) ANY (${list})`
  const writer = undo.onDifferent === 'writer' && rowLock ? await readWriter(session, source) : null
  const made = await copy({ origin: session, protect, seal, planned, source, writer })
  if (made.table.rows !== addresses.length) throw new Error(`${made.table.rows} of ${addresses.length} rows were found again`)
  return made
}

/** Locks one row, so that its xmax tells under which id this transaction (or savepoint) writes. An empty table has nothing to tell. */
async function learnWriter(session: SqlChannel, shape: TableShape): Promise<string | null> {
  const table = quoteQualified(shape.schema, shape.name)
  const rows = await session.query(`SELECT r.ctid::pg_catalog.text FROM ONLY ${table} r LIMIT 1 FOR UPDATE`)
  if (rows.length === 0) return null
  const address = readAddress(rows[0]?.[0] ?? null)
  return readWriter(session, `ONLY ${table} r WHERE r.ctid OPERATOR(pg_catalog.=) '${address}'::pg_catalog.tid`)
}

async function readWriter(session: SqlChannel, source: string): Promise<string | null> {
  const rows = await session.query(`SELECT DISTINCT r.xmax::pg_catalog.text FROM ${source} LIMIT 2`)
  const writer = rows[0]?.[0]
  return rows.length === 1 && typeof writer === 'string' && writer !== '0' ? writer : null
}

interface Source {
  /** The connection that reads the original. */
  readonly origin: SqlChannel
  readonly protect: SqlChannel
  readonly seal: Seal
  readonly planned: PlannedTable
  /** A FROM item with the alias `r`. */
  readonly source: string
  readonly writer: string | null
}

/**
 * original → vault → back out of the vault → scratch; the original and the scratch must hold the same rows. Its checksum is that of the bytes which
 * the original gave under lock: whoever chooses the rows would have to find a collision of SHA-256 to have others taken for them.
 */
async function copy({ origin, protect, seal, planned, source, writer }: Source): Promise<Copy> {
  const { shape, mode, undo } = planned
  const columns = copiedColumns(shape)
  const part = `tables/${shape.oid}/${mode}`
  const hash = createHash('sha256')
  const select = `COPY (SELECT ${quoteColumns(columns, 'r')} FROM ${source}) TO STDOUT (FORMAT binary)`
  const sealed = await seal.put({ name: part, bytes: hashing(origin.copyOut(select), hash) })
  const sent = hash.digest('hex')
  const scratch = await loadScratch(protect, `sallyport_scratch_${shape.oid}`, shape, columns, seal.read(part))
  if (sealed.sha256 !== sent || scratch.bytesSha256 !== sent)
    throw new Error(`the vault gave back other bytes for ${shape.label}`)
  if (!(await holdsSame(scratch, columns, { protect, origin, source })))
    throw new Error(`the copy of ${shape.label} does not equal the table`)
  return {
    bytes: sealed.bytes,
    table: {
      shape,
      mode,
      undo,
      part,
      partSha256: sent,
      columns: [...columns],
      key: keyOf(shape),
      rows: scratch.rows,
      sha256: sent,
      writer,
      sequenceValues: await readSequenceValues(protect, shape),
    },
  }
}

function keyOf(shape: TableShape): string[] | null {
  const key = keyColumns(shape)
  return key === null ? null : [...key]
}

async function readSequenceValues(protect: SqlChannel, shape: TableShape): Promise<CopiedTable['sequenceValues']> {
  const values: CopiedTable['sequenceValues'] = []
  for (const { schema, name } of shape.sequences) {
    const rows = await protect.query(`SELECT last_value::text, is_called::text FROM ${quoteQualified(schema, name)}`)
    const [last, called] = rows[0] ?? []
    if (typeof last !== 'string') throw new Error(`sequence ${name} has no value`)
    values.push({ schema, name, last, called: called === 'true' })
  }
  return values
}
