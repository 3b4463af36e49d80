import type { SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { oidSchema } from './catalog-name.ts'
import { readJson } from './catalog-query.ts'
import { textArray, type WrittenName } from './resolve-name.ts'

const definitionSchema = z.object({
  type: z.enum(['view', 'materialized_view', 'function']),
  oid: oidSchema,
  schema: z.string(),
  name: z.string(),
  definition: z.string(),
})
/** A view or a function as SQL that would make it. */
export type Definition = z.infer<typeof definitionSchema>

const namedSchema = z.object({
  /** Functions that are neither the server's nor an extension's, behind operators and names that a text takes for the server's own or for columns. */
  hidden: z.array(
    z.object({
      as: z.enum(['function', 'operator', 'type', 'cast', 'relation']),
      name: z.string(),
      schema: z.string(),
      calls: z.string(),
    }),
  ),
  /** Whether an operator `=` stands outside the server's and the extensions'. */
  equals: z.boolean(),
  views: z.array(definitionSchema),
})
export type Named = z.infer<typeof namedSchema>

export interface Wanted {
  readonly builtins: readonly string[]
  readonly fields: readonly string[]
  readonly operators: readonly string[]
  readonly relations: readonly string[]
  readonly types: readonly string[]
}

const catalog = `'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid`

function notOfExtension(table: string, oid: string): string {
  return `NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.${table}'::pg_catalog.regclass::pg_catalog.oid
    AND d.objid OPERATOR(pg_catalog.=) ${oid} AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog."char")`
}

const peoplesOwn = `p.pronamespace OPERATOR(pg_catalog.<>) ${catalog} AND ${notOfExtension('pg_proc', 'p.oid')}`

function needs(classId: string, oid: string): string {
  return `JOIN pg_catalog.pg_depend need ON need.classid OPERATOR(pg_catalog.=) 'pg_catalog.${classId}'::pg_catalog.regclass::pg_catalog.oid
      AND need.objid OPERATOR(pg_catalog.=) ${oid} AND need.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid
    JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) need.refobjid JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace`
}

/** Checks of domains, a domain over a domain included, and casts that are written out or happen by themselves. */
const behindTypes = `UNION SELECT 'type', named.typname, n.nspname, p.proname FROM (
    WITH RECURSIVE up(typname, oid) AS (SELECT t.typname, t.oid FROM pg_catalog.pg_type t WHERE t.typname OPERATOR(pg_catalog.=) ANY ($5::pg_catalog.name[])
      UNION SELECT up.typname, t.typbasetype FROM up JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) up.oid
        WHERE t.typtype OPERATOR(pg_catalog.=) 'd'::pg_catalog."char") SELECT up.typname, up.oid FROM up) named
  JOIN pg_catalog.pg_constraint k ON k.contypid OPERATOR(pg_catalog.=) named.oid ${needs('pg_constraint', 'k.oid')} WHERE ${peoplesOwn}
  UNION SELECT 'cast', p.proname, n.nspname, p.proname FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) c.castfunc
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
  WHERE ${peoplesOwn} AND (c.castcontext OPERATOR(pg_catalog.<>) 'e'::pg_catalog."char" OR EXISTS (SELECT FROM pg_catalog.pg_type t
    WHERE t.oid OPERATOR(pg_catalog.=) ANY (ARRAY[c.castsource, c.casttarget]) AND t.typname OPERATOR(pg_catalog.=) ANY ($5::pg_catalog.name[])))`

/** What a table runs when it is read: its policies, and columns that are computed as they are read. */
const behindRelations = `UNION SELECT 'relation', c.relname, n.nspname, p.proname FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_policy o ON o.polrelid OPERATOR(pg_catalog.=) c.oid ${needs('pg_policy', 'o.oid')}
  WHERE c.relname OPERATOR(pg_catalog.=) ANY ($4::pg_catalog.name[]) AND c.relrowsecurity AND ${peoplesOwn}
  UNION SELECT 'relation', c.relname, n.nspname, p.proname FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attgenerated OPERATOR(pg_catalog.=) 'v'::pg_catalog."char"
  JOIN pg_catalog.pg_attrdef f ON f.adrelid OPERATOR(pg_catalog.=) c.oid AND f.adnum OPERATOR(pg_catalog.=) a.attnum ${needs('pg_attrdef', 'f.oid')}
  WHERE c.relname OPERATOR(pg_catalog.=) ANY ($4::pg_catalog.name[]) AND ${peoplesOwn}`

/**
 * Names → code that stands behind them, in whatever schema: which of them the search path means is not asked, and what its label says of it is not
 * believed: a STABLE function may run no writing statement itself, but may call one that does.
 */
export function readNamed(channel: SqlChannel, { builtins, fields, operators, relations, types }: Wanted): Promise<Named> {
  return readJson(
    channel,
    namedSchema,
    `SELECT pg_catalog.json_build_object(
      'hidden', (SELECT COALESCE(pg_catalog.json_agg(h), '[]') FROM (
        SELECT 'function' AS as, p.proname AS name, n.nspname AS schema, p.proname AS calls FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
        WHERE p.pronamespace OPERATOR(pg_catalog.<>) ${catalog} AND ${notOfExtension('pg_proc', 'p.oid')}
          AND (p.proname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.name[]) OR (p.proname OPERATOR(pg_catalog.=) ANY ($2::pg_catalog.name[])
            AND p.pronargs OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND EXISTS (SELECT FROM pg_catalog.pg_type t
              WHERE t.oid OPERATOR(pg_catalog.=) p.proargtypes[0] AND t.typtype OPERATOR(pg_catalog.=) ANY ('{c,d,p}'::pg_catalog."char"[]))))
        UNION SELECT 'operator', o.oprname, n.nspname, p.proname FROM pg_catalog.pg_operator o
        JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) o.oprcode::pg_catalog.oid
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
        WHERE o.oprnamespace OPERATOR(pg_catalog.<>) ${catalog} AND ${notOfExtension('pg_operator', 'o.oid')}
          AND o.oprname OPERATOR(pg_catalog.=) ANY ($3::pg_catalog.name[])
        ${behindTypes} ${behindRelations}) h),
      'equals', EXISTS (SELECT FROM pg_catalog.pg_operator o WHERE o.oprnamespace OPERATOR(pg_catalog.<>) ${catalog}
          AND o.oprname OPERATOR(pg_catalog.=) '='::pg_catalog.name AND ${notOfExtension('pg_operator', 'o.oid')}),
      'views', (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('type',
            CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'm'::pg_catalog."char" THEN 'materialized_view' ELSE 'view' END, 'oid', c.oid::pg_catalog.text, 'schema', n.nspname,
            'name', c.relname, 'definition', pg_catalog.pg_get_viewdef(c.oid))), '[]') FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE c.relname OPERATOR(pg_catalog.=) ANY ($4::pg_catalog.name[]) AND c.relkind OPERATOR(pg_catalog.=) ANY ('{v,m}'::pg_catalog."char"[])
          AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.name[]) AND ${notOfExtension('pg_class', 'c.oid')}))::pg_catalog.text`,
    [builtins, fields, operators, relations, types].map(textArray),
  )
}

/** The functions that an aggregate is made of: it has no text of its own. */
const partsOfAggregates = `SELECT part.oid FROM pg_catalog.pg_aggregate g JOIN pg_catalog.pg_proc a ON a.oid OPERATOR(pg_catalog.=) g.aggfnoid::pg_catalog.oid
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) a.pronamespace
  CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[g.aggtransfn::pg_catalog.oid, g.aggfinalfn::pg_catalog.oid, g.aggcombinefn::pg_catalog.oid,
    g.aggserialfn::pg_catalog.oid, g.aggdeserialfn::pg_catalog.oid, g.aggmtransfn::pg_catalog.oid, g.aggminvtransfn::pg_catalog.oid,
    g.aggmfinalfn::pg_catalog.oid]) part(oid)
  WHERE a.pronamespace OPERATOR(pg_catalog.<>) ${catalog} AND EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]),
    pg_catalog.unnest($2::pg_catalog.text[])) w(schema, name) WHERE w.name::pg_catalog.name OPERATOR(pg_catalog.=) a.proname
      AND (w.schema OPERATOR(pg_catalog.=) '' OR w.schema::pg_catalog.name OPERATOR(pg_catalog.=) n.nspname))`

/** Functions by name, with what PostgreSQL says would define them; of aggregates, the functions that they are made of. */
export function readFunctions(channel: SqlChannel, names: readonly WrittenName[]): Promise<readonly Definition[]> {
  return readJson(
    channel,
    z.array(definitionSchema),
    `SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('type', 'function', 'oid', p.oid::pg_catalog.text, 'schema', n.nspname,
       'name', p.proname, 'definition', pg_catalog.pg_get_functiondef(p.oid)) ORDER BY p.oid), '[]')::pg_catalog.text
     FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
     WHERE p.prokind OPERATOR(pg_catalog.<>) 'a'::pg_catalog."char" AND p.pronamespace OPERATOR(pg_catalog.<>) ${catalog} AND ${notOfExtension('pg_proc', 'p.oid')}
       AND (p.oid OPERATOR(pg_catalog.=) ANY (ARRAY(${partsOfAggregates}))
         OR EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) w(schema, name)
           WHERE w.name::pg_catalog.name OPERATOR(pg_catalog.=) p.proname
             AND (w.schema OPERATOR(pg_catalog.=) '' OR w.schema::pg_catalog.name OPERATOR(pg_catalog.=) n.nspname)))`,
    [textArray(names.map(({ schema }) => schema ?? '')), textArray(names.map(({ name }) => name))],
  )
}

export function readRoles(channel: SqlChannel): Promise<readonly string[]> {
  return readJson(
    channel,
    z.array(z.string()),
    `SELECT COALESCE(pg_catalog.json_agg(r.rolname), '[]')::pg_catalog.text FROM pg_catalog.pg_roles r`,
  )
}

/** Whether the session's role sees settings that others do not: connection strings, and commands that print a secret. */
export async function seesAllSettings(channel: SqlChannel): Promise<boolean> {
  const rows = await channel.query(`SELECT pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')::pg_catalog.text`)
  return rows[0]?.[0] !== 'false'
}
