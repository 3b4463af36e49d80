import { hash } from 'node:crypto'
import { severity, type Operation, type ResolvedOperation, type Resource, type SqlChannel, type Upstream } from '@sallyport/core'
import { z } from 'zod'
import { readJson, sqlAccess } from './catalog-query.ts'
import { describeFired } from './fired-body.ts'
import { reach } from './reach.ts'
import { notOfExtension } from './reach-code.ts'

/** What a definition by anybody sets off; event triggers of extensions are trusted like their other code. */
const eventTriggerSchema = z.object({
  name: z.string(),
  oid: z.string(),
  function: z.string(),
  language: z.string(),
  source: z.string(),
  definition: z.string(),
})
type EventTrigger = z.infer<typeof eventTriggerSchema>

const eq = 'OPERATOR(pg_catalog.=)'

/** More are not read. */
const triggersMax = 20

function readEventTriggers(session: SqlChannel): Promise<readonly EventTrigger[]> {
  return readJson(
    session,
    z.array(eventTriggerSchema),
    `SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('name', e.evtname, 'oid', p.oid::pg_catalog.text, 'function', p.proname, 'language', l.lanname, 'source', p.prosrc,
       'definition', pg_catalog.pg_get_functiondef(p.oid)) ORDER BY e.evtname), '[]')::pg_catalog.text
     FROM pg_catalog.pg_event_trigger e JOIN pg_catalog.pg_proc p ON p.oid ${eq} e.evtfoid
     JOIN pg_catalog.pg_language l ON l.oid ${eq} p.prolang
     WHERE e.evtenabled OPERATOR(pg_catalog.<>) ALL ('{D,R}'::pg_catalog."char"[]) AND e.evtevent OPERATOR(pg_catalog.<>) 'login'::pg_catalog.name
       AND ${notOfExtension('pg_event_trigger', 'e.oid')}
       AND ${notOfExtension('pg_proc', 'p.oid')}`,
  )
}

/** Statements for which PostgreSQL fires event triggers: all that define, none on roles, databases and tablespaces (documentation, "Event Trigger Firing Matrix"). */
const defines =
  /^postgres\.(?:create_|alter_|drop_|rename_|set_schema_|comment_|grant$|revoke$|security_label_|refresh_|reindex$|import_foreign|select_into$)/
const isShared = /^postgres\.(?:create|alter|drop|rename)_(?:role|database|tablespace|event_trigger|system)/

/**
 * A definition that is harmless by itself may set off event triggers, which run as part of it. One that adds rows and tells others is a write like the
 * definition; one that deletes, overwrites or can't be read makes it `unknown`. Impact is only ever raised.
 */
export async function raiseByEventTriggers(
  operations: readonly ResolvedOperation[],
  upstream: Upstream,
): Promise<readonly ResolvedOperation[]> {
  const isDefinition = ({ action, impact }: Operation): boolean =>
    impact.kind !== 'read' && impact.kind !== 'unknown' && defines.test(action) && !isShared.test(action)
  if (!operations.some(isDefinition)) return operations
  const triggers = await readEventTriggers(sqlAccess(upstream).session)
  if (triggers.length === 0) return operations
  const found = await readAll(triggers, upstream)
  return operations.map((operation) => {
    if (!isDefinition(operation)) return operation
    const resources = [...operation.resources, ...triggers.map(resourceOf)]
    if (found === null) return { ...operation, resources }
    const impact = { ...operation.impact, kind: 'unknown', reversible: false } as const
    return { ...operation, resources, impact, why: `${operation.why}; ${found}` }
  })
}

function resourceOf({ function: name, oid, definition }: EventTrigger): Resource {
  return { type: 'function', name, identity: oid, schemaHash: hash('sha256', definition, 'hex') }
}

/** For which events and commands each of them is there is not asked: any counts for every definition. */
async function readAll(triggers: readonly EventTrigger[], upstream: Upstream): Promise<string | null> {
  if (triggers.length > triggersMax) return `more than ${triggersMax} event triggers run with it`
  for (const trigger of triggers) {
    const why = await readOne(trigger, upstream)
    if (why !== null) return `event trigger ${trigger.name} runs with it and ${why}`
  }
  return null
}

async function readOne({ language, source }: EventTrigger, upstream: Upstream): Promise<string | null> {
  if (language !== 'plpgsql') return `is written in ${language}, which is not read`
  for (const operation of await reach(await describeFired(source, false), upstream)) {
    const { impact, action, why } = operation
    if (severity(impact.kind) > severity('write')) return why
    if (impact.kind === 'write' && overwriting.has(action)) return `${why}, which nobody looked up`
  }
  return null
}

const overwriting = new Set(['postgres.update', 'postgres.upsert', 'postgres.merge'])
