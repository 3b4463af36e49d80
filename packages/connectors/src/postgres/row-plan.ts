import type { SqlChannel } from '@sallyport/core'
import { keyColumns, type TableShape } from './catalog-shape.ts'
import { remedies, whyNotPlain } from './copy-fit.ts'
import { emptyPlan, planTable, readCopied, refuse, type Planned, type PlannedTable, type Undo, type Walk } from './copy-plan.ts'
import { isRowwise } from './resolve-context.ts'
import type { SessionRights } from './resolve-name.ts'
import type { Losing } from './resolve-verb.ts'
import { countsTwice, followDeletes, type Reach } from './row-reach.ts'
import { readFired, type Fired } from './row-trigger.ts'
import { readForeignKeyActions } from './table-closure.ts'

/** What a DELETE loses: its rows, the rows that go with them, and the foreign keys that are set to NULL or to their defaults. */
export async function planDelete(protect: SqlChannel, losing: Losing): Promise<Planned> {
  const target = losing.relations[0]
  if (!target || losing.relations.length !== 1)
    return refuse('it can not be told which one table it deletes from', remedies.ordinary)
  const reach = followDeletes(target.oid, await readForeignKeyActions(protect, [target.oid]))
  if (!reach.ok) return reach
  const copied = await readCopied(protect, [...new Set([...reach.gone, ...reach.changed.keys()])])
  if (!copied.ok) return copied
  const { shapes } = copied
  const fired = await readFired(
    protect,
    losing.findTables,
    shapes.map((shape) => ({ shape, events: eventsOf(shape, reach) })),
  )
  const odd = shapes.map((shape) => whyNotFollowed(shape, reach, fired)).find((why) => why !== null)
  if (odd) return { ok: false, ...odd }
  const read = [...fired.values()].flatMap((one) => (one.ok ? [one] : []))
  const adds = read.flatMap((one) => one.adds)
  const slack = read.some(({ skips }) => skips) || adds.length > 0 || countsTwice(reach)
  const byRows = await holdRows(losing, shapes, [...reach.changed.keys()], slack)
  if (byRows !== null) {
    const tables = shapes.map((shape) => ({ ...planTable(shape, 'rows', undoOfRows(shape, reach)), ...byRows(shape.oid) }))
    return {
      ok: true,
      plan: { ...emptyPlan, tables, dependants: reach.words, walk: walkOf(losing, target.oid, reach.follow, adds) },
    }
  }
  return planWhole(shapes, reach, fired)
}

function eventsOf({ oid }: TableShape, { gone, changed }: Reach): readonly ('delete' | 'update')[] {
  return [...(gone.has(oid) ? (['delete'] as const) : []), ...(changed.has(oid) ? (['update'] as const) : [])]
}

function whyNotFollowed(
  shape: TableShape,
  reach: Reach,
  fired: ReadonlyMap<string, Fired>,
): { readonly reason: string; readonly remedy: string } | null {
  const columns = reach.changed.get(shape.oid)
  const trigger = fired.get(shape.oid)
  if (trigger?.ok === false) return { reason: trigger.why, remedy: remedies.trigger }
  for (const event of eventsOf(shape, reach)) {
    const rule = whyNotPlain(shape, event)
    if (rule !== null) return { reason: rule, remedy: remedies.trigger }
  }
  if (columns === undefined) return null
  const key = keyColumns(shape)
  const defaults = reach.follow.find(({ table, onDelete }) => table === shape.oid && onDelete === 'd')
  const by = defaults ? ` and would get default values by foreign key ${defaults.name}` : ''
  if (key === null) return { reason: `${shape.label} has no key${by}`, remedy: remedies.key }
  if (columns.some((column) => key.includes(column)))
    return { reason: `the key of ${shape.label} would change by a foreign key`, remedy: remedies.ordinary }
  return null
}

/** Rows that were changed are set back only where this very statement wrote them last. */
function undoOfRows({ oid }: TableShape, { gone, changed }: Reach): Undo {
  return { insertMissing: gone.has(oid), onDifferent: changed.has(oid) ? 'writer' : 'refuse', nullColumns: [] }
}

function walkOf({ sources }: Losing, target: string, follow: Walk['follow'], adds: Walk['adds']): Walk {
  return { target, follow, adds, sources: (sources ?? []).map(({ oid, schema, name }) => ({ oid, schema, name })) }
}

/** Whole tables, where rows can't be followed. What was written since can't be told from what this statement wrote, but for NULLs. */
function planWhole(shapes: readonly TableShape[], reach: Reach, fired: ReadonlyMap<string, Fired>): Planned {
  const byDefault = reach.follow.find(({ onDelete }) => onDelete === 'd')
  if (byDefault) return refuse(`${byDefault.label} would get default values by foreign key ${byDefault.name}`, remedies.ordinary)
  const tables: PlannedTable[] = []
  for (const shape of shapes) {
    const nullColumns = [...(reach.changed.get(shape.oid) ?? [])]
    const trigger = fired.get(shape.oid)
    if (nullColumns.length > 0 && trigger?.ok === true && trigger.assigned.length > 0)
      return refuse(`a trigger on ${shape.label} changes more of its rows than the foreign key`, remedies.trigger)
    const gone = reach.gone.has(shape.oid)
    tables.push(
      planTable(shape, 'whole', { insertMissing: gone, onDifferent: nullColumns.length > 0 ? 'nulls' : 'keep', nullColumns }),
    )
  }
  return { ok: true, plan: { ...emptyPlan, tables, dependants: reach.words } }
}

type Hold = (oid: string) => Pick<PlannedTable, 'tableLock' | 'rowLock'>

/**
 * How the rows are held still from copy to statement; null when they can't be, or can't be told ahead. Where every row found is sure to change,
 * and each counts once, locks on the rows are enough: one more that slips in makes the count exceed what was copied, and all is rolled back.
 * Where a row found may stay as it is (`slack`), another could take its place in the count: then the tables are locked against all writers.
 */
async function holdRows(
  losing: Losing,
  shapes: readonly TableShape[],
  changed: readonly string[],
  slack: boolean,
): Promise<Hold | null> {
  const { byRows, alone, context, sources } = losing
  if (!byRows || !alone || context.preimage === null || sources === null) return null
  const rights = new Map((await losing.rightsOf(shapes.map(({ oid }) => oid))).map((right) => [right.oid, right]))
  const every = (test: (right: SessionRights) => boolean): boolean =>
    shapes.every(({ oid }) => {
      const right = rights.get(oid)
      return right !== undefined && test(right)
    })
  if (!every((right) => right.select && right.lock && !right.rowSecurity)) return null
  // Only a row's lock tells under which id this transaction writes it, and so what an undo may set back.
  if (changed.some((oid) => rights.get(oid)?.update !== true)) return null
  const rowsOnly = !slack && isRowwise(context) && sources.length === 0 && every((right) => right.update)
  return (oid) => ({
    tableLock: rowsOnly ? 'ROW EXCLUSIVE' : 'SHARE ROW EXCLUSIVE',
    rowLock: rights.get(oid)?.update === true,
  })
}

/** What an UPDATE overwrites, where no cascade follows it and no trigger reaches further. */
export async function planUpdate(protect: SqlChannel, losing: Losing): Promise<Planned> {
  const target = losing.relations[0]
  if (!target || losing.relations.length !== 1) return refuse('it can not be told which one table it updates', remedies.ordinary)
  const copied = await readCopied(protect, [target.oid])
  if (!copied.ok) return copied
  const shape = copied.shapes[0]
  if (!shape) return refuse('the table is not there', remedies.ordinary)
  const rule = whyNotPlain(shape, 'update')
  if (rule !== null) return refuse(rule, remedies.trigger)
  const key = keyColumns(shape)
  if (key === null) return refuse(`${shape.label} has no key by which changed rows could be found again`, remedies.key)
  const { assigned: written } = losing.context
  if (written === null || written.some((column) => key.includes(column))) {
    return refuse(`it may change the key of ${shape.label} (${key.join(', ')})`, remedies.ordinary)
  }
  const fired = (await readFired(protect, losing.findTables, [{ shape, events: ['update'] }])).get(shape.oid)
  if (fired?.ok !== true) return refuse(fired?.why ?? 'its triggers can not be read', remedies.trigger)
  const assigned = [...written, ...fired.assigned]
  const follower = (await readForeignKeyActions(protect, [target.oid])).find(
    ({ parent, onUpdate, parentColumns }) =>
      parent === target.oid && onUpdate !== 'a' && onUpdate !== 'r' && parentColumns.some((column) => assigned.includes(column)),
  )
  if (follower) return refuse(`${follower.label} would follow by foreign key ${follower.name}`, remedies.ordinary)
  const undo: Undo = { insertMissing: false, onDifferent: 'writer', nullColumns: [] }
  const byRows = await holdRows(losing, [shape], [shape.oid], fired.skips || fired.adds.length > 0)
  if (byRows === null) return { ok: true, plan: { ...emptyPlan, tables: [planTable(shape, 'whole', undo)] } }
  const table = { ...planTable(shape, 'rows', undo), ...byRows(shape.oid) }
  return { ok: true, plan: { ...emptyPlan, tables: [table], walk: walkOf(losing, shape.oid, [], fired.adds) } }
}
