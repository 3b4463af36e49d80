import {
  SallyportError,
  severity,
  type CopyPlan,
  type Impact,
  type Json,
  type Operation,
  type ResolvedOperation,
  type Resource,
  type Scope,
  type SqlAccess,
  type Upstream,
} from '@sallyport/core'
import { attempt, inProtect, sayError, sqlAccess } from './catalog-query.ts'
import { hashShape, readTableShapes, type TableShape } from './catalog-shape.ts'
import type { Planned } from './copy-plan.ts'
import { isAlone, lookUp, planLooked, recordPlan, type Looked } from './resolve-losing.ts'
import { planQuarantine } from './quarantine.ts'
import { resolveDatabase } from './resolve-database.ts'
import { raiseByExtensions } from './resolve-extension.ts'
import { readActivity, sayActivity, type Activity } from './resolve-activity.ts'
import { lowerByFunctions } from './resolve-function.ts'
import { picksOneRow } from './resolve-plan.ts'
import { isAllInWal } from './wal-reach.ts'
import { countPreimage, countTimeoutMs, countWalk, measurePlan, measureTables, measureWalk, sayWalk } from './resolve-scope.ts'

/** Waiting for a lock while only looking would hold the agent up behind every migration. */
const lookBounds = { lockTimeoutMs: 1_000, statementTimeoutMs: 5_000 } as const

/**
 * Names → what they really are: oids, shapes, measured scope, and what copy can be made. Impact is raised where the database says so; it is
 * lowered in two cases only: a temporary table of this very session, and `unknown` for functions that are all known not to change anything.
 */
export async function resolve(operations: readonly Operation[], upstream: Upstream): Promise<readonly ResolvedOperation[]> {
  const access = sqlAccess(upstream)
  try {
    return await resolveAll(operations, access, upstream.quarantineMs ?? null)
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw new SallyportError(
      'upstream_failed',
      `The names in the request could not be looked up: ${sayError(error)}.`,
      'Nothing was run or copied.',
      'Send the statement again; if it fails again, see whether the protect credential still works.',
      { cause: error },
    )
  }
}

async function resolveAll(
  operations: readonly Operation[],
  access: SqlAccess,
  quarantineMs: number | null,
): Promise<readonly ResolvedOperation[]> {
  const lowered: Operation[] = []
  for (const operation of operations) {
    lowered.push(await raiseByExtensions(access.session, await lowerByFunctions(access.session, operation)))
  }
  if (lowered.every(({ impact }) => impact.kind === 'read')) return resolveReads(lowered, access)
  const looked = await lookUp(access.session, lowered)
  const names = looked.flatMap(({ relations }) => relations.flatMap((relation) => (relation ? [relation.oid] : [])))
  const bounds = { ...lookBounds, statementTimeoutMs: Math.max(lookBounds.statementTimeoutMs, countTimeoutMs) }
  return inProtect(access.protect, 'read', bounds, async () => {
    // A table that this very session is altering can't be looked at from outside: its plan will say so.
    const read = await attempt(access.protect, () => readTableShapes(access.protect, names))
    const shapes = read.ok ? read.out : []
    const out: ResolvedOperation[] = []
    for (const item of looked) {
      const isDatabase = item.operation.action === 'postgres.drop_database' && quarantineMs !== null && lowered.length === 1
      const one = isDatabase
        ? await resolveDatabase(item.operation, access, quarantineMs)
        : await resolveOne(item, lowered, shapes, { access, quarantineMs })
      out.push(one)
    }
    return out
  })
}

/** A read loses nothing and needs no copy: its names are told when the session can be asked, and left as written while it is busy. */
async function resolveReads(operations: readonly Operation[], { session }: SqlAccess): Promise<readonly ResolvedOperation[]> {
  try {
    const looked = await lookUp(session, operations)
    return looked.map((item) => ({ ...item.operation, resources: nameResources(item, []), copy: { kind: 'none' } }))
  } catch (error) {
    if (!(error instanceof SallyportError) || error.code !== 'not_supported') throw error
    return operations.map((operation) => ({ ...operation, copy: { kind: 'none' } }))
  }
}

async function resolveOne(
  item: Looked,
  operations: readonly Operation[],
  shapes: readonly TableShape[],
  { access, quarantineMs }: { readonly access: SqlAccess; readonly quarantineMs: number | null },
): Promise<ResolvedOperation> {
  const raised = raise(item, shapes)
  const resources = nameResources(item, shapes)
  if (isTemporary(item) && isAlone(item.operation, operations)) {
    const impact: Impact = { kind: 'write', reversible: true }
    return { ...raised, impact, resources, copy: { kind: 'none' }, temporary: true }
  }
  if (severity(raised.impact.kind) < severity('destroy')) {
    const named = await countNamed(item, access)
    const rows = named === null ? {} : { scope: { rows: named, exact: true, tables: tablesOf(item, shapes) } }
    return { ...raised, impact: { ...raised.impact, ...rows }, resources, copy: { kind: 'none' } }
  }
  const looked = { ...item, operation: raised }
  const followed = await planLooked(access.session, access.protect, looked, operations, true)
  if (followed.ok && followed.plan.walk !== null) {
    const walked = await countWalk(access, item.context, followed.plan)
    if (walked !== null) {
      const { plan } = followed
      return {
        ...raised,
        why: `${raised.why}: ${sayWalk(plan, walked)}`,
        context: { ...raised.context, copyPlan: recordPlan(plan) },
        impact: { ...raised.impact, scope: measureWalk(plan, walked) },
        resources,
        copy: { kind: 'rows', rowsEstimate: walked.changes },
      }
    }
  }
  const byTables = !followed.ok || followed.plan.walk === null
  const planned = byTables ? followed : await planLooked(access.session, access.protect, looked, operations, false)
  const activity = await readTableActivity(item, planned, access)
  const named = await countNamed(item, access)
  const scope = await measure(item, planned, shapes, named, access)
  const impact = { ...raised.impact, scope }
  if (!planned.ok) {
    const inWal = await isAllInWal(access.protect, raised)
    return { ...raised, impact, resources, copy: { kind: 'impossible', reason: planned.reason, remedy: planned.remedy, inWal } }
  }
  const { plan, says } = planQuarantine(planned.plan, item.verb, quarantineMs)
  const context: { readonly [key: string]: Json } = { ...raised.context, copyPlan: recordPlan(plan) }
  return {
    ...raised,
    why: `${raised.why}${sayActivity(activity)}${says}`,
    context,
    impact,
    resources,
    copy: copyPlan(planned, scope),
  }
}

/** Of what goes as a whole: whether anybody uses it. Asked before anything is counted, which would be a use. */
async function readTableActivity({ verb }: Looked, planned: Planned, { protect }: SqlAccess): Promise<Activity | null> {
  if (!planned.ok || verb === null || verb === 'delete' || verb === 'update') return null
  return readActivity(
    protect,
    planned.plan.tables.map(({ shape }) => shape.oid),
  )
}

async function countNamed({ verb, context }: Looked, access: SqlAccess): Promise<number | null> {
  return (verb === 'delete' || verb === 'update') && context.preimage ? countPreimage(access, context) : null
}

function tablesOf(item: Looked, shapes: readonly TableShape[]): readonly string[] {
  return item.relations.flatMap((relation) => shapes.find(({ oid }) => oid === relation?.oid)?.label ?? [])
}

async function measure(
  item: Looked,
  planned: Planned,
  shapes: readonly TableShape[],
  named: number | null,
  { protect }: SqlAccess,
): Promise<Scope> {
  const target = item.relations[0]?.oid ?? null
  if (planned.ok && item.verb !== null) return measurePlan(protect, planned.plan, item.verb, target, named)
  const oids = item.relations.flatMap((relation) => (relation ? [relation.oid] : []))
  const measured = await measureTables(
    protect,
    oids.filter((oid) => shapes.some((shape) => shape.oid === oid)),
    [],
  )
  if (named !== null && oids.length === 1) return { ...measured, rows: named, exact: false }
  // What could not be planned may reach further than the tables it names.
  return { ...measured, exact: false }
}

function copyPlan(planned: Planned, scope: Scope): CopyPlan {
  if (!planned.ok) return { kind: 'impossible', reason: planned.reason, remedy: planned.remedy }
  const { tables, namespaces } = planned.plan
  if (tables.length === 0 && namespaces.length === 0) return { kind: 'none' }
  return { kind: 'tables', tables: tables.map(({ shape }) => shape.label), bytesEstimate: scope.bytes ?? 0 }
}

/** Rules rewrite the statement into others; an UPDATE is keyed when a unique index really holds it to one row, whatever its columns are called. */
function raise(item: Looked, shapes: readonly TableShape[]): Operation {
  const { operation, context, verb } = item
  const shape = shapes.find(({ oid }) => oid === item.relations[0]?.oid)
  const kind = operation.impact.kind
  const event = verb === 'update' ? '2' : operation.action === 'postgres.insert' ? '3' : verb === 'delete' ? '4' : null
  const rule = shape?.rules.find((one) => one.enabled !== 'D' && one.event === event)
  if (rule && kind !== 'unknown') {
    return {
      ...operation,
      impact: { ...operation.impact, kind: 'unknown', reversible: false },
      why: `${operation.why}; rule ${rule.name} on ${shape?.label ?? 'it'} turns it into other statements`,
    }
  }
  if (verb !== 'update' || kind === 'unknown') return operation
  const oneRow = shape !== undefined && picksOneRow(shape, context.keyEquality)
  if (kind === 'destroy' && oneRow && !assignsKey(shape, context.assigned)) {
    const why = `overwrites one row of ${shape.label}, found by its key`
    return { ...operation, impact: { ...operation.impact, kind: 'write', reversible: true }, why }
  }
  if (severity(kind) >= severity('destroy')) return operation
  if (oneRow && context.keyed) return operation
  return {
    ...operation,
    impact: { ...operation.impact, kind: 'destroy', reversible: false },
    why: `${operation.why}; no unique index holds it to single rows, and values are overwritten`,
  }
}

/** Changing a key can cascade into other tables, and the row can no longer be found by it. */
function assignsKey(shape: TableShape, assigned: readonly string[] | null): boolean {
  if (assigned === null || assigned.length === 0) return true
  return shape.indexes.some(({ key }) => key?.some((column) => assigned.includes(column)) ?? false)
}

/** Temporary tables of this very session, without triggers or rules that would reach further. */
function isTemporary(item: Looked): boolean {
  if (item.verb === null || item.operation.impact.kind === 'unknown' || item.relations.length === 0) return false
  return item.relations.every((relation) => relation?.temporary === true && relation.kind === 'r' && relation.plain)
}

/** The agent's names become full ones with the oid and, for what is not merely read, the hash of the shape. */
function nameResources(item: Looked, shapes: readonly TableShape[]): readonly Resource[] {
  const found = item.relations.map((relation, index): Resource | null => {
    const type = item.operation.resources[index]?.type ?? 'table'
    if (!relation) return null
    const shape = shapes.find(({ oid }) => oid === relation.oid)
    const name = shape?.label ?? `${relation.schema}.${relation.name}`
    return { type, name, identity: relation.oid, ...(shape ? { schemaHash: hashShape(shape) } : {}) }
  })
  const spaces = item.namespaces.map((oid, index): Resource | null =>
    oid === null ? null : { type: 'schema', name: item.context.targets[index]?.name ?? '', identity: oid },
  )
  const resolved = [...found, ...spaces]
  const extent = Math.max(resolved.length, item.operation.resources.length)
  return Array.from({ length: extent }, (_, index) => resolved[index] ?? item.operation.resources[index]).filter(
    (resource) => resource !== undefined,
  )
}
