import { hash } from 'node:crypto'
import { severity, type Operation, type ResolvedOperation, type Resource, type SqlAccess, type Upstream } from '@sallyport/core'
import { inProtect, sqlAccess } from './catalog-query.ts'
import { readTableShapes } from './catalog-shape.ts'
import { chooseTables, findTables, readEffects, tablesMax, type Effects, type FiredTrigger } from './fired-catalog.ts'
import { describe } from './describe.ts'
import { describeFired } from './fired-body.ts'
import { quoteName } from './parser-quote.ts'
import { followCalls, reach } from './reach.ts'
import { readContext, type OperationContext } from './resolve-context.ts'
import type { WrittenName } from './resolve-name.ts'
import { picksOneRow } from './resolve-plan.ts'

/** Triggers that fire triggers; and how many of them one request may set off. */
const depthMax = 6
const triggersMax = 50
const lookBounds = { lockTimeoutMs: 1_000, statementTimeoutMs: 5_000 } as const

/** pg_trigger.tgtype, and pg_rewrite.ev_type, of each way to write. */
const events = { insert: { bit: 4, rule: '3' }, update: { bit: 16, rule: '2' } } as const
type Event = keyof typeof events

const eventsOf: ReadonlyMap<string, readonly Event[]> = new Map<string, readonly Event[]>([
  ['postgres.insert', ['insert']],
  ['postgres.copy_in', ['insert']],
  ['postgres.upsert', ['insert', 'update']],
  ['postgres.merge', ['insert', 'update']],
  ['postgres.update', ['update']],
])

interface Walk {
  readonly upstream: Upstream
  readonly access: SqlAccess
  readonly seen: Set<string>
  /** Functions that were read: an approval is void when one of them changes. */
  readonly resources: Resource[]
  /** The first trigger that overwrites a row elsewhere, in words. */
  overwrites: string | null
}

/**
 * Plain writes are let through by what their text says; what the server does by itself beside them stands in the catalog: triggers, rules, defaults,
 * checks, policies, keys that follow. Rows added by triggers, one row found by its key, and messages are writes like the statement itself. What
 * deletes, overwrites more, or can't be read makes the statement `unknown`, so that people are asked. Impact is only ever raised.
 */
export async function raiseByFired(
  operations: readonly ResolvedOperation[],
  upstream: Upstream,
): Promise<readonly ResolvedOperation[]> {
  const out: ResolvedOperation[] = []
  for (const operation of operations) out.push(await raiseOne(operation, upstream))
  return out
}

async function raiseOne(operation: ResolvedOperation, upstream: Upstream): Promise<ResolvedOperation> {
  const fires = eventsOf.get(operation.action)
  if (fires === undefined || operation.impact.kind !== 'write' || operation.temporary === true) return operation
  const context = readContext(operation)
  if (context.targets.length === 0) return operation
  const walk: Walk = { upstream, access: sqlAccess(upstream), seen: new Set(), resources: [], overwrites: null }
  const why = (await follow(context.targets, fires, context, walk, 0)) ?? whyTooOften(operation, walk)
  if (why === null) return operation
  return {
    ...operation,
    impact: { ...operation.impact, kind: 'unknown', reversible: false },
    why: `${operation.why}; ${why}`,
    context: { ...operation.context, foldable: false },
    resources: [...operation.resources, ...walk.resources],
  }
}

/** One row overwritten for each row written is a write like any other, so long as the text says how many rows those are. */
function whyTooOften({ action, context }: Operation, { overwrites }: Walk): string | null {
  if (overwrites === null) return null
  const isListed = action === 'postgres.update' || context['many'] === false
  return isListed ? null : `${overwrites}, once for each row, and a query or the client chooses how many those are`
}

async function follow(
  names: readonly WrittenName[],
  fires: readonly Event[],
  context: OperationContext,
  walk: Walk,
  depth: number,
): Promise<string | null> {
  const effects = await readEffects(walk.access.session, names)
  const plain = whyNotPlain(effects, fires, context)
  if (plain !== null) return plain
  if (effects.functions.length > 0) {
    const found = await followCalls(
      effects.functions.map(({ schema, name }) => quoteName([schema, name])),
      walk.upstream,
    )
    walk.resources.push(...found.resources)
    if (found.kind !== null && found.kind !== 'write') return `a default, check or policy runs with it: ${found.why ?? ''}`
  }
  const computed = await whyNotComputed(effects.expressions, walk)
  if (computed !== null) return `a default, check or policy runs with it: ${computed}`
  const mask = fires.reduce((all, event) => all | events[event].bit, 0)
  for (const trigger of effects.triggers.filter((one) => (one.events & mask) !== 0)) {
    const why = await readTrigger(trigger, walk, depth)
    if (why !== null) return `trigger ${trigger.name} on ${trigger.table} runs with it and ${why}`
  }
  return null
}

/** Functions of people's own among them are followed by themselves; the server's own that do something are found by their names. */
async function whyNotComputed(expressions: readonly string[], { upstream }: Walk): Promise<string | null> {
  if (expressions.length === 0) return null
  const described = await describe({ sql: `SELECT ${expressions.map((expression) => `(${expression})`).join(', ')}` })
  const operations = described.map((operation): Operation =>
    operation.impact.kind === 'unknown' && operation.context['onlyFunctions'] === true
      ? { ...operation, impact: { kind: 'read', reversible: true } }
      : operation,
  )
  // Functions and operators of people's own are known by their oids. Most expressions name no table and no type, and their text says all else.
  const isPlain = operations.every(({ context }) => ['relations', 'types'].every((key) => isEmpty(context[key])))
  const reached = isPlain ? operations : await reach(operations, upstream)
  return reached.find(({ impact }) => severity(impact.kind) > severity('write'))?.why ?? null
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

function whyNotPlain(effects: Effects, fires: readonly Event[], { assigned }: OperationContext): string | null {
  if (effects.tables > tablesMax) return `it may write to more than ${tablesMax} tables`
  const [foreign] = effects.foreign
  if (foreign !== undefined) return `the rows of ${foreign} live on another server, which does with them what it likes`
  const rule = effects.rules.find(({ event }) => fires.some((one) => events[one].rule === event))
  if (rule) return `rule ${rule.name} on ${rule.table} turns it into other statements`
  if (!fires.includes('update')) return null
  const follower = effects.followers.find(({ columns }) => assigned === null || columns.some((one) => assigned.includes(one)))
  // An upsert or a MERGE does not say which columns it assigns: keys are what finds its rows.
  if (follower === undefined || (assigned === null && fires.includes('insert'))) return null
  return `foreign key ${follower.name} of ${follower.table} changes rows there as well`
}

/** Trigger functions written in C that do nothing but to the row they run for. */
const stampers = new Map([
  ['moddatetime', 'moddatetime'],
  ['autoinc', 'autoinc'],
  ['insert_username', 'insert_username'],
])
const ownStampers = new Set(['suppress_redundant_updates_trigger', 'tsvector_update_trigger', 'tsvector_update_trigger_column'])

async function readTrigger(trigger: FiredTrigger, walk: Walk, depth: number): Promise<string | null> {
  const { oid, schema, function: name, language, extension } = trigger
  const isRow = (trigger.events & 1) !== 0
  const key = `${oid} ${isRow ? 'row' : 'statement'}`
  if (walk.seen.has(key)) return null
  walk.seen.add(key)
  if (schema === 'pg_catalog' && language === 'internal' && ownStampers.has(name)) return null
  if (language === 'c' && extension !== null && stampers.get(extension) === name) return null
  walk.resources.push({
    type: 'function',
    name: `${schema}.${name}`,
    identity: oid,
    schemaHash: hash('sha256', trigger.definition, 'hex'),
  })
  if (language !== 'plpgsql') return `is written in ${language}, which is not read`
  if (depth >= depthMax || walk.seen.size > triggersMax) return 'sets off more triggers than this gate reads'
  for (const operation of await reach(await describeFired(trigger.source, isRow), walk.upstream)) {
    const why = await readFired(operation, trigger, walk, depth)
    if (why !== null) return why
  }
  return null
}

/** Why one statement of a trigger's body is more than a write like any other. */
async function readFired(operation: Operation, trigger: FiredTrigger, walk: Walk, depth: number): Promise<string | null> {
  const { kind } = operation.impact
  const fires = eventsOf.get(operation.action)
  const context = readContext(operation)
  if (operation.action === 'postgres.update' && (kind === 'write' || kind === 'destroy')) {
    const why = await whyNotOneRow(context, trigger, walk)
    if (why !== null) return why
    const found = (await chooseFor(trigger, context.targets, walk)) ?? context.targets
    walk.overwrites ??= `trigger ${trigger.name} on ${trigger.table} overwrites a row of ${operation.resources[0]?.name ?? 'another table'}`
    return follow(found, ['update'], context, walk, depth + 1)
  }
  if (kind === 'unknown' && context.onlyFunctions && context.functions !== null)
    return whyNotCalled(operation, context.functions, walk)
  if (severity(kind) > severity('write')) return operation.why
  if (operation.context['unbounded'] === true) return `${operation.why}, as many as a query gives`
  if (fires === undefined || context.targets.length === 0) return null
  const targets = await chooseFor(trigger, context.targets, walk)
  if (targets === null) return 'writes to a table that its own settings choose'
  if (fires.includes('update'))
    walk.overwrites ??= `trigger ${trigger.name} on ${trigger.table} overwrites a row of ${operation.resources[0]?.name ?? 'another table'}`
  return follow(targets, fires, context, walk, depth + 1)
}

/** What its bare names mean: the session's search_path says it, unless the function has its own or runs as somebody else. */
function chooseFor(trigger: FiredTrigger, targets: readonly WrittenName[], walk: Walk): Promise<readonly WrittenName[] | null> {
  const isApart = trigger.definer || trigger.settings.length > 0
  return isApart ? chooseTables(walk.access.session, trigger, targets) : Promise.resolve(targets)
}

/** What is unknown for the functions it calls is known once each was read, and whatever else stands beside them. */
async function whyNotCalled(operation: Operation, functions: readonly string[], walk: Walk): Promise<string | null> {
  for (const name of functions) {
    const found = await followCalls([name], walk.upstream)
    walk.resources.push(...found.resources)
    // no definition: nobody knows what it is
    if (found.resources.length === 0 || found.kind !== null) return operation.why
  }
  const [rest] = await reach([{ ...operation, impact: { kind: 'read', reversible: true } }], walk.upstream)
  return rest !== undefined && severity(rest.impact.kind) <= severity('write') ? null : operation.why
}

/** An UPDATE in a trigger is like the statement it goes with only when a unique index really holds it to one row. */
async function whyNotOneRow(context: OperationContext, trigger: FiredTrigger, walk: Walk): Promise<string | null> {
  const targets = await chooseFor(trigger, context.targets, walk)
  if (targets === null) return 'updates a table that its own settings choose'
  const [oid] = await findTables(walk.access.session, targets)
  if (oid === undefined || oid === null) return 'updates a table that is not there'
  const [shape] = await inProtect(walk.access.protect, 'read', lookBounds, () => readTableShapes(walk.access.protect, [oid]))
  const keys = shape?.indexes.flatMap(({ key }) => key ?? []) ?? []
  const assignsKey = context.assigned === null || context.assigned.some((column) => keys.includes(column))
  if (shape && picksOneRow(shape, context.keyEquality) && !assignsKey) return null
  return `updates rows of ${shape?.label ?? 'a table'} that no unique index holds to one`
}
