import type { SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { oidArray, oidSchema } from './catalog-name.ts'
import { readJson } from './catalog-query.ts'

/** Past this many objects a closure is not followed further: what is not followed is not covered. */
const objectsMax = 5000

export interface Seed {
  readonly catalog: 'pg_class' | 'pg_namespace'
  readonly oid: string
  /** Column number, or 0 for the whole object. */
  readonly column: number
}

const objectSchema = z.object({
  catalog: z.string(),
  oid: z.string(),
  column: z.number(),
  /** The relation it belongs to, or the relation it is. */
  relation: oidSchema.nullable(),
  relationKind: z.string().nullable(),
  /** For a constraint pg_constraint.contype, for a trigger `internal` when the server made it. */
  detail: z.string().nullable(),
  words: z.string().nullable(),
})
type DependentObject = z.infer<typeof objectSchema>

const dependSql = `WITH RECURSIVE found(classid, objid, objsubid) AS (
    SELECT s.c::regclass::oid, s.o, s.n FROM unnest($1::text[], $2::oid[], $3::int4[]) s(c, o, n)
  UNION
    SELECT step.classid, step.objid, step.objsubid FROM found f CROSS JOIN LATERAL (
      SELECT p.classid, p.objid, p.objsubid FROM pg_depend p
      WHERE p.refclassid = f.classid AND p.refobjid = f.objid AND (f.objsubid = 0 OR p.refobjsubid = f.objsubid)
        AND (p.deptype IN ('a', 'i', 'P', 'S') OR ($4::bool AND p.deptype = 'n'))
      UNION ALL
      SELECT p.refclassid, p.refobjid, p.refobjsubid FROM pg_depend p
      WHERE f.classid = 'pg_rewrite'::regclass AND p.classid = f.classid AND p.objid = f.objid AND p.deptype = 'i') step
  ), bounded AS (SELECT * FROM found LIMIT ${objectsMax + 1})
  SELECT coalesce(json_agg(json_build_object('catalog', f.classid::regclass::text, 'oid', f.objid::text, 'column', f.objsubid,
    'relation', rel.oid::text, 'relationKind', rel.relkind,
    'detail', CASE WHEN f.classid = 'pg_constraint'::regclass THEN (SELECT k.contype::text FROM pg_constraint k WHERE k.oid = f.objid)
      WHEN f.classid = 'pg_trigger'::regclass AND (SELECT t.tgisinternal FROM pg_trigger t WHERE t.oid = f.objid) THEN 'internal' END,
    'words', pg_describe_object(f.classid, f.objid, f.objsubid)) ORDER BY f.classid, f.objid, f.objsubid), '[]')::text
  FROM bounded f LEFT JOIN LATERAL (SELECT c.oid, c.relkind FROM pg_class c WHERE c.oid = CASE
    WHEN f.classid = 'pg_class'::regclass THEN coalesce((SELECT i.indrelid FROM pg_index i WHERE i.indexrelid = f.objid), f.objid)
    WHEN f.classid = 'pg_constraint'::regclass THEN (SELECT k.conrelid FROM pg_constraint k WHERE k.oid = f.objid)
    WHEN f.classid = 'pg_trigger'::regclass THEN (SELECT t.tgrelid FROM pg_trigger t WHERE t.oid = f.objid)
    WHEN f.classid = 'pg_attrdef'::regclass THEN (SELECT d.adrelid FROM pg_attrdef d WHERE d.oid = f.objid)
    WHEN f.classid = 'pg_policy'::regclass THEN (SELECT po.polrelid FROM pg_policy po WHERE po.oid = f.objid)
    WHEN f.classid = 'pg_rewrite'::regclass THEN (SELECT r.ev_class FROM pg_rewrite r WHERE r.oid = f.objid)
    WHEN f.classid = 'pg_statistic_ext'::regclass THEN (SELECT st.stxrelid FROM pg_statistic_ext st WHERE st.oid = f.objid)
    WHEN f.classid = 'pg_publication_rel'::regclass THEN (SELECT pp.prrelid FROM pg_publication_rel pp WHERE pp.oid = f.objid)
    WHEN f.classid = 'pg_type'::regclass THEN (SELECT coalesce(nullif(ty.typrelid, 0), el.typrelid) FROM pg_type ty
      LEFT JOIN pg_type el ON el.oid = ty.typelem AND el.typarray = ty.oid WHERE ty.oid = f.objid) END) rel ON true`

/** What goes when the seeds go. */
export interface DropClosure {
  /** Tables that lose rows or are dropped: the seeds' own and those found. */
  readonly tables: readonly string[]
  /** Plain views that go with them. */
  readonly views: readonly string[]
  /** Sequences that go with them; those not owned by one of the tables are not covered. */
  readonly sequences: readonly string[]
  /** Foreign keys of tables that stay. */
  readonly foreignKeys: readonly string[]
  /** All of what depends on the seeds, in words. */
  readonly words: readonly string[]
  /** What would go and could not be brought back: no copy is possible. */
  readonly uncovered: readonly string[]
}

/** What DROP of the seeds takes with it, as pg_depend knows it. `cascade`: also what only CASCADE would drop. */
export async function readDropClosure(channel: SqlChannel, seeds: readonly Seed[], cascade: boolean): Promise<DropClosure> {
  const objects = await readJson(channel, z.array(objectSchema), dependSql, [
    `{${seeds.map(({ catalog }) => catalog).join(',')}}`,
    oidArray(seeds.map(({ oid }) => oid)),
    `{${seeds.map(({ column }) => String(Math.trunc(column))).join(',')}}`,
    cascade ? 't' : 'f',
  ])
  return classify(seeds, objects)
}

function classify(seeds: readonly Seed[], objects: readonly DependentObject[]): DropClosure {
  const isRelation = (object: DependentObject): boolean => object.catalog === 'pg_class' && object.relation === object.oid
  const tables = new Set(objects.filter((object) => isRelation(object) && object.relationKind === 'r').map(({ oid }) => oid))
  const whole = new Set(objects.filter((object) => isRelation(object) && object.column === 0).map(({ oid }) => oid))
  const views = objects.filter((object) => isRelation(object) && object.relationKind === 'v').map(({ oid }) => oid)
  const seedTables = new Set(seeds.filter(({ catalog }) => catalog === 'pg_class').map(({ oid }) => oid))
  // A table of which only a column goes is covered when it is the very table that was named.
  const covered = new Set([...[...tables].filter((oid) => whole.has(oid) || seedTables.has(oid)), ...views])
  const foreignKeys: string[] = []
  const uncovered: string[] = []
  const uncoveredParts: string[] = []
  const words: string[] = []
  for (const object of objects) {
    const place = judge(object, covered, tables)
    if (place === 'foreign key') foreignKeys.push(object.oid)
    if (place === 'uncovered')
      (object.catalog === 'pg_class' ? uncovered : uncoveredParts).push(object.words ?? 'something without a name')
    const seed = seeds.some(({ oid, catalog }) => oid === object.oid && catalog === object.catalog)
    const own = object.relation !== null && tables.has(object.relation) && object.column === 0 && !tables.has(object.oid)
    if (!seed && place !== 'part' && (!own || place !== 'covered') && object.words !== null) words.push(object.words)
  }
  if (objects.length > objectsMax) uncovered.push(`more than ${objectsMax} objects depend on it`)
  const sequences = objects.filter((object) => isRelation(object) && object.relationKind === 'S').map(({ oid }) => oid)
  return {
    tables: [...tables].filter((oid) => covered.has(oid)),
    views: [...new Set(views)],
    sequences,
    foreignKeys,
    words,
    uncovered: [...uncovered, ...uncoveredParts],
  }
}

/** `part`: belongs to something covered and comes back with it. */
function judge(
  object: DependentObject,
  covered: ReadonlySet<string>,
  tables: ReadonlySet<string>,
): 'part' | 'covered' | 'foreign key' | 'uncovered' {
  const inside = object.relation !== null && covered.has(object.relation)
  switch (object.catalog) {
    case 'pg_namespace':
      return 'part'
    case 'pg_class':
      if (object.relationKind === 't' || object.relationKind === 'i') return 'part'
      // Sequences are judged against the shapes of their tables: owned ones come back with them.
      if (object.relationKind === 'S') return 'part'
      if (!inside) return 'uncovered'
      return object.column > 0 || (object.relation !== object.oid && tables.has(object.relation ?? '')) ? 'part' : 'covered'
    case 'pg_constraint':
      if (inside) return 'part'
      return object.detail === 'f' ? 'foreign key' : 'uncovered'
    case 'pg_trigger':
      return inside || object.detail === 'internal' ? 'part' : 'uncovered'
    case 'pg_publication_rel':
    case 'pg_attrdef':
    case 'pg_policy':
    case 'pg_rewrite':
    case 'pg_statistic_ext':
    case 'pg_type':
      return inside ? 'part' : 'uncovered'
    default:
      return 'uncovered'
  }
}

/** Tables that TRUNCATE … CASCADE empties: all that refer to the seeds, and so on. */
export async function readTruncateClosure(channel: SqlChannel, oids: readonly string[]): Promise<readonly string[]> {
  return readJson(
    channel,
    z.array(oidSchema),
    `WITH RECURSIVE hit(oid) AS (SELECT unnest($1::oid[]) UNION
       SELECT k.conrelid FROM hit JOIN pg_constraint k ON k.confrelid = hit.oid AND k.contype = 'f')
     SELECT coalesce(json_agg(oid::text ORDER BY oid), '[]')::text FROM hit`,
    [oidArray(oids)],
  )
}

const actionSchema = z.object({
  table: oidSchema,
  label: z.string(),
  name: z.string(),
  parent: oidSchema,
  /** c CASCADE, n SET NULL, d SET DEFAULT. */
  onDelete: z.enum(['c', 'n', 'd', 'a', 'r']),
  onUpdate: z.enum(['c', 'n', 'd', 'a', 'r']),
  columns: z.array(z.string()),
  parentColumns: z.array(z.string()),
  /** By which the server compares, a parent's column on the left: one for each pair of columns. */
  operators: z.array(z.object({ schema: z.string(), name: z.string().regex(/^[-+*/<>=~!@#%^&|`?]+$/) })),
})
export type ForeignKeyAction = z.infer<typeof actionSchema>

/** Every foreign key that a DELETE from (or an UPDATE of) the seeds can act through, down the cascades. */
export async function readForeignKeyActions(channel: SqlChannel, oids: readonly string[]): Promise<readonly ForeignKeyAction[]> {
  return readJson(
    channel,
    z.array(actionSchema),
    `WITH RECURSIVE hit(oid) AS (SELECT unnest($1::oid[]) UNION
       SELECT k.conrelid FROM hit JOIN pg_constraint k ON k.confrelid = hit.oid AND k.contype = 'f'
         AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')))
     SELECT coalesce(json_agg(json_build_object('table', k.conrelid::text, 'label', format('%I.%I', n.nspname, c.relname),
       'name', k.conname, 'parent', k.confrelid::text, 'onDelete', k.confdeltype, 'onUpdate', k.confupdtype,
       'columns', (SELECT json_agg(a.attname ORDER BY u.ord) FROM unnest(k.conkey) WITH ORDINALITY u(num, ord)
         JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num),
       'parentColumns', (SELECT json_agg(a.attname ORDER BY u.ord) FROM unnest(k.confkey) WITH ORDINALITY u(num, ord)
         JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num),
       'operators', (SELECT json_agg(json_build_object('schema', os.nspname, 'name', o.oprname) ORDER BY u.ord)
         FROM unnest(k.conpfeqop) WITH ORDINALITY u(op, ord) JOIN pg_operator o ON o.oid = u.op
         JOIN pg_namespace os ON os.oid = o.oprnamespace)) ORDER BY k.oid), '[]')::text
     FROM hit JOIN pg_constraint k ON k.confrelid = hit.oid AND k.contype = 'f' AND k.conparentid = 0
     JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace`,
    [oidArray(oids)],
  )
}
