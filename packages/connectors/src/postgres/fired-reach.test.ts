import type { ResolvedOperation } from '@sallyport/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openAccess, type RealAccess } from '../../../../tests/fakes/sql-access.ts'
import { startPostgres, type PostgresServer } from '../../../../tests/servers/postgres.ts'
import { closeParsers, describe as describeSql } from './describe.ts'
import { resolveReached } from './reach-resolve.ts'

let server: PostgresServer
let access: RealAccess

beforeAll(async () => {
  server = await startPostgres()
  access = await openAccess(server.url(), server.url())
  await server.query(`CREATE SCHEMA t; CREATE TABLE t.plain (id serial PRIMARY KEY, parent int REFERENCES t.plain, at timestamptz DEFAULT now(), v text CHECK (v <> ''));
    CREATE TABLE t.log (id int, what text);
    CREATE FUNCTION t.note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO t.log VALUES (NEW.id, 'x'); RETURN NEW; END$$;
    CREATE FUNCTION t.wipe() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM t.plain; RETURN NEW; END';
    CREATE FUNCTION t.again() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO t.circle VALUES (NEW.id); RETURN NEW; END$$;
    CREATE FUNCTION t.apart() RETURNS trigger LANGUAGE plpgsql SET search_path = t AS $$BEGIN INSERT INTO log VALUES (1, 'x'); RETURN NEW; END$$;
    CREATE TABLE t.noted (id int PRIMARY KEY, v int); CREATE TRIGGER n AFTER INSERT OR UPDATE ON t.noted FOR EACH ROW EXECUTE FUNCTION t.note();
    CREATE TABLE t.wiped (id int PRIMARY KEY, v int); CREATE TRIGGER w AFTER INSERT ON t.wiped FOR EACH ROW EXECUTE FUNCTION t.wipe();
    CREATE TABLE t.circle (id int); CREATE TRIGGER c AFTER INSERT ON t.circle FOR EACH ROW WHEN (NEW.id < 3) EXECUTE FUNCTION t.again();
    CREATE TABLE t.aparted (id int); CREATE TRIGGER a AFTER INSERT ON t.aparted FOR EACH ROW EXECUTE FUNCTION t.apart();
    CREATE SCHEMA hidden; CREATE TABLE hidden.log (id int); CREATE TABLE hidden.wiped (id int);
    CREATE TRIGGER w AFTER INSERT ON hidden.wiped FOR EACH ROW EXECUTE FUNCTION t.wipe(); CREATE TABLE public.wiped (id int);
    CREATE FUNCTION t.audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$BEGIN INSERT INTO hidden.log VALUES (1); RETURN NEW; END$$;
    CREATE FUNCTION t.define() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN INSERT INTO noticed VALUES (1); RETURN NEW; END$$;
    CREATE FUNCTION t.lead() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = hidden, public AS $$BEGIN INSERT INTO wiped VALUES (1); RETURN NEW; END$$;
    CREATE FUNCTION t.odd() RETURNS trigger LANGUAGE plpgsql SET search_path = t SET session_replication_role = origin AS $$BEGIN INSERT INTO log VALUES (1, 'x'); RETURN NEW; END$$;
    CREATE TABLE public.noticed (id int); CREATE TABLE t.audited (id int); CREATE TRIGGER a AFTER INSERT ON t.audited FOR EACH ROW EXECUTE FUNCTION t.audit();
    CREATE TABLE t.defined (id int); CREATE TRIGGER a AFTER INSERT ON t.defined FOR EACH ROW EXECUTE FUNCTION t.define();
    CREATE TABLE t.led (id int); CREATE TRIGGER a AFTER INSERT ON t.led FOR EACH ROW EXECUTE FUNCTION t.lead();
    CREATE TABLE t.odd (id int); CREATE TRIGGER a AFTER INSERT ON t.odd FOR EACH ROW EXECUTE FUNCTION t.odd();
    CREATE TABLE t.off (id int); CREATE TRIGGER w AFTER INSERT ON t.off FOR EACH ROW EXECUTE FUNCTION t.wipe(); ALTER TABLE t.off DISABLE TRIGGER w;
    CREATE TABLE t.deleted (id int PRIMARY KEY, v int); CREATE TRIGGER w AFTER DELETE ON t.deleted FOR EACH ROW EXECUTE FUNCTION t.wipe();
    CREATE EXTENSION file_fdw; CREATE SERVER f FOREIGN DATA WRAPPER file_fdw; CREATE FOREIGN TABLE t.away (id int) SERVER f OPTIONS (filename '/dev/null')`)
  await server.query(`CREATE FUNCTION t.purge(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN DELETE FROM t.plain; RETURN 1; END';
    CREATE FUNCTION t.purged(int) RETURNS bool LANGUAGE sql AS 'SELECT t.purge($1) = 1'; CREATE SEQUENCE t.turns;
    CREATE DOMAIN t.sure AS int CHECK (t.purged(VALUE)); CREATE TYPE t.holding AS (amount t.sure); CREATE TABLE t.typed (h t.holding);
    CREATE DOMAIN t.counted AS int CHECK (nextval('t.turns') > 0); CREATE DOMAIN t.positive AS int CHECK (VALUE > 0); CREATE TYPE t.span AS RANGE (subtype = int);
    CREATE TYPE t.pair AS (a int); CREATE FUNCTION t.pair_int(t.pair) RETURNS int LANGUAGE sql AS 'SELECT t.purge(1)';
    CREATE CAST (t.pair AS int) WITH FUNCTION t.pair_int(t.pair); CREATE TABLE t.pairs (p t.pair);
    CREATE TYPE t.own AS (a int); CREATE FUNCTION t.own_cmp(t.own, t.own) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN t.purge(1); END';
    CREATE FUNCTION t.own_lt(t.own, t.own) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN false; END';
    CREATE OPERATOR t.<<< (FUNCTION = t.own_lt, LEFTARG = t.own, RIGHTARG = t.own);
    CREATE OPERATOR CLASS t.own_ops DEFAULT FOR TYPE t.own USING btree AS OPERATOR 1 t.<<<, FUNCTION 1 t.own_cmp(t.own, t.own); CREATE TABLE t.owned (o t.own);
    CREATE OPERATOR public.!!! (FUNCTION = lo_unlink, RIGHTARG = oid); CREATE AGGREGATE public.max(bytea) (SFUNC = lo_from_bytea, STYPE = oid, INITCOND = '0');
    CREATE TABLE t.parted (id int) PARTITION BY LIST (t.purge(id)); CREATE TABLE t.parted_one PARTITION OF t.parted DEFAULT;
    CREATE TABLE t.unlinking (blob oid CHECK (lo_unlink(blob) = 1)); CREATE TABLE t.spread (id int) PARTITION BY RANGE (id);
    CREATE FOREIGN TABLE t.spread_away PARTITION OF t.spread DEFAULT SERVER f OPTIONS (filename '/dev/null');
    CREATE FUNCTION t.noted() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO t.log SELECT 1, command_tag FROM pg_event_trigger_ddl_commands(); END$$;
    CREATE FUNCTION pg_catalog.upper(int) RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN t.purge($1); END';
    CREATE FUNCTION t.erased() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM t.log; END'`)
})
afterAll(async () => {
  await access[Symbol.asyncDispose]()
  await server.stop()
  await closeParsers()
})

async function look(sql: string): Promise<ResolvedOperation> {
  const operations = await resolveReached(await describeSql({ sql }), access.upstream)
  await access.release()
  const [first] = operations.filter(({ impact }) => impact.kind !== 'read')
  if (!first) throw new Error('nothing but reads')
  return first
}

describe('what the server runs by itself with a plain write', () => {
  it.each([
    ['no trigger', "INSERT INTO t.plain (v) VALUES ('a')", 'write'],
    ['a trigger that adds', 'INSERT INTO t.noted VALUES (1, 1)', 'write'],
    ['a trigger that adds, on a keyed update', 'UPDATE t.noted SET v = 2 WHERE id = 1', 'write'],
    ['a trigger that adds, for each row of a query', 'INSERT INTO t.noted SELECT generate_series(1, 9), 1', 'write'],
    ['a trigger that fires itself', 'INSERT INTO t.circle VALUES (1)', 'write'],
    ['a trigger that is off', 'INSERT INTO t.off VALUES (1)', 'write'],
    ['a trigger of another event', 'UPDATE t.deleted SET v = 2 WHERE id = 1', 'write'],
    ['a trigger that deletes', 'INSERT INTO t.wiped VALUES (1, 1)', 'unknown'],
    ['a trigger that deletes, on an upsert', 'INSERT INTO t.wiped VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET v = 2', 'unknown'],
    ['a trigger that deletes, by COPY', 'COPY t.wiped FROM STDIN', 'unknown'],
    ['a trigger with a search_path of its own', 'INSERT INTO t.aparted VALUES (1)', 'write'],
    ['a trigger with its owner’s rights, into a schema that agents may not use', 'INSERT INTO t.audited VALUES (1)', 'write'],
    ['a trigger with its owner’s rights and names without a schema', 'INSERT INTO t.defined VALUES (1)', 'write'],
    ['a trigger whose search_path leads to a table with a worse one', 'INSERT INTO t.led VALUES (1)', 'unknown'],
    ['a trigger under other settings', 'INSERT INTO t.odd VALUES (1)', 'unknown'],
    ['a table on another server', 'INSERT INTO t.away VALUES (1)', 'unknown'],
  ])('%s', async (_name, sql, kind) => {
    const { impact, context } = await look(sql)
    expect(impact.kind).toBe(kind)
    if (kind === 'unknown') expect(context['foldable']).not.toBe(true)
  })

  it('a table without any stays cheap, and its verdict may be remembered', async () => {
    access.session.sent.length = 0
    const { context, copy } = await look("INSERT INTO t.plain (v) VALUES ('a')")
    expect(context['foldable']).toBe(true)
    expect(copy.kind).toBe('none')
    expect(access.session.sent.length).toBeLessThanOrEqual(4)
  })

  it('an approval is bound to the function that a trigger calls', async () => {
    const hashes = async (): Promise<readonly unknown[]> =>
      (await look('INSERT INTO t.wiped VALUES (1, 1)')).resources.map(({ schemaHash }) => schemaHash)
    const before = await hashes()
    await server.query(
      `CREATE OR REPLACE FUNCTION t.wipe() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM t.log; RETURN NEW; END'`,
    )
    expect(await hashes()).not.toEqual(before)
  })

  it('a temporary table of a name that a trigger writes to is not taken for the other', async () => {
    await access.session.query('CREATE TEMPORARY TABLE log (id int, what text)')
    expect((await look('INSERT INTO t.aparted VALUES (1)')).impact.kind).toBe('unknown')
    await access.session.query('DROP TABLE pg_temp.log')
    expect((await look('INSERT INTO t.aparted VALUES (1)')).impact.kind).toBe('write')
  })

  it('an agent whose role may not use the schema is not refused for it', async () => {
    await server.query(
      "CREATE ROLE app LOGIN PASSWORD 'app'; GRANT USAGE ON SCHEMA t TO app; GRANT INSERT ON ALL TABLES IN SCHEMA t TO app",
    )
    const narrow = await openAccess(server.url().replace('postgres:test-superuser@', 'app:app@'), server.url())
    const operations = await resolveReached(await describeSql({ sql: 'INSERT INTO t.audited VALUES (1)' }), narrow.upstream)
    expect(operations[0]?.impact.kind).toBe('write')
    await narrow[Symbol.asyncDispose]()
  })
})

describe('what a read runs without naming it', () => {
  it.each([
    ['an operator on the server’s own function', 'SELECT !!! 1::oid', 'destroy'],
    ['an aggregate of the server’s own functions', "SELECT max('x'::bytea)", 'write'],
    ['an overload beside the server’s own', 'SELECT upper(1)', 'unknown'],
    ['a cast that is written as the type it leads to', 'SELECT p::int FROM t.pairs', 'unknown'],
    ['the order of a type of somebody’s own', 'SELECT o FROM t.owned ORDER BY o', 'unknown'],
    ['a field of a domain', "SELECT '(1)'::t.holding", 'unknown'],
    ['a row of a table that has such a column', "SELECT jsonb_populate_record(NULL::t.typed, '{}')", 'unknown'],
    ['a literal compared to such a column', "SELECT 1 FROM t.typed WHERE h = '(1)'", 'unknown'],
    ['a domain whose check calls the server’s own', 'SELECT 1::t.counted', 'write'],
    ['a prepared parameter of a domain', 'PREPARE q(t.sure) AS SELECT $1; EXECUTE q(1)', 'unknown'],
    ['a table on another server', 'SELECT * FROM t.away', 'escalate'],
    ['a partition on another server', 'SELECT count(*) FROM t.spread', 'escalate'],
  ])('%s', async (_name, sql, kind) => {
    expect((await look(sql)).impact.kind).toBe(kind)
  })

  it('a parameter of a type that the client names by its oid', async () => {
    const [row] = await server.query("SELECT 't.sure'::regtype::oid::int AS oid")
    const described = await describeSql({ sql: 'SELECT $1', parameterTypes: [Number(row?.['oid'])] })
    expect(described[0]).toMatchObject({ impact: { kind: 'read' }, context: { provisional: true, rememberable: false } })
    const [operation] = await resolveReached(described, access.upstream)
    expect(operation?.impact.kind).toBe('unknown')
  })

  it.each(['SELECT 1::t.positive', 'SELECT v FROM t.plain ORDER BY v', "SELECT '[1,2]'::t.span"])('nothing: %s', async (sql) => {
    const operations = await resolveReached(await describeSql({ sql }), access.upstream)
    expect(operations.map(({ impact }) => impact.kind)).toEqual(operations.map(() => 'read'))
  })

  it.each([
    ['a partition’s key', 'INSERT INTO t.parted VALUES (1)'],
    ['a column of a row with a domain', "INSERT INTO t.typed VALUES ('(1)')"],
    ['a check that calls the server’s own', 'INSERT INTO t.unlinking VALUES (1)'],
  ])('beside a write: %s', async (_name, sql) => {
    expect((await look(sql)).impact.kind).toBe('unknown')
  })
})

describe('event triggers', () => {
  it.each([
    ['t.noted', 'CREATE TABLE t.made (id int)', 'write'],
    ['t.erased', 'CREATE TABLE t.made (id int)', 'unknown'],
    ['t.erased', "COMMENT ON TABLE t.plain IS 'x'", 'unknown'],
    ['t.erased', 'CREATE TEMP TABLE made (id int)', 'unknown'],
    ['t.erased', "INSERT INTO t.plain (v) VALUES ('a')", 'write'],
    ['t.erased', 'CREATE ROLE somebody', 'escalate'],
  ])('%s beside %s: %s', async (name, sql, kind) => {
    await server.query(`CREATE EVENT TRIGGER watched ON ddl_command_end EXECUTE FUNCTION ${name}()`)
    try {
      expect((await look(sql)).impact.kind).toBe(kind)
    } finally {
      await server.query('DROP EVENT TRIGGER watched')
    }
  })
})
