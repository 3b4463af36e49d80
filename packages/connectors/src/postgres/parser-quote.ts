import { quotedKeywords } from './functions-catalog.ts'

/** A name as SQL would write it: quoted only when PostgreSQL needs it. */
export function quoteIdentifier(name: string): string {
  if (/^[a-z_][a-z0-9_]*$/.test(name) && !quotedKeywords.has(name)) return name
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteName(parts: readonly (string | null)[]): string {
  return parts.flatMap((part) => (part === null || part === '' ? [] : [quoteIdentifier(part)])).join('.')
}
