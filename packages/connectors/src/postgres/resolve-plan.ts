import type { SqlChannel } from '@sallyport/core'
import { readTableShapes, type TableShape } from './catalog-shape.ts'
import { remedies, whyNotCopied, whyNotEmptied } from './copy-fit.ts'
import { emptyPlan, insertOnly, planDrop, planTable, readCopied, refuse, type Planned, type Undo } from './copy-plan.ts'
import type { Relation } from './resolve-name.ts'
import type { Losing } from './resolve-verb.ts'
import { planDelete, planUpdate } from './row-plan.ts'
import { readDropClosure, readTruncateClosure, type Seed } from './table-closure.ts'

/** What would have to be copied, and how it would come back. Reads catalogs only, on the PROTECT channel. */
export async function planOperation(protect: SqlChannel, losing: Losing): Promise<Planned> {
  const stale = await findStale(protect, losing.relations)
  if (stale !== null) return stale
  switch (losing.verb) {
    case 'drop_table':
      return planDropTable(protect, losing)
    case 'drop_schema':
      return planDropSchema(protect, losing)
    case 'alter_table':
      return planAlter(protect, losing)
    case 'truncate':
      return planTruncate(protect, losing)
    case 'delete':
      return planDelete(protect, losing)
    case 'update':
      return planUpdate(protect, losing)
  }
}

/** The session's open transaction may see another table under the name, or the same one altered: others can't copy that. */
async function findStale(protect: SqlChannel, relations: readonly Relation[]): Promise<Planned | null> {
  const shapes = await readTableShapes(
    protect,
    relations.map(({ oid }) => oid),
  )
  for (const relation of relations) {
    const shape = shapes.find(({ oid }) => oid === relation.oid)
    if (shape?.version !== relation.version) {
      return refuse(`${relation.schema}.${relation.name} was made or changed in this open transaction`, remedies.commit)
    }
    const why = whyNotCopied(shape)
    if (why !== null) return refuse(why, shape.kind === 'v' ? remedies.base : remedies.ordinary)
  }
  return null
}

async function planDropTable(protect: SqlChannel, { context, relations }: Losing): Promise<Planned> {
  const seeds = relations.map(({ oid }): Seed => ({ catalog: 'pg_class', oid, column: 0 }))
  return planDrop(protect, await readDropClosure(protect, seeds, context.cascade), [])
}

async function planDropSchema(protect: SqlChannel, { context, namespaces }: Losing): Promise<Planned> {
  const seeds = namespaces.map((oid): Seed => ({ catalog: 'pg_namespace', oid, column: 0 }))
  return planDrop(protect, await readDropClosure(protect, seeds, context.cascade), namespaces)
}

async function planAlter(protect: SqlChannel, { context, relations }: Losing): Promise<Planned> {
  const shapes = await readTableShapes(
    protect,
    relations.map(({ oid }) => oid),
  )
  const seeds = shapes.flatMap((shape) =>
    shape.columns
      .filter(({ name }) => context.columns === null || context.columns.includes(name))
      .map(({ number }): Seed => ({ catalog: 'pg_class', oid: shape.oid, column: number })),
  )
  if (seeds.length === 0) return refuse('the columns it changes are not there', remedies.ordinary)
  const planned = await planDrop(protect, await readDropClosure(protect, seeds, context.cascade), [])
  if (!planned.ok) return planned
  const undo: Undo = { insertMissing: false, onDifferent: 'keep', nullColumns: [] }
  return { ok: true, plan: { ...planned.plan, tables: planned.plan.tables.map((table) => ({ ...table, undo })) } }
}

async function planTruncate(protect: SqlChannel, { context, relations }: Losing): Promise<Planned> {
  const named = relations.map(({ oid }) => oid)
  const copied = await readCopied(protect, context.cascade ? await readTruncateClosure(protect, named) : named)
  if (!copied.ok) return copied
  const odd = copied.shapes.map((shape) => whyNotEmptied(shape)).find((why) => why !== null)
  if (odd) return refuse(odd, remedies.trigger)
  return { ok: true, plan: { ...emptyPlan, tables: copied.shapes.map((shape) => planTable(shape, 'whole', insertOnly)) } }
}

/** True when equality on these columns picks at most one row, by a unique index that really is there. */
export function picksOneRow(shape: TableShape, equality: readonly string[]): boolean {
  return (
    // a child keeps no index of its parent, so each may hold as many rows of one key as it likes; a partition does
    (shape.kind === 'p' || (shape.kind === 'r' && (shape.partition || !shape.inheritance))) &&
    shape.indexes.some(({ key }) => key !== null && key.length > 0 && key.every((column) => equality.includes(column)))
  )
}
