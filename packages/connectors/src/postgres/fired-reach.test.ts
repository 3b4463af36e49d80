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
}, 60_000)
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
