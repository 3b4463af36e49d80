import type { Json, Operation, SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { oidSchema } from './catalog-name.ts'
import { attempt } from './catalog-query.ts'
import { remedies } from './copy-fit.ts'
import { digestPlan, emptyPlan, tableLocks, type Plan, type Planned, type Refused } from './copy-plan.ts'
import { readContext, readSourceNames, type OperationContext } from './resolve-context.ts'
import { readRights, resolveNamespaces, resolveRelations, type Relation, type SessionRights } from './resolve-name.ts'
import { planOperation } from './resolve-plan.ts'
import { losingVerb, type Losing, type LosingVerb } from './resolve-verb.ts'

/** An operation with its names looked up in the agent's own session. */
export interface Looked {
  readonly operation: Operation
  readonly context: OperationContext
  readonly verb: LosingVerb | null
  /** One for each target, in order; null where there is nothing of that name. */
  readonly relations: readonly (Relation | null)[]
  readonly namespaces: readonly (string | null)[]
}

export async function lookUp(session: SqlChannel, operations: readonly Operation[]): Promise<readonly Looked[]> {
  const read = operations.map((operation) => ({ operation, context: readContext(operation), verb: losingVerb(operation) }))
  const wanted = read.map((item) => (item.verb === 'drop_schema' ? [] : item.context.targets))
  const spaces = read.map((item) => (item.verb === 'drop_schema' ? item.context.targets.map(({ name }) => name) : []))
  const relations = await resolveRelations(session, wanted.flat())
  const namespaces = await resolveNamespaces(session, spaces.flat())
  let at = 0
  let spaceAt = 0
  return read.map((item, index) => {
    const mine = relations.slice(at, (at += wanted[index]?.length ?? 0))
    const own = namespaces.slice(spaceAt, (spaceAt += spaces[index]?.length ?? 0))
    return { ...item, relations: mine, namespaces: own }
  })
}

function changes(operation: Operation): boolean {
  return operation.impact.kind !== 'read'
}

/** True when nothing else in the request changes anything: the row set and the names are those we look up now. */
export function isAlone(operation: Operation, operations: readonly Operation[]): boolean {
  return !operations.some((other) => other !== operation && changes(other))
}

/** Operations after which the names of the others still mean what they mean now. */
const steady = new Set([
  'postgres.insert',
  'postgres.delete',
  'postgres.update',
  'postgres.truncate',
  'postgres.drop_table',
  'postgres.alter_table_drop_column',
])

function isSteady(operations: readonly Operation[]): boolean {
  const changing = operations.filter(changes)
  return changing.length <= 1 || changing.every(({ action }) => steady.has(action))
}

/** The copy of one operation, planned on the protect channel; every doubt is a refusal with a reason. */
export async function planLooked(
  session: SqlChannel,
  protect: SqlChannel,
  looked: Looked,
  operations: readonly Operation[],
  byRows: boolean,
): Promise<Planned> {
  const { operation, context, verb } = looked
  if (verb === null) return { ok: false, ...uncovered(operation) }
  if (!isSteady(operations)) {
    return { ok: false, reason: 'other statements of the request may change what its names mean', remedy: remedies.alone }
  }
  const relations = looked.relations.filter((relation) => relation !== null)
  const namespaces = looked.namespaces.filter((oid) => oid !== null)
  const missing = relations.length < looked.relations.length || namespaces.length < looked.namespaces.length
  if (context.targets.length === 0 || (missing && !context.missingOk)) {
    return { ok: false, reason: 'what it names was not found', remedy: 'Check the name and the search_path, then ask again.' }
  }
  if (relations.length + namespaces.length === 0) return { ok: true, plan: emptyPlan }
  const alone = isAlone(operation, operations)
  const sources = byRows ? await lookUpSources(session, context, relations[0]) : null
  const rightsOf = (oids: readonly string[]): Promise<readonly SessionRights[]> => readRights(session, oids)
  const findTables: Losing['findTables'] = (names) => resolveRelations(session, names)
  const planned = await attempt(protect, () =>
    planOperation(protect, { verb, context, relations, namespaces, rightsOf, findTables, alone, sources, byRows }),
  )
  if (!planned.ok) return { ok: false, reason: `the catalogs could not be read (${planned.why})`, remedy: 'Try again later.' }
  return planned.out.ok ? checkRights(session, planned.out.plan) : planned.out
}

/** Tables that the condition reads besides the target: each must be one that can be locked. */
async function lookUpSources(
  session: SqlChannel,
  context: OperationContext,
  target: Relation | undefined,
): Promise<readonly Relation[] | null> {
  const names = context.preimage === null ? null : readSourceNames(context)
  if (!names || names.length === 0) return null
  const found = await resolveRelations(session, names)
  const tables = found.filter((relation) => relation !== null).filter(({ oid }) => oid !== target?.oid)
  if (found.includes(null) || tables.length === found.length || tables.some(({ kind }) => kind !== 'r')) return null
  const rights = await readRights(
    session,
    tables.map(({ oid }) => oid),
  )
  return tables.every(({ oid }) => rights.find((right) => right.oid === oid)?.lock === true) ? tables : null
}

async function checkRights(session: SqlChannel, plan: Plan): Promise<Planned> {
  const rights = await readRights(
    session,
    plan.tables.map(({ shape }) => shape.oid),
  )
  const bare = plan.tables.find(({ shape }) => rights.find(({ oid }) => oid === shape.oid)?.lock !== true)
  if (!bare) return { ok: true, plan }
  return {
    ok: false,
    reason: `the agent's database role may not lock ${bare.shape.label}, so it could change while it is copied`,
    remedy: `Grant the role UPDATE, DELETE or TRUNCATE on ${bare.shape.label}, or let a person do this.`,
  }
}

function uncovered(operation: Operation): Refused {
  if (operation.impact.kind === 'unknown') {
    return {
      reason: 'what it does can not be told from its text',
      remedy: 'Write it as plain statements that name their tables.',
    }
  }
  if (operation.action === 'postgres.drop_database') {
    return {
      reason: 'a table copy does not hold a whole database',
      remedy: 'Make a base backup or a dump first, and let a person drop it.',
    }
  }
  return { reason: `no copy covers what ${operation.action} removes`, remedy: remedies.ordinary }
}

const recordedSchema = z.object({
  digest: z.string(),
  /** Whether the rows were followed; when not, whole tables are copied. */
  byRows: z.boolean(),
  /** Whether it is moved out of reach: then it is still there when the statement has run. */
  quarantined: z.boolean(),
  locks: z.array(
    z.object({
      oid: oidSchema,
      schema: z.string(),
      name: z.string(),
      mode: z.enum(['whole', 'rows', 'source']),
      lock: z.enum(tableLocks),
    }),
  ),
})
export type RecordedPlan = z.infer<typeof recordedSchema>

/** What resolve leaves in the operation's context for snapshot: which tables to lock, and the digest of the whole plan. */
export function recordPlan(plan: Plan): Json {
  return {
    digest: digestPlan(plan),
    byRows: plan.walk !== null,
    quarantined: plan.quarantine !== null,
    locks: [
      ...plan.tables.map(({ shape: { oid, schema, name }, mode, tableLock }) => ({ oid, schema, name, mode, lock: tableLock })),
      ...(plan.walk?.sources ?? []).map(({ oid, schema, name }) => ({ oid, schema, name, mode: 'source', lock: 'SHARE' })),
    ],
  }
}

export function readRecordedPlan(operation: Operation): RecordedPlan | null {
  const parsed = recordedSchema.safeParse(operation.context['copyPlan'])
  return parsed.success ? parsed.data : null
}
