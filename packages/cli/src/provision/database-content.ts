import { z } from 'zod'
import type { Administrator } from './administrator.ts'
import { CommandFailure, exitCodes } from '../failure.ts'

/** `r` table, `p` partitioned, `v` view, `m` materialized view, `f` foreign table, `S` sequence. */
const relationKinds = ['r', 'p', 'v', 'm', 'f', 'S'] as const

export interface Relation {
  readonly oid: string
  readonly schema: string
  readonly name: string
  readonly kind: (typeof relationKinds)[number]
  readonly owner: string
  /** May the administrator hand out what a reader, what a writer needs? */
  readonly read_grantable: boolean
  readonly write_grantable: boolean
  /** Shows passwords or other people's credentials, or a view over one that does. */
  readonly secret: boolean
  readonly row_security: boolean
  /** An extension's own: read, never written. */
  readonly of_extension: boolean
}

export interface Schema {
  readonly name: string
  readonly owner: string
  /** May the administrator let a role use it? */
  readonly grantable: boolean
  /** Everyone may use it already. */
  readonly for_everyone: boolean
}

/** What there is in a database for an agent to reach. System schemas, and schemas that belong to an extension, are none of its business. */
export interface DatabaseContent {
  readonly schemas: readonly Schema[]
  readonly relations: readonly Relation[]
  /** Who makes tables and where: whatever they make later is covered by default privileges. Only those for whom the administrator may act. */
  readonly makers: readonly { readonly owner: string; readonly schema: string; readonly actable: boolean }[]
}

/** More would not fit into one run's time. */
const relationsMax = 50_000

const ownSchemas = `
  SELECT n.oid, n.nspname, n.nspowner FROM pg_namespace n
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')`

/**
 * Catalogs that hold passwords, by the oid that each has on every server: pg_authid, pg_user_mapping, pg_subscription. What the server came with
 * is in no list of dependencies, so views over them are known by the text of their rule.
 */
const secretCatalogs = [1260, 1418, 6100]

const relationsSql = `
WITH RECURSIVE schemas AS (${ownSchemas}),
secret(oid) AS (
  SELECT ev_class FROM pg_rewrite WHERE ev_action::text ~ ':relid (${secretCatalogs.join('|')})\\M'
  UNION
  SELECT w.ev_class FROM secret s
  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
  JOIN pg_rewrite w ON w.oid = d.objid
)
SELECT c.oid::text, s.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner,
  pg_has_role(c.relowner, 'USAGE') OR has_table_privilege(c.oid, 'SELECT WITH GRANT OPTION') AS read_grantable,
  pg_has_role(c.relowner, 'USAGE') OR CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'USAGE WITH GRANT OPTION')
    ELSE has_table_privilege(c.oid, 'INSERT WITH GRANT OPTION') AND has_table_privilege(c.oid, 'UPDATE WITH GRANT OPTION')
      AND has_table_privilege(c.oid, 'DELETE WITH GRANT OPTION') END AS write_grantable,
  c.oid IN (SELECT oid FROM secret) AS secret,
  c.relrowsecurity AS row_security,
  EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS of_extension
FROM pg_class c JOIN schemas s ON s.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
ORDER BY schema, name
LIMIT ${relationsMax + 1}`

const schemasSql = `
WITH schemas AS (${ownSchemas})
SELECT nspname::text AS name, pg_get_userbyid(nspowner)::text AS owner,
  pg_has_role(nspowner, 'USAGE') OR has_schema_privilege(oid, 'USAGE WITH GRANT OPTION') AS grantable,
  has_schema_privilege('public', oid, 'USAGE') AS for_everyone
FROM schemas ORDER BY name`

const makersSql = `
WITH schemas AS (${ownSchemas}), makers AS (
  SELECT c.relowner AS owner, s.nspname FROM pg_class c JOIN schemas s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S')
  UNION SELECT nspowner, nspname FROM schemas
  UNION SELECT d.datdba, s.nspname FROM pg_database d, schemas s WHERE d.datname = current_database()
)
SELECT pg_get_userbyid(owner)::text AS owner, nspname::text AS schema, pg_has_role(owner, 'USAGE') AS actable
FROM makers WHERE pg_get_userbyid(owner) !~ '^pg_' ORDER BY owner, schema`

const relationShape = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.enum(relationKinds),
  owner: z.string(),
  read_grantable: z.boolean(),
  write_grantable: z.boolean(),
  secret: z.boolean(),
  row_security: z.boolean(),
  of_extension: z.boolean(),
})

const schemaShape = z.object({ name: z.string(), owner: z.string(), grantable: z.boolean(), for_everyone: z.boolean() })

export async function readContent({ line }: Administrator): Promise<DatabaseContent> {
  const relations = await line.query(relationShape, relationsSql)
  if (relations.length > relationsMax) {
    throw new CommandFailure(
      exitCodes.failed,
      'too_large',
      `This database has more than ${relationsMax} tables, views and sequences.`,
      'No role was made and nothing was changed.',
      'Give the agent a database of its own, or make its role by hand and name its URL under `as`.',
    )
  }
  const schemas = await line.query(schemaShape, schemasSql)
  const makers = await line.query(z.object({ owner: z.string(), schema: z.string(), actable: z.boolean() }), makersSql)
  return { schemas, relations, makers }
}
