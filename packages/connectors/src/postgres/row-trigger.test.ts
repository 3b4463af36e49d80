import { describe, expect, it } from 'vitest'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { useRowTrial } from '../../../../tests/servers/row-trial.ts'
import { snapshot } from './snapshot.ts'

const trial = useRowTrial()
const { setUp, rows, fresh, look, seal, run, deleteAndUndo } = trial

async function waitUntilBlocked(start: string): Promise<void> {
  await expect
    .poll(
      async () =>
        (
          await trial.server.query(
            `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND strpos(query, $1) > 0`,
            [start],
            'trial',
          )
        ).length,
      { interval: 20 },
    )
    .toBeGreaterThan(0)
}

const stamp = `CREATE FUNCTION t.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at = clock_timestamp(); RETURN NEW; END $$`
const table = `CREATE TABLE t.a (id int PRIMARY KEY, v text, updated_at timestamptz DEFAULT '2020-01-01'); INSERT INTO t.a SELECT g, 'v' || g FROM generate_series(1, 20) g`
const all = `SELECT json_agg(x ORDER BY id) FROM t.a x`

describe('triggers', () => {
  it('that stamp the row they run for come under the copy of that row', async () => {
    await fresh(`${table}; ${stamp}; CREATE TRIGGER stamp BEFORE UPDATE ON t.a FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION t.stamp();
      CREATE TRIGGER z BEFORE UPDATE ON t.a FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`)
    const before = await rows(all)
    const { resolved } = await deleteAndUndo(`UPDATE t.a SET v = 'gone' WHERE id > 15 AND v <> ''`)
    expect(resolved.copy).toEqual({ kind: 'rows', rowsEstimate: 5 })
    expect(await rows(all)).toBe(before)
  })

  it('on a child whose foreign key becomes NULL are set back with it', async () => {
    await fresh(`${table}; ${stamp}; CREATE TABLE t.b (id int PRIMARY KEY); INSERT INTO t.b VALUES (1), (2);
      ALTER TABLE t.a ADD COLUMN b int DEFAULT 1 REFERENCES t.b ON DELETE SET NULL; CREATE TRIGGER stamp BEFORE UPDATE ON t.a FOR EACH ROW EXECUTE FUNCTION t.stamp()`)
    const before = await rows(all)
    const { content } = await deleteAndUndo('DELETE FROM t.b WHERE id = 1')
    expect(content.rows).toBe(21)
    expect(await rows(all)).toBe(before)
  })

  it('that guard or skip rows are run, and what is left as it was is left so by the undo', async () => {
    await fresh(`${table}; CREATE FUNCTION t.skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD.id = 3 THEN RETURN NULL; END IF; RETURN OLD; END $$;
      CREATE TRIGGER skip BEFORE DELETE ON t.a FOR EACH ROW EXECUTE FUNCTION t.skip()`)
    const before = await rows(all)
    const sealed = await seal('DELETE FROM t.a WHERE id < 5')
    // A row in the place of the one that is skipped would be lost without a copy: it has to wait.
    const late = trial.writer.session.query('INSERT INTO t.a VALUES (0)')
    await waitUntilBlocked('INSERT INTO t.a')
    await trial.access.run('DELETE FROM t.a WHERE id < 5')
    await late
    expect(await rows('SELECT json_agg(id ORDER BY id) FROM t.a WHERE id < 6')).toBe('[["[0, 3, 5]"]]')
    await setUp('DELETE FROM t.a WHERE id = 0')
    expect(await sealed.undo()).toMatchObject({ rows: 3, verified: true })
    expect(await rows(all)).toBe(before)
  })

  it('that keep an audit add rows, which are counted, told, and left by the undo', async () => {
    await fresh(`${table}; CREATE TABLE t.audit (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), what text NOT NULL, old jsonb);
      CREATE FUNCTION t.audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t.audit (what, old) VALUES (TG_OP, to_jsonb(OLD)); RETURN NULL; END $$;
      CREATE TRIGGER audit AFTER DELETE OR UPDATE ON t.a FOR EACH ROW EXECUTE FUNCTION t.audit()`)
    const before = await rows(all)
    const sql = 'DELETE FROM t.a WHERE id <= 3'
    const sealed = await seal(sql)
    expect(sealed.resolved).toMatchObject({
      copy: { kind: 'rows', rowsEstimate: 6 },
      impact: { scope: { rows: 6, tables: ['t.a'], exact: false } },
    })
    expect(sealed.resolved.impact.scope?.dependants).toEqual([
      't.audit: up to 3 rows are added by trigger audit, and stay after an undo',
    ])
    // With the room that these rows have in the count, another row could go: it has to wait.
    const late = trial.writer.session.query('INSERT INTO t.a VALUES (0)')
    await waitUntilBlocked('INSERT INTO t.a')
    expect(await run(sql, sealed)).toBe('committed')
    await late
    await setUp('DELETE FROM t.a WHERE id = 0')
    expect(await sealed.undo()).toMatchObject({ rows: 3, verified: true })
    expect(await rows(all)).toBe(before)
    expect(await rows('SELECT count(*) FROM t.audit')).toBe('[["4"]]')
    expect((await deleteAndUndo(`UPDATE t.a SET v = '' WHERE id > 18 AND v <> ''`)).content.rows).toBe(4)
  })

  it('that add rows by a name of the session: a temporary table with a trigger of its own is not taken for the audit', async () => {
    await fresh(`${table}; CREATE TABLE t.audit (n int); CREATE FUNCTION t.audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (1); RETURN OLD; END $$;
      CREATE TRIGGER audit BEFORE DELETE ON t.a FOR EACH ROW EXECUTE FUNCTION t.audit()`)
    const sql = 'DELETE FROM t.a WHERE id = 1'
    expect((await look(sql)).copy.kind).toBe('impossible')
    await trial.access.session.query('SET search_path = t')
    expect((await look(sql)).copy).toEqual({ kind: 'rows', rowsEstimate: 2 })
    await trial.access.session.query('CREATE TEMP TABLE audit (n int)')
    expect((await look(sql)).copy.kind).toBe('impossible')
    await trial.access.session.query('DROP TABLE pg_temp.audit')
    await trial.access.session.query('RESET search_path')
    await setUp('ALTER FUNCTION t.audit() SET search_path = t')
    expect((await look(sql)).copy).toMatchObject({ kind: 'impossible', reason: expect.stringContaining('settings') })
  })

  it.each([
    ['deletes elsewhere', `DELETE FROM t.log; RETURN OLD;`],
    ['overwrites elsewhere', `INSERT INTO t.log VALUES (1) ON CONFLICT DO NOTHING; RETURN OLD;`],
    ['adds rows where another trigger waits', `INSERT INTO t.b VALUES (1); RETURN OLD;`],
    ['adds rows where a rule waits', `INSERT INTO t.r VALUES (1); RETURN OLD;`],
    ['adds rows whose default has an effect', `INSERT INTO t.c (n) VALUES (1); RETURN OLD;`],
    ['adds rows to a view', `INSERT INTO t.v VALUES (1); RETURN OLD;`],
    ['adds rows to a partitioned table', `INSERT INTO t.p VALUES (1); RETURN OLD;`],
    ['adds rows nowhere', `INSERT INTO t.nowhere VALUES (1); RETURN OLD;`],
    ['writes elsewhere in place of the row', `UPDATE t.log SET n = 1; RETURN NULL;`],
    ['empties another table, uncounted', 'TRUNCATE t.log; RETURN OLD;'],
    ['drops a table, uncounted', 'DROP TABLE t.log; RETURN OLD;'],
    ['runs text', `EXECUTE 'TRUNCATE t.log'; RETURN OLD;`],
    ['tells others', `PERFORM pg_notify('a', 'b'); RETURN OLD;`],
    ['tells others in a condition', `IF pg_notify('a', 'b') IS NULL THEN RETURN NULL; END IF; RETURN OLD;`],
    ['draws from a sequence', `IF nextval('t.s') > 0 THEN RETURN OLD; END IF; RETURN OLD;`],
    ['removes a large object', `IF lo_unlink(OLD.id::oid) > 0 THEN RETURN OLD; END IF; RETURN OLD;`],
    [
      'runs a query given as text',
      `IF query_to_xml('DELETE FROM t.log', true, true, '') IS NULL THEN RETURN NULL; END IF; RETURN OLD;`,
    ],
    ['calls a function of its own', 'IF t_effect() THEN RETURN OLD; END IF; RETURN OLD;'],
    ['calls a name that somebody else has, too', 'IF lower(OLD.v) IS NULL THEN RETURN NULL; END IF; RETURN OLD;'],
    ['uses an operator that somebody made', `IF OLD.v = 'x' THEN RETURN NULL; END IF; RETURN OLD;`],
    ['changes a setting', `IF set_config('search_path', 't', false) IS NULL THEN RETURN NULL; END IF; RETURN OLD;`],
  ])('one that %s: no copy is possible, and says so', async (_, body) => {
    await fresh(`${table}; CREATE TABLE t.log (n int); CREATE SEQUENCE t.s; CREATE FUNCTION public.t_effect() RETURNS bool LANGUAGE sql AS 'SELECT true';
      CREATE TABLE t.b (n int); CREATE TRIGGER z AFTER INSERT ON t.b FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); CREATE VIEW t.v AS SELECT n FROM t.log;
      CREATE TABLE t.r (n int); CREATE RULE r AS ON INSERT TO t.r DO ALSO DELETE FROM t.log; CREATE TABLE t.c (n int, b bool DEFAULT public.t_effect()); CREATE TABLE t.p (n int) PARTITION BY RANGE (n);
      CREATE FUNCTION t.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
      CREATE FUNCTION t.same(text, varchar) RETURNS bool LANGUAGE sql AS 'SELECT true'; CREATE OPERATOR t.= (LEFTARG = text, RIGHTARG = varchar, FUNCTION = t.same);
      CREATE FUNCTION t.f() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN ${body} END $f$; CREATE TRIGGER f BEFORE DELETE ON t.a FOR EACH ROW EXECUTE FUNCTION t.f()`)
    expect((await look('DELETE FROM t.a WHERE id = 1')).copy).toMatchObject({
      kind: 'impossible',
      reason: expect.stringContaining('trigger f on t.a may change anything'),
      remedy: expect.stringMatching(/\w/),
    })
    await setUp('DROP TABLE t.c; DROP FUNCTION public.t_effect()')
  })

  it.each([
    [
      'a condition that has an effect',
      `BEFORE UPDATE ON t.a FOR EACH ROW WHEN (pg_notify('a', 'b') IS NULL) EXECUTE FUNCTION t.stamp()`,
    ],
    ['a condition that calls a function', 'BEFORE UPDATE ON t.a FOR EACH ROW WHEN (t.own()) EXECUTE FUNCTION t.stamp()'],
    ['a change of the key by a trigger for statements', 'AFTER UPDATE ON t.a FOR EACH STATEMENT EXECUTE FUNCTION t.moves()'],
    ['a change of the key', 'BEFORE UPDATE ON t.a FOR EACH ROW EXECUTE FUNCTION t.moves()'],
    [
      'a change of the key by the server',
      `BEFORE UPDATE ON t.a FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger('id', 'pg_catalog.english', 'v')`,
    ],
  ])('%s: no copy is possible', async (_, trigger) => {
    await fresh(`${table}; ${stamp}; CREATE FUNCTION t.own() RETURNS bool LANGUAGE sql AS 'SELECT true';
      CREATE FUNCTION t.moves() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id := NEW.id + 100; RETURN NEW; END'; CREATE TRIGGER f ${trigger}`)
    expect((await look(`UPDATE t.a SET v = ''`)).copy).toMatchObject({
      kind: 'impossible',
      reason: expect.stringContaining('trigger'),
    })
  })

  it('that were replaced since the look: target_changed', async () => {
    await fresh(
      `${table}; ${stamp}; CREATE TABLE t.log (n int); CREATE TRIGGER stamp BEFORE UPDATE ON t.a FOR EACH ROW EXECUTE FUNCTION t.stamp()`,
    )
    const resolved = await look(`UPDATE t.a SET v = ''`)
    await setUp(
      `CREATE OR REPLACE FUNCTION t.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN TRUNCATE t.log; RETURN NEW; END $$`,
    )
    await expect(snapshot([resolved], trial.access.upstream, new MemorySeal())).rejects.toMatchObject({ code: 'target_changed' })
  })
})
