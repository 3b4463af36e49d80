import type { Operation, SqlChannel } from '@sallyport/core'
import { parseShownName } from './catalog-name.ts'
import { trustedExtensions, trustedFunctions, trustedVolatile } from './extension-trust.ts'
import { readContext } from './resolve-context.ts'
import { textArray } from './resolve-name.ts'

/** Names looked up for one operation at most. */
const namesMax = 50

/**
 * A read that calls functions known by an extension's name stays a read only when every function of that name in the database really belongs to
 * an extension whose functions are trusted to do nothing: whoever may CREATE could otherwise lend the name to something else.
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

/** Of which extension a function `p` is, if of any. */
const owner = `pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
  WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid
    AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass::pg_catalog.oid
    AND d.objid OPERATOR(pg_catalog.=) p.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog."char"`

const isTrusted = `EXISTS (SELECT FROM ${owner}
    AND ((e.extname OPERATOR(pg_catalog.=) ANY ($2::pg_catalog.name[]) AND (p.provolatile OPERATOR(pg_catalog.<>) 'v'::pg_catalog."char"
        OR p.proname OPERATOR(pg_catalog.=) ANY ($3::pg_catalog.name[])))
      OR EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($4::pg_catalog.name[]), pg_catalog.unnest($5::pg_catalog.name[])) t(extension, name)
        WHERE t.extension OPERATOR(pg_catalog.=) e.extname AND t.name OPERATOR(pg_catalog.=) p.proname)))`

function trust(names: readonly string[]): readonly string[] {
  const extensions = trustedFunctions.map(([extension]) => extension)
  return [names, trustedExtensions, trustedVolatile, extensions, trustedFunctions.map(([, name]) => name)].map(textArray)
}

async function areOfExtensions(session: SqlChannel, shown: readonly string[]): Promise<boolean> {
  const names = shown.flatMap((name) => parseShownName(name)?.at(-1) ?? [])
  if (names.length > namesMax || names.length < shown.length) return false
  const rows = await session.query(
    `SELECT pg_catalog.bool_and(f.candidates OPERATOR(pg_catalog.>) 0 AND f.proven)::pg_catalog.text
     FROM pg_catalog.unnest($1::pg_catalog.text[]) w(name)
     CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS candidates, COALESCE(pg_catalog.bool_and(${isTrusted}), false) AS proven
       FROM pg_catalog.pg_proc p WHERE p.proname OPERATOR(pg_catalog.=) w.name::pg_catalog.name) f`,
    trust(names),
  )
  return rows[0]?.[0] === 'true' || rows[0]?.[0] === 't'
}

/** A function by one of these names that belongs to an extension and may do more than compute; null when there is none. */
export async function findUntrusted(channel: SqlChannel, names: readonly string[]): Promise<string | null> {
  const rows = await channel.query(
    `SELECT p.proname::pg_catalog.text FROM pg_catalog.pg_proc p WHERE p.proname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.name[])
       AND EXISTS (SELECT FROM ${owner}) AND NOT ${isTrusted} LIMIT 1`,
    trust(names),
  )
  return rows[0]?.[0] ?? null
}
