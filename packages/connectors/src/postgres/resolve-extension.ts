import type { Operation, SqlChannel } from '@sallyport/core'
import { parseShownName } from './catalog-name.ts'
import { readContext } from './resolve-context.ts'
import { textArray } from './resolve-name.ts'

/** Names looked up for one operation at most. */
const namesMax = 50

/**
 * A read that calls functions known by an extension's name stays a read only when every function of that name in the database really belongs to
 * an extension and is not volatile: whoever may CREATE could otherwise lend the name to something else.
 */
export async function raiseByExtensions(session: SqlChannel, operation: Operation): Promise<Operation> {
  const { extensionFunctions } = readContext(operation)
  if (operation.impact.kind !== 'read' || extensionFunctions?.length === 0) return operation
  if (extensionFunctions !== null && (await areOfExtensions(session, extensionFunctions))) return operation
  return {
    ...operation,
    impact: { ...operation.impact, kind: 'unknown', reversible: false },
    why: `calls ${extensionFunctions?.slice(0, 5).join(', ') ?? 'functions'}, which in this database is not, or not only, an extension's own`,
  }
}

async function areOfExtensions(session: SqlChannel, shown: readonly string[]): Promise<boolean> {
  const names = shown.map((name) => parseShownName(name)?.at(-1))
  if (names.length > namesMax || names.some((name) => name === undefined)) return false
  const rows = await session.query(
    `SELECT pg_catalog.bool_and(f.candidates OPERATOR(pg_catalog.>) 0 AND f.proven)::pg_catalog.text
     FROM pg_catalog.unnest($1::pg_catalog.text[]) w(name)
     CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS candidates, COALESCE(pg_catalog.bool_and(
         p.provolatile OPERATOR(pg_catalog.<>) 'v'::pg_catalog."char"
         AND EXISTS (SELECT FROM pg_catalog.pg_depend d
           WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid
             AND d.objid OPERATOR(pg_catalog.=) p.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog."char")), false) AS proven
       FROM pg_catalog.pg_proc p WHERE p.proname OPERATOR(pg_catalog.=) w.name::pg_catalog.name) f`,
    [textArray(names.filter((name) => name !== undefined))],
  )
  return rows[0]?.[0] === 'true' || rows[0]?.[0] === 't'
}
