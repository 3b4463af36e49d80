import type { SqlChannel } from '@sallyport/core'
import { quoteColumns } from './catalog-name.ts'

/**
 * One row as its binary image: the type oid and binary form of every named column. Two rows with equal images hold the same bytes,
 * which `=` does not promise (1.0 = 1.00 for numeric, and some types have no `=` at all).
 */
export function rowImage(columns: readonly string[], alias: string): string {
  return `pg_catalog.record_send(ROW(${quoteColumns(columns, alias)}))`
}

export interface Checksum {
  readonly rows: number
  /** SHA-256, hex. */
  readonly sha256: string
}

/**
 * A checksum over a multiset of rows: SHA-256 over the sorted SHA-256 of each row's binary image. It needs no key, no order and no
 * comparison that a type might lack, and is the same SQL for the scratch table filled from the vault's bytes and for the table after an undo:
 * equal checksums mean the same rows, each as often as before.
 * `source` is a FROM item with the alias `r`. The channel may have any search_path.
 */
export async function checksumRows(channel: SqlChannel, source: string, columns: readonly string[]): Promise<Checksum> {
  const rows = await channel.query(
    `SELECT pg_catalog.count(*)::pg_catalog.text, pg_catalog.encode(pg_catalog.sha256(
       COALESCE(pg_catalog.string_agg(d.h, pg_catalog.decode('', 'hex') ORDER BY d.h), pg_catalog.decode('', 'hex'))), 'hex')
     FROM (SELECT pg_catalog.sha256(${rowImage(columns, 'r')}) AS h FROM ${source}) d`,
  )
  const [count, sha256] = rows[0] ?? []
  if (typeof count !== 'string' || typeof sha256 !== 'string') throw new Error('a checksum query answered nothing')
  return { rows: Number(count), sha256 }
}

export function equalChecksums(left: Checksum, right: Checksum): boolean {
  return left.rows === right.rows && left.sha256 === right.sha256
}
