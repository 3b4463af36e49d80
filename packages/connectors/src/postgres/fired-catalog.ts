import type { SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { readJson } from './catalog-query.ts'
import { checksOfTypes, isPeoples, typesBehind } from './reach-code.ts'
import { textArray, type WrittenName } from './resolve-name.ts'

/** Tables behind one name: partitions, children, and what a view reads. More are not followed. */
export const tablesMax = 500

const triggerSchema = z.object({
  table: z.string(),
  name: z.string(),
  /** pg_trigger.tgtype: 1 for each row, 4 INSERT, 8 DELETE, 16 UPDATE. */
  events: z.number(),
  oid: z.string(),
  schema: z.string(),
  function: z.string(),
  language: z.string(),
  extension: z.string().nullable(),
  source: z.string(),
  /** Settings of its own (`search_path=…` perhaps). */
  settings: z.array(z.string()),
  /** It runs with its owner's rights. */
  definer: z.boolean(),
  owner: z.string(),
  definition: z.string(),
})
export type FiredTrigger = z.infer<typeof triggerSchema>

const effectsSchema = z.object({
  /** Names under which nothing was found: made in this very request, or not there. */
  missing: z.number(),
  tables: z.number(),
  triggers: z.array(triggerSchema),
  /** 2 UPDATE, 3 INSERT, 4 DELETE. */
  rules: z.array(z.object({ table: z.string(), name: z.string(), event: z.string() })),
  /** Tables whose rows live on another server. */
  foreign: z.array(z.string()),
  /** People's own functions that defaults, checks, generated columns, indexes, policies and conditions of triggers call. */
  functions: z.array(z.object({ schema: z.string(), name: z.string() })),
  /** Defaults, checks, policies, and checks of domains that columns are made of: SQL of what is computed for each row. */
  expressions: z.array(z.string()),
  /** Foreign keys that follow when these columns get other values. */
  followers: z.array(z.object({ name: z.string(), table: z.string(), columns: z.array(z.string()) })),
})
export type Effects = z.infer<typeof effectsSchema>

const proc = `'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid`
const eq = 'OPERATOR(pg_catalog.=)'
const ne = 'OPERATOR(pg_catalog.<>)'
const and = `\n      AND `

function classOf(name: string): string {
  return `'pg_catalog.${name}'::pg_catalog.regclass::pg_catalog.oid`
}

/**
 * One name → oid. A name with its schema is looked up in the catalog itself: what a trigger writes to with its owner's rights may lie in a schema
 * that the session may not use, where to_regclass is an error.
 */
const oidOfName = `CASE WHEN n.schema ${eq} '' THEN pg_catalog.to_regclass(pg_catalog.quote_ident(n.name))::pg_catalog.oid
    ELSE (SELECT k.oid FROM pg_catalog.pg_class k JOIN pg_catalog.pg_namespace s ON s.oid ${eq} k.relnamespace
      WHERE k.relname ${eq} n.name::pg_catalog.name AND CASE WHEN n.schema ${eq} 'pg_temp' THEN s.oid ${eq} pg_catalog.pg_my_temp_schema()
        ELSE s.nspname ${eq} n.schema::pg_catalog.name END) END`

const namesSql = `ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) WITH ORDINALITY n(schema, name, ord)`

const tablesSql = `w AS (SELECT ${oidOfName} AS oid FROM ${namesSql}),
  t(oid) AS (SELECT w.oid FROM w WHERE w.oid IS NOT NULL
    UNION SELECT s.oid FROM t CROSS JOIN LATERAL (
      SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent ${eq} t.oid
      UNION ALL SELECT d.refobjid FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.classid ${eq} ${classOf('pg_rewrite')}
        AND d.objid ${eq} r.oid AND d.refclassid ${eq} ${classOf('pg_class')} AND d.refobjid ${ne} t.oid
        WHERE r.ev_class ${eq} t.oid AND r.ev_type ${eq} '1'::pg_catalog."char") s(oid)),
  c AS (SELECT b.oid, b.relkind, pg_catalog.concat(n.nspname, '.', b.relname) AS label FROM (SELECT t.oid FROM t LIMIT ${tablesMax + 1}) bounded
    JOIN pg_catalog.pg_class b ON b.oid ${eq} bounded.oid JOIN pg_catalog.pg_namespace n ON n.oid ${eq} b.relnamespace)`

const triggersSql = `SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('table', c.label, 'name', g.tgname, 'events', g.tgtype,
    'oid', p.oid::pg_catalog.text, 'schema', n.nspname, 'function', p.proname, 'language', l.lanname, 'source', p.prosrc,
    'settings', COALESCE(pg_catalog.to_json(p.proconfig), '[]'), 'definer', p.prosecdef, 'owner', pg_catalog.pg_get_userbyid(p.proowner), 'definition', pg_catalog.pg_get_functiondef(p.oid),
    'extension', (SELECT e.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid ${eq} d.refobjid
      WHERE d.classid ${eq} ${proc} AND d.objid ${eq} p.oid AND d.refclassid ${eq} ${classOf('pg_extension')}
      AND d.deptype ${eq} 'e'::pg_catalog."char"))), '[]')
  FROM c JOIN pg_catalog.pg_trigger g ON g.tgrelid ${eq} c.oid JOIN pg_catalog.pg_proc p ON p.oid ${eq} g.tgfoid
  JOIN pg_catalog.pg_language l ON l.oid ${eq} p.prolang JOIN pg_catalog.pg_namespace n ON n.oid ${eq} p.pronamespace
  WHERE NOT g.tgisinternal AND g.tgenabled ${ne} 'D'::pg_catalog."char"`

const rulesSql = `SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('table', c.label, 'name', r.rulename, 'event', r.ev_type)), '[]')
  FROM c JOIN pg_catalog.pg_rewrite r ON r.ev_class ${eq} c.oid
  WHERE r.ev_type ${ne} '1'::pg_catalog."char" AND r.ev_enabled ${ne} 'D'::pg_catalog."char"`

/** What hangs on the tables, by class and oid, and may need functions. */
const partsSql = `SELECT ${classOf('pg_attrdef')} AS classid, a.oid FROM c JOIN pg_catalog.pg_attrdef a ON a.adrelid ${eq} c.oid
  UNION ALL SELECT ${classOf('pg_constraint')}, k.oid FROM c JOIN pg_catalog.pg_constraint k ON k.conrelid ${eq} c.oid
  UNION ALL SELECT ${classOf('pg_constraint')}, k.oid FROM up JOIN pg_catalog.pg_constraint k ON k.contypid ${eq} up.oid
  UNION ALL SELECT ${classOf('pg_class')}, c.oid FROM c
  UNION ALL SELECT ${classOf('pg_class')}, i.indexrelid FROM c JOIN pg_catalog.pg_index i ON i.indrelid ${eq} c.oid
  UNION ALL SELECT ${classOf('pg_policy')}, o.oid FROM c JOIN pg_catalog.pg_policy o ON o.polrelid ${eq} c.oid
  UNION ALL SELECT ${classOf('pg_trigger')}, g.oid FROM c JOIN pg_catalog.pg_trigger g ON g.tgrelid ${eq} c.oid
    WHERE NOT g.tgisinternal AND g.tgqual IS NOT NULL`

const functionsSql = `SELECT COALESCE(pg_catalog.json_agg(DISTINCT pg_catalog.jsonb_build_object('schema', n.nspname, 'name', p.proname)), '[]')
  FROM (${partsSql}) part JOIN pg_catalog.pg_depend d ON d.classid ${eq} part.classid AND d.objid ${eq} part.oid
  LEFT JOIN pg_catalog.pg_operator o ON d.refclassid ${eq} ${classOf('pg_operator')} AND o.oid ${eq} d.refobjid
  JOIN pg_catalog.pg_proc p ON p.oid ${eq} CASE WHEN o.oid IS NULL THEN d.refobjid ELSE o.oprcode::pg_catalog.oid END
  JOIN pg_catalog.pg_namespace n ON n.oid ${eq} p.pronamespace
  WHERE ${[
    `(d.refclassid ${eq} ${proc} OR o.oid IS NOT NULL)`,
    isPeoples('pg_proc', 'p.oid', 'p.pronamespace'),
    `p.prorettype ${ne} 'pg_catalog.trigger'::pg_catalog.regtype::pg_catalog.oid`,
  ].join(and)}`

/**
 * Types of people's own among the columns, with what they are made of. As an array first: of its length the planner thinks little, else it
 * would take the whole for so costly that it compiled it, for seconds.
 */
const upSql =
  typesBehind(`SELECT 'relation', ''::pg_catalog.name, s.oid FROM pg_catalog.unnest(ARRAY(SELECT DISTINCT a.atttypid FROM c
    JOIN pg_catalog.pg_attribute a ON a.attrelid ${eq} c.oid WHERE a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2
      AND NOT a.attisdropped AND a.atttypid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid)) s(oid)`)

const expressionsSql = `SELECT COALESCE(pg_catalog.json_agg(DISTINCT x.text), '[]') FROM (
    SELECT pg_catalog.pg_get_expr(a.adbin, a.adrelid) FROM c JOIN pg_catalog.pg_attrdef a ON a.adrelid ${eq} c.oid
    UNION ALL SELECT pg_catalog.pg_get_expr(k.conbin, k.conrelid) FROM c JOIN pg_catalog.pg_constraint k ON k.conrelid ${eq} c.oid
    UNION ALL SELECT pg_catalog.pg_get_expr(o.polqual, o.polrelid) FROM c JOIN pg_catalog.pg_policy o ON o.polrelid ${eq} c.oid
    UNION ALL SELECT pg_catalog.pg_get_expr(o.polwithcheck, o.polrelid) FROM c JOIN pg_catalog.pg_policy o ON o.polrelid ${eq} c.oid
    UNION ALL SELECT q.text FROM (${checksOfTypes}) q) x(text) WHERE x.text IS NOT NULL`

const followersSql = `SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('name', k.conname, 'table', f.relname,
    'columns', (SELECT pg_catalog.json_agg(a.attname) FROM pg_catalog.pg_attribute a
      WHERE a.attrelid ${eq} k.confrelid AND a.attnum ${eq} ANY (k.confkey)))), '[]')
  FROM c JOIN pg_catalog.pg_constraint k ON k.confrelid ${eq} c.oid JOIN pg_catalog.pg_class f ON f.oid ${eq} k.conrelid
  WHERE k.contype ${eq} 'f'::pg_catalog."char" AND k.confupdtype ${ne} ALL ('{a,r}'::pg_catalog."char"[])`

/**
 * What the server runs by itself when rows of these tables are added or changed, whoever defined it and when. On the SESSION channel: its search_path
 * decides what the names mean, and it sees what its own open transaction made.
 */
export function readEffects(session: SqlChannel, names: readonly WrittenName[]): Promise<Effects> {
  return readJson(
    session,
    effectsSchema,
    `WITH RECURSIVE ${tablesSql}, ${upSql}
     SELECT pg_catalog.json_build_object('missing', (SELECT pg_catalog.count(*) FROM w WHERE w.oid IS NULL),
       'tables', (SELECT pg_catalog.count(*) FROM c), 'triggers', (${triggersSql}), 'rules', (${rulesSql}),
       'foreign', (SELECT COALESCE(pg_catalog.json_agg(c.label), '[]') FROM c WHERE c.relkind ${eq} 'f'::pg_catalog."char"),
       'functions', (${functionsSql}), 'expressions', (${expressionsSql}), 'followers', (${followersSql}))::pg_catalog.text`,
    writtenArrays(names),
  )
}

function writtenArrays(names: readonly WrittenName[]): readonly string[] {
  return [textArray(names.map(({ schema }) => schema ?? '')), textArray(names.map(({ name }) => name))]
}

/** Names → oids, in order; null for what is not there. */
export function findTables(session: SqlChannel, names: readonly WrittenName[]): Promise<readonly (string | null)[]> {
  return readJson(
    session,
    z.array(z.string().nullable()),
    `SELECT pg_catalog.json_agg((${oidOfName})::pg_catalog.text ORDER BY n.ord)::pg_catalog.text FROM ${namesSql}`,
    writtenArrays(names),
  )
}

const chosenSchema = z.array(z.string().nullable())

/**
 * Tables that a function names without a schema, with the schema that its own search_path or its owner's chooses; null when nobody can say.
 * PostgreSQL looks into temporary and system schemas first (documentation, "search_path"), so a name that is there too is not chosen.
 */
export async function chooseTables(
  session: SqlChannel,
  { settings, definer, owner }: Pick<FiredTrigger, 'settings' | 'definer' | 'owner'>,
  names: readonly WrittenName[],
): Promise<readonly WrittenName[] | null> {
  const bare = names.filter(({ schema }) => schema === null)
  if (bare.length === 0) return names
  const path = await readPath(session, settings)
  const schemas = path === null ? null : splitPath(path)
  if (schemas === null || (schemas.includes('$user') && !definer)) return null
  const list = schemas.map((schema) => (schema === '$user' ? owner : schema)).filter((schema) => schema !== '')
  const chosen = await readJson(
    session,
    chosenSchema,
    `SELECT pg_catalog.json_agg((SELECT CASE WHEN pg_catalog.bool_or(s.oid ${eq} pg_catalog.pg_my_temp_schema()
          OR s.nspname ${eq} 'pg_catalog'::pg_catalog.name) THEN NULL
        ELSE (pg_catalog.array_agg(s.nspname::pg_catalog.text ORDER BY pg_catalog.array_position($2::pg_catalog.text[], s.nspname::pg_catalog.text)))[1] END
      FROM pg_catalog.pg_class k JOIN pg_catalog.pg_namespace s ON s.oid ${eq} k.relnamespace
      WHERE k.relname ${eq} n.name::pg_catalog.name AND (s.oid ${eq} pg_catalog.pg_my_temp_schema() OR s.nspname ${eq} 'pg_catalog'::pg_catalog.name
        OR s.nspname::pg_catalog.text ${eq} ANY ($2::pg_catalog.text[])))
      ORDER BY n.ord)::pg_catalog.text FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY n(name, ord)`,
    [textArray(bare.map(({ name }) => name)), textArray(list)],
  )
  const known = new Map(bare.map(({ name }, index) => [name, chosen[index] ?? null]))
  const out = names.map((one) => (one.schema === null ? { schema: known.get(one.name) ?? null, name: one.name } : one))
  return out.some(({ schema }) => schema === null) ? null : out
}

/** The search_path that the function runs under; null when it runs under other settings too, which may say anything. */
async function readPath(session: SqlChannel, settings: readonly string[]): Promise<string | null> {
  const [setting, more] = settings
  if (more !== undefined) return null
  if (setting !== undefined) return /^search_path=([^]*)$/.exec(setting)?.[1] ?? null
  const [row] = await session.query("SELECT pg_catalog.current_setting('search_path')")
  return row?.[0] ?? null
}

/** `"$user", public` → its names; null when it is written in a way that is not plain. */
function splitPath(path: string): readonly string[] | null {
  const names: string[] = []
  for (const part of path.trim() === '' ? [] : path.split(',')) {
    const [, quoted, plain] = /^\s*(?:"([^",]*)"|([a-z_][a-z0-9_$]*))\s*$/.exec(part) ?? []
    const name = quoted ?? plain
    if (name === undefined) return null
    names.push(name)
  }
  return names
}
