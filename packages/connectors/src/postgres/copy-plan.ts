import { digestJson, type SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { compareOids, oidArray, oidSchema } from './catalog-name.ts'
import { readJson } from './catalog-query.ts'
import { hashShape, readTableShapes, readViewShapes, type TableShape, type ViewShape } from './catalog-shape.ts'
import { remedies, whyNotCopied } from './copy-fit.ts'
import type { DropClosure, ForeignKeyAction } from './table-closure.ts'

/** How an undo treats what it finds in a table that is still there. */
export const undoSchema = z.object({
  /** Put back rows that are no longer there. */
  insertMissing: z.boolean(),
  /**
   * A row that is there with other values: `refuse`; `keep` the newer one; `writer`: set it back when it was last written by the very
   * transaction the copy was made for; `nulls`: set it back when only `nullColumns` differ and hold NULL now.
   */
  onDifferent: z.enum(['refuse', 'keep', 'writer', 'nulls']),
  nullColumns: z.array(z.string()),
})
export type Undo = z.infer<typeof undoSchema>

export interface PlannedTable {
  readonly shape: TableShape
  readonly hash: string
  /** `rows`: only those that the statement's own condition names. */
  readonly mode: 'whole' | 'rows'
  readonly undo: Undo
  /** What the agent's session holds from before the copy until its statement has run. */
  readonly tableLock: TableLock
  /** Each copied row is locked as it is found: nobody can change it, or refer to it by a foreign key, until the statement has run. */
  readonly rowLock: boolean
}

/** Weakest first. */
export const tableLocks = ['ROW EXCLUSIVE', 'SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE'] as const
export type TableLock = (typeof tableLocks)[number]

/** How the rows are found that a DELETE or UPDATE changes: by its own condition, then along foreign keys. */
export interface Walk {
  readonly target: string
  /** Foreign keys that act when rows go. */
  readonly follow: readonly ForeignKeyAction[]
  /** Tables that the condition reads besides the target: held still, lest it means other rows when the statement runs. */
  readonly sources: readonly { readonly oid: string; readonly schema: string; readonly name: string }[]
  /** Rows that triggers add elsewhere: at most one each, for each row of `table` that goes or changes. */
  readonly adds: readonly {
    readonly table: string
    readonly event: 'delete' | 'update'
    readonly trigger: string
    readonly label: string
  }[]
}

export const foreignKeySchema = z.object({
  oid: oidSchema,
  tableOid: oidSchema,
  schema: z.string(),
  table: z.string(),
  name: z.string(),
  definition: z.string(),
  comment: z.string().nullable(),
})
type ForeignKey = z.infer<typeof foreignKeySchema>

export const namespaceSchema = z.object({
  oid: oidSchema,
  name: z.string(),
  owner: z.string(),
  comment: z.string().nullable(),
  grants: z.array(z.object({ grantee: z.string().nullable(), privilege: z.string(), grantable: z.boolean() })).nullable(),
})
export type Namespace = z.infer<typeof namespaceSchema>

/** Tables, each by itself, or one schema with all that is in it. */
export type QuarantineKind = 'tables' | 'schema'

/** What must be copied for one or several operations, and how it comes back. */
export interface Plan {
  readonly tables: readonly PlannedTable[]
  readonly views: readonly ViewShape[]
  readonly foreignKeys: readonly ForeignKey[]
  readonly namespaces: readonly Namespace[]
  /** What depends on the targets, in words. */
  readonly dependants: readonly string[]
  /** Set when tables are copied by rows. */
  readonly walk: Walk | null
  /** What moves out of reach for how long, instead of being dropped at once. Null: nothing does. */
  readonly quarantine: { readonly kind: QuarantineKind; readonly keptMs: number } | null
}

export interface Refused {
  readonly reason: string
  readonly remedy: string
}

export type Planned = { readonly ok: true; readonly plan: Plan } | ({ readonly ok: false } & Refused)

export function refuse(reason: string, remedy: string): Planned {
  return { ok: false, reason, remedy }
}

export const emptyPlan: Plan = {
  tables: [],
  views: [],
  foreignKeys: [],
  namespaces: [],
  dependants: [],
  walk: null,
  quarantine: null,
}

export const insertOnly: Undo = { insertMissing: true, onDifferent: 'refuse', nullColumns: [] }

export function planTable(shape: TableShape, mode: PlannedTable['mode'], undo: Undo): PlannedTable {
  return {
    shape,
    hash: hashShape(shape),
    mode,
    undo,
    tableLock: mode === 'whole' ? 'EXCLUSIVE' : 'SHARE ROW EXCLUSIVE',
    rowLock: false,
  }
}

/** Reads shapes and refuses when one of them can't be copied whole. */
export async function readCopied(
  channel: SqlChannel,
  oids: readonly string[],
): Promise<{ readonly ok: true; readonly shapes: readonly TableShape[] } | ({ readonly ok: false } & Refused)> {
  const shapes = await readTableShapes(channel, oids)
  const missing = oids.find((oid) => !shapes.some((shape) => shape.oid === oid))
  if (missing !== undefined) {
    return { ok: false, reason: 'the table was made or changed in this open transaction', remedy: remedies.commit }
  }
  for (const shape of shapes) {
    const why = whyNotCopied(shape)
    if (why !== null) return { ok: false, reason: why, remedy: remedies.ordinary }
  }
  return { ok: true, shapes }
}

/** A plan for what a DROP takes with it. */
export async function planDrop(channel: SqlChannel, closure: DropClosure, namespaces: readonly string[]): Promise<Planned> {
  const uncovered = closure.uncovered[0]
  if (uncovered !== undefined) return refuse(`${uncovered} would go with it, and no copy of that can be made`, remedies.narrow)
  const copied = await readCopied(channel, closure.tables)
  if (!copied.ok) return copied
  const owned = new Set(copied.shapes.flatMap(({ sequences }) => sequences.map(({ oid }) => oid)))
  if (closure.sequences.some((oid) => !owned.has(oid))) {
    return refuse('a sequence that belongs to no table would go with it', remedies.narrow)
  }
  const views = await readViewShapes(channel, closure.views)
  const odd = views.find(({ extras }) => extras)
  if (odd) return refuse(`view ${odd.label} has triggers, rules, defaults or grants on columns`, remedies.narrow)
  return {
    ok: true,
    plan: {
      tables: copied.shapes.map((shape) => planTable(shape, 'whole', insertOnly)),
      views,
      foreignKeys: await readForeignKeys(channel, closure.foreignKeys),
      namespaces: await readNamespaces(channel, namespaces),
      dependants: closure.words,
      walk: null,
      quarantine: null,
    },
  }
}

async function readForeignKeys(channel: SqlChannel, oids: readonly string[]): Promise<readonly ForeignKey[]> {
  if (oids.length === 0) return []
  return readJson(
    channel,
    z.array(foreignKeySchema),
    `SELECT coalesce(json_agg(json_build_object('oid', k.oid::text, 'tableOid', c.oid::text, 'schema', n.nspname, 'table', c.relname,
       'name', k.conname, 'definition', pg_get_constraintdef(k.oid), 'comment', obj_description(k.oid, 'pg_constraint'))
       ORDER BY k.oid), '[]')::text
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE k.oid = ANY ($1::oid[])`,
    [oidArray(oids)],
  )
}

async function readNamespaces(channel: SqlChannel, oids: readonly string[]): Promise<readonly Namespace[]> {
  if (oids.length === 0) return []
  return readJson(
    channel,
    z.array(namespaceSchema),
    `SELECT coalesce(json_agg(json_build_object('oid', n.oid::text, 'name', n.nspname, 'owner', pg_get_userbyid(n.nspowner),
       'comment', obj_description(n.oid, 'pg_namespace'),
       'grants', CASE WHEN n.nspacl IS NOT NULL THEN (SELECT coalesce(json_agg(json_build_object(
         'grantee', CASE WHEN x.grantee <> 0 THEN pg_get_userbyid(x.grantee) END,
         'privilege', x.privilege_type, 'grantable', x.is_grantable) ORDER BY x.ord), '[]')
         FROM aclexplode(n.nspacl) WITH ORDINALITY x(grantor, grantee, privilege_type, is_grantable, ord)) END) ORDER BY n.oid), '[]')::text
     FROM pg_namespace n WHERE n.oid = ANY ($1::oid[])`,
    [oidArray(oids)],
  )
}

/** The union of several plans; a table wanted whole once is copied whole. */
export function unitePlans(plans: readonly Plan[]): Plan {
  const tables = new Map<string, PlannedTable>()
  for (const table of plans.flatMap((plan) => plan.tables)) {
    const known = tables.get(table.shape.oid)
    tables.set(table.shape.oid, known ? uniteTables(known, table) : table)
  }
  const byOid = <Item extends { readonly oid: string }>(items: readonly Item[]): readonly Item[] => [
    ...new Map(items.map((item) => [item.oid, item])).values(),
  ]
  return {
    tables: [...tables.values()].sort((left, right) => compareOids(left.shape.oid, right.shape.oid)),
    views: byOid(plans.flatMap((plan) => plan.views)),
    foreignKeys: byOid(plans.flatMap((plan) => plan.foreignKeys)).filter(({ tableOid }) => !wholeTable(tables, tableOid)),
    namespaces: byOid(plans.flatMap((plan) => plan.namespaces)),
    dependants: [...new Set(plans.flatMap((plan) => plan.dependants))],
    walk: plans.find(({ walk }) => walk !== null)?.walk ?? null,
    // One that can't be moved is dropped, and then the others can't be left behind under a name of their own.
    quarantine: plans.length === 1 ? (plans[0]?.quarantine ?? null) : null,
  }
}

/** A foreign key of a table that is copied whole comes back with that table. */
function wholeTable(tables: ReadonlyMap<string, PlannedTable>, oid: string): boolean {
  return tables.get(oid)?.mode === 'whole'
}

const strictness = ['keep', 'nulls', 'writer', 'refuse'] as const

function uniteTables(left: PlannedTable, right: PlannedTable): PlannedTable {
  const same = left.undo.onDifferent === right.undo.onDifferent
  const rank = Math.max(strictness.indexOf(left.undo.onDifferent), strictness.indexOf(right.undo.onDifferent))
  return {
    ...left,
    mode: 'whole',
    tableLock: 'EXCLUSIVE',
    rowLock: false,
    undo: {
      insertMissing: left.undo.insertMissing || right.undo.insertMissing,
      onDifferent: same ? left.undo.onDifferent : (strictness[rank] ?? 'refuse'),
      nullColumns: [...new Set([...left.undo.nullColumns, ...right.undo.nullColumns])],
    },
  }
}

/** Two plans with one digest copy the same things in the same way: what resolve showed is what snapshot makes. */
export function digestPlan(plan: Plan): string {
  return digestJson({
    tables: plan.tables.map(({ shape, hash, mode, undo, tableLock, rowLock }) => [
      shape.oid,
      hash,
      mode,
      tableLock,
      rowLock,
      undo.insertMissing,
      undo.onDifferent,
      undo.nullColumns,
    ]),
    views: plan.views.map(({ oid, schema, name, definition }) => [oid, schema, name, definition]),
    foreignKeys: plan.foreignKeys.map(({ oid, definition }) => [oid, definition]),
    namespaces: plan.namespaces.map(({ oid, name }) => [oid, name]),
    quarantine: plan.quarantine === null ? null : [plan.quarantine.kind, plan.quarantine.keptMs],
    walk:
      plan.walk === null
        ? null
        : [
            plan.walk.target,
            plan.walk.follow.map((key) => ({ ...key })),
            plan.walk.sources.map(({ oid }) => oid),
            plan.walk.adds.map((one) => ({ ...one })),
          ],
  })
}
