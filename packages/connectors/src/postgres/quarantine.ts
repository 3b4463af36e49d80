import type { Quarantine, SqlAccess, SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { oidSchema, quoteIdentifier, quoteLiteral, quoteQualified } from './catalog-name.ts'
import { attempt, inProtect, readJson } from './catalog-query.ts'
import type { Namespace, Plan } from './copy-plan.ts'
import { comment as commentOn } from './ddl-table.ts'
import { restoreGrants } from './ddl-grant.ts'
import { refused } from './restore-object.ts'
import type { LosingVerb } from './resolve-verb.ts'

/**
 * DROP TABLE and DROP SCHEMA as a move out of reach (DESIGN §13): in the agent's own transaction, and before its statement, the thing is moved into a
 * schema that the agent's role may not enter, and an empty one is put in its place for the statement to drop. So the bytes that run are the
 * very ones that were approved, a rollback takes everything back, and an undo has nothing to load. The protect credential drops it when it is due.
 */
const schemaPattern = /^sallyport_quarantine_[0-9a-f]{12}$/

/** Where to, as the manifest of the copy has it. */
export const placeOfSchema = z.object({
  schema: z.string().regex(schemaPattern),
  kind: z.enum(['tables', 'schema']),
  tables: z.array(z.object({ oid: oidSchema, schema: z.string(), name: z.string() })),
})
export type Place = z.infer<typeof placeOfSchema>

interface Moved {
  readonly place: Place
  readonly quarantine: Quarantine
}

const bounds = { lockTimeoutMs: 5_000, statementTimeoutMs: 30_000 } as const

/** The plan, with the move in it where all that the statement would drop can be moved; and in words what then differs, or why it is dropped after all. */
export function planQuarantine(
  plan: Plan,
  verb: LosingVerb | null,
  keptMs: number | null,
): { readonly plan: Plan; readonly says: string } {
  if (keptMs === null || (verb !== 'drop_table' && verb !== 'drop_schema')) return { plan, says: '' }
  const why = verb === 'drop_table' ? whyNoTables(plan) : whyNoSchema(plan)
  if (why !== null) return { plan, says: `; it is dropped at once and not quarantined, since ${why}` }
  const kind = verb === 'drop_table' ? 'tables' : 'schema'
  const says = `; it is moved out of everybody's reach first, keeps its disk space and its place in publications, and is dropped for good after ${sayDuration(keptMs)}`
  return { plan: { ...plan, quarantine: { kind, keptMs } }, says }
}

function whyNoTables({ tables, views, foreignKeys }: Plan): string | null {
  if (tables.length === 0) return 'there is nothing to keep'
  if (foreignKeys.length > 0) return `foreign key ${foreignKeys[0]?.name} of another table would go with it`
  return views.length > 0 ? `view ${views[0]?.label} would go with it` : null
}

function whyNoSchema({ tables, views, foreignKeys, namespaces }: Plan): string | null {
  const name = namespaces[0]?.name
  if (name === undefined || namespaces.length > 1) return 'only one schema at a time can be moved'
  const outside =
    tables.map(({ shape }) => shape).find(({ schema }) => schema !== name) ?? views.find(({ schema }) => schema !== name)
  if (outside !== undefined) return `${outside.label}, in another schema, would go with it`
  return foreignKeys.length > 0 ? `foreign key ${foreignKeys[0]?.name} of another table would go with it` : null
}

export function sayDuration(ms: number): string {
  const units = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
    ['second', 1_000],
  ] as const
  const [unit, size] = units.find(([, each]) => ms >= each && ms % each === 0) ?? ['millisecond', 1]
  const count = ms / size
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

const placeSchema = z.object({ schema: z.string().regex(schemaPattern), nowMs: z.number(), role: z.string() })

/** On both channels the tables are locked and copied already. What fails here is rolled back with the agent's transaction. */
export async function moveOutOfReach(access: SqlAccess, plan: Plan): Promise<Moved | null> {
  if (plan.quarantine === null) return null
  const { session, protect } = access
  const { kind, keptMs } = plan.quarantine
  const [current] = await session.query('SELECT current_user::pg_catalog.text')
  const { schema, nowMs, role } = await readJson(
    protect,
    placeSchema,
    `SELECT pg_catalog.json_build_object('schema', 'sallyport_quarantine_' || pg_catalog.left(pg_catalog.replace(pg_catalog.gen_random_uuid()::text, '-', ''), 12),
       'nowMs', pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp()) * 1000)::int8, 'role', $1::text)::text`,
    [current?.[0] ?? ''],
  )
  const tables = plan.tables.map(({ shape: { oid, schema: home, name } }) => ({ oid, schema: home, name }))
  const things =
    kind === 'schema' ? plan.namespaces.map(({ name }) => quoteIdentifier(name)) : plan.tables.map(({ shape }) => shape.label)
  const untilMs = nowMs + keptMs
  const moved: Moved = {
    place: { schema, kind, tables },
    quarantine: { id: schema, things, identities: tables.map(({ oid }) => oid), untilMs },
  }
  // For people who look at the database; the gate goes by what it keeps itself.
  const comment = quoteLiteral(`sallyport keeps ${things.join(', ')} here until ${new Date(untilMs).toISOString()}`)
  const place = quoteIdentifier(schema)
  if (kind === 'schema') {
    const home = quoteIdentifier(plan.namespaces[0]?.name ?? '')
    await access.hold(`ALTER SCHEMA ${home} RENAME TO ${place}`)
    await access.hold(`COMMENT ON SCHEMA ${place} IS ${comment}`)
    await access.hold(`CREATE SCHEMA ${home}`)
    return moved
  }
  await inProtect(protect, 'commit', bounds, async () => {
    await protect.query(`CREATE SCHEMA ${place}`)
    await protect.query(`COMMENT ON SCHEMA ${place} IS ${comment}`)
    // To put something in, and not to look at what is in there: that would be USAGE.
    await protect.query(`GRANT CREATE ON SCHEMA ${place} TO ${quoteIdentifier(role)}`)
  })
  for (const { schema: home, name } of tables) {
    await access.hold(`ALTER TABLE ${quoteQualified(home, name)} SET SCHEMA ${place}`)
    await access.hold(`CREATE TABLE ${quoteQualified(home, name)} ()`)
  }
  return moved
}

const placedSchema = z.array(z.object({ oid: oidSchema, schema: z.string(), name: z.string() }))

/**
 * Undo, on the protect channel and in its transaction: back to where it was. False: it is not there any more, and the copy in the vault is what is left.
 * Whatever took its name meanwhile is left alone, and the undo refused.
 */
export async function takeBack(
  protect: SqlChannel,
  { schema, kind, tables }: Place,
  namespaces: readonly Namespace[],
): Promise<boolean> {
  const there = await readJson(
    protect,
    placedSchema,
    `SELECT coalesce(json_agg(json_build_object('oid', c.oid::text, 'schema', n.nspname, 'name', c.relname)), '[]')::text
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1`,
    [schema],
  )
  if (!tables.every(({ oid }) => there.some((one) => one.oid === oid))) return false
  await refuseTaken(protect, kind === 'tables' ? tables : namespaces.map(({ name }) => ({ schema: name, name: '' })))
  const place = quoteIdentifier(schema)
  if (kind === 'tables') {
    for (const { schema: home, name } of tables)
      await protect.query(`ALTER TABLE ${quoteQualified(schema, name)} SET SCHEMA ${quoteIdentifier(home)}`)
    // What somebody else put in there is not ours to drop.
    await attempt(protect, () => protect.query(`DROP SCHEMA ${place}`))
    return true
  }
  for (const { oid, name, owner, comment, grants } of namespaces) {
    const home = quoteIdentifier(name)
    await protect.query(`ALTER SCHEMA ${place} RENAME TO ${home}`)
    await protect.query(`COMMENT ON SCHEMA ${home} IS NULL`)
    for (const statement of commentOn(`SCHEMA ${home}`, comment)) await protect.query(statement)
    await protect.query(`ALTER SCHEMA ${home} OWNER TO ${quoteIdentifier(owner)}`)
    await restoreGrants(protect, `SCHEMA ${home}`, 'pg_namespace', oid, owner, grants)
  }
  return true
}

/** Of a schema `name` is empty. */
async function refuseTaken(
  protect: SqlChannel,
  names: readonly { readonly schema: string; readonly name: string }[],
): Promise<void> {
  for (const { schema, name } of names) {
    const [row] = await protect.query(
      `SELECT count(*)::text FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = $2
       WHERE n.nspname = $1 AND ($2 = '' OR c.oid IS NOT NULL)`,
      [schema, name],
    )
    if (row?.[0] !== '0')
      throw refused(`something else now has the name ${name === '' ? quoteIdentifier(schema) : quoteQualified(schema, name)}`)
  }
}
