/**
 * What PUBLIC gives to every role, a query for each kind of thing. Each row: `id`, for people to accept it by; `hole`, whether a role that has
 * nothing else can change or reach something by it; `what`, a sentence; `revoke`, the SQL that takes it from PUBLIC, null where none can; `keep`,
 * the head of the GRANT by which those who have it now keep it; `actable`, whether this administrator may run that.
 */

/** Extensions whose functions reach other servers, files, programs or other sessions' work. */
const reachingExtensions = [
  'adminpack',
  'aws_lambda',
  'aws_s3',
  'dblink',
  'file_fdw',
  'http',
  'mysql_fdw',
  'oracle_fdw',
  'pg_background',
  'pg_cron',
  'pg_net',
  'pg_surgery',
  'pg_task',
  'plsh',
  'postgres_fdw',
  'tds_fdw',
]

/** Functions of the server itself that everyone may run and that leave something behind. */
const writingFunctions = [
  'lo_creat',
  'lo_create',
  'lo_from_bytea',
  'lo_put',
  'lo_truncate',
  'lo_truncate64',
  'lo_unlink',
  'lowrite',
  'pg_logical_emit_message',
]

const listed = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(', ')

const databases = `
SELECT 'database ' || datname || ' create' AS id, true AS hole, 'Everyone may make schemas in this database.' AS what,
  format('REVOKE CREATE ON DATABASE %I FROM PUBLIC', datname) AS revoke, format('GRANT CREATE ON DATABASE %I TO', datname) AS keep,
  pg_has_role(datdba, 'USAGE') AS actable
FROM pg_database WHERE datname = current_database() AND has_database_privilege('public', oid, 'CREATE')
UNION ALL
SELECT 'database ' || datname || ' temporary', false, 'Everyone may make temporary tables in this database; only their own session sees them.',
  format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', datname), format('GRANT TEMPORARY ON DATABASE %I TO', datname), pg_has_role(datdba, 'USAGE')
FROM pg_database WHERE datname = current_database() AND has_database_privilege('public', oid, 'TEMPORARY')
UNION ALL
SELECT 'database ' || datname || ' connect', false, 'Everyone may connect to the database ' || datname || ' of the same server, if they can reach it.',
  format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', datname), format('GRANT CONNECT ON DATABASE %I TO', datname), pg_has_role(datdba, 'USAGE')
FROM pg_database WHERE datname <> current_database() AND datallowconn AND has_database_privilege('public', oid, 'CONNECT')`

const schemas = `
SELECT 'schema ' || nspname AS id, true AS hole, 'Everyone may make tables and functions in the schema ' || nspname || '.' AS what,
  format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', nspname) AS revoke, format('GRANT CREATE ON SCHEMA %I TO', nspname) AS keep,
  pg_has_role(nspowner, 'USAGE') AS actable
FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast)' AND has_schema_privilege('public', oid, 'CREATE')
UNION ALL
SELECT 'tablespace ' || spcname, true, 'Everyone may put tables into the tablespace ' || spcname || '.',
  format('REVOKE CREATE ON TABLESPACE %I FROM PUBLIC', spcname), format('GRANT CREATE ON TABLESPACE %I TO', spcname), pg_has_role(spcowner, 'USAGE')
FROM pg_tablespace WHERE has_tablespace_privilege('public', oid, 'CREATE')`

/** pg_settings takes an UPDATE for what SET does. `WRITES` stands for the privileges that the role is not meant to have. */
const relations = `
SELECT 'relation ' || nspname || '.' || relname AS id, true AS hole, 'Everyone may do more than read in ' || nspname || '.' || relname || '.' AS what,
  format('REVOKE %s ON %s %I.%I FROM PUBLIC', CASE relkind WHEN 'S' THEN 'USAGE, UPDATE' ELSE 'WRITES' END,
    CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, nspname, relname) AS revoke,
  format('GRANT %s ON %s %I.%I TO', (SELECT string_agg(held, ', ') FROM unnest(CASE relkind WHEN 'S' THEN '{USAGE,UPDATE}'::text[] ELSE string_to_array('WRITES', ', ') END) held
    WHERE CASE relkind WHEN 'S' THEN has_sequence_privilege('public', c.oid, held) ELSE has_table_privilege('public', c.oid, held) END),
    CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, nspname, relname) AS keep,
  pg_has_role(relowner, 'USAGE') AS actable
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.oid <> 'pg_settings'::regclass
  AND CASE WHEN relkind = 'S' THEN has_sequence_privilege('public', c.oid, 'USAGE, UPDATE')
    ELSE has_table_privilege('public', c.oid, 'WRITES') END
UNION ALL
SELECT 'columns ' || nspname || '.' || relname, true, 'Everyone may write some columns of ' || nspname || '.' || relname || '.',
  format('REVOKE ALL (%s) ON %I.%I FROM PUBLIC', string_agg(quote_ident(attname), ', '), nspname, relname), NULL, bool_and(pg_has_role(relowner, 'USAGE'))
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_attribute a ON attrelid = c.oid
WHERE EXISTS (SELECT FROM aclexplode(attacl) WHERE grantee = 0 AND privilege_type <> 'SELECT')
GROUP BY nspname, relname`

/**
 * Of functions only those that the role could name: in a schema that it may use. An aggregate's own functions are checked against its owner, not
 * against who runs it, so what they are counts for it.
 */
const functions = `
WITH reachable AS (
  SELECT p.*, n.nspname, lanname, lanpltrusted, (SELECT extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
      WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass LIMIT 1) AS extname
  FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace JOIN pg_language l ON l.oid = prolang
  WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND has_function_privilege('public', p.oid, 'EXECUTE') AND prokind <> 'a'
    AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
    AND (has_schema_privilege('public', n.oid, 'USAGE') OR NOT EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e'))
)
SELECT 'function ' || oid::regprocedure AS id, true AS hole,
  CASE WHEN prosecdef THEN 'Everyone may run ' || oid::regprocedure || ', which runs as ' || pg_get_userbyid(proowner) || ' (SECURITY DEFINER).'
    ELSE 'Everyone may run ' || oid::regprocedure || ', which is ' || lanname || ' and runs with the rights of the server itself.' END AS what,
  format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', oid::regprocedure) AS revoke, format('GRANT EXECUTE ON ROUTINE %s TO', oid::regprocedure) AS keep,
  pg_has_role(proowner, 'USAGE') AS actable
FROM reachable
WHERE (extname IS NULL OR extname NOT IN (${listed(reachingExtensions)}))
  AND (prosecdef OR (NOT lanpltrusted AND (extname IS NULL OR lanname NOT IN ('c', 'internal'))))
UNION ALL
SELECT 'extension ' || extname, true, 'Everyone may run what the extension ' || extname || ' brings: it reaches beyond this database.',
  'REVOKE EXECUTE ON ROUTINE ' || string_agg(oid::regprocedure::text, ', ') || ' FROM PUBLIC',
  'GRANT EXECUTE ON ROUTINE ' || string_agg(oid::regprocedure::text, ', ') || ' TO', bool_and(pg_has_role(proowner, 'USAGE'))
FROM reachable WHERE extname IN (${listed(reachingExtensions)}) GROUP BY extname
UNION ALL
SELECT 'function ' || a.oid::regprocedure, true, 'Everyone may run the aggregate ' || a.oid::regprocedure || ', which calls ' || string_agg(DISTINCT f.oid::regprocedure::text, ', ') ||
    ' with more than the rights of whoever runs it.',
  format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', a.oid::regprocedure), format('GRANT EXECUTE ON ROUTINE %s TO', a.oid::regprocedure), pg_has_role(a.proowner, 'USAGE')
FROM pg_proc a JOIN pg_namespace n ON n.oid = a.pronamespace JOIN pg_aggregate g ON g.aggfnoid = a.oid
  JOIN pg_proc f ON f.oid IN (aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn, aggminvtransfn, aggmfinalfn)
  JOIN pg_language l ON l.oid = f.prolang
WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND has_function_privilege('public', a.oid, 'EXECUTE')
  AND (f.prosecdef OR (NOT lanpltrusted AND lanname NOT IN ('c', 'internal')))
GROUP BY a.oid, a.proowner
UNION ALL
SELECT 'function ' || p.oid::regprocedure, true, 'Everyone may run ' || p.oid::regprocedure || ', which the server came with closed.',
  format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', p.oid::regprocedure), NULL, pg_has_role(proowner, 'USAGE')
FROM pg_proc p JOIN pg_init_privs i ON i.classoid = 'pg_proc'::regclass AND i.objoid = p.oid AND i.privtype = 'i'
WHERE has_function_privilege('public', p.oid, 'EXECUTE')
  AND NOT EXISTS (SELECT FROM aclexplode(i.initprivs) WHERE grantee = 0 AND privilege_type = 'EXECUTE')
UNION ALL
SELECT 'volatile functions', false, count(*) || ' volatile functions may be run by everyone. They run as whoever calls them, so a least role changes nothing by them that it could not change itself.',
  NULL, NULL, false
FROM reachable WHERE NOT prosecdef AND provolatile = 'v' AND extname IS NULL HAVING count(*) > 0
UNION ALL
SELECT 'system functions', false, 'Everyone may make large objects of their own and write messages into the write-ahead log (' || string_agg(DISTINCT proname::text, ', ') || ').',
  'REVOKE EXECUTE ON ROUTINE ' || string_agg(oid::regprocedure::text, ', ') || ' FROM PUBLIC',
  'GRANT EXECUTE ON ROUTINE ' || string_agg(oid::regprocedure::text, ', ') || ' TO', bool_and(pg_has_role(proowner, 'USAGE'))
FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN (${listed(writingFunctions)}) AND has_function_privilege('public', oid, 'EXECUTE')
HAVING count(*) > 0`

const foreign = `
SELECT 'server ' || srvname AS id, true AS hole, 'Everyone may use the foreign server ' || srvname || ' and map themselves to a user there.' AS what,
  format('REVOKE USAGE ON FOREIGN SERVER %I FROM PUBLIC', srvname) AS revoke, format('GRANT USAGE ON FOREIGN SERVER %I TO', srvname) AS keep,
  pg_has_role(srvowner, 'USAGE') AS actable
FROM pg_foreign_server WHERE has_server_privilege('public', oid, 'USAGE')
UNION ALL
SELECT 'wrapper ' || fdwname, true, 'Everyone may make foreign servers with the wrapper ' || fdwname || '.',
  format('REVOKE USAGE ON FOREIGN DATA WRAPPER %I FROM PUBLIC', fdwname), format('GRANT USAGE ON FOREIGN DATA WRAPPER %I TO', fdwname), pg_has_role(fdwowner, 'USAGE')
FROM pg_foreign_data_wrapper WHERE has_foreign_data_wrapper_privilege('public', oid, 'USAGE')
UNION ALL
SELECT 'mapping ' || srvname, false, 'Everyone is mapped to a user of the foreign server ' || srvname || '.', NULL, NULL, false
FROM pg_user_mappings WHERE umuser = 0
UNION ALL
SELECT 'language ' || lanname, true, 'Everyone may write functions and DO blocks in ' || lanname || ', which is not trusted.',
  format('REVOKE USAGE ON LANGUAGE %I FROM PUBLIC', lanname), format('GRANT USAGE ON LANGUAGE %I TO', lanname), pg_has_role(lanowner, 'USAGE')
FROM pg_language WHERE NOT lanpltrusted AND lanname NOT IN ('c', 'internal') AND has_language_privilege('public', oid, 'USAGE') AND lanispl
  AND EXISTS (SELECT FROM aclexplode(lanacl) WHERE grantee = 0)`

const objects = `
SELECT 'large object ' || oid AS id, true AS hole, 'Everyone may change the large object ' || oid || '.' AS what,
  format('REVOKE UPDATE ON LARGE OBJECT %s FROM PUBLIC', oid) AS revoke, format('GRANT UPDATE ON LARGE OBJECT %s TO', oid) AS keep,
  pg_has_role(lomowner, 'USAGE') AS actable
FROM pg_largeobject_metadata WHERE EXISTS (SELECT FROM aclexplode(lomacl) WHERE grantee = 0 AND privilege_type = 'UPDATE')
UNION ALL
SELECT 'lo_compat_privileges', true, 'lo_compat_privileges is on: everyone may change and remove every large object.', NULL, NULL, false
WHERE current_setting('lo_compat_privileges') = 'on' AND EXISTS (SELECT FROM pg_largeobject_metadata)
UNION ALL
SELECT 'rows', false, 'Behind row security the role sees what the policies for everyone show it, perhaps nothing: ' || string_agg(c.oid::regclass::text, ', ') || '.', NULL, NULL, false
FROM pg_class c WHERE relrowsecurity HAVING count(*) > 0
UNION ALL
SELECT 'defaults of ' || pg_get_userbyid(defaclrole) || coalesce(' in ' || nspname, '') || ' ' || defaclobjtype::text, true,
  'Whatever ' || pg_get_userbyid(defaclrole) || ' makes later' || coalesce(' in ' || nspname, '') || ' can be written by everyone.',
  format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE %s ON %s FROM PUBLIC', pg_get_userbyid(defaclrole), coalesce(format(' IN SCHEMA %I', nspname), ''),
    CASE defaclobjtype WHEN 'r' THEN 'WRITES' WHEN 'S' THEN 'USAGE, UPDATE' ELSE 'CREATE' END,
    CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' ELSE 'SCHEMAS' END),
  NULL, pg_has_role(defaclrole, 'USAGE')
FROM pg_default_acl LEFT JOIN pg_namespace n ON n.oid = defaclnamespace
WHERE defaclobjtype IN ('r', 'S', 'n') AND EXISTS (SELECT FROM aclexplode(defaclacl)
  WHERE grantee = 0 AND privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'CREATE')
    OR grantee = 0 AND defaclobjtype = 'S' AND privilege_type = 'USAGE')
UNION ALL
SELECT 'later functions of ' || pg_get_userbyid(maker), false, 'Functions that ' || pg_get_userbyid(maker) || ' makes later can be run by everyone, SECURITY DEFINER ones too.',
  format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC', pg_get_userbyid(maker)),
  format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT EXECUTE ON FUNCTIONS TO', pg_get_userbyid(maker)), pg_has_role(maker, 'USAGE')
FROM (SELECT datdba AS maker FROM pg_database WHERE datname = current_database()
  UNION SELECT relowner FROM pg_class WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')
  UNION SELECT proowner FROM pg_proc WHERE pronamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')) makers
WHERE NOT EXISTS (SELECT FROM pg_default_acl WHERE defaclrole = maker AND defaclnamespace = 0 AND defaclobjtype = 'f'
  AND NOT EXISTS (SELECT FROM aclexplode(defaclacl) WHERE grantee = 0))`

/** Parameters could be granted from PostgreSQL 15 on. */
const parameters = `
SELECT 'parameter ' || parname AS id, true AS hole, 'Everyone may change the server setting ' || parname || '.' AS what,
  format('REVOKE ALL ON PARAMETER %s FROM PUBLIC', parname) AS revoke, NULL AS keep, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS actable
FROM pg_parameter_acl WHERE EXISTS (SELECT FROM aclexplode(paracl) WHERE grantee = 0)`

/** @param writes what of INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER the role is not meant to have */
export function publicFindingQueries(version: number, writes: readonly string[]): readonly string[] {
  const queries = [databases, schemas, relations, functions, foreign, objects, ...(version >= 150_000 ? [parameters] : [])]
  return queries.map((sql) => sql.replaceAll('WRITES', writes.join(', ')))
}
