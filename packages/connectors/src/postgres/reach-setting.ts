import type { SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { readJson } from './catalog-query.ts'
import { textArray } from './resolve-name.ts'

const readerSchema = z.object({ kind: z.string(), name: z.string() }).nullable()

const like = 'OPERATOR(pg_catalog.~~)'
const concat = 'OPERATOR(pg_catalog.||)'
const calls = `${like} ANY (SELECT f.pattern FROM calling f)`
/** A call whose name is one constant, as people write it and as PostgreSQL prints it. */
const plainCall = String.raw`current_setting\s*\(\s*''[^'']*''\s*(::\s*text)?\s*[,)]`
/** What reads a setting by a name that the text does not show. */
const computed = String.raw`current_setting|''\s*show\M`

/**
 * Everything in the database that is code and may look at a parameter of somebody's own: expressions that call `current_setting`, found by the oid of what
 * they call, and bodies of functions in whatever language, found by the parameter's name. Only those are printed that can be meant.
 */
export const codeSql = `WITH calling(pattern) AS (SELECT '%:funcid ' ${concat} p.oid::pg_catalog.text ${concat} ' %' FROM pg_catalog.pg_proc p
    WHERE p.proname OPERATOR(pg_catalog.=) 'current_setting'::pg_catalog.name),
  code(kind, name, text) AS (
    SELECT 'policy', o.polname, pg_catalog.pg_get_expr(o.polqual, o.polrelid) FROM pg_catalog.pg_policy o WHERE o.polqual::pg_catalog.text ${calls}
    UNION ALL SELECT 'policy', o.polname, pg_catalog.pg_get_expr(o.polwithcheck, o.polrelid) FROM pg_catalog.pg_policy o
      WHERE o.polwithcheck::pg_catalog.text ${calls}
    UNION ALL SELECT 'view or rule', c.relname, pg_catalog.pg_get_ruledef(r.oid) FROM pg_catalog.pg_rewrite r
      JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.ev_class
      WHERE r.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND (r.ev_action::pg_catalog.text ${calls} OR r.ev_qual::pg_catalog.text ${calls})
    UNION ALL SELECT 'default of', c.relname, pg_catalog.pg_get_expr(f.adbin, f.adrelid) FROM pg_catalog.pg_attrdef f
      JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) f.adrelid WHERE f.adbin::pg_catalog.text ${calls}
    UNION ALL SELECT 'check', k.conname, pg_catalog.pg_get_expr(k.conbin, k.conrelid) FROM pg_catalog.pg_constraint k
      WHERE k.conbin::pg_catalog.text ${calls}
    UNION ALL SELECT 'trigger', g.tgname, pg_catalog.pg_get_triggerdef(g.oid) FROM pg_catalog.pg_trigger g
      WHERE NOT g.tgisinternal AND (g.tgqual::pg_catalog.text ${calls} OR g.tgnargs OPERATOR(pg_catalog.>) 0::pg_catalog.int2)
    UNION ALL SELECT 'function', p.proname, CASE WHEN p.proargdefaults IS NULL AND pg_catalog.to_jsonb(p) OPERATOR(pg_catalog.->>) 'prosqlbody' IS NULL
        THEN p.prosrc ELSE pg_catalog.pg_get_functiondef(p.oid) END
      FROM pg_catalog.pg_proc p WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND p.prokind OPERATOR(pg_catalog.<>) 'a'::pg_catalog."char")`

/** What in the database reads one of these parameters, or may: in words for people. Null when nothing does. */
export async function findSettingReader(channel: SqlChannel, names: readonly string[]): Promise<string | null> {
  const found = await readJson(
    channel,
    readerSchema,
    `${codeSql} SELECT COALESCE((SELECT pg_catalog.json_build_object('kind', c.kind, 'name', c.name) FROM code c
       WHERE EXISTS (SELECT FROM pg_catalog.unnest($1::pg_catalog.text[]) w(name)
           WHERE pg_catalog.strpos(pg_catalog.lower(c.text), w.name) OPERATOR(pg_catalog.>) 0)
         OR pg_catalog.regexp_replace(c.text, '${plainCall}', '', 'gi') OPERATOR(pg_catalog.~*) '${computed}'
       LIMIT 1), 'null'::pg_catalog.json)::pg_catalog.text`,
    [textArray(names.map((name) => name.toLowerCase()))],
  )
  return found === null ? null : `${found.kind} ${found.name}`
}
