import type { GateChannel } from './gate-channel.ts'

const eq = 'OPERATOR(pg_catalog.=)'
const isOwn = (oid: string): string => `${oid} OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid`
const classOf = (name: string): string => `'pg_catalog.${name}'::pg_catalog.regclass::pg_catalog.oid`
const ofExtension = (table: string, oid: string): string => `EXISTS (SELECT FROM pg_catalog.pg_depend e
  WHERE e.classid ${eq} ${classOf(table)} AND e.objid ${eq} ${oid} AND e.deptype ${eq} 'e'::pg_catalog."char")`

/** Checks of domains that call anything of somebody's own, or of the server's what may do more than compute: whatever else they depend on counts too. */
const doingChecks = `SELECT FROM pg_catalog.pg_constraint k WHERE ${isOwn('k.contypid')} AND ${isOwn('k.oid')} AND
  (EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid ${eq} ${classOf('pg_constraint')} AND d.objid ${eq} k.oid AND ${isOwn('d.refobjid')}
      AND NOT (d.refclassid ${eq} ${classOf('pg_type')} AND d.refobjid ${eq} k.contypid))
   OR EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.provolatile ${eq} 'v'::pg_catalog."char" AND NOT (${isOwn('p.oid')})
      AND pg_catalog.strpos(k.conbin::pg_catalog.text, pg_catalog.concat('funcid ', p.oid, ' ')) OPERATOR(pg_catalog.>) 0))`

/** Types read by functions of somebody's own; ranges whose bounds are put in order, or made canonical, by such. */
const doingTypes = `SELECT FROM pg_catalog.pg_type t WHERE ${isOwn('t.oid')} AND NOT ${ofExtension('pg_type', 't.oid')}
    AND (${isOwn('t.typinput::pg_catalog.oid')} OR ${isOwn('t.typmodin::pg_catalog.oid')})
  UNION ALL SELECT FROM pg_catalog.pg_range r WHERE ${isOwn('r.rngtypid')} AND NOT ${ofExtension('pg_type', 'r.rngtypid')}
    AND (${isOwn('r.rngsubtype')} OR ${isOwn('r.rngsubopc')} OR ${isOwn('r.rngcanonical::pg_catalog.oid')})`

const question = `SELECT EXISTS (${doingChecks}) OR EXISTS (${doingTypes})`

/**
 * Whether reading a string literal as a value of some type of this database could run code: of most types that is the server's own, which computes
 * and no more. What came with an extension is trusted with it.
 */
export async function runsByLiteral(channel: GateChannel): Promise<boolean> {
  const [row] = await channel.query(question)
  return row?.[0] !== 'f'
}
