import { z } from 'zod'

/**
 * An identifier, always quoted. Doubling the quote is the whole of PostgreSQL's rule for identifiers, whatever the settings;
 * a NUL can't be part of a name and would end the message early.
 */
export function quoteIdentifier(name: string): string {
  if (name === '' || name.includes('\0')) throw new RangeError('a PostgreSQL name is neither empty nor holds a NUL')
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteQualified(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}

/** A string constant that means the same with either value of standard_conforming_strings (DESIGN §12). */
export function quoteLiteral(text: string): string {
  if (text.includes('\0')) throw new RangeError('a PostgreSQL string holds no NUL')
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

export function quoteColumns(columns: readonly string[], alias?: string): string {
  const prefix = alias === undefined ? '' : `${alias}.`
  return columns.map((column) => `${prefix}${quoteIdentifier(column)}`).join(', ')
}

/** An oid as text, as catalogs and manifests carry it: digits only, so that it may stand in SQL. */
export const oidSchema = z.string().regex(/^[1-9][0-9]{0,9}$/)

/** A list of oids as the text form of oid[], to be bound. */
export function oidArray(oids: readonly string[]): string {
  return `{${oids.map((oid) => oidSchema.parse(oid)).join(',')}}`
}

export function compareOids(left: string, right: string): number {
  return Number(left) - Number(right)
}

/** A name as describe shows it: one to three parts, each bare or in double quotes. Null for anything else. */
export function parseShownName(shown: string): readonly string[] | null {
  const parts = [...shown.matchAll(/(?:^|\.)(?:"((?:[^"]|"")+)"|([a-z_\u0080-\uffff][a-z0-9_$\u0080-\uffff]*))/gy)]
  if (shown.startsWith('.') || parts.length === 0 || parts.length > 3 || parts.map(([whole]) => whole).join('') !== shown)
    return null
  return parts.map(([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare ?? '')
}
