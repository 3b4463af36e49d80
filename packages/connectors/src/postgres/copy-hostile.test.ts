import type { Operation, ResolvedOperation, Restored, SnapshotContent } from '@sallyport/core'
import { describe, expect, it } from 'vitest'
import { casesOf } from '../../../../tests/breadth.ts'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { openAccess } from '../../../../tests/fakes/sql-access.ts'
import { useTrialDatabase } from '../../../../tests/servers/trial-database.ts'
import { describe as describeSql } from './describe.ts'
import { quoteIdentifier } from './catalog-name.ts'
import { resolve } from './resolve.ts'
import { restore } from './restore.ts'
import { snapshot } from './snapshot.ts'

const trial = useTrialDatabase()
const { setUp, rows, fresh } = trial

async function look(
  sql: string,
  change: (operation: Operation) => Operation = (same) => same,
): Promise<readonly ResolvedOperation[]> {
  return resolve((await describeSql({ sql })).map(change), trial.access.upstream)
}

async function copy(resolved: readonly ResolvedOperation[], seal = new MemorySeal()): Promise<SnapshotContent> {
  return snapshot(resolved, trial.access.upstream, seal)
}

async function dropAndUndo(sql: string): Promise<Restored> {
  const resolved = await look(sql)
  expect(resolved.map(({ copy: plan }) => plan.kind)).not.toContain('impossible')
  const seal = new MemorySeal()
  const content = await copy(resolved, seal)
  await trial.access.run(sql)
  return restore(seal.reader(content), trial.access.upstream, () => undefined)
}

describe('rows of every kind', () => {
  it('come back bit for bit', async () => {
    await fresh(`CREATE TYPE t.mood AS ENUM ('a', 'b'); CREATE TYPE t.pair AS (x int, y text); CREATE DOMAIN t.positive AS int CHECK (VALUE > 0);
      CREATE TABLE t.kinds (i2 smallint, i8 bigint, n numeric, n2 numeric(10, 3), f4 real, f8 double precision, b boolean, tx text, vc varchar(5),
        c character(4), ch "char", nm name, by bytea, d date, tm time, tz timetz, ts timestamp(3), tstz timestamptz, iv interval, u uuid,
        j json, jb jsonb, x xml, a int[], a2 text[][], r int4range, mr tstzmultirange, p point, bx box, pa path, po polygon, ci circle, ip inet, ci2 cidr, mac macaddr,
        bi bit(3), vb bit varying, tv tsvector, tq tsquery, e t.mood, ea t.mood[], co t.pair, ca t.pair[], dm t.positive, o oid, m money, l pg_lsn, rc regclass)`)
    await setUp(`INSERT INTO t.kinds VALUES (1, -9223372036854775808, 'NaN', 1.500, 'Infinity', '-0', true, E'a\\tb\\\\N\\n', 'xy', 'z', 'c', 'nm', '\\x00ff', '-infinity', '24:00',
        '12:00+05:30', 'infinity', '2020-01-01 00:00:00.123456+02', '1 year -3 days 00:00:00.1', gen_random_uuid(), '{"a": 1,  "a": 2}', '{"b": [1, null]}', '<a/>',
        '[0:1]={1,NULL}', '{{a,"b,c"},{NULL,"\\"d"}}', '[1,5)', '{[2020-01-01, 2021-01-01)}', '(1,2)', '(1,2),(0,0)', '[(1,2),(3,4)]', '((1,2),(3,4))', '<(1,2),3>', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03',
        '101', '1', 'a:1 b', 'a & b', 'a', '{a,b}', '(1,"x,y")', '{"(1,)"}', 7, 4294967295, '1.50', '16/B374D848', 'pg_class');
      INSERT INTO t.kinds (n, f4, f8, tx, vc, c, by, d, ts, jb, a, a2, r, mr, vb, tv, e, co, ca) VALUES ('Infinity', 'NaN', 1e-300, '', '', '', '', 'infinity', '-infinity',
        'null', '{}', '{}', 'empty', '{}', '', '', 'b', ROW(NULL, NULL), '{}');
      INSERT INTO t.kinds (n, tx, by) VALUES (1.0, repeat('é', 200000), decode(repeat('00ff', 100000), 'hex'))`)
    const images = `SELECT encode(sha256(record_send(k)), 'hex') FROM t.kinds k ORDER BY 1`
    const before = await rows(images)
    expect(await dropAndUndo('DROP TABLE t.kinds')).toMatchObject({ rows: 3, verified: true })
    expect(await rows(images)).toBe(before)
  })

  it('tables without rows, without columns, and with very many columns', async () => {
    await fresh(
      `CREATE TABLE t.empty (id int PRIMARY KEY); CREATE TABLE t.bare (); CREATE UNLOGGED TABLE t.unlogged (a int) WITH (fillfactor = 70)`,
    )
    await setUp(`INSERT INTO t.bare SELECT FROM generate_series(1, 3); INSERT INTO t.unlogged VALUES (1)`)
    await setUp(
      `CREATE TABLE t.wide (${Array.from({ length: 1000 }, (_, index) => `c${index} int`).join(', ')}); INSERT INTO t.wide (c0, c999) VALUES (1, 2)`,
    )
    expect(await dropAndUndo('DROP TABLE t.empty, t.bare, t.unlogged, t.wide')).toMatchObject({ rows: 5, verified: true })
    expect(
      await rows(
        `SELECT (SELECT count(*) FROM t.bare), (SELECT c999 FROM t.wide), relpersistence, reloptions::text FROM pg_class WHERE relname = 'unlogged'`,
      ),
    ).toBe('[["3","2","u","{fillfactor=70}"]]')
  })

  it('columns that were dropped and added before', async () => {
    await fresh(`CREATE TABLE t.a (x int, gone text, id int PRIMARY KEY); INSERT INTO t.a VALUES (1, 'g', 1); ALTER TABLE t.a DROP COLUMN gone;
      ALTER TABLE t.a ADD COLUMN late int NOT NULL DEFAULT 42`)
    expect(await dropAndUndo('DROP TABLE t.a')).toMatchObject({ verified: true })
    expect(await rows('SELECT * FROM t.a')).toBe('[["1","1","42"]]')
  })
})

describe('names', () => {
  const names = [
    'a"; DROP TABLE t.bystander; --',
    "it's",
    'new\nline',
    'ÜNI ☃ \u{1f600}',
    'CamelCase',
    'select',
    ' ',
    '$1',
    '%I',
    '\\',
    '{a,"b"}',
    'public.x',
    'a.b',
  ]
  it.each(casesOf(names, 2))('%j is a name like any other', async (odd) => {
    const quoted = quoteIdentifier(odd)
    await fresh(`CREATE TABLE t.bystander (a int); CREATE SCHEMA IF NOT EXISTS ${quoted}; DROP TABLE IF EXISTS ${quoted}.${quoted} CASCADE;
      CREATE TABLE ${quoted}.${quoted} (${quoted} serial PRIMARY KEY, v text, CONSTRAINT ${quoteIdentifier(`c ${odd}`)} CHECK (${quoted} > 0));
      CREATE VIEW ${quoted}.${quoteIdentifier(`v ${odd}`)} AS SELECT * FROM ${quoted}.${quoted};
      COMMENT ON TABLE ${quoted}.${quoted} IS 'it''s \\'; INSERT INTO ${quoted}.${quoted} (v) VALUES ('x')`)
    expect(await dropAndUndo(`DROP TABLE ${quoted}.${quoted} CASCADE`)).toMatchObject({ rows: 1, verified: true, note: '' })
    const rowsOf = await look(`DELETE FROM ${quoted}.${quoted} AS ${quoted} WHERE ${quoted}.${quoted} = 1`)
    expect(rowsOf[0]).toMatchObject({ copy: { kind: 'rows' }, impact: { scope: { rows: 1, exact: true } } })
    await copy(rowsOf)
    await trial.access.release()
    expect(await rows(`SELECT count(*) FROM ${quoted}.${quoteIdentifier(`v ${odd}`)}`)).toBe('[["1"]]')
    await setUp(`DROP SCHEMA ${quoted} CASCADE; SELECT 1 FROM t.bystander`)
  })

  it('a search_path full of impostors changes nothing that the gate asks', async () => {
    await fresh(`CREATE TABLE t.orders (id int PRIMARY KEY); INSERT INTO t.orders VALUES (1), (2);
      CREATE TABLE t.alarm (a text);
      CREATE FUNCTION t.fire() RETURNS void LANGUAGE sql AS $$ INSERT INTO t.alarm VALUES ('called') $$;
      CREATE FUNCTION t.to_regclass(text) RETURNS regclass LANGUAGE sql AS $$ SELECT t.fire(); SELECT 'pg_class'::regclass $$;
      CREATE FUNCTION t.record_send(record) RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN PERFORM t.fire(); RETURN ''; END $$;
      CREATE FUNCTION t.sha256(bytea) RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN PERFORM t.fire(); RETURN ''; END $$;
      CREATE FUNCTION t.same(oid, oid) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM t.fire(); RETURN true; END $$;
      CREATE FUNCTION t.sametid(tid, tid) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM t.fire(); RETURN true; END $$;
      CREATE OPERATOR t.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = t.same); CREATE OPERATOR t.= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = t.sametid);
      CREATE TABLE t.pg_class (oid oid, relname text); CREATE TABLE t.pg_locks (a int)`)
    await trial.access.session.query('SET search_path = t, pg_catalog')
    const resolved = await look('DELETE FROM orders WHERE id >= 2')
    expect(resolved[0]).toMatchObject({ copy: { kind: 'rows', rowsEstimate: 1 }, resources: [{ name: 't.orders' }] })
    expect(await copy(resolved)).toMatchObject({ rows: 1 })
    await trial.access.release()
    const dropped = await look('DROP TABLE orders')
    expect(await copy(dropped)).toMatchObject({ rows: 2 })
    await trial.access.release()
    expect(await rows('SELECT * FROM t.alarm')).toBe('[]')
  })

  it('a temporary table in front of the real one is what is dropped, and is no loss', async () => {
    await fresh(`CREATE TABLE public.orders2 (id int); INSERT INTO public.orders2 VALUES (1)`)
    await trial.access.session.query('CREATE TEMP TABLE orders2 (id int)')
    expect((await look('DROP TABLE orders2'))[0]).toMatchObject({
      temporary: true,
      impact: { kind: 'write', reversible: true },
      copy: { kind: 'none' },
    })
    expect((await look('DROP TABLE public.orders2'))[0]).toMatchObject({ impact: { kind: 'destroy' }, copy: { kind: 'tables' } })
    const [, , , trick] = await look('BEGIN; CREATE TEMP TABLE orders2 (); ROLLBACK; DROP TABLE orders2')
    expect(trick).not.toMatchObject({ temporary: true })
    expect(trick?.copy.kind).toBe('impossible')
    await setUp('DROP TABLE public.orders2')
  })
})

describe('what changes between look and copy', () => {
  it('another table under the name, another column, another dependant: target_changed, nothing sealed', async () => {
    for (const change of [
      'DROP TABLE t.a; CREATE TABLE t.a (id int)',
      'ALTER TABLE t.a ADD COLUMN more int',
      'ALTER TABLE t.a ALTER COLUMN id SET DEFAULT 4',
      'CREATE VIEW t.v AS SELECT * FROM t.a',
      'CREATE TABLE t.b (a int REFERENCES t.a)',
      `CREATE FUNCTION t.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER g AFTER DELETE ON t.a EXECUTE FUNCTION t.f()`,
    ]) {
      await fresh(`CREATE TABLE t.a (id int PRIMARY KEY)`)
      const resolved = await look('DROP TABLE t.a CASCADE')
      await setUp(change)
      const seal = new MemorySeal()
      await expect(copy(resolved, seal), change).rejects.toMatchObject({ code: 'target_changed' })
      expect(seal.parts.size).toBe(0)
    }
  })

  it('no row is lost to a writer who comes in between', async () => {
    await fresh(`CREATE TABLE t.a (id serial PRIMARY KEY, v text); INSERT INTO t.a (v) SELECT 'x' FROM generate_series(1, 500)`)
    const writer = await openAccess(trial.server.url('trial'), trial.server.url('trial'))
    const resolved = await look('DROP TABLE t.a')
    const seal = new MemorySeal()
    // The writer's row is not committed when the copy begins: the copy must wait for it.
    await writer.session.query('BEGIN')
    await writer.session.query(`INSERT INTO t.a (v) VALUES ('late')`)
    const copying = copy(resolved, seal)
    await waitUntilBlocked('LOCK TABLE')
    await writer.session.query('COMMIT')
    const content = await copying
    const blocked = writer.session.query(`INSERT INTO t.a (v) VALUES ('too late')`).then(
      () => 'written',
      () => 'refused',
    )
    await waitUntilBlocked('INSERT')
    await trial.access.run('DROP TABLE t.a')
    expect(await blocked).toBe('refused')
    expect(await restore(seal.reader(content), trial.access.upstream, () => undefined)).toMatchObject({
      rows: 501,
      verified: true,
    })
    await writer[Symbol.asyncDispose]()
  })

  it('a lock that is not to be had in time: copy_failed', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY)`)
    const writer = await openAccess(trial.server.url('trial'), trial.server.url('trial'))
    const resolved = await look('TRUNCATE t.a')
    await writer.session.query('BEGIN')
    await writer.session.query('INSERT INTO t.a VALUES (1)')
    await expect(copy(resolved)).rejects.toMatchObject({
      code: 'copy_failed',
      message: expect.stringContaining('could not be locked'),
    })
    await writer.session.query('ROLLBACK')
    await writer[Symbol.asyncDispose]()
  })

  it('rows that only this open transaction sees are not copied in part', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY)`)
    await trial.access.session.query('BEGIN')
    await trial.access.session.query('INSERT INTO t.a VALUES (1)')
    await expect(copy(await look('TRUNCATE t.a'))).rejects.toMatchObject({
      code: 'copy_failed',
      message: expect.stringContaining('open transaction'),
    })
    await trial.access.session.query('ROLLBACK')
    await trial.access.session.query('BEGIN')
    await trial.access.session.query('ALTER TABLE t.a ADD COLUMN v int')
    expect((await look('DROP TABLE t.a'))[0]?.copy.kind).toBe('impossible')
  })

  it('leaves the time limits of the session as they were', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY)`)
    await trial.access.session.query(`SET statement_timeout = '77s'`)
    await copy(await look('DROP TABLE t.a'))
    expect(
      await trial.access.session.query(`SELECT current_setting('statement_timeout'), current_setting('lock_timeout')`),
    ).toEqual([['77s', '0']])
  })
})

async function waitUntilBlocked(start: string): Promise<void> {
  const deadline = Date.now() + 60_000
  for (;;) {
    const found = await trial.server.query(
      `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND strpos(query, $1) > 0`,
      [start],
      'trial',
    )
    if (found.length > 0) return
    if (Date.now() > deadline) throw new Error(`nothing waits for a lock in ${start}`)
  }
}

describe('a copy that is not what was read', () => {
  it.each([
    ['a flipped bit', (bytes: Buffer) => Buffer.from(bytes.map((byte, index) => (index === bytes.length - 4 ? byte ^ 1 : byte)))],
    ['a shorter part', (bytes: Buffer) => bytes.subarray(0, bytes.length - 40)],
    ['nothing', () => Buffer.alloc(0)],
  ])('%s in the vault: copy_failed before, refusal after', async (_, tamper) => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY, v text); INSERT INTO t.a SELECT g, 'v' FROM generate_series(1, 50) g`)
    const resolved = await look('DROP TABLE t.a')
    const bad = new MemorySeal()
    bad.tamper = (__, bytes) => tamper(bytes)
    await expect(copy(resolved, bad)).rejects.toMatchObject({ code: 'copy_failed' })
    await trial.access.release()
    expect(await rows(`SELECT count(*) FROM pg_class WHERE relname LIKE 'sallyport%'`)).toBe('[["0"]]')
    const good = new MemorySeal()
    const content = await copy(resolved, good)
    await trial.access.run('DROP TABLE t.a')
    good.tamper = (__, bytes) => tamper(bytes)
    await expect(restore(good.reader(content), trial.access.upstream, () => undefined)).rejects.toMatchObject({
      code: 'upstream_failed',
    })
    expect(await rows(`SELECT to_regclass('t.a')`)).toBe('[[null]]')
    good.tamper = (__, bytes) => bytes
    expect(await restore(good.reader(content), trial.access.upstream, () => undefined)).toMatchObject({ verified: true })
  })
})

describe('shapes that are not covered', () => {
  it.each([
    [
      'partitioned',
      'CREATE TABLE t.a (id int) PARTITION BY RANGE (id); CREATE TABLE t.p PARTITION OF t.a DEFAULT',
      'DROP TABLE t.a',
      /partition/,
    ],
    [
      'a partition',
      'CREATE TABLE t.a (id int) PARTITION BY RANGE (id); CREATE TABLE t.p PARTITION OF t.a DEFAULT',
      'TRUNCATE t.p',
      /partition/,
    ],
    ['inherited', 'CREATE TABLE t.a (id int); CREATE TABLE t.c () INHERITS (t.a)', 'DELETE FROM t.a', /inherit/],
    [
      'materialized view',
      'CREATE TABLE t.a (id int); CREATE MATERIALIZED VIEW t.m AS SELECT * FROM t.a',
      'DROP TABLE t.a CASCADE',
      /materialized view/,
    ],
    [
      'a function that goes with it',
      `CREATE TABLE t.a (id int); CREATE FUNCTION t.f(t.a) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
      'DROP TABLE t.a CASCADE',
      /function/,
    ],
    [
      'a column of its row type',
      'CREATE TABLE t.a (id int); CREATE TABLE t.b (x t.a, y int)',
      'DROP TABLE t.a CASCADE',
      /column x of table t.b/,
    ],
    ['a view', 'CREATE TABLE t.a (id int PRIMARY KEY); CREATE VIEW t.v AS SELECT * FROM t.a', 'DELETE FROM t.v', /is a view/],
    [
      'a trigger',
      `CREATE TABLE t.a (id int PRIMARY KEY); CREATE FUNCTION t.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM t.a; RETURN OLD; END'; CREATE TRIGGER f BEFORE DELETE ON t.a FOR EACH ROW EXECUTE FUNCTION t.f()`,
      'DELETE FROM t.a',
      /trigger f/,
    ],
    [
      'a trigger further down',
      `CREATE TABLE t.a (id int PRIMARY KEY); CREATE TABLE t.b (a int REFERENCES t.a ON DELETE CASCADE); CREATE FUNCTION t.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN TRUNCATE t.a; RETURN OLD; END'; CREATE TRIGGER f BEFORE DELETE ON t.b FOR EACH ROW EXECUTE FUNCTION t.f()`,
      'DELETE FROM t.a',
      /trigger f on t.b/,
    ],
    [
      'a rule',
      'CREATE TABLE t.a (id int PRIMARY KEY); CREATE RULE r AS ON DELETE TO t.a DO INSTEAD NOTHING',
      'DELETE FROM t.a',
      /rule r|can not be told/,
    ],
    [
      'a default by foreign key',
      'CREATE TABLE t.a (id int PRIMARY KEY); CREATE TABLE t.b (a int DEFAULT 0 REFERENCES t.a ON DELETE SET DEFAULT)',
      'DELETE FROM t.a',
      /default/,
    ],
    ['a whole database', '', 'DROP DATABASE other', /database/],
    ['a type', `CREATE TYPE t.e AS ENUM ('a'); CREATE TABLE t.a (e t.e)`, 'DROP TYPE t.e CASCADE', /no copy covers/],
    [
      'a function in a schema',
      `CREATE FUNCTION t.f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
      'DROP SCHEMA t CASCADE',
      /function/,
    ],
    ['a sequence of its own in a schema', 'CREATE SEQUENCE t.s', 'DROP SCHEMA t CASCADE', /sequence/],
    ['something that is not there', '', 'DROP TABLE t.nothing', /not found/],
    ['a type without binary form', 'CREATE TABLE t.a (x aclitem)', 'DROP TABLE t.a', /no binary form/],
    [
      'names that may change on the way',
      'CREATE TABLE t.a (id int); CREATE TABLE t.b (id int)',
      'DROP TABLE t.a; ALTER TABLE t.b RENAME TO a; DROP TABLE t.a',
      /other statements/,
    ],
  ])('%s: refused with a reason and a remedy', async (_, before, sql, reason) => {
    await fresh(`${before}; SELECT 1`)
    const resolved = await look(sql)
    const plan = resolved.map(({ copy: one }) => one).find(({ kind }) => kind === 'impossible')
    expect(plan).toMatchObject({ kind: 'impossible', reason: expect.stringMatching(reason), remedy: expect.stringMatching(/\w/) })
    const seal = new MemorySeal()
    await expect(copy(resolved, seal)).rejects.toMatchObject({ code: 'copy_failed' })
    expect(seal.parts.size).toBe(0)
  })

  it('a role that may not lock a table its statement reaches by cascade', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY); CREATE TABLE t.b (a int REFERENCES t.a ON DELETE CASCADE); DROP ROLE IF EXISTS weak;
      CREATE ROLE weak LOGIN PASSWORD 'weak'; GRANT USAGE ON SCHEMA t TO weak; GRANT SELECT, DELETE ON t.a TO weak`)
    const weak = await openAccess(
      trial.server.url('trial').replace('postgres:test-superuser', 'weak:weak'),
      trial.server.url('trial'),
    )
    const [resolved] = await resolve(await describeSql({ sql: 'DELETE FROM t.a' }), weak.upstream)
    expect(resolved?.copy).toMatchObject({ kind: 'impossible', reason: expect.stringContaining('may not lock t.b') })
    await weak[Symbol.asyncDispose]()
    await setUp('DROP SCHEMA t CASCADE; DROP ROLE weak')
  })
})
