/** Columns that mean one row, or one thing's rows, whatever the table. */
const keyNames = new Set(
  `id pk key k uuid guid ctid oid rowid _id sku isbn ean iban email username login slug handle code token name hash serial number
   reference external_id`
    .split(/\s+/)
    .filter((name) => name !== ''),
)
/** Things whose names are often joined to `id` without an underscore. */
const nouns = new Set(
  'user order account customer product item session tenant payment invoice event job task message post project group team person employee client device'.split(
    ' ',
  ),
)
const keySuffix = /(_id|_uuid|_guid|_key|_pk|_no|_number|_code|_sku|_slug|_ref|_oid)$/
/** `userId` and the like, which only quoting keeps. */
const camelSuffix = /[a-z](Id|ID|Uuid|UUID|Key)$/

/**
 * Whether an equality on this column plausibly limits an UPDATE to few rows. A guess from the name: resolve checks it against the real unique
 * indexes where there is a server.
 */
export function isKeyName(column: string, table: string): boolean {
  const lower = column.toLowerCase()
  if (keyNames.has(lower) || keySuffix.test(lower) || camelSuffix.test(column)) return true
  if (!lower.endsWith('id')) return false
  const stem = lower.slice(0, -2)
  return nouns.has(stem) || stem === singular(table.toLowerCase())
}

function singular(table: string): string {
  if (table.endsWith('ies')) return `${table.slice(0, -3)}y`
  return table.endsWith('s') ? table.slice(0, -1) : table
}
