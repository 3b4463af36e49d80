/** Grants as people would write them; NULL stays NULL: it means the owner's defaults. */
function grantsSql(acl: string): string {
  return `CASE WHEN ${acl} IS NOT NULL THEN (
    SELECT coalesce(json_agg(json_build_object(
      'grantee', CASE WHEN x.grantee <> 0 THEN pg_get_userbyid(x.grantee) END,
      'privilege', x.privilege_type, 'grantable', x.is_grantable)
      ORDER BY x.ord), '[]')
    FROM aclexplode(${acl}) WITH ORDINALITY x(grantor, grantee, privilege_type, is_grantable, ord)) END`
}

/** Names of columns by their numbers, in the order of the numbers' array. */
function columnNamesSql(relation: string, numbers: string): string {
  return `(SELECT coalesce(json_agg(ka.attname ORDER BY k.ord), '[]') FROM unnest(${numbers}) WITH ORDINALITY k(num, ord)
    JOIN pg_attribute ka ON ka.attrelid = ${relation} AND ka.attnum = k.num)`
}

const columnsSql = `(SELECT coalesce(json_agg(json_build_object(
    'number', a.attnum, 'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull,
    'default', pg_get_expr(d.adbin, d.adrelid), 'identity', a.attidentity, 'generated', a.attgenerated,
    'collation', CASE WHEN a.attcollation <> t.typcollation THEN
      (SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
       WHERE co.oid = a.attcollation) END,
    'storage', CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END,
    'compression', nullif(a.attcompression::text, ''),
    'statistics', CASE WHEN a.attstattarget >= 0 THEN a.attstattarget END,
    'options', a.attoptions, 'comment', col_description(c.oid, a.attnum),
    'binary', t.typsend <> 0 AND t.typreceive <> 0,
    'grants', ${grantsSql('a.attacl')}) ORDER BY a.attnum), '[]')
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)`

const constraintsSql = `(SELECT coalesce(json_agg(json_build_object(
    'name', k.conname, 'type', k.contype, 'definition', pg_get_constraintdef(k.oid),
    'columns', ${columnNamesSql('c.oid', 'k.conkey')},
    'references', CASE WHEN k.contype = 'f' THEN k.confrelid::text END,
    'comment', obj_description(k.oid, 'pg_constraint')) ORDER BY k.conname), '[]')
  FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'c', 'x', 'f'))`

const indexesSql = `(SELECT coalesce(json_agg(json_build_object(
    'name', ic.relname, 'definition', pg_get_indexdef(i.indexrelid), 'unique', i.indisunique,
    'key', CASE WHEN i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
      AND NOT EXISTS (SELECT FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) kc(num)
        JOIN pg_attribute ka ON ka.attrelid = c.oid AND ka.attnum = kc.num WHERE NOT ka.attnotnull OR ka.attgenerated <> '')
      THEN ${columnNamesSql('c.oid', '(i.indkey::int2[])[0:i.indnkeyatts - 1]')} END,
    'backsConstraint', EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
      AND k.conrelid = c.oid),
    'replicaIdentity', i.indisreplident, 'clustered', i.indisclustered, 'ownTablespace', ic.reltablespace <> 0,
    'comment', obj_description(i.indexrelid, 'pg_class')) ORDER BY i.indisprimary DESC, ic.relname), '[]')
  FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = c.oid)`

const sequencesSql = `(SELECT coalesce(json_agg(json_build_object(
    'oid', s.seqrelid::text, 'schema', sn.nspname, 'name', sc.relname, 'column', sa.attname, 'ownership', sd.deptype,
    'type', format_type(s.seqtypid, NULL), 'start', s.seqstart::text, 'increment', s.seqincrement::text,
    'minimum', s.seqmin::text, 'maximum', s.seqmax::text, 'cache', s.seqcache::text, 'cycle', s.seqcycle,
    'comment', obj_description(s.seqrelid, 'pg_class'), 'grants', ${grantsSql('sc.relacl')}) ORDER BY s.seqrelid), '[]')
  FROM pg_depend sd JOIN pg_sequence s ON s.seqrelid = sd.objid JOIN pg_class sc ON sc.oid = s.seqrelid
  JOIN pg_namespace sn ON sn.oid = sc.relnamespace
  JOIN pg_attribute sa ON sa.attrelid = c.oid AND sa.attnum = sd.refobjsubid
  WHERE sd.classid = 'pg_class'::regclass AND sd.refclassid = 'pg_class'::regclass AND sd.refobjid = c.oid
    AND sd.refobjsubid > 0 AND sd.deptype IN ('a', 'i'))`

const triggersSql = `(SELECT coalesce(json_agg(json_build_object(
    'name', tg.tgname, 'definition', pg_get_triggerdef(tg.oid), 'enabled', tg.tgenabled, 'events', tg.tgtype,
    'functionHash', encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex'),
    'comment', obj_description(tg.oid, 'pg_trigger')) ORDER BY tg.tgname), '[]')
  FROM pg_trigger tg JOIN pg_proc p ON p.oid = tg.tgfoid WHERE tg.tgrelid = c.oid AND NOT tg.tgisinternal)`

const rulesSql = `(SELECT coalesce(json_agg(json_build_object(
    'name', r.rulename, 'definition', pg_get_ruledef(r.oid), 'enabled', r.ev_enabled, 'event', r.ev_type,
    'comment', obj_description(r.oid, 'pg_rewrite')) ORDER BY r.rulename), '[]')
  FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')`

const policiesSql = `(SELECT coalesce(json_agg(json_build_object(
    'name', po.polname, 'permissive', po.polpermissive, 'command', po.polcmd,
    'roles', (SELECT json_agg(CASE WHEN pr.role <> 0 THEN pg_get_userbyid(pr.role) END) FROM unnest(po.polroles) pr(role)),
    'using', pg_get_expr(po.polqual, po.polrelid), 'check', pg_get_expr(po.polwithcheck, po.polrelid),
    'comment', obj_description(po.oid, 'pg_policy')) ORDER BY po.polname), '[]')
  FROM pg_policy po WHERE po.polrelid = c.oid)`

const statisticsSql = `(SELECT coalesce(json_agg(json_build_object(
    'name', st.stxname, 'schema', stn.nspname, 'definition', pg_get_statisticsobjdef(st.oid)) ORDER BY st.oid), '[]')
  FROM pg_statistic_ext st JOIN pg_namespace stn ON stn.oid = st.stxnamespace WHERE st.stxrelid = c.oid)`

/** \`plain\`: without a row filter or a column list (read by name, since PostgreSQL 14 has neither column). */
const publicationsSql = `(SELECT coalesce(json_agg(json_build_object('name', pu.pubname,
    'plain', (to_jsonb(pp) -> 'prqual') IS NOT DISTINCT FROM 'null'::jsonb AND (to_jsonb(pp) -> 'prattrs') IS NOT DISTINCT FROM 'null'::jsonb)
    ORDER BY pu.pubname), '[]')
  FROM pg_publication_rel pp JOIN pg_publication pu ON pu.oid = pp.prpubid WHERE pp.prrelid = c.oid)`

const incomingSql = `(SELECT coalesce(json_agg(json_build_object('table', fc.oid::text, 'name', fk.conname,
    'definition', pg_get_constraintdef(fk.oid)) ORDER BY fc.oid, fk.conname), '[]')
  FROM pg_constraint fk JOIN pg_class fc ON fc.oid = fk.conrelid WHERE fk.confrelid = c.oid AND fk.contype = 'f')`

/** $1: oid[]. One JSON array of table shapes. */
export const tableShapeSql = `SELECT coalesce(json_agg(json_build_object(
  'oid', c.oid::text, 'schema', n.nspname, 'name', c.relname, 'label', format('%I.%I', n.nspname, c.relname), 'kind', c.relkind,
  'persistence', c.relpersistence, 'owner', pg_get_userbyid(c.relowner), 'partition', c.relispartition,
  'inheritance', EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = c.oid OR h.inhparent = c.oid),
  'typed', c.reloftype <> 0, 'accessMethod', (SELECT am.amname FROM pg_am am WHERE am.oid = c.relam),
  'ownTablespace', c.reltablespace <> 0,
  'extension', EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype IN ('e', 'x')),
  'securityLabel', EXISTS (SELECT FROM pg_seclabel l WHERE l.classoid = 'pg_class'::regclass AND l.objoid = c.oid),
  'options', coalesce(c.reloptions, '{}'), 'toastOptions',
    coalesce((SELECT tc.reloptions FROM pg_class tc WHERE tc.oid = c.reltoastrelid), '{}'),
  'replicaIdentity', c.relreplident, 'rowSecurity', c.relrowsecurity, 'forceRowSecurity', c.relforcerowsecurity,
  'comment', obj_description(c.oid, 'pg_class'), 'rowsEstimate', c.reltuples, 'bytes', coalesce(pg_total_relation_size(c.oid), 0),
  'version', c.xmin::text,
  'columns', ${columnsSql}, 'constraints', ${constraintsSql}, 'indexes', ${indexesSql}, 'sequences', ${sequencesSql},
  'triggers', ${triggersSql}, 'rules', ${rulesSql}, 'policies', ${policiesSql}, 'statistics', ${statisticsSql},
  'publications', ${publicationsSql}, 'grants', ${grantsSql('c.relacl')}, 'incoming', ${incomingSql}) ORDER BY c.oid), '[]')::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])`

/** $1: oid[] of plain views. One JSON array of view shapes. */
export const viewShapeSql = `SELECT coalesce(json_agg(json_build_object(
  'oid', c.oid::text, 'schema', n.nspname, 'name', c.relname, 'label', format('%I.%I', n.nspname, c.relname),
  'definition', pg_get_viewdef(c.oid), 'owner', pg_get_userbyid(c.relowner), 'options', coalesce(c.reloptions, '{}'),
  'comment', obj_description(c.oid, 'pg_class'),
  'columns', (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'comment', col_description(c.oid, a.attnum))
      ORDER BY a.attnum), '[]') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'extras', EXISTS (SELECT FROM pg_trigger tg WHERE tg.tgrelid = c.oid)
    OR EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')
    OR EXISTS (SELECT FROM pg_attrdef d WHERE d.adrelid = c.oid)
    OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL)
    OR EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype IN ('e', 'x'))
    OR EXISTS (SELECT FROM pg_seclabel l WHERE l.classoid = 'pg_class'::regclass AND l.objoid = c.oid),
  'reads', (SELECT coalesce(json_agg(DISTINCT p.refobjid::text), '[]') FROM pg_rewrite r JOIN pg_depend p
      ON p.classid = 'pg_rewrite'::regclass AND p.objid = r.oid AND p.refclassid = 'pg_class'::regclass
      WHERE r.ev_class = c.oid AND p.refobjid <> c.oid),
  'grants', ${grantsSql('c.relacl')}) ORDER BY c.oid), '[]')::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])`
