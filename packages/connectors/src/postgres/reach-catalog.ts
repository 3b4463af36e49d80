import type { SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { oidArray, oidSchema } from './catalog-name.ts'
import { readJson } from './catalog-query.ts'
import {
  behindIndexes,
  behindValues,
  checksOfTypes,
  expressionsOfRelations,
  isPeoples,
  notOfExtension,
  partsOfAggregates,
  readTogether,
  typesBehind,
} from './reach-code.ts'
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
  /** Functions behind operators, casts and operator classes of somebody's own, and behind names that a text takes for the server's own or for columns. */
  hidden: z.array(
    z.object({
      as: z.enum(['function', 'operator', 'cast', 'type', 'relation']),
      name: z.string(),
      schema: z.string(),
      calls: z.string(),
    }),
  ),
  /** Checks of domains, policies, and columns that are computed as they are read: SQL of what runs with the types and relations of these names. */
  expressions: z.array(z.object({ as: z.enum(['type', 'relation']), name: z.string(), text: z.string() })),
  /** Names of relations whose rows, or some of them, come from elsewhere. */
  foreign: z.array(z.string()),
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
  /** Types of parameters, which the client may give by oid. */
  readonly typeOids: readonly string[]
}

/** The name under which checks of types given by oid are told. */
export const givenByOid = ''

const seeds = `SELECT 'type', t.typname, t.oid FROM pg_catalog.pg_type t WHERE t.typname OPERATOR(pg_catalog.=) ANY ($5::pg_catalog.name[])
  UNION SELECT 'type', '${givenByOid}'::pg_catalog.name, t.oid FROM pg_catalog.pg_type t WHERE t.oid OPERATOR(pg_catalog.=) ANY ($6::pg_catalog.oid[])
  UNION SELECT 'relation', c.relname, c.reltype FROM pg_catalog.pg_class c WHERE c.relname OPERATOR(pg_catalog.=) ANY ($4::pg_catalog.name[])
    AND c.reltype OPERATOR(pg_catalog.<>) 0::pg_catalog.oid`

/**
 * Names → code that stands behind them, in whatever schema: which of them the search path means is not asked, and what its label says of it is not
 * believed: a STABLE function may run no writing statement itself, but may call one that does.
 */
export function readNamed(channel: SqlChannel, wanted: Wanted): Promise<Named> {
  const { builtins, fields, operators, relations, types, typeOids } = wanted
  return readJson(
    channel,
    namedSchema,
    `WITH RECURSIVE ${typesBehind(seeds)}
    SELECT pg_catalog.json_build_object(
      'hidden', (SELECT COALESCE(pg_catalog.json_agg(h), '[]') FROM (
        SELECT 'function' AS as, p.proname AS name, n.nspname AS schema, p.proname AS calls FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
        WHERE ${isPeoples('pg_proc', 'p.oid', 'p.pronamespace')}
          AND (p.proname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.name[]) OR (p.proname OPERATOR(pg_catalog.=) ANY ($2::pg_catalog.name[])
            AND p.pronargs OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND EXISTS (SELECT FROM pg_catalog.pg_type t
              WHERE t.oid OPERATOR(pg_catalog.=) p.proargtypes[0] AND t.typtype OPERATOR(pg_catalog.=) ANY ('{c,d,p}'::pg_catalog."char"[]))))
        UNION SELECT 'operator', o.oprname, n.nspname, p.proname FROM pg_catalog.pg_operator o
        JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) o.oprcode::pg_catalog.oid
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
        WHERE ${isPeoples('pg_operator', 'o.oid', 'o.oprnamespace')}
          AND o.oprname OPERATOR(pg_catalog.=) ANY ($3::pg_catalog.name[])
        UNION ${behindValues} UNION ${behindIndexes('$4::pg_catalog.name[]')}) h),
      'expressions', (SELECT COALESCE(pg_catalog.json_agg(DISTINCT pg_catalog.to_jsonb(e)), '[]') FROM (
        ${checksOfTypes} UNION ALL ${expressionsOfRelations('$4::pg_catalog.name[]')}) e),
      'foreign', (SELECT COALESCE(pg_catalog.json_agg(DISTINCT f.name), '[]') FROM (${readTogether('$4::pg_catalog.name[]')}
        SELECT r.name FROM r JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.oid
        WHERE c.relkind OPERATOR(pg_catalog.=) 'f'::pg_catalog."char") f),
      'equals', EXISTS (SELECT FROM pg_catalog.pg_operator o WHERE ${isPeoples('pg_operator', 'o.oid', 'o.oprnamespace')}
          AND o.oprname OPERATOR(pg_catalog.=) '='::pg_catalog.name),
      'views', (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('type',
            CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'm'::pg_catalog."char" THEN 'materialized_view' ELSE 'view' END, 'oid', c.oid::pg_catalog.text, 'schema', n.nspname,
            'name', c.relname, 'definition', pg_catalog.pg_get_viewdef(c.oid))), '[]') FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE c.relname OPERATOR(pg_catalog.=) ANY ($4::pg_catalog.name[]) AND c.relkind OPERATOR(pg_catalog.=) ANY ('{v,m}'::pg_catalog."char"[])
          AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.name[]) AND ${notOfExtension('pg_class', 'c.oid')}))::pg_catalog.text`,
    [...[builtins, fields, operators, relations, types].map(textArray), oidArray(typeOids)],
  )
}

const isAsked = (schema: string, name: string): string =>
  `EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) w(schema, name)
     WHERE w.name::pg_catalog.name OPERATOR(pg_catalog.=) ${name}
       AND (w.schema OPERATOR(pg_catalog.=) '' OR w.schema::pg_catalog.name OPERATOR(pg_catalog.=) ${schema}))`

const functionsSchema = z.object({
  definitions: z.array(definitionSchema),
  /** Of aggregates among them, the functions that these are made of, the server's and extensions' included. */
  parts: z.array(z.object({ schema: z.string(), name: z.string() })),
})
export type Functions = z.infer<typeof functionsSchema>

/** Functions by name, with what PostgreSQL says would define them. */
export function readFunctions(channel: SqlChannel, names: readonly WrittenName[]): Promise<Functions> {
  return readJson(
    channel,
    functionsSchema,
    `SELECT pg_catalog.json_build_object('definitions', (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('type', 'function',
         'oid', p.oid::pg_catalog.text, 'schema', n.nspname, 'name', p.proname, 'definition', pg_catalog.pg_get_functiondef(p.oid)) ORDER BY p.oid), '[]')
       FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
       WHERE p.prokind OPERATOR(pg_catalog.<>) 'a'::pg_catalog."char" AND ${isPeoples('pg_proc', 'p.oid', 'p.pronamespace')}
         AND ${isAsked('n.nspname', 'p.proname')}),
     'parts', (SELECT COALESCE(pg_catalog.json_agg(q), '[]') FROM (${partsOfAggregates(isAsked('n.nspname', 'a.proname'))}) q))::pg_catalog.text`,
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
