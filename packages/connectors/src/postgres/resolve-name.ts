import type { SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { oidArray, oidSchema, quoteIdentifier, quoteQualified } from './catalog-name.ts'
import { readJson } from './catalog-query.ts'
import { trustedExtensions } from './extension-trust.ts'

/** A relation as the agent's own session sees it, through its search_path and past its temporary tables. */
const relationSchema = z.object({
  oid: oidSchema,
  schema: z.string(),
  name: z.string(),
  kind: z.string(),
  /** Temporary, and of this very session. */
  temporary: z.boolean(),
  /** Without triggers and rules. */
  plain: z.boolean(),
  /** pg_class.xmin: differs from what others see when this session changed the table and has not committed. */
  version: z.string(),
})
export type Relation = z.infer<typeof relationSchema>

export interface WrittenName {
  readonly schema: string | null
  readonly name: string
}

const answerSchema = z.array(relationSchema.nullable())

/** The text form of text[], to be bound. */
export function textArray(items: readonly string[]): string {
  return `{${items.map((item) => `"${item.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`).join(',')}}`
}

/**
 * Names → relations, in order, on the SESSION channel. Every function, type and operator here is named with its schema: the session's
 * search_path is the agent's, and might put a function of its own in front of the server's.
 */
export async function resolveRelations(
  session: SqlChannel,
  names: readonly WrittenName[],
): Promise<readonly (Relation | null)[]> {
  if (names.length === 0) return []
  const quoted = names.map(({ schema, name }) => (schema === null ? quoteIdentifier(name) : quoteQualified(schema, name)))
  return readJson(
    session,
    answerSchema,
    `SELECT pg_catalog.json_agg(CASE WHEN c.oid IS NOT NULL THEN pg_catalog.json_build_object('oid', c.oid::pg_catalog.text,
       'schema', n.nspname, 'name', c.relname, 'kind', c.relkind, 'version', c.xmin::pg_catalog.text,
       'plain', NOT c.relhastriggers AND NOT c.relhasrules, 'temporary', c.relpersistence OPERATOR(pg_catalog.=) 't'::pg_catalog."char"
         AND c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) END ORDER BY w.ord)::pg_catalog.text
     FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY w(name, ord)
     LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(w.name)::pg_catalog.oid
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace`,
    [textArray(quoted)],
  )
}

/** Schema names → oids, in order. */
export async function resolveNamespaces(session: SqlChannel, names: readonly string[]): Promise<readonly (string | null)[]> {
  if (names.length === 0) return []
  return readJson(
    session,
    z.array(oidSchema.nullable()),
    `SELECT pg_catalog.json_agg(pg_catalog.to_regnamespace(w.name)::pg_catalog.oid::pg_catalog.text ORDER BY w.ord)::pg_catalog.text
     FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY w(name, ord)`,
    [textArray(names.map(quoteIdentifier))],
  )
}

const rightsSchema = z.array(
  z.object({
    oid: oidSchema,
    /** LOCK TABLE … IN EXCLUSIVE MODE asks for one of these rights. */
    lock: z.boolean(),
    /** SELECT … FOR UPDATE asks for this one. */
    update: z.boolean(),
    select: z.boolean(),
    rowSecurity: z.boolean(),
  }),
)
export type SessionRights = z.infer<typeof rightsSchema>[number]

/** What the agent's role may do with tables that its statement would reach through cascades. */
export async function readRights(session: SqlChannel, oids: readonly string[]): Promise<readonly SessionRights[]> {
  if (oids.length === 0) return []
  return readJson(
    session,
    rightsSchema,
    `SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('oid', c.oid::pg_catalog.text,
       'lock', pg_catalog.has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE'),
       'update', pg_catalog.has_any_column_privilege(c.oid, 'UPDATE'), 'select', pg_catalog.has_table_privilege(c.oid, 'SELECT'),
       'rowSecurity', pg_catalog.row_security_active(c.oid))), '[]'::pg_catalog.json)::pg_catalog.text
     FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.oid[])`,
    [oidArray(oids)],
  )
}

const functionSchema = z.object({
  name: z.string(),
  candidates: z.number(),
  /** None is volatile, none runs as another user; each is of an extension that is trusted, or its body names nothing that is not harmless. */
  harmless: z.boolean(),
})
type ResolvedFunction = z.infer<typeof functionSchema>

/**
 * A body is read as a bag of words, more strictly than it would be run: no dynamic SQL, no quoted names, and no word that names a volatile
 * function or one outside pg_catalog. An empty text is a body of parsed SQL, which is not read here.
 */
const readableBodySql = `p.prosrc OPERATOR(pg_catalog.<>) '' AND pg_catalog.strpos(p.prosrc, '"') OPERATOR(pg_catalog.=) 0
  AND p.prosrc OPERATOR(pg_catalog.!~*) '\\mexecute\\M' AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc v
    WHERE v.oid OPERATOR(pg_catalog.<>) p.oid
      AND (v.provolatile OPERATOR(pg_catalog.=) 'v'::pg_catalog."char" OR v.pronamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid)
      AND v.proname OPERATOR(pg_catalog.=) ANY (pg_catalog.regexp_split_to_array(pg_catalog.lower(p.prosrc), '[^[:alnum:]_$]+')))`

/**
 * Functions of the agent's own schemas by name: every candidate of that name counts, since which one is called depends on types.
 * A name without a schema may be any of them on the search_path; we look in all schemas but the server's.
 */
export async function resolveFunctions(session: SqlChannel, names: readonly WrittenName[]): Promise<readonly ResolvedFunction[]> {
  if (names.length === 0) return []
  return readJson(
    session,
    z.array(functionSchema),
    `SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', w.name, 'candidates', f.candidates, 'harmless', f.harmless)
       ORDER BY w.ord)::pg_catalog.text
     FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) WITH ORDINALITY w(schema, name, ord)
     CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS candidates, COALESCE(pg_catalog.bool_and(
         p.prokind OPERATOR(pg_catalog.=) ANY ('{f,w}'::pg_catalog."char"[])
         AND p.provolatile OPERATOR(pg_catalog.=) ANY ('{i,s}'::pg_catalog."char"[])
         AND NOT p.prosecdef AND (EXISTS (SELECT FROM pg_catalog.pg_depend d
             JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
             WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid AND d.objid OPERATOR(pg_catalog.=) p.oid
               AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass::pg_catalog.oid
               AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog."char"
               AND e.extname OPERATOR(pg_catalog.=) ANY ($3::pg_catalog.name[])) OR (
           l.lanname OPERATOR(pg_catalog.=) ANY ('{sql,plpgsql}'::pg_catalog.name[]) AND ${readableBodySql}))), false) AS harmless
       FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
       JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
       WHERE p.proname OPERATOR(pg_catalog.=) w.name::pg_catalog.name
         AND (w.schema OPERATOR(pg_catalog.=) '' OR n.nspname OPERATOR(pg_catalog.=) w.schema::pg_catalog.name)) f`,
    [textArray(names.map(({ schema }) => schema ?? '')), textArray(names.map(({ name }) => name)), textArray(trustedExtensions)],
  )
}

/**
 * Tables among `oids` that this session's open transaction has already written to or altered: it holds more than a reader's lock.
 * Others, the protect connection among them, can't see those changes, so a copy made by them would not hold them.
 */
export async function readOwnChanges(session: SqlChannel, oids: readonly string[]): Promise<readonly string[]> {
  if (oids.length === 0) return []
  return readJson(
    session,
    z.array(z.string()),
    `SELECT COALESCE(pg_catalog.json_agg(DISTINCT l.relation::pg_catalog.text), '[]'::pg_catalog.json)::pg_catalog.text
     FROM pg_catalog.pg_locks l
     WHERE l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
       AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d
         WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
       AND l.relation OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.oid[])
       AND l.mode OPERATOR(pg_catalog.<>) ALL ('{AccessShareLock,RowShareLock}'::pg_catalog.text[])`,
    [oidArray(oids)],
  )
}

/**
 * True when every function of the server's by these names gives the same answer within a transaction and has no effect. STABLE promises that
 * for one statement only: what tells the time of the statement, or looks at the server's state, may choose other rows the next time.
 */
export async function areBuiltinsSteady(session: SqlChannel, names: readonly string[]): Promise<boolean> {
  if (names.length === 0) return true
  if (names.some((name) => /^(?:pg_|txid_|has_|(?:table|schema|database)_to_|statement_timestamp$)/.test(name))) return false
  const rows = await session.query(
    `SELECT pg_catalog.bool_and(EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.proname OPERATOR(pg_catalog.=) w.name::pg_catalog.name)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.proname OPERATOR(pg_catalog.=) w.name::pg_catalog.name
         AND (p.provolatile OPERATOR(pg_catalog.=) 'v'::pg_catalog."char"
           OR p.pronamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid)))::pg_catalog.text
     FROM pg_catalog.unnest($1::pg_catalog.text[]) w(name)`,
    [textArray(names)],
  )
  return rows[0]?.[0] === 'true'
}
