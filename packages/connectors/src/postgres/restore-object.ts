import { SallyportError, type SqlChannel } from '@sallyport/core'
import { oidSchema, quoteIdentifier } from './catalog-name.ts'
import { readJson } from './catalog-query.ts'
import { readTableShapes, type TableShape, type ViewShape } from './catalog-shape.ts'
import type { Namespace } from './copy-plan.ts'
import { comment, storageOptions, tableName } from './ddl-table.ts'
import { restoreGrants } from './ddl-grant.ts'

/** An undo that was not made. */
export function refused(why: string, cause?: unknown): SallyportError {
  return new SallyportError(
    'upstream_failed',
    `The copy was not put back: ${why}.`,
    'Nothing was changed; the copy is still in the vault.',
    'Mend what the message names and undo again, or restore the copy under another name and compare.',
    { cause },
  )
}

async function findOid(protect: SqlChannel, schema: string, name: string): Promise<string | null> {
  return readJson(
    protect,
    oidSchema.nullable(),
    `SELECT coalesce((SELECT to_json(c.oid::text) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = $1 AND c.relname = $2), 'null')::text`,
    [schema, name],
  )
}

/** The table as it stands now; null when it is gone. Another table under its name, or the table under another name, is not touched. */
export async function findCurrent(protect: SqlChannel, sealed: TableShape): Promise<TableShape | null> {
  const oid = await findOid(protect, sealed.schema, sealed.name)
  if (oid !== null && oid !== sealed.oid) throw refused(`something else now has the name ${sealed.label}`)
  const [current] = await readTableShapes(protect, [sealed.oid])
  if (!current) return null
  if (oid === null) throw refused(`${sealed.label} is now called ${current.label}`)
  return current
}

export async function restoreNamespaces(protect: SqlChannel, namespaces: readonly Namespace[]): Promise<void> {
  for (const namespace of namespaces) {
    const find = async (): Promise<string | null> =>
      readJson(
        protect,
        oidSchema.nullable(),
        `SELECT coalesce((SELECT to_json(n.oid::text) FROM pg_namespace n WHERE n.nspname = $1), 'null')::text`,
        [namespace.name],
      )
    if ((await find()) !== null) continue
    const name = quoteIdentifier(namespace.name)
    await protect.query(`CREATE SCHEMA ${name}`)
    await protect.query(`ALTER SCHEMA ${name} OWNER TO ${quoteIdentifier(namespace.owner)}`)
    for (const statement of comment(`SCHEMA ${name}`, namespace.comment)) await protect.query(statement)
    const oid = await find()
    if (oid !== null) await restoreGrants(protect, `SCHEMA ${name}`, 'pg_namespace', oid, namespace.owner, namespace.grants)
  }
}

/** Views that went with a table, those that others read first. One that is there again is left alone. */
export async function restoreViews(protect: SqlChannel, views: readonly ViewShape[]): Promise<readonly string[]> {
  const notes: string[] = []
  for (const view of orderViews(views)) {
    const present = await findOid(protect, view.schema, view.name)
    if (present !== null) {
      if (present !== view.oid) notes.push(`view ${view.label} was made anew meanwhile and is left as it is`)
      continue
    }
    const name = tableName(view)
    const columns = view.columns.map((column) => quoteIdentifier(column.name)).join(', ')
    const definition = view.definition.replace(/;\s*$/, '')
    await protect.query(
      `CREATE VIEW ${name}${columns === '' ? '' : ` (${columns})`}${storageOptions(view.options)} AS ${definition}`,
    )
    await protect.query(`ALTER VIEW ${name} OWNER TO ${quoteIdentifier(view.owner)}`)
    for (const column of view.columns) {
      for (const statement of comment(`COLUMN ${name}.${quoteIdentifier(column.name)}`, column.comment))
        await protect.query(statement)
    }
    for (const statement of comment(`VIEW ${name}`, view.comment)) await protect.query(statement)
    const oid = await findOid(protect, view.schema, view.name)
    if (oid !== null) await restoreGrants(protect, `TABLE ${name}`, 'pg_class', oid, view.owner, view.grants)
  }
  return notes
}

function orderViews(views: readonly ViewShape[]): readonly ViewShape[] {
  const out = new Set<ViewShape>()
  const visit = (view: ViewShape, depth: number): void => {
    if (out.has(view) || depth > views.length) return
    for (const other of views) if (view.reads.includes(other.oid)) visit(other, depth + 1)
    out.add(view)
  }
  for (const view of views) visit(view, 0)
  return [...out]
}
