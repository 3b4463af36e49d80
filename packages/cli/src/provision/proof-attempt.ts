import type { DatabaseContent, Relation } from './database-content.ts'
import type { RolePrivileges } from './role-privileges.ts'
import type { RoleKind } from './role-scope.ts'
import { identifier, literal, qualified } from './sql-line.ts'

/** Something that the role must not be able to do, and is made to try. */
export interface Attempt {
  readonly what: string
  readonly sql: string
  /** In a transaction of the proof's own, that is rolled back. False only for what PostgreSQL refuses to run in one. */
  readonly inTransaction: boolean
  /** The finding about PUBLIC that would explain its going through. */
  readonly finding: string | null
  /** Undoes what it did, should it have gone through outside a transaction. */
  readonly undo: string | null
}

/** What stands on this server for the attempts to aim at. */
export interface ProofGround {
  readonly database: string
  readonly content: DatabaseContent
  readonly privileges: RolePrivileges
  readonly kind: RoleKind
  /** Of a connection of the administrator's that does nothing else. */
  readonly bystanderPid: number
  /** Roles that exist and that it must not become. */
  readonly roles: readonly string[]
  /** Large object that somebody else made; null: there is none. */
  readonly largeObject: string | null
  /** Schema of the dblink extension; null: not installed. */
  readonly dblinkSchema: string | null
}

/** Of each kind of relation; the catalog is asked about all of them. */
const triedMax = 25

function attempt(what: string, sql: string, finding: string | null = null): Attempt {
  return { what, sql, inTransaction: true, finding, undo: null }
}

export function listAttempts(ground: ProofGround): readonly Attempt[] {
  const { content, kind } = ground
  const tables = content.relations.filter((relation) => relation.kind === 'r' || relation.kind === 'p').slice(0, triedMax)
  const sequences = content.relations.filter((relation) => relation.kind === 'S').slice(0, triedMax)
  const [table] = tables
  return [
    ...tables.flatMap((relation) => attemptsOnTable(kind, relation)),
    ...sequences.flatMap((relation) => attemptsOnSequence(kind, relation)),
    ...(table === undefined ? [] : attemptsByCopy(qualified(table.schema, table.name))),
    ...content.schemas.slice(0, triedMax).flatMap(({ name }) => attemptsInSchema(name)),
    ...attemptsOnDatabase(ground),
    ...attemptsOnServer(),
    ...attemptsToBecome(ground),
    ...attemptsOnOthers(ground),
  ]
}

function attemptsOnTable(kind: RoleKind, { schema, name }: Relation): readonly Attempt[] {
  const table = qualified(schema, name)
  const finding = `relation ${schema}.${name}`
  const writes = [
    attempt(`INSERT into ${table}`, `INSERT INTO ${table} DEFAULT VALUES`, finding),
    attempt(`DELETE from ${table}`, `DELETE FROM ${table} WHERE false`, finding),
    attempt(`lock rows of ${table}`, `SELECT FROM ${table} LIMIT 0 FOR UPDATE`, finding),
    attempt(`lock ${table}`, `LOCK TABLE ${table} IN EXCLUSIVE MODE NOWAIT`, finding),
  ]
  return [
    ...(kind === 'writer' ? [] : writes),
    attempt(`TRUNCATE ${table}`, `TRUNCATE ${table}`, finding),
    attempt(`DROP ${table}`, `DROP TABLE ${table}`),
    attempt(`ALTER ${table}`, `ALTER TABLE ${table} ADD COLUMN sallyport_probe int`),
    attempt(`take ${table} over`, `ALTER TABLE ${table} OWNER TO CURRENT_USER`),
    attempt(`switch the triggers of ${table} off`, `ALTER TABLE ${table} DISABLE TRIGGER USER`),
    attempt(`index ${table}`, `CREATE INDEX ON ${table} ((1))`),
    attempt(`a rule on ${table}`, `CREATE RULE sallyport_probe AS ON INSERT TO ${table} DO ALSO NOTIFY sallyport_probe`),
    attempt(`a comment on ${table}`, `COMMENT ON TABLE ${table} IS 'sallyport probe'`),
  ]
}

function attemptsOnSequence(kind: RoleKind, { schema, name }: Relation): readonly Attempt[] {
  const sequence = qualified(schema, name)
  const finding = `relation ${schema}.${name}`
  const next = attempt(`nextval of ${sequence}`, `SELECT nextval(${literal(sequence)})`, finding)
  // To where it stands: a change that changes nothing, should it go through.
  const set = `SELECT setval(${literal(sequence)}, last_value, is_called) FROM ${sequence}`
  return [...(kind === 'writer' ? [] : [next]), attempt(`setval of ${sequence}`, set, finding)]
}

function attemptsByCopy(table: string): readonly Attempt[] {
  return [
    attempt('COPY to a file of the server', `COPY ${table} TO '/dev/null'`),
    attempt('COPY to a program on the server', `COPY ${table} TO PROGRAM 'true'`),
    attempt('COPY a query to a program on the server', "COPY (SELECT 1) TO PROGRAM 'true'"),
    attempt('COPY from a program on the server', `COPY ${table} FROM PROGRAM 'true'`),
    attempt('COPY from a file of the server', `COPY ${table} FROM '/dev/null'`),
  ]
}

function attemptsInSchema(schema: string): readonly Attempt[] {
  const finding = `schema ${schema}`
  const probe = qualified(schema, 'sallyport_probe')
  return [
    attempt(`a table in ${schema}`, `CREATE TABLE ${probe} ()`, finding),
    attempt(`a function in ${schema}`, `CREATE FUNCTION ${probe}() RETURNS int LANGUAGE sql AS 'SELECT 1'`, finding),
    attempt(`DROP SCHEMA ${schema}`, `DROP SCHEMA ${identifier(schema)} CASCADE`),
  ]
}

function attemptsOnDatabase({ database }: ProofGround): readonly Attempt[] {
  const name = identifier(database)
  return [
    attempt('CREATE SCHEMA', 'CREATE SCHEMA sallyport_probe', `database ${database} create`),
    attempt('a temporary table', 'CREATE TEMPORARY TABLE sallyport_probe ()', `database ${database} temporary`),
    attempt('CREATE EXTENSION', 'CREATE EXTENSION hstore SCHEMA public', `database ${database} create`),
    attempt('CREATE PUBLICATION', 'CREATE PUBLICATION sallyport_probe', `database ${database} create`),
    attempt(
      'CREATE EVENT TRIGGER',
      'CREATE EVENT TRIGGER sallyport_probe ON ddl_command_start EXECUTE FUNCTION pg_catalog.now()',
    ),
    attempt('settings of the database', `ALTER DATABASE ${name} SET work_mem = '4MB'`),
    attempt('a new large object', 'SELECT pg_catalog.lo_create(0)', 'system functions'),
    attempt(
      'a message in the write-ahead log',
      "SELECT pg_catalog.pg_logical_emit_message(true, 'sallyport', 'probe')",
      'system functions',
    ),
    attempt('a cast for everyone', 'CREATE CAST (int4 AS pg_catalog.point) WITH INOUT'),
    attempt('default privileges of another', 'ALTER DEFAULT PRIVILEGES FOR ROLE pg_monitor GRANT SELECT ON TABLES TO PUBLIC'),
  ]
}

function attemptsOnServer(): readonly Attempt[] {
  const outside = (what: string, sql: string, undo: string | null = null): Attempt => ({
    what,
    sql,
    inTransaction: false,
    finding: null,
    undo,
  })
  return [
    // Outside a transaction: chosen so that they change nothing where somebody may do them.
    outside('ALTER SYSTEM', 'ALTER SYSTEM RESET sallyport.probe'),
    outside('CREATE DATABASE', 'CREATE DATABASE sallyport_probe TEMPLATE sallyport_no_such_template'),
    outside('CREATE TABLESPACE', "CREATE TABLESPACE sallyport_probe LOCATION '/nonexistent'"),
    outside(
      'a write after a COMMIT inside DO',
      'DO $$BEGIN COMMIT; SET TRANSACTION READ WRITE; CREATE SCHEMA sallyport_probe; ROLLBACK; END$$',
    ),
    outside(
      'a replication slot',
      "SELECT pg_catalog.pg_create_physical_replication_slot('sallyport_probe')",
      "SELECT pg_catalog.pg_drop_replication_slot('sallyport_probe')",
    ),
    attempt('read a file of the server', "SELECT pg_catalog.pg_read_file('PG_VERSION')"),
    attempt('list a folder of the server', "SELECT pg_catalog.pg_ls_dir('.')"),
    attempt('import a file as large object', "SELECT pg_catalog.lo_import('/dev/null')"),
    attempt('export a large object to a file', "SELECT pg_catalog.lo_export(1, '/dev/null')"),
    attempt('switch the triggers of the session off', 'SET session_replication_role = replica'),
    attempt('make the server read its settings again', 'SELECT pg_catalog.pg_reload_conf()'),
    attempt('a restore point', "SELECT pg_catalog.pg_create_restore_point('sallyport probe')"),
    attempt('switch to a new WAL file', 'SELECT pg_catalog.pg_switch_wal()'),
    attempt('reset statistics', 'SELECT pg_catalog.pg_stat_reset_single_table_counters(0)'),
    attempt('passwords of roles', 'SELECT rolpassword FROM pg_catalog.pg_authid LIMIT 0'),
    attempt('credentials of foreign servers', 'SELECT umoptions FROM pg_catalog.pg_user_mapping LIMIT 0'),
  ]
}

function attemptsToBecome({ roles }: ProofGround): readonly Attempt[] {
  const [first = 'pg_monitor'] = roles
  return [
    ...roles.map((role) => attempt(`SET ROLE ${role}`, `SET ROLE ${identifier(role)}`)),
    attempt('SET SESSION AUTHORIZATION', `SET SESSION AUTHORIZATION ${identifier(first)}`),
    attempt('SET ROLE by set_config', `SELECT set_config('ro'||'le', ${literal(first)}, false)`),
    attempt('CREATE ROLE', 'CREATE ROLE sallyport_probe'),
    attempt('a role given to itself', `GRANT ${identifier(first)} TO CURRENT_USER`),
    attempt('its own end put off', "ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'"),
    attempt('superuser', 'ALTER ROLE CURRENT_USER SUPERUSER'),
    attempt('another role’s password', `ALTER ROLE ${identifier(first)} PASSWORD 'sallyport probe'`),
  ]
}

function attemptsOnOthers({ bystanderPid, largeObject, dblinkSchema }: ProofGround): readonly Attempt[] {
  return [
    attempt('end another’s session', `SELECT pg_catalog.pg_terminate_backend(${bystanderPid})`),
    attempt('cancel another’s statement', `SELECT pg_catalog.pg_cancel_backend(${bystanderPid})`),
    ...(largeObject === null
      ? []
      : [
          attempt('remove another’s large object', `SELECT pg_catalog.lo_unlink(${largeObject})`, 'lo_compat_privileges'),
          attempt('overwrite another’s large object', `SELECT pg_catalog.lo_put(${largeObject}, 0, 'x')`, 'lo_compat_privileges'),
        ]),
    ...(dblinkSchema === null
      ? []
      : [
          attempt(
            'a connection of its own by dblink',
            `SELECT ${identifier(dblinkSchema)}.dblink_connect('sallyport', 'host=127.0.0.1 port=1 user=x password=x connect_timeout=2')`,
            'extension dblink',
          ),
        ]),
  ]
}
