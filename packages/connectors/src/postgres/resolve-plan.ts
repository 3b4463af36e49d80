import type { SqlChannel } from '@sallyport/core'
import { readTableShapes, keyColumns, type TableShape } from './catalog-shape.ts'
import { remedies, whyNotCopied, whyNotPlain } from './copy-fit.ts'
import {
  emptyPlan,
  insertOnly,
  planDrop,
  planTable,
  readCopied,
  refuse,
  type Planned,
  type PlannedTable,
  type Undo,
} from './copy-plan.ts'
import type { OperationContext } from './resolve-context.ts'
import type { Relation, SessionRights } from './resolve-name.ts'
import type { LosingVerb } from './resolve-verb.ts'
import { readDropClosure, readForeignKeyActions, readTruncateClosure, type ForeignKeyAction, type Seed } from './table-closure.ts'

/** An operation that loses something, with its names resolved. */
interface Losing {
  readonly verb: LosingVerb
  readonly context: OperationContext
  readonly relations: readonly Relation[]
  readonly namespaces: readonly string[]
  readonly rights: readonly SessionRights[]
  /** No other operation of the request changes anything: only then is the row set at copy time the one the statement will meet. */
  readonly alone: boolean
}

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
  const odd = copied.shapes.map((shape) => whyNotPlain(shape, 'truncate')).find((why) => why !== null)
  if (odd) return refuse(odd, remedies.trigger)
  return { ok: true, plan: fromTables(copied.shapes.map((shape) => planTable(shape, 'whole', insertOnly))) }
}

function fromTables(tables: readonly PlannedTable[], dependants: readonly string[] = []) {
  return { ...emptyPlan, tables, dependants }
}

/** Whether the statement's own condition can be used to copy just the rows it will change. */
function fitsRows({ context, rights, alone }: Losing, oid: string): boolean {
  const right = rights.find((one) => one.oid === oid)
  return context.preimage !== null && alone && right?.select === true && !right.rowSecurity
}

async function planDelete(protect: SqlChannel, losing: Losing): Promise<Planned> {
  const target = losing.relations[0]
  if (!target || losing.relations.length !== 1)
    return refuse('it can not be told which one table it deletes from', remedies.ordinary)
  const reach = followDeletes(target.oid, await readForeignKeyActions(protect, [target.oid]))
  if (!reach.ok) return reach
  const copied = await readCopied(protect, [...new Set([...reach.gone, ...reach.nulled.keys()])])
  if (!copied.ok) return copied
  const tables: PlannedTable[] = []
  for (const shape of copied.shapes) {
    const gone = reach.gone.has(shape.oid)
    const nullColumns = reach.nulled.get(shape.oid) ?? []
    const odd = (gone ? whyNotPlain(shape, 'delete') : null) ?? (nullColumns.length > 0 ? whyNotPlain(shape, 'update') : null)
    if (odd !== null) return refuse(odd, remedies.trigger)
    if (nullColumns.length > 0 && keyColumns(shape) === null) return refuse(`${shape.label} has no key`, remedies.key)
    const rows = copied.shapes.length === 1 && nullColumns.length === 0 && fitsRows(losing, shape.oid)
    const onDifferent = rows ? 'refuse' : nullColumns.length > 0 ? 'nulls' : 'keep'
    tables.push(planTable(shape, rows ? 'rows' : 'whole', { insertMissing: gone, onDifferent, nullColumns }))
  }
  return { ok: true, plan: fromTables(tables, reach.words) }
}

type Reach =
  | {
      readonly ok: true
      readonly gone: ReadonlySet<string>
      readonly nulled: ReadonlyMap<string, string[]>
      readonly words: string[]
    }
  | { readonly ok: false; readonly reason: string; readonly remedy: string }

/** Which tables lose rows, and which lose the values of their foreign keys, when rows of `target` are deleted. */
function followDeletes(target: string, actions: readonly ForeignKeyAction[]): Reach {
  const gone = new Set([target])
  const nulled = new Map<string, string[]>()
  const words: string[] = []
  for (const oid of gone) {
    for (const action of actions.filter(({ parent }) => parent === oid)) {
      const { table, label, name, onDelete, columns } = action
      if (onDelete === 'd') {
        return { ok: false, reason: `${label} would get default values by foreign key ${name}`, remedy: remedies.ordinary }
      }
      if (onDelete === 'c') gone.add(table)
      if (onDelete === 'n') nulled.set(table, [...new Set([...(nulled.get(table) ?? []), ...columns])])
      if (onDelete === 'c') words.push(`${label}: rows go with it by foreign key ${name}`)
      if (onDelete === 'n') words.push(`${label}: foreign key ${name} becomes NULL`)
    }
  }
  const onward = actions.find(
    ({ parent, onUpdate, parentColumns }) =>
      onUpdate !== 'a' && onUpdate !== 'r' && parentColumns.some((column) => nulled.get(parent)?.includes(column)),
  )
  if (onward) {
    return { ok: false, reason: `${onward.label} would follow by foreign key ${onward.name}`, remedy: remedies.ordinary }
  }
  return { ok: true, gone, nulled, words }
}

async function planUpdate(protect: SqlChannel, losing: Losing): Promise<Planned> {
  const target = losing.relations[0]
  if (!target || losing.relations.length !== 1) return refuse('it can not be told which one table it updates', remedies.ordinary)
  const copied = await readCopied(protect, [target.oid])
  if (!copied.ok) return copied
  const shape = copied.shapes[0]
  if (!shape) return refuse('the table is not there', remedies.ordinary)
  const odd = whyNotPlain(shape, 'update')
  if (odd !== null) return refuse(odd, remedies.trigger)
  const key = keyColumns(shape)
  if (key === null) return refuse(`${shape.label} has no key by which changed rows could be found again`, remedies.key)
  const assigned = losing.context.assigned
  if (assigned === null || assigned.some((column) => key.includes(column))) {
    return refuse(`it may change the key of ${shape.label} (${key.join(', ')})`, remedies.ordinary)
  }
  const follower = (await readForeignKeyActions(protect, [target.oid])).find(
    ({ parent, onUpdate, parentColumns }) =>
      parent === target.oid && onUpdate !== 'a' && onUpdate !== 'r' && parentColumns.some((column) => assigned.includes(column)),
  )
  if (follower) return refuse(`${follower.label} would follow by foreign key ${follower.name}`, remedies.ordinary)
  const undo: Undo = { insertMissing: false, onDifferent: 'writer', nullColumns: [] }
  return { ok: true, plan: fromTables([planTable(shape, fitsRows(losing, shape.oid) ? 'rows' : 'whole', undo)]) }
}

/** True when equality on these columns picks at most one row, by a unique index that really is there. */
export function picksOneRow(shape: TableShape, equality: readonly string[]): boolean {
  return (
    shape.kind === 'r' &&
    shape.indexes.some(({ key }) => key !== null && key.length > 0 && key.every((column) => equality.includes(column)))
  )
}
