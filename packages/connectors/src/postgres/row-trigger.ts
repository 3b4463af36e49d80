import type { SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { oidArray, oidSchema } from './catalog-name.ts'
import { readJson } from './catalog-query.ts'
import { keyColumns, readTableShapes, type TableShape } from './catalog-shape.ts'
import { whyNotCopied } from './copy-fit.ts'
import { textArray, type Relation, type WrittenName } from './resolve-name.ts'
import { readDefault, readTriggerBody, readTriggerCondition, type Names } from './row-trigger-body.ts'

/** What the triggers of a table may do besides what the statement does: nothing beyond the very rows it changes. */
export type Fired =
  | {
      readonly ok: true
      /** Columns that they assign in rows that are updated. */
      readonly assigned: readonly string[]
      /** They may leave a row as it is: then fewer rows change than were found, and others could take their place in the count. */
      readonly skips: boolean
      /** Rows that they add elsewhere, at most so many for each row that fires them. An undo leaves these where they are. */
      readonly adds: readonly Addition[]
    }
  | { readonly ok: false; readonly why: string }

export interface Addition {
  /** The table whose rows fire it, and when. */
  readonly table: string
  readonly event: Event
  readonly trigger: string
  /** The table that gets the rows. */
  readonly label: string
}
type Event = 'delete' | 'update'

/** Names as the agent's session takes them, in order: its search_path and its temporary tables count. */
type FindTables = (names: readonly WrittenName[]) => Promise<readonly (Relation | null)[]>

const triggerSchema = z.object({
  table: oidSchema,
  name: z.string(),
  definition: z.string(),
  /** pg_trigger.tgtype: 1 for each row, 8 DELETE, 16 UPDATE. */
  events: z.number(),
  language: z.string(),
  function: z.string(),
  schema: z.string(),
  extension: z.string().nullable(),
  source: z.string(),
  /** The function has settings of its own, search_path perhaps. */
  settings: z.boolean(),
  arguments: z.array(z.string()),
  /** Functions, operators or types of people's own that its condition or its function is known to need. */
  needs: z.boolean(),
})
type Trigger = z.infer<typeof triggerSchema>

async function readTriggers(protect: SqlChannel, oids: readonly string[]): Promise<readonly Trigger[]> {
  return readJson(
    protect,
    z.array(triggerSchema),
    `SELECT coalesce(json_agg(json_build_object('table', tg.tgrelid::text, 'name', tg.tgname, 'definition', pg_get_triggerdef(tg.oid),
       'events', tg.tgtype, 'language', l.lanname, 'function', p.proname, 'schema', n.nspname, 'source', p.prosrc,
       'settings', p.proconfig IS NOT NULL,
       'extension', (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
         WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'),
       'arguments', (SELECT coalesce(json_agg(a.value ORDER BY a.ord), '[]')
         FROM unnest(string_to_array(encode(tg.tgargs, 'escape'), '\\000')) WITH ORDINALITY a(value, ord) WHERE a.ord <= tg.tgnargs),
       'needs', EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_trigger'::regclass AND d.objid = tg.oid
         AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass) AND d.refobjid <> p.oid)) ORDER BY tg.tgname), '[]')::text
     FROM pg_trigger tg JOIN pg_proc p ON p.oid = tg.tgfoid JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE tg.tgrelid = ANY ($1::oid[]) AND NOT tg.tgisinternal AND tg.tgenabled <> 'D'`,
    [oidArray(oids)],
  )
}

const bits = { row: 1, insert: 4, delete: 8, update: 16 } as const

/** Reads the triggers that fire on `events` of each table; the first that can't be read whole makes it all unread. */
export async function readFired(
  protect: SqlChannel,
  findTables: FindTables,
  tables: readonly { readonly shape: TableShape; readonly events: readonly Event[] }[],
): Promise<ReadonlyMap<string, Fired>> {
  const out = new Map<string, Fired>()
  const some = tables.filter(({ shape }) => shape.triggers.length > 0)
  const triggers =
    some.length === 0
      ? []
      : await readTriggers(
          protect,
          some.map(({ shape }) => shape.oid),
        )
  for (const { shape, events } of tables) {
    const mask = events.reduce((all, event) => all | bits[event], 0)
    const own = triggers.filter((trigger) => trigger.table === shape.oid && (trigger.events & mask) !== 0)
    out.set(shape.oid, await readAll(protect, findTables, shape, events, own))
  }
  return out
}

async function readAll(
  protect: SqlChannel,
  findTables: FindTables,
  shape: TableShape,
  events: readonly Event[],
  triggers: readonly Trigger[],
): Promise<Fired> {
  const assigned = new Set<string>()
  const adds: Addition[] = []
  let skips = false
  for (const trigger of triggers) {
    const read = await readOne(protect, findTables, trigger)
    if (!read.ok) return { ok: false, why: `trigger ${trigger.name} on ${shape.label} may change anything: ${read.why}` }
    for (const column of read.assigned) assigned.add(column)
    skips ||= read.skips
    for (const event of events.filter((one) => (trigger.events & bits[one]) !== 0))
      adds.push(...read.labels.map((label): Addition => ({ table: shape.oid, event, trigger: trigger.name, label })))
  }
  const key = (keyColumns(shape) ?? []).find((column) => assigned.has(column))
  if (key !== undefined) return { ok: false, why: `a trigger on ${shape.label} changes ${key}, by which rows are found again` }
  return { ok: true, assigned: [...assigned], skips, adds }
}

type One =
  | { readonly ok: true; readonly assigned: readonly string[]; readonly skips: boolean; readonly labels: readonly string[] }
  | { readonly ok: false; readonly why: string }

async function readOne(protect: SqlChannel, findTables: FindTables, trigger: Trigger): Promise<One> {
  const { language, definition } = trigger
  if (trigger.needs) return { ok: false, why: "its condition calls what is not the server's own" }
  const condition = readTriggerCondition(definition)
  if (!condition.ok) return condition
  const known = readKnown(trigger)
  if (known !== null) return (await areOwn(protect, condition.names)) ? known : { ok: false, why: foreign }
  if (language !== 'plpgsql') return { ok: false, why: `its function is written in ${language}` }
  const body = readTriggerBody(trigger.source)
  if (!body.ok) return body
  if (!(await areOwn(protect, condition.names)) || !(await areOwn(protect, body.names))) return { ok: false, why: foreign }
  const added = await readInserts(protect, findTables, trigger, body.inserts)
  return added.ok ? { ...body, labels: added.labels } : added
}

/** Rows may be added to ordinary tables only, where nothing else happens with an INSERT: no triggers, no rules, no defaults with an effect. */
async function readInserts(
  protect: SqlChannel,
  findTables: FindTables,
  trigger: Trigger,
  inserts: readonly WrittenName[],
): Promise<{ readonly ok: true; readonly labels: readonly string[] } | { readonly ok: false; readonly why: string }> {
  if (inserts.length === 0) return { ok: true, labels: [] }
  if ((trigger.events & bits.row) === 0) return { ok: false, why: 'it adds rows, and nobody knows how often it fires' }
  if (trigger.settings && inserts.some(({ schema }) => schema === null))
    return { ok: false, why: 'it adds rows to a table that its own settings choose' }
  const found = await findTables(inserts)
  const shapes = await readTableShapes(
    protect,
    found.flatMap((relation) => (relation ? [relation.oid] : [])),
  )
  const labels: string[] = []
  for (const relation of found) {
    const shape = shapes.find(({ oid }) => oid === relation?.oid)
    if (!shape || shape.version !== relation?.version)
      return { ok: false, why: 'it adds rows to a table that is not there for all' }
    const why = await whyNotFilled(protect, shape)
    if (why !== null) return { ok: false, why }
    labels.push(shape.label)
  }
  return { ok: true, labels }
}

async function whyNotFilled(protect: SqlChannel, shape: TableShape): Promise<string | null> {
  const why = whyNotCopied(shape)
  if (why !== null) return `it adds rows, and ${why}`
  const trigger = shape.triggers.find(({ enabled, events }) => enabled !== 'D' && (events & bits.insert) !== 0)
  if (trigger) return `it adds rows to ${shape.label}, which has trigger ${trigger.name}`
  if (shape.rules.some(({ enabled, event }) => enabled !== 'D' && event === '3'))
    return `it adds rows to ${shape.label}, which has a rule`
  for (const column of shape.columns) {
    // The next number of a sequence is what every INSERT takes.
    const text = column.default?.replace(/^nextval\('[^']*'::regclass\)$/, '0')
    if (text === undefined) continue
    const read = readDefault(text)
    if (!read.ok || !(await areOwn(protect, read.names)))
      return `it adds rows to ${shape.label}, whose column ${column.name} calls for more`
  }
  return null
}

const foreign = "it calls what is not, or not only, the server's own, or what has an effect"

/** Trigger functions that come with the server, or with its extension moddatetime. */
function readKnown({ schema, function: name, language, extension, arguments: columns }: Trigger): One | null {
  const own = schema === 'pg_catalog' && language === 'internal'
  if (own && name === 'suppress_redundant_updates_trigger') return { ok: true, assigned: [], skips: true, labels: [] }
  if (own && (name === 'tsvector_update_trigger' || name === 'tsvector_update_trigger_column'))
    return { ok: true, assigned: columns.slice(0, 1), skips: false, labels: [] }
  if (language === 'c' && extension === 'moddatetime' && name === 'moddatetime')
    return { ok: true, assigned: columns, skips: false, labels: [] }
  return null
}

/** Functions that give another answer each time and do nothing else. */
const harmless = ['clock_timestamp', 'timeofday', 'random', 'gen_random_uuid', 'uuidv4', 'uuidv7']

/**
 * Whether every name stands for the server's own and nothing has an effect, whatever the search_path: nobody else's function, type, operator or
 * cast of such a name is there. Those of extensions may stand beside them, unless volatile.
 */
async function areOwn(protect: SqlChannel, { functions, types, operators }: Names): Promise<boolean> {
  const rows = await protect.query(
    `SELECT (NOT EXISTS (SELECT FROM unnest($1::text[]) w(name) WHERE NOT EXISTS (SELECT FROM pg_proc p WHERE p.proname = w.name))
       AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.proname = ANY ($1::text[]) AND (p.pronamespace <> 'pg_catalog'::regnamespace
         OR p.prokind <> 'f' OR p.proname ~ '^(pg_|txid_|lo_|query_to|table_to|schema_to|database_to|cursor_to|dblink)'
         OR (p.provolatile = 'v' AND p.proname <> ALL ($2::text[]))))
       AND NOT EXISTS (SELECT FROM pg_type t WHERE t.typname = ANY ($3::text[]) AND t.typnamespace <> 'pg_catalog'::regnamespace)
       AND NOT EXISTS (SELECT FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode WHERE o.oprname = ANY ($4::text[]) AND ${strangeSql})
       AND NOT EXISTS (SELECT FROM pg_cast c JOIN pg_proc p ON p.oid = c.castfunc WHERE ${strangeSql}))::text`,
    [textArray(functions), textArray(harmless), textArray(types), textArray(operators)],
  )
  return rows[0]?.[0] === 'true'
}

const strangeSql = `p.pronamespace <> 'pg_catalog'::regnamespace AND (p.provolatile = 'v' OR NOT EXISTS (SELECT FROM pg_depend d
  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'))`
