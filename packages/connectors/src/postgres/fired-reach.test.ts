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
    ['a trigger under settings of its own', 'INSERT INTO t.aparted VALUES (1)', 'unknown'],
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
})
