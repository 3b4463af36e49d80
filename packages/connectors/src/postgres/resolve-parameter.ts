import type { ResolvedOperation, Resource, SqlChannel, Upstream } from '@sallyport/core'
import { z } from 'zod'
import { readJson, sqlAccess } from './catalog-query.ts'
import { codeSql } from './reach-setting.ts'

const valueSchema = z.array(z.object({ name: z.string(), hash: z.string() }))

/** A name with a dot in quotes, as deep as they are nested in text that is run; and one that SET or SHOW names. */
const word = '[A-Za-z_][A-Za-z0-9_$]*'
const named = String.raw`''+(${word}(?:\.${word})+)''+|\m(?:set|show)(?:\s+(?:local|session))?\s+"?(${word}"?\."?${word})`

/** Names of parameters that a connection's own settings can't hold: what code in the database says in quotes and sets, and their values in this session, hashed there. */
const valuesSql = `${codeSql}, wanted(name) AS (SELECT DISTINCT pg_catalog.lower(pg_catalog.replace(COALESCE(f.found[1], f.found[2]), '"', ''))
    FROM code c CROSS JOIN LATERAL pg_catalog.regexp_matches(c.text, '${named}', 'gi') f(found)
    WHERE c.text OPERATOR(pg_catalog.~*) 'current_setting|set_config|\\mset\\M|\\mshow\\M'),
  told(name, value) AS (SELECT w.name, pg_catalog.current_setting(w.name, true) FROM wanted w)
  SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('name', t.name, 'hash',
      pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(t.value, 'UTF8')), 'hex')) ORDER BY t.name), '[]'::pg_catalog.json)::pg_catalog.text
    FROM told t WHERE t.value IS NOT NULL`

function readValues(session: SqlChannel): Promise<z.infer<typeof valueSchema>> {
  return readJson(session, valueSchema, valuesSql)
}

/** Nothing can be looked up in a failed transaction: what cannot be read either is then for the server to refuse, and fits no approval. */
const unknown: Resource = { type: 'parameter', name: '(none could be looked up)', identity: 'unknown' }

async function readResources(session: SqlChannel, isUnread: boolean): Promise<readonly Resource[]> {
  try {
    const values = await readValues(session)
    return values.map(({ name, hash }) => ({ type: 'parameter', name, identity: `sha256:${hash}` }))
  } catch (error) {
    if (isUnread) return [unknown]
    throw error
  }
}

/** What everybody's sessions share once it is looked up: a read, or a write that adds or changes as its text says and asks nobody by itself. */
function isPlain({ impact, copy, context }: ResolvedOperation): boolean {
  return (
    impact.kind === 'read' ||
    (impact.kind === 'write' && impact.reversible && copy.kind === 'none' && context['foldable'] === true)
  )
}

/**
 * A parameter of the application's own says what a policy, a view or a function makes of a statement, and anything may have set it: a trigger that an
 * INSERT fired, a function in C, the role's defaults. The server lists none of them. So what the code in this database names is looked up in this very
 * session, and its value is part of what people approve: under another one the approval does not fit. Values are known by their hashes alone.
 */
export async function bindParameters(
  operations: readonly ResolvedOperation[],
  upstream: Upstream,
): Promise<readonly ResolvedOperation[]> {
  if (operations.every(isPlain)) return operations
  const isUnread = operations.every(({ action }) => action === 'postgres.unreadable')
  const resources = await readResources(sqlAccess(upstream).session, isUnread)
  if (resources.length === 0) return operations
  return operations.map((operation) =>
    operation.impact.kind === 'read'
      ? operation
      : {
          ...operation,
          resources: [...operation.resources, ...resources],
          // of this session only: another has other values
          context: { ...operation.context, foldable: false },
        },
  )
}
