import { SallyportError, type ResolvedOperation, type Resource, type SqlAccess, type Upstream } from '@sallyport/core'
import { hash } from 'node:crypto'
import { z } from 'zod'
import { oidArray, oidSchema, parseShownName } from './catalog-name.ts'
import { inProtect, readJson, sqlAccess } from './catalog-query.ts'
import { digestPlan } from './copy-plan.ts'
import { lookUp, planLooked, readRecordedPlan, type Looked } from './resolve-losing.ts'

/** Statements that leave every name as it is: after them it must mean what it meant before. */
const steady = /^postgres\.(?:select|insert|update|delete|merge|truncate|copy_in|copy_out|alter_table_(?!rename|set_schema))/
/** Statements that run code of the database's and change none: what they called must be what was read. */
const runsCode = /^postgres\.(?:select|insert|update|delete|merge|copy_in|copy_out|call|do)\b/
const drops = /^postgres\.drop_(?:table|schema|view|materialized_view|foreign_table|sequence|index)$/

/**
 * A statement was held on locked tables, but SQL locks no name and no function (DESIGN §13): in the milliseconds between the last look and the
 * statement, another session could have put a table first in the search path, or replaced a function. So they are looked at once more, when what the
 * statement touched is locked by itself, and before it is committed.
 */
export async function confirm(operations: readonly ResolvedOperation[], upstream: Upstream): Promise<void> {
  const access = sqlAccess(upstream)
  const looked = await lookUp(access.session, operations)
  confirmNames(operations, looked)
  await confirmGone(operations, access)
  await confirmPlans(operations, looked, access)
  await confirmDefinitions(operations, access)
}

function changed(what: string): SallyportError {
  return new SallyportError(
    'target_changed',
    `${what} between the last look and the statement.`,
    'The statement was rolled back.',
    'Send the statement again: it will be looked at anew.',
  )
}

function confirmNames(operations: readonly ResolvedOperation[], looked: readonly Looked[]): void {
  for (const [index, { relations, namespaces }] of looked.entries()) {
    const operation = operations[index]
    if (operation === undefined || !steady.test(operation.action)) continue
    // Resources stand in the order of the targets, and what is reached comes after them. One without an identity was not there, or not looked at.
    const named = operation.resources.slice(0, relations.length + namespaces.length)
    for (const [at, oid] of [...relations.map((relation) => relation?.oid ?? null), ...namespaces].entries()) {
      const before = named[at]
      if (before?.identity !== undefined && before.identity !== oid) throw changed(`${before.name} came to mean something else`)
    }
  }
}

const bounds = { lockTimeoutMs: 1_000, statementTimeoutMs: 5_000 } as const

/**
 * Shapes, foreign keys, triggers and the bodies of their functions, of all tables that rows went from or changed in. Locks kept the tables as they
 * were, but not the functions. Of what was dropped, truncated or altered there is nothing to look at from outside, and no row trigger ran.
 */
async function confirmPlans(
  operations: readonly ResolvedOperation[],
  looked: readonly Looked[],
  { session, protect }: SqlAccess,
): Promise<void> {
  const items = looked.flatMap((item, index) => {
    const operation = operations[index]
    const recorded = operation === undefined ? null : readRecordedPlan(operation)
    return recorded !== null && (item.verb === 'delete' || item.verb === 'update') ? [{ item, recorded }] : []
  })
  if (items.length === 0) return
  await inProtect(protect, 'read', bounds, async () => {
    for (const { item, recorded } of items) {
      const planned = await planLooked(session, protect, item, operations, recorded.byRows)
      if (!planned.ok || digestPlan(planned.plan) !== recorded.digest)
        throw changed('What depends on its tables, or a function that a trigger calls, changed')
    }
  })
}

const goneSchema = z.array(z.object({ kind: z.enum(['relation', 'schema']), oid: oidSchema, by: z.string() }))
type Gone = z.infer<typeof goneSchema>

/** What is to be gone is gone; and of tables and schemas nothing else went with it that was not planned to. */
async function confirmGone(operations: readonly ResolvedOperation[], access: SqlAccess): Promise<void> {
  const dropping = operations.filter(({ action }) => drops.test(action))
  const expected = dropping.flatMap(({ resources }) => resources.filter(isDropped))
  if (expected.length === 0) return
  const oids = expected.flatMap(({ identity }) => identity ?? [])
  const moved = dropping.filter((operation) => readRecordedPlan(operation)?.quarantined === true)
  const away = new Set(moved.flatMap(({ resources }) => resources.filter(isDropped).flatMap(({ identity }) => identity ?? [])))
  await confirmMoved(moved, access)
  const left = await readPresent(access, oids)
  const kept = expected.find(({ identity }) => identity !== undefined && left.has(identity) && !away.has(identity))
  if (kept !== undefined) throw changed(`Another than ${kept.name} came to be dropped`)
  const plans = operations.filter(({ copy }) => copy.kind !== 'none').map(readRecordedPlan)
  if (plans.length === 0 || plans.includes(null)) return
  const planned = new Set([...oids, ...plans.flatMap((plan) => plan?.locks.map(({ oid }) => oid) ?? [])])
  const gone = await readGone(access)
  const ours = new Set(gone.filter(({ oid }) => oids.includes(oid)).map(({ by }) => by))
  if (gone.some(({ oid, by }) => ours.has(by) && !planned.has(oid)))
    throw changed('Something came to be dropped with it that was not looked at')
}

/** What was moved out of reach is there, and what stood in its place is gone: the statement dropped that, and no other thing. */
async function confirmMoved(moved: readonly ResolvedOperation[], { session }: SqlAccess): Promise<void> {
  for (const { resources } of moved) {
    for (const { type, identity, name } of resources.filter(isDropped)) {
      const at = parseShownName(name)
      const home = type === 'schema' ? [at?.at(-1) ?? '', ''] : [at?.at(-2) ?? '', at?.at(-1) ?? '']
      const [row] = await session.query(movedSql, [identity ?? '0', ...home])
      if (row?.[0] !== 't' && row?.[0] !== 'true')
        throw changed(`Another than what stood in the place of ${name} came to be dropped`)
    }
  }
}

/** $1: what was moved; $2 and $3: the name it had, $3 empty for a schema. */
const movedSql = `SELECT (EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.~~) 'sallyport\\_quarantine\\_%'
     AND n.oid OPERATOR(pg_catalog.=) COALESCE((SELECT c.relnamespace FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.oid), $1::pg_catalog.oid))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid
     WHERE n.nspname OPERATOR(pg_catalog.=) $2::pg_catalog.text AND ($3::pg_catalog.text OPERATOR(pg_catalog.=) '' OR c.relname OPERATOR(pg_catalog.=) $3::pg_catalog.text)))::pg_catalog.text`

const droppedTypes = new Set(['table', 'schema', 'view', 'materialized_view', 'foreign_table', 'sequence', 'index'])

function isDropped({ type, identity, schemaHash }: Resource): boolean {
  // A view that is reached is read, and one that is dropped has no hash: only tables have shapes.
  return identity !== undefined && droppedTypes.has(type) && (type === 'table' || schemaHash === undefined)
}

async function readPresent({ session }: SqlAccess, oids: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await session.query(
    `SELECT c.oid::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.oid[])
     UNION ALL SELECT n.oid::pg_catalog.text FROM pg_catalog.pg_namespace n WHERE n.oid OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.oid[])`,
    [oidArray(oids)],
  )
  return new Set(rows.flatMap(([oid]) => oid ?? []))
}

/** What others still see and the session does not: it dropped them and has not committed. `by` is the (sub)transaction that did. */
async function readGone(access: SqlAccess): Promise<Gone> {
  const marked = await readJson(
    access.protect,
    goneSchema,
    `SELECT COALESCE(pg_catalog.json_agg(m), '[]'::pg_catalog.json)::pg_catalog.text FROM (
       SELECT 'relation' AS kind, c.oid::pg_catalog.text AS oid, c.xmax::pg_catalog.text AS by FROM pg_catalog.pg_class c
       WHERE c.xmax::pg_catalog.text OPERATOR(pg_catalog.<>) '0' AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
       UNION ALL SELECT 'schema', n.oid::pg_catalog.text, n.xmax::pg_catalog.text FROM pg_catalog.pg_namespace n
       WHERE n.xmax::pg_catalog.text OPERATOR(pg_catalog.<>) '0') m`,
  )
  const left = await readPresent(
    access,
    marked.map(({ oid }) => oid),
  )
  return marked.filter(({ oid }) => !left.has(oid))
}

const definitionTypes = new Set(['function', 'view', 'materialized_view'])

/** Functions and views that were read on the way: as they are now, in the words they were read in. */
async function confirmDefinitions(operations: readonly ResolvedOperation[], access: SqlAccess): Promise<void> {
  const read = operations
    .filter(({ action }) => runsCode.test(action))
    .flatMap(({ resources }) => resources)
    .filter(({ type, identity, schemaHash }) => definitionTypes.has(type) && identity !== undefined && schemaHash !== undefined)
  if (read.length === 0) return
  const oids = [...new Set(read.flatMap(({ identity }) => identity ?? []))]
  // The protect connection prints some names otherwise, and some definitions were read there.
  const now = [await readHashes(access.session, oids), await readHashes(access.protect, oids)]
  const other = read.find(({ identity, schemaHash }) => !now.some((hashes) => hashes.get(identity ?? '') === schemaHash))
  if (other !== undefined) throw changed(`${other.name} was replaced`)
}

const definitionsSchema = z.array(z.object({ oid: oidSchema, definition: z.string().nullable() }))

async function readHashes(channel: SqlAccess['session'], oids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const definitions = await readJson(
    channel,
    definitionsSchema,
    // By oid, not by a row of the catalog: that would be as old as the transaction's snapshot, while what runs is always the newest.
    `SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('oid', w.oid::pg_catalog.text, 'definition',
       COALESCE(pg_catalog.pg_get_functiondef(w.oid), pg_catalog.pg_get_viewdef(w.oid)))), '[]'::pg_catalog.json)::pg_catalog.text
     FROM pg_catalog.unnest($1::pg_catalog.oid[]) w(oid)`,
    [oidArray(oids)],
  )
  return new Map(
    definitions.flatMap(({ oid, definition }) => (definition === null ? [] : [[oid, hash('sha256', definition, 'hex')]])),
  )
}
