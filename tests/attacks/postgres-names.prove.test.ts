import { beforeEach, describe, expect, test } from 'vitest'
import { casesOf } from '../breadth.ts'
import { useAttackedGate } from '../servers/attacked-gate.ts'
import { arrange } from '../servers/gate.ts'

/** Names that mean one thing when they are looked at and another when they run; reads that change something; settings that are secrets. */
const rows = 1_200
const attacked = useAttackedGate({
  beforeGate: (postgres) => postgres.query('CREATE EXTENSION tablefunc; CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION pg_trgm'),
  prepare: async (postgres) => {
    await arrange(
      postgres,
      `CREATE TABLE orders (id int PRIMARY KEY, total int, customer_id int NOT NULL);
     CREATE TABLE payments (id int PRIMARY KEY, total int, customer_id int);
     CREATE TABLE notes (id serial, what text);
     CREATE FUNCTION purge() RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1';
     CREATE FUNCTION note() RETURNS int LANGUAGE plpgsql AS $$BEGIN INSERT INTO notes (what) VALUES ('x'); RETURN 1; END$$;
     CREATE FUNCTION public.upper(int) RETURNS int LANGUAGE sql AS $$INSERT INTO notes (what) VALUES ('upper'); SELECT 1$$;
     CREATE FUNCTION public.lower(int) RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN note(); END';
     CREATE FUNCTION public.initcap(int) RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN purge(); END';
     CREATE FUNCTION noted(int, int) RETURNS int LANGUAGE sql AS $$INSERT INTO notes (what) VALUES ('operator'); SELECT 1$$;
     CREATE OPERATOR public.=== (FUNCTION = noted, LEFTARG = int, RIGHTARG = int);
     CREATE FUNCTION note_row(orders) RETURNS int LANGUAGE sql AS $$INSERT INTO notes (what) VALUES ('column'); SELECT 1$$;
     CREATE FUNCTION public.reverse(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT -$1';
     CREATE FUNCTION sure_of(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN purge() = 1; END';
     CREATE DOMAIN sure AS int CHECK (sure_of(VALUE)); CREATE DOMAIN surer AS sure;
     CREATE TYPE pair AS (a int); CREATE FUNCTION pair_int(pair) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN purge(); END';
     CREATE CAST (pair AS int) WITH FUNCTION pair_int(pair);
     CREATE TABLE guarded (id int, owner text); INSERT INTO guarded VALUES (1, 'a'); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
     CREATE POLICY p ON guarded USING (sure_of(id));
     CREATE TABLE members (org int, who text); CREATE FUNCTION is_member(int) RETURNS bool STABLE SECURITY DEFINER LANGUAGE sql
       AS 'SELECT EXISTS (SELECT FROM members WHERE org = $1 AND who = current_setting($$app.user$$, true))';
     CREATE TABLE shared (id int, org int); ALTER TABLE shared ENABLE ROW LEVEL SECURITY; ALTER TABLE shared FORCE ROW LEVEL SECURITY;
     CREATE POLICY p ON shared USING (is_member(org));
     CREATE FUNCTION is_email(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 LIKE $$%@%$$';
     CREATE DOMAIN email AS text CHECK (is_email(VALUE));
     CREATE MATERIALIZED VIEW summed AS SELECT count(*) AS n FROM orders;
     CREATE MATERIALIZED VIEW purging AS SELECT purge() AS n WITH NO DATA;
     CREATE FUNCTION summing(int, bool) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN purge(); END';
     CREATE AGGREGATE public.max(bool) (SFUNC = summing, STYPE = int, INITCOND = '0');
     CREATE FUNCTION public.chr(text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN purge(); END';
     CREATE FUNCTION soundex(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM purge(); RETURN $1; END';
     CREATE FUNCTION metaphone_of(text) RETURNS text STABLE LANGUAGE plpgsql AS 'BEGIN RETURN soundex($1); END';
     CREATE FUNCTION negate(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT -$1';
     CREATE FUNCTION public.translate(int) RETURNS bigint LANGUAGE sql AS $$SELECT count(*)
       FROM connectby('(SELECT purge() AS id, 1 AS customer_id) x', 'id', 'customer_id', '1', 0) AS t(id int, customer_id int, level int)$$;
     CREATE VIEW noting AS SELECT upper(1);
     CREATE VIEW summary AS SELECT count(*) FROM orders;
     CREATE SCHEMA shop;`,
    )
    await postgres.query(
      'CREATE VIEW public.people AS SELECT rolname, rolpassword FROM pg_authid; GRANT SELECT ON people TO app_use',
    )
  },
})
const { runAs } = attacked

beforeEach(async () => {
  await arrange(
    attacked.postgres,
    `TRUNCATE orders, payments, notes; INSERT INTO orders SELECT i, 100, 7 FROM generate_series(1, ${rows}) i; INSERT INTO payments TABLE orders`,
  )
})

async function whole(): Promise<unknown> {
  const [row] = await attacked.postgres.query(
    `SELECT (SELECT count(*)::int FROM public.orders) AS o, (SELECT sum(total)::int FROM public.orders) AS s,
       (SELECT count(*)::int FROM public.payments) AS p, (SELECT count(*)::int FROM notes) AS n`,
  )
  return row
}

const reads: readonly (readonly [name: string, sql: string])[] = [
  ['an overload of the server’s function', 'SELECT upper(1)'],
  ['an overload labelled STABLE', 'SELECT lower(1)'],
  ['an overload labelled STABLE that deletes', 'SELECT initcap(1)'],
  ['an operator', 'SELECT 1 === 2'],
  ['a function written as a column', 'SELECT o.note_row FROM orders o LIMIT 1'],
  ['a view', 'SELECT * FROM noting'],
  ['a domain', 'SELECT 1::sure'],
  ['a domain over a domain', 'SELECT CAST(1 AS public.surer)'],
  ['a cast', 'SELECT ROW(1)::pair::int'],
  ['an overload beside a harmless function', 'SELECT negate(1), upper(1)'],
  ['a view of secrets beside a harmless function', 'SELECT negate(1), * FROM people'],
  ['a domain beside a harmless function', 'SELECT negate(1::sure)'],
  ['an overload that has an extension run text', 'SELECT translate(1)'],
  ['an aggregate', 'SELECT max(true)'],
  ['an aggregate over rows', 'SELECT max(total = 100) FROM orders'],
  ['EXPLAIN, which computes what is called IMMUTABLE', "EXPLAIN SELECT chr('a'::text)"],
  ['EXPLAIN ANALYZE', 'EXPLAIN ANALYZE SELECT upper(1)'],
  ['COPY', 'COPY (SELECT upper(1)) TO STDOUT'],
  ['a cursor', 'DECLARE c CURSOR WITH HOLD FOR SELECT upper(1)'],
  ['a function in FROM', 'SELECT * FROM upper(1)'],
  ['VALUES', 'VALUES (upper(1))'],
  ['a common table expression', 'WITH x AS MATERIALIZED (SELECT upper(1) AS y) SELECT count(y) FROM x'],
  ['the order of rows', 'SELECT id FROM orders ORDER BY upper(id) LIMIT 1'],
  ['a limit', 'SELECT id FROM orders LIMIT upper(1)'],
  ['a prepared statement', 'PREPARE q AS SELECT upper(1)'],
  ['a block', 'DO $$ BEGIN PERFORM upper(1); END $$'],
  ['a policy', 'SELECT * FROM guarded'],
  ['a policy behind a query', 'SELECT count(*) FROM orders WHERE id IN (SELECT id FROM guarded)'],
  [
    'a function of an extension that runs text',
    `SELECT * FROM connectby('(SELECT purge() AS id, 1 AS customer_id) x', 'id', 'customer_id', '1', 0) AS t(id int, customer_id int, level int)`,
  ],
]

describe('what changes something is no read', () => {
  test.each(casesOf(reads, 6))('%s', async (_name, sql) => {
    const before = await whole()
    const [ran] = await runAs('reader', [sql])
    expect(ran?.sqlState).toBe('42501')
    expect(await whole()).toEqual(before)
  })

  test('a materialized view is made anew only when its query is a read', async () => {
    const before = await whole()
    const ran = await runAs('writer', ['REFRESH MATERIALIZED VIEW purging', 'REFRESH MATERIALIZED VIEW summed'])
    expect(ran.map(({ sqlState }) => sqlState)).toEqual(['42501', '00000'])
    expect(await whole()).toEqual(before)
  })

  test('a body that only adds rows is a write, and not more', async () => {
    const ran = await runAs('writer', ['SELECT upper(1)', 'SELECT 1 === 2', 'SELECT o.note_row FROM orders o LIMIT 1'])
    expect(ran.map(({ sqlState }) => sqlState)).toEqual(['00000', '00000', '00000'])
  })

  test('what is honest is still a read', async () => {
    const ran = await runAs('reader', [
      'SELECT reverse(1), abs(-1) FROM orders LIMIT 1',
      'SELECT negate(total), abs(-1) FROM orders LIMIT 1',
      'SELECT * FROM summary',
      'SELECT * FROM summed',
      'SELECT * FROM shared',
      "SELECT 'a@b.c'::email",
      "SELECT similarity('a', 'b'), uuid_generate_v4(), uuid_nil()",
      "SELECT * FROM crosstab('SELECT id, total, total FROM orders ORDER BY 1 LIMIT 3') AS t(id int, a int)",
      "SELECT current_setting('statement_timeout'), current_setting('app.tenant', true)",
      'SELECT name, setting FROM pg_settings',
      'SHOW ALL',
      'SELECT pg_advisory_lock(7), pg_advisory_unlock(7)',
      'SET enable_seqscan = off',
    ])
    expect(ran.map(({ sqlState, message }) => `${sqlState} ${message}`)).toEqual(ran.map(() => '00000 '))
  })
})

describe('settings that are secrets', () => {
  test.each([
    'SHOW primary_conninfo',
    "SELECT current_setting('primary_conninfo')",
    "SELECT current_setting('primary_' || 'conninfo')",
    "SELECT pg_catalog.current_setting('app.settings.jwt_secret', true)",
    "SELECT setting FROM pg_settings WHERE name = 'primary_conninfo'",
    "DO $$ BEGIN RAISE NOTICE '%', current_setting('primary_conninfo'); END $$",
    'SELECT * FROM pg_file_settings',
    'SELECT subconninfo FROM pg_subscription',
  ])('%s', async (sql) => {
    const [ran] = await runAs('writer', [sql])
    expect(ran?.sqlState).toBe('42501')
  })

  test('a list of all settings, once the role may see those that are secret', async () => {
    await attacked.postgres.query('GRANT pg_read_all_settings TO app_use')
    const ran = await runAs('writer', [
      'SELECT * FROM pg_settings',
      'SELECT * FROM pg_catalog.pg_settings',
      'SELECT * FROM pg_show_all_settings()',
      'SHOW ALL',
    ])
    await attacked.postgres.query('REVOKE pg_read_all_settings FROM app_use')
    expect(ran.map(({ sqlState }) => sqlState)).toEqual(['42501', '42501', '42501', '42501'])
  })
})

describe('a name that everybody uses is not taken away unasked', () => {
  test.each([
    'ALTER TABLE orders RENAME TO orders_before',
    'ALTER TABLE orders RENAME COLUMN total TO sum',
    'ALTER TABLE orders SET SCHEMA shop',
    'ALTER VIEW summary RENAME TO summary_before',
    'ALTER SCHEMA shop RENAME TO shop_before',
    'BEGIN; ALTER TABLE public.orders RENAME TO orders_before; COMMIT',
  ])('%s', async (sql) => {
    const before = await whole()
    const [ran] = await runAs('writer', [sql])
    expect(ran?.sqlState).toBe('42501')
    expect(await whole()).toEqual(before)
  })

  test('one that is temporary, or was made just now, may be', async () => {
    const ran = await runAs('writer', [
      'CREATE TEMP TABLE draft (a int)',
      'ALTER TABLE draft RENAME COLUMN a TO b',
      'ALTER TABLE draft RENAME TO draft_two',
      'BEGIN',
      'CREATE TABLE made (a int)',
      'ALTER TABLE made RENAME TO made_two',
      'ROLLBACK',
    ])
    expect(ran.map(({ sqlState }) => sqlState)).toEqual(ran.map(() => '00000'))
  })
})

test.each([
  "INSERT INTO notes (what) VALUES (soundex('a'))",
  "UPDATE orders SET total = length(soundex('a')) WHERE id = 1",
  "INSERT INTO notes (what) SELECT v FROM (VALUES ('a')) t(v) WHERE metaphone_of(v) = v",
  "SELECT soundex('a')",
])('the name of an extension’s function lends its harmlessness to nobody: %s', async (sql) => {
  const before = await whole()
  const [ran] = await runAs('writer', [sql])
  expect(ran?.sqlState).toBe('42501')
  expect(await whole()).toEqual(before)
})

test('one row of a parent is not one row of its children', async () => {
  const before = await whole()
  const ran = await runAs('writer', [
    'CREATE TABLE above (customer_id int PRIMARY KEY, total int)',
    'ALTER TABLE orders INHERIT above',
    'UPDATE above SET total = 0 WHERE customer_id = 7',
  ])
  await arrange(attacked.postgres, 'ALTER TABLE orders NO INHERIT above; DROP TABLE above')
  expect(ran.map(({ sqlState }) => sqlState)).toEqual(['00000', '00000', '42501'])
  expect(await whole()).toEqual(before)
})

test('one row of a partitioned table is one row', async () => {
  await arrange(
    attacked.postgres,
    `CREATE TABLE visits (id int, day date, n int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
     CREATE TABLE visits_old PARTITION OF visits FOR VALUES FROM ('2020-01-01') TO ('2025-01-01');
     INSERT INTO visits VALUES (1, '2024-01-01', 1), (1, '2024-01-02', 1)`,
  )
  const ran = await runAs('writer', [
    "UPDATE visits SET n = 2 WHERE id = 1 AND day = '2024-01-01'",
    "UPDATE visits_old SET n = 2 WHERE id = 1 AND day = '2024-01-01'",
    'UPDATE visits SET n = 3 WHERE id = 1',
  ])
  expect(ran.map(({ sqlState }) => sqlState)).toEqual(['00000', '00000', '42501'])
})

const shadows: readonly (readonly [name: string, statements: readonly string[]])[] = [
  ['rolled back, in one text', ['BEGIN; CREATE TEMP TABLE orders (); ROLLBACK; DROP TABLE orders']],
  ['rolled back', ['BEGIN', 'CREATE TEMP TABLE orders ()', 'ROLLBACK', 'DROP TABLE orders']],
  [
    'rolled back to a savepoint',
    ['BEGIN', 'SAVEPOINT a', 'CREATE TEMP TABLE orders ()', 'ROLLBACK TO a', 'DROP TABLE orders', 'COMMIT'],
  ],
  ['gone at commit', ['BEGIN', 'CREATE TEMP TABLE orders (id int) ON COMMIT DROP', 'COMMIT', 'DELETE FROM orders']],
  ['dropped first', ['CREATE TEMP TABLE orders (id int)', 'DROP TABLE orders', 'DROP TABLE orders']],
  ['discarded', ['CREATE TEMP TABLE orders (id int)', 'DISCARD TEMP', 'TRUNCATE orders']],
  ['renamed away', ['CREATE TEMP TABLE orders (id int)', 'ALTER TABLE orders RENAME TO o', 'DELETE FROM orders']],
  ['a temporary view of another table', ['CREATE TEMP VIEW drafts AS SELECT * FROM orders', 'DELETE FROM drafts']],
  [
    'prepared while the temporary one was there',
    ['CREATE TEMP TABLE orders (id int, total int)', 'PREPARE d AS DELETE FROM orders', 'DROP TABLE orders', 'EXECUTE d'],
  ],
  [
    'a cursor over the temporary one',
    ['BEGIN', 'CREATE TEMP TABLE orders (id int, total int)', 'DROP TABLE orders', 'UPDATE orders SET total = 0', 'COMMIT'],
  ],
]

describe('a temporary table of the same name lends its harmlessness to nobody', () => {
  test.each(casesOf(shadows, 3))('%s', async (_name, statements) => {
    const before = await whole()
    const ran = await runAs('writer', statements)
    expect(await whole()).toEqual(before)
    expect(ran.some(({ sqlState }) => sqlState === '42501')).toBe(true)
  })

  test('a statement prepared by the protocol while it was there', async () => {
    const before = await whole()
    const connection = await attacked.gate.connect('writer')
    await connection.run('CREATE TEMP TABLE orders (id int, total int)')
    await connection.client.query({ name: 'wipe', text: 'DELETE FROM orders' })
    await connection.run('DROP TABLE orders')
    await expect(connection.client.query({ name: 'wipe', text: 'DELETE FROM orders' })).rejects.toMatchObject({ code: '42501' })
    await connection.close()
    expect(await whole()).toEqual(before)
  })
})
