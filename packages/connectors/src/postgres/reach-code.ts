/** SQL that finds code behind names: what a value, a comparison or a row runs without the text naming it. Each operator with its schema: sessions ask this too. */

const eq = 'OPERATOR(pg_catalog.=)'
const ne = 'OPERATOR(pg_catalog.<>)'
const catalogSchema = `'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid`

function classOf(name: string): string {
  return `'pg_catalog.${name}'::pg_catalog.regclass::pg_catalog.oid`
}

/** Nor made by the server itself with something else, as the constructors of a range type are, and its cast to many of them. */
export function notOfExtension(table: string, oid: string): string {
  return `NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid ${eq} ${classOf(table)}
    AND d.objid ${eq} ${oid} AND d.deptype ${eq} ANY ('{e,i}'::pg_catalog."char"[]))`
}

/** The first oid of what is not the server's own since initdb: FirstNormalObjectId of its source. */
const firstOwnOid = '16384'
const isOwn = (oid: string): string => `${oid} OPERATOR(pg_catalog.>=) ${firstOwnOid}::pg_catalog.oid`

/** Whoever may do everything may put functions and operators of their own beside the server's. */
export function isPeoples(table: 'pg_proc' | 'pg_operator', oid: string, schema: string): string {
  return `(${schema} ${ne} ${catalogSchema} OR ${isOwn(oid)}) AND ${notOfExtension(table, oid)}`
}

const peoplesOwn = isPeoples('pg_proc', 'p.oid', 'p.pronamespace')

/** Relations by these names, with all that is read together with them: partitions and children. */
export function readTogether(names: string): string {
  return `WITH RECURSIVE r(name, oid) AS (SELECT c.relname, c.oid FROM pg_catalog.pg_class c
      WHERE c.relname ${eq} ANY (${names}) AND c.relkind ${eq} ANY ('{r,p,f,v,m}'::pg_catalog."char"[])
      AND c.relnamespace ${ne} ALL (ARRAY[${catalogSchema}, 'information_schema'::pg_catalog.regnamespace::pg_catalog.oid])
    UNION SELECT r.name, i.inhrelid FROM r JOIN pg_catalog.pg_inherits i ON i.inhparent ${eq} r.oid)`
}

/**
 * A step down from a type to those that it is made of: the base of a domain, elements, fields, bounds. A value of the whole is made of values of
 * these, and a domain among them checks its own.
 */
const madeOf = `SELECT t.typbasetype FROM pg_catalog.pg_type t WHERE t.oid ${eq} up.oid AND t.typtype ${eq} 'd'::pg_catalog."char"
  UNION ALL SELECT t.typelem FROM pg_catalog.pg_type t WHERE t.oid ${eq} up.oid AND t.typelem ${ne} 0::pg_catalog.oid
  UNION ALL SELECT a.atttypid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid ${eq} t.typrelid
    WHERE t.oid ${eq} up.oid AND t.typrelid ${ne} 0::pg_catalog.oid AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped
  UNION ALL SELECT g.rngsubtype FROM pg_catalog.pg_range g WHERE up.oid ${eq} g.rngtypid OR up.oid ${eq} g.rngmultitypid`

/** `up`: the types by these names and in rows of these relations, with all that they are made of. `seeds` gives (as, name, oid). */
export function typesBehind(seeds: string): string {
  return `up("as", name, oid) AS (${seeds}
    UNION SELECT up."as", up.name, s.oid FROM up CROSS JOIN LATERAL (${madeOf}) s(oid) WHERE ${isOwn('up.oid')})`
}

/**
 * Checks of the domains in `up`. That a row is a domain's is asked again right where it is printed: a condition on the text is computed before
 * the join where the planner likes it so, and the check of a table cannot be printed without its table.
 */
export const checksOfTypes = `SELECT up."as", up.name, CASE WHEN c.contypid ${ne} 0::pg_catalog.oid THEN pg_catalog.pg_get_expr(c.conbin, 0::pg_catalog.oid) END AS text
  FROM up JOIN pg_catalog.pg_constraint c ON c.contypid ${eq} up.oid WHERE ${isOwn('up.oid')} AND c.conbin IS NOT NULL`

/** What reading a relation runs: its policies, and columns that are computed as they are read. */
export function expressionsOfRelations(names: string): string {
  return `SELECT 'relation', c.relname, x.text FROM pg_catalog.pg_class c CROSS JOIN LATERAL (
      SELECT pg_catalog.pg_get_expr(o.polqual, o.polrelid) FROM pg_catalog.pg_policy o WHERE o.polrelid ${eq} c.oid AND c.relrowsecurity
      UNION ALL SELECT pg_catalog.pg_get_expr(f.adbin, f.adrelid) FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_attribute a
        ON a.attrelid ${eq} f.adrelid AND a.attnum ${eq} f.adnum WHERE f.adrelid ${eq} c.oid AND a.attgenerated ${eq} 'v'::pg_catalog."char") x(text)
    WHERE c.relname ${eq} ANY (${names}) AND x.text IS NOT NULL AND ${isOwn('c.oid')}`
}

const calls = `n.nspname, p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid ${eq} p.pronamespace`
const castCalls = `${calls} JOIN pg_catalog.pg_cast c ON c.castfunc ${eq} p.oid AND ${isOwn('c.oid')} AND ${notOfExtension('pg_cast', 'c.oid')}`
/** What an operator class calls: its support functions, and those of its operators. */
const classCalls = (classes: string): string => `CROSS JOIN LATERAL (SELECT m.amproc::pg_catalog.oid FROM pg_catalog.pg_opclass k
      JOIN pg_catalog.pg_amproc m ON m.amprocfamily ${eq} k.opcfamily WHERE ${classes} AND ${isOwn('m.oid')}
    UNION SELECT o.oprcode::pg_catalog.oid FROM pg_catalog.pg_opclass k JOIN pg_catalog.pg_amop m ON m.amopfamily ${eq} k.opcfamily
      JOIN pg_catalog.pg_operator o ON o.oid ${eq} m.amopopr WHERE ${classes} AND ${isOwn('m.oid')}) f(oid)
    JOIN pg_catalog.pg_proc p ON p.oid ${eq} f.oid AND ${peoplesOwn} JOIN pg_catalog.pg_namespace n ON n.oid ${eq} p.pronamespace`

/**
 * Functions of casts and of operator classes: neither ORDER BY, DISTINCT nor an index says which they use, and a cast that is written names only the
 * type that it leads to. They are found by the types in `up`, and those of casts between the server's own types always. What came with an extension is
 * trusted with it.
 */
export const behindValues = `SELECT 'cast' AS "as", p.proname AS name, ${castCalls}
    WHERE NOT (${isOwn('c.castsource')}) AND NOT (${isOwn('c.casttarget')})
  UNION SELECT up."as", up.name, ${castCalls} JOIN up ON up.oid ${eq} c.castsource OR up.oid ${eq} c.casttarget WHERE ${isOwn('up.oid')}
  UNION SELECT up."as", up.name, n.nspname, p.proname FROM up ${classCalls(`k.opcintype ${eq} up.oid AND ${isOwn('up.oid')}`)}`

/** The same of the indexes on relations. */
export function behindIndexes(names: string): string {
  return `SELECT 'relation', c.relname, n.nspname, p.proname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON i.indrelid ${eq} c.oid
    ${classCalls(`k.oid ${eq} ANY (i.indclass::pg_catalog.oid[]) AND ${isOwn('k.oid')}`)} WHERE c.relname ${eq} ANY (${names})`
}

/** The functions that an aggregate of somebody's own is made of: it has no text of its own. `isWanted` is a condition on `a` and `n`. */
export function partsOfAggregates(isWanted: string): string {
  return `SELECT DISTINCT s.nspname AS schema, p.proname AS name FROM pg_catalog.pg_aggregate g
    JOIN pg_catalog.pg_proc a ON a.oid ${eq} g.aggfnoid::pg_catalog.oid JOIN pg_catalog.pg_namespace n ON n.oid ${eq} a.pronamespace
    CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[g.aggtransfn::pg_catalog.oid, g.aggfinalfn::pg_catalog.oid, g.aggcombinefn::pg_catalog.oid,
      g.aggserialfn::pg_catalog.oid, g.aggdeserialfn::pg_catalog.oid, g.aggmtransfn::pg_catalog.oid, g.aggminvtransfn::pg_catalog.oid,
      g.aggmfinalfn::pg_catalog.oid]) part(oid)
    JOIN pg_catalog.pg_proc p ON p.oid ${eq} part.oid JOIN pg_catalog.pg_namespace s ON s.oid ${eq} p.pronamespace
    WHERE ${isPeoples('pg_proc', 'a.oid', 'a.pronamespace')} AND ${isWanted}`
}
