import type { Operation, SqlAccess } from '@sallyport/core'
import { parseShownName } from './catalog-name.ts'
import { resolveNamespaces, resolveRelations } from './resolve-name.ts'

const relationActions = /^postgres\.(?:rename|set_schema)_(?:table|view|materialized_view|foreign_table|sequence|column)$/
const schemaActions = /^postgres\.rename_schema$/

/**
 * What an ALTER … RENAME or SET SCHEMA takes from everybody who uses the name, in words. Null when it is temporary, was made in this very
 * transaction, or is not there: then nobody else can be using it. The text alone can't tell, so `describe` calls it a write.
 */
export async function findRenamed(access: SqlAccess, operation: Operation): Promise<string | null> {
  const isSchema = schemaActions.test(operation.action)
  if (!isSchema && !relationActions.test(operation.action)) return null
  const shown = operation.resources[0]?.name ?? ''
  const parts = parseShownName(shown)
  const name = parts?.at(-1)
  if (!parts || name === undefined || parts.length > 2) return shown
  const oid = isSchema ? await findSchema(access, name) : await findRelation(access, parts.at(-2) ?? null, name)
  if (oid === null) return null
  const catalog = isSchema ? 'pg_namespace' : 'pg_class'
  const rows = await access.protect.query(
    `SELECT EXISTS (SELECT FROM pg_catalog.${catalog} c WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.oid)::pg_catalog.text`,
    [oid],
  )
  return rows[0]?.[0] === 'true' ? shown : null
}

async function findSchema({ session }: SqlAccess, name: string): Promise<string | null> {
  return (await resolveNamespaces(session, [name]))[0] ?? null
}

async function findRelation({ session }: SqlAccess, schema: string | null, name: string): Promise<string | null> {
  const [relation] = await resolveRelations(session, [{ schema, name }])
  return !relation || relation.temporary ? null : relation.oid
}
