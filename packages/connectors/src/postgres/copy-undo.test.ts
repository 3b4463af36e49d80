import type { Operation, ResolvedOperation, Restored, SnapshotContent } from '@sallyport/core'
import { describe, expect, it } from 'vitest'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { useTrialDatabase } from '../../../../tests/servers/trial-database.ts'
import { count } from './count.ts'
import { describe as describeSql } from './describe.ts'
import { resolve } from './resolve.ts'
import { restore } from './restore.ts'
import { snapshot } from './snapshot.ts'

const trial = useTrialDatabase()
const { setUp, rows, fresh } = trial

async function look(sql: string, extra: Operation['context'] = {}): Promise<readonly ResolvedOperation[]> {
  const operations = await describeSql({ sql })
  const resolved = await resolve(
    operations.map((operation) => ({ ...operation, context: { ...operation.context, ...extra } })),
    trial.access.upstream,
  )
  return resolved
}

interface Trial {
  readonly resolved: readonly ResolvedOperation[]
  readonly content: SnapshotContent
  readonly undo: () => Promise<Restored>
}

/** resolve → snapshot → run, as the gate does it, with the real describer. */
async function destroy(sql: string, extra: Operation['context'] = {}): Promise<Trial> {
  const resolved = await look(sql, extra)
  const impossible = resolved.find(({ copy }) => copy.kind === 'impossible')
  if (impossible) throw new Error(JSON.stringify(impossible.copy))
  const seal = new MemorySeal()
  const content = await snapshot(resolved, trial.access.upstream, seal)
  await trial.access.run(sql)
  return { resolved, content, undo: () => restore(seal.reader(content), trial.access.upstream, () => undefined) }
}

describe('undo of DELETE', () => {
  it('puts back just the rows that went, and does so only once', async () => {
    await fresh(
      `CREATE TABLE t.a (id int PRIMARY KEY, v text); INSERT INTO t.a SELECT g, 'v' || g FROM generate_series(1, 100) g`,
    )
    const { resolved, content, undo } = await destroy(`DELETE FROM t.a WHERE id % 10 = 0 AND v IS NOT NULL -- all of them`)
    expect(resolved[0]).toMatchObject({ copy: { kind: 'rows', rowsEstimate: 10 }, impact: { scope: { rows: 10, exact: true } } })
    expect(content).toMatchObject({ kind: 'rows', rows: 10 })
    expect(await rows('SELECT count(*) FROM t.a')).toBe('[["90"]]')
    expect(await undo()).toMatchObject({ rows: 10, verified: true })
    expect(await rows(`SELECT count(*), sum(id), count(DISTINCT v) FROM t.a`)).toBe('[["100","5050","100"]]')
    expect(await undo()).toMatchObject({ rows: 0, verified: true })
  })

  it('refuses when a key was taken by another row since, and changes nothing', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY, v text); INSERT INTO t.a VALUES (1, 'old'), (2, 'old')`)
    const { undo } = await destroy('DELETE FROM t.a')
    await setUp(`INSERT INTO t.a VALUES (1, 'new')`)
    await expect(undo()).rejects.toMatchObject({
      code: 'upstream_failed',
      notDone: expect.stringContaining('Nothing was changed'),
    })
    expect(await rows('SELECT * FROM t.a')).toBe('[["1","new"]]')
  })

  it('without a key: puts equal rows back as often as they were, and does not double them', async () => {
    await fresh(`CREATE TABLE t.a (v text); INSERT INTO t.a VALUES ('x'), ('x'), ('y'), (NULL)`)
    const { undo } = await destroy(`DELETE FROM t.a WHERE v = 'x'`)
    expect(await undo()).toMatchObject({ rows: 2, verified: true })
    expect(await undo()).toMatchObject({ rows: 0, verified: true })
    expect(await rows(`SELECT v FROM t.a ORDER BY v`)).toBe('[["x"],["x"],["y"],[null]]')
  })

  it('covers what ON DELETE CASCADE and SET NULL take along, down the chain and in a circle', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY, boss int REFERENCES t.a ON DELETE SET NULL);
      CREATE TABLE t.b (id int PRIMARY KEY, a int REFERENCES t.a ON DELETE CASCADE);
      CREATE TABLE t.c (id int PRIMARY KEY, b int REFERENCES t.b ON DELETE CASCADE);
      CREATE TABLE t.d (id int PRIMARY KEY, a int REFERENCES t.a ON DELETE SET NULL, v text);
      INSERT INTO t.a VALUES (1, NULL), (2, 1), (3, 2); INSERT INTO t.b SELECT g, g FROM generate_series(1, 3) g;
      INSERT INTO t.c SELECT g, g FROM generate_series(1, 3) g; INSERT INTO t.d SELECT g, g, 'v' FROM generate_series(1, 3) g`)
    const all = `SELECT (SELECT json_agg(a ORDER BY id) FROM t.a), (SELECT json_agg(b ORDER BY id) FROM t.b),
      (SELECT json_agg(c ORDER BY id) FROM t.c), (SELECT json_agg(d ORDER BY id) FROM t.d)`
    const before = await rows(all)
    const { resolved, undo } = await destroy('DELETE FROM t.a WHERE id = 1')
    expect(resolved[0]).toMatchObject({
      copy: { kind: 'rows', rowsEstimate: 5 },
      impact: { scope: { rows: 5, exact: true, tables: ['t.a', 't.b', 't.c', 't.d'] } },
    })
    await setUp(`INSERT INTO t.d VALUES (9, NULL, 'since')`)
    expect(await undo()).toMatchObject({ verified: true })
    await setUp(`DELETE FROM t.d WHERE id = 9`)
    expect(await rows(all)).toBe(before)
  })

  it('carries bind values', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY, v text); INSERT INTO t.a SELECT g, 'v' || g FROM generate_series(1, 9) g`)
    const sql = 'DELETE FROM t.a WHERE id > $1 AND v <> $2'
    const resolved = await look(sql, { bindValues: ['5', 'v6'] })
    expect(resolved[0]?.impact.scope).toMatchObject({ rows: 3, exact: true })
    const seal = new MemorySeal()
    const content = await snapshot(resolved, trial.access.upstream, seal)
    await trial.access.run(sql, ['5', 'v6'])
    expect(await restore(seal.reader(content), trial.access.upstream, () => undefined)).toMatchObject({ rows: 3, verified: true })
    const [unbound] = await look(sql)
    expect(unbound?.impact.scope?.exact).toBe(false)
  })
})

describe('undo of UPDATE', () => {
  const assigned = { assigned: ['v'] }
  it('sets back the values that this statement wrote', async () => {
    await fresh(
      `CREATE TABLE t.a (id int PRIMARY KEY, v text, n int); INSERT INTO t.a SELECT g, 'v' || g, 0 FROM generate_series(1, 20) g`,
    )
    const { resolved, undo } = await destroy(`UPDATE t.a SET v = 'gone' WHERE n = 0 AND id > 10`, assigned)
    expect(resolved[0]).toMatchObject({ copy: { kind: 'rows', rowsEstimate: 10 } })
    await setUp(`UPDATE t.a SET n = 1 WHERE id = 3`)
    expect(await undo()).toMatchObject({ rows: 10, verified: true })
    expect(await rows(`SELECT count(*) FROM t.a WHERE v = 'v' || id`)).toBe('[["20"]]')
  })

  it('refuses when one of the rows was written since, or deleted', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY, v text); INSERT INTO t.a SELECT g, 'v' || g FROM generate_series(1, 5) g`)
    const first = await destroy(`UPDATE t.a SET v = 'gone'`, assigned)
    await setUp(`UPDATE t.a SET v = 'newer' WHERE id = 2`)
    await expect(first.undo()).rejects.toThrow(/changed since by others/)
    expect(await rows(`SELECT v FROM t.a ORDER BY id`)).toBe('[["gone"],["newer"],["gone"],["gone"],["gone"]]')
    const second = await destroy(`UPDATE t.a SET v = 'again'`, assigned)
    await setUp(`DELETE FROM t.a WHERE id = 1`)
    await expect(second.undo()).rejects.toThrow(/no longer there/)
  })

  it('stays a write only when a real unique index holds it to single rows', async () => {
    await fresh(
      `CREATE TABLE t.a (id int, v text); CREATE TABLE t.b (id int PRIMARY KEY, v text); CREATE UNIQUE INDEX ON t.a (id)`,
    )
    expect((await look(`UPDATE t.b SET v = '' WHERE id = 1`))[0]).toMatchObject({
      impact: { kind: 'write' },
      copy: { kind: 'none' },
    })
    // id of t.a may be NULL: the index does not make it a key
    expect((await look(`UPDATE t.a SET v = '' WHERE id = 1`, assigned))[0]).toMatchObject({
      impact: { kind: 'destroy', reversible: false },
    })
  })

  it('is refused when it changes the key, or may', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY, v text)`)
    expect((await look(`UPDATE t.a SET id = id + 1`, { assigned: ['id'] }))[0]?.copy).toMatchObject({ kind: 'impossible' })
  })
})

describe('undo of TRUNCATE', () => {
  it('fills the tables of CASCADE again, circles of foreign keys and all, and lets sequences go on', async () => {
    await fresh(`CREATE TABLE t.a (id serial PRIMARY KEY, b int); CREATE TABLE t.b (id int PRIMARY KEY, a int REFERENCES t.a);
      ALTER TABLE t.a ADD FOREIGN KEY (b) REFERENCES t.b; INSERT INTO t.a (b) SELECT NULL FROM generate_series(1, 5);
      INSERT INTO t.b SELECT g, g FROM generate_series(1, 5) g; UPDATE t.a SET b = id`)
    const { resolved, undo } = await destroy('TRUNCATE t.a RESTART IDENTITY CASCADE')
    expect(resolved[0]).toMatchObject({
      copy: { kind: 'tables', tables: ['t.a', 't.b'] },
      impact: { scope: { rows: 10, exact: true } },
    })
    expect(await undo()).toMatchObject({ rows: 10, verified: true, note: '' })
    await setUp('INSERT INTO t.a (b) VALUES (1)')
    expect(await rows('SELECT id, b FROM t.a ORDER BY id')).toBe('[["1","1"],["2","2"],["3","3"],["4","4"],["5","5"],["6","1"]]')
    expect(
      await rows(`SELECT count(*) FROM pg_constraint WHERE conrelid IN ('t.a'::regclass, 't.b'::regclass) AND contype = 'f'`),
    ).toBe('[["2"]]')
  })

  it('keeps rows that came since, when their keys are free', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY); INSERT INTO t.a SELECT generate_series(1, 3)`)
    const { undo } = await destroy('TRUNCATE t.a')
    await setUp('INSERT INTO t.a VALUES (7)')
    expect(await undo()).toMatchObject({ rows: 3, verified: true })
    expect(await rows('SELECT count(*) FROM t.a')).toBe('[["4"]]')
  })
})

describe('undo of ALTER TABLE', () => {
  it('brings a dropped column back with values, default, key, index and view', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY, v text NOT NULL DEFAULT 'd' UNIQUE, n int); CREATE VIEW t.w AS SELECT v FROM t.a;
      CREATE INDEX ON t.a (lower(v)); INSERT INTO t.a SELECT g, 'v' || g, g FROM generate_series(1, 5) g`)
    const shape = `SELECT (SELECT json_agg(pg_get_indexdef(indexrelid) ORDER BY 1) FROM pg_index WHERE indrelid = 't.a'::regclass),
      (SELECT json_agg(pg_get_constraintdef(oid) ORDER BY conname) FROM pg_constraint WHERE conrelid = 't.a'::regclass), pg_get_viewdef('t.w'::regclass)`
    const before = await rows(shape)
    const { undo } = await destroy('ALTER TABLE t.a DROP COLUMN v CASCADE')
    await setUp('UPDATE t.a SET n = 0 WHERE id = 2')
    const restored = await undo()
    expect(restored.note).toContain('keep their newer values')
    expect(await rows('SELECT id, v FROM t.a ORDER BY id')).toBe('[["1","v1"],["2","v2"],["3","v3"],["4","v4"],["5","v5"]]')
    expect(await rows(shape)).toBe(before)
  })

  it('brings a rounded column back, and refuses when a row was written since', async () => {
    await fresh(
      `CREATE TABLE t.a (id int PRIMARY KEY, v numeric NOT NULL DEFAULT 1.5); INSERT INTO t.a SELECT g, g + 0.25 FROM generate_series(1, 5) g`,
    )
    const first = await destroy('ALTER TABLE t.a ALTER COLUMN v TYPE int')
    expect(await rows('SELECT sum(v) FROM t.a')).toBe('[["15"]]')
    expect(await first.undo()).toMatchObject({ verified: true })
    expect(await rows('SELECT sum(v) FROM t.a')).toBe('[["16.25"]]')
    const second = await destroy('ALTER TABLE t.a ALTER COLUMN v TYPE int')
    await setUp('UPDATE t.a SET v = 9 WHERE id = 1')
    await expect(second.undo()).rejects.toThrow(/written since/)
  })
})

describe('undo of DROP SCHEMA', () => {
  it('brings back the schema with its tables and views', async () => {
    await fresh(`CREATE TABLE t.a (id serial PRIMARY KEY); CREATE TABLE t.b (a int REFERENCES t.a); CREATE VIEW t.v AS SELECT * FROM t.b;
      COMMENT ON SCHEMA t IS 'ours'; INSERT INTO t.a DEFAULT VALUES; INSERT INTO t.b VALUES (1)`)
    const { resolved, undo } = await destroy('DROP SCHEMA t CASCADE')
    expect(resolved[0]).toMatchObject({ copy: { kind: 'tables', tables: ['t.a', 't.b'] } })
    expect(await rows(`SELECT to_regnamespace('t')`)).toBe('[[null]]')
    expect(await undo()).toMatchObject({ rows: 2, verified: true })
    expect(await rows(`SELECT a, obj_description('t'::regnamespace) FROM t.v`)).toBe('[["1","ours"]]')
  })
})

describe('count', () => {
  it('counts what cascades and triggers change, which the tag leaves out', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY); CREATE TABLE t.b (a int REFERENCES t.a ON DELETE CASCADE); CREATE TABLE t.log (n int);
      CREATE FUNCTION t.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO t.log VALUES (1); RETURN OLD; END';
      CREATE TRIGGER f AFTER DELETE ON t.b FOR EACH ROW EXECUTE FUNCTION t.f();
      INSERT INTO t.a SELECT generate_series(1, 5); INSERT INTO t.b SELECT generate_series(1, 5)`)
    await trial.access.session.query('BEGIN')
    expect(await count(trial.access.upstream)).toBe(0)
    await trial.access.session.query('DELETE FROM t.a WHERE id <= 3')
    expect(await count(trial.access.upstream)).toBe(9)
    await trial.access.session.query('ROLLBACK')
    await trial.access.session.query('SET track_counts = off')
    await expect(count(trial.access.upstream)).rejects.toMatchObject({ code: 'upstream_failed' })
    await trial.access.session.query('RESET track_counts')
  })
})
