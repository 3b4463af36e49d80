import { describe, expect, it } from 'vitest'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { openAccess } from '../../../../tests/fakes/sql-access.ts'
import { useRowTrial } from '../../../../tests/servers/row-trial.ts'
import { count } from './count.ts'
import { restore } from './restore.ts'
import { snapshot } from './snapshot.ts'
import { inDepth } from '../../../../tests/breadth.ts'

const trial = useRowTrial()
const { setUp, rows, fresh, look, seal, run, deleteAndUndo } = trial

const shop = `CREATE TABLE t.customers (id int PRIMARY KEY); CREATE TABLE t.orders (id int PRIMARY KEY, customer int REFERENCES t.customers ON DELETE CASCADE);
  CREATE TABLE t.items ("order" int REFERENCES t.orders ON DELETE CASCADE, line int, PRIMARY KEY ("order", line));
  CREATE TABLE t.returns (id int PRIMARY KEY, "order" int, line int, FOREIGN KEY ("order", line) REFERENCES t.items ON DELETE SET NULL);
  CREATE TABLE t.payments (id int PRIMARY KEY, "order" int REFERENCES t.orders ON DELETE CASCADE);
  INSERT INTO t.customers SELECT generate_series(1, 20); INSERT INTO t.orders SELECT g, g % 20 + 1 FROM generate_series(1, 200) g;
  INSERT INTO t.items SELECT o, l FROM generate_series(1, 200) o, generate_series(1, 3) l; INSERT INTO t.payments SELECT g, g FROM generate_series(1, 200) g;
  INSERT INTO t.returns SELECT g, g, 1 FROM generate_series(1, 50) g; CREATE INDEX ON t.payments ("order"); ANALYZE`
const shopRows = `SELECT (SELECT json_agg(c ORDER BY id) FROM t.customers c), (SELECT json_agg(o ORDER BY id) FROM t.orders o),
  (SELECT json_agg(i ORDER BY "order", line) FROM t.items i), (SELECT json_agg(p ORDER BY id) FROM t.payments p), (SELECT json_agg(r ORDER BY id) FROM t.returns r)`

describe('a DELETE and what goes with it', () => {
  it('is counted to the row, told in words, copied by rows and undone', async () => {
    await fresh(shop)
    const before = await rows(shopRows)
    const { resolved, content } = await deleteAndUndo('DELETE FROM t.orders WHERE id = 7')
    expect(resolved).toMatchObject({
      why: expect.stringContaining('1 row of t.orders, 3 of t.items, 1 of t.returns, 1 of t.payments'),
      copy: { kind: 'rows', rowsEstimate: 6 },
      impact: { scope: { rows: 6, exact: true, tables: ['t.orders', 't.items', 't.returns', 't.payments'] } },
    })
    expect(resolved.impact.scope?.dependants).toEqual([
      't.items: 3 rows go with it by foreign key items_order_fkey',
      't.payments: 1 row goes with it by foreign key payments_order_fkey',
      't.returns: foreign key returns_order_line_fkey becomes NULL in 1 row',
    ])
    expect(content).toMatchObject({ kind: 'rows', rows: 6 })
    expect(Object.keys(content.checksums).sort()).toEqual(['t.items', 't.orders', 't.payments', 't.returns'])
    expect(await rows(shopRows)).toBe(before)
  })

  it('of no rows has an empty copy, and nothing may change', async () => {
    await fresh(shop)
    const sealed = await seal('DELETE FROM t.orders WHERE id = 7777')
    expect(sealed.content).toMatchObject({ kind: 'rows', rows: 0 })
    expect(await run('DELETE FROM t.orders WHERE id = 7777', sealed)).toBe('committed')
  })

  it('leaves rows as they are that were set to NULL and then given another parent', async () => {
    await fresh(shop)
    const sealed = await seal('DELETE FROM t.orders WHERE id = 7')
    expect(await run('DELETE FROM t.orders WHERE id = 7', sealed)).toBe('committed')
    await setUp('UPDATE t.returns SET "order" = 8, line = 2 WHERE id = 7')
    await expect(sealed.undo()).rejects.toThrow(/t.returns were changed since by others/)
    expect(await rows('SELECT count(*) FROM t.orders')).toBe('[["199"]]')
  })

  it.each(inDepth('follows self-references, circles, two paths to one row, defaults, and keys that are not primary'))(
    '%s',
    async () => {
      await fresh(`CREATE TABLE t.a (id int PRIMARY KEY, up int REFERENCES t.a ON DELETE CASCADE, code text COLLATE "C" UNIQUE NOT NULL, number numeric UNIQUE);
      CREATE TABLE t.b (id int PRIMARY KEY, a int REFERENCES t.a ON DELETE CASCADE, other int REFERENCES t.a ON DELETE CASCADE);
      CREATE TABLE t.c (id int PRIMARY KEY, b int REFERENCES t.b ON DELETE CASCADE, home int DEFAULT 0 REFERENCES t.a ON DELETE SET DEFAULT);
      CREATE TABLE t.d (code text REFERENCES t.a (code) ON DELETE CASCADE, number int REFERENCES t.a (number) ON DELETE SET NULL, id serial PRIMARY KEY);
      ALTER TABLE t.a ADD COLUMN c int REFERENCES t.c ON DELETE CASCADE;
      INSERT INTO t.a SELECT g, nullif(g - 1, -1), 'k' || g, g FROM generate_series(0, 60) g; UPDATE t.a SET up = NULL WHERE id IN (0, 1, 40);
      INSERT INTO t.b SELECT g, g, g + 1 FROM generate_series(1, 59) g; INSERT INTO t.c SELECT g, g, (g + 7) % 60 FROM generate_series(1, 59) g;
      INSERT INTO t.d (code, number) SELECT 'k' || g, g % 30 FROM generate_series(0, 60) g; UPDATE t.a SET c = id - 35 WHERE id > 50`)
      const all = `SELECT (SELECT json_agg(x ORDER BY id) FROM t.a x), (SELECT json_agg(x ORDER BY id) FROM t.b x), (SELECT json_agg(x ORDER BY id) FROM t.c x), (SELECT json_agg(x ORDER BY id) FROM t.d x)`
      const before = await rows(all)
      for (const id of [59, 45, 39, 20, 3]) {
        const sql = `DELETE FROM t.a WHERE id = ${id}`
        const sealed = await seal(sql)
        const counted = await count(trial.access.upstream)
        await trial.access.session.query(sql)
        expect((await count(trial.access.upstream)) - counted, sql).toBeLessThanOrEqual(sealed.content.rows)
        await trial.access.run('SELECT 1')
        expect(await sealed.undo(), sql).toMatchObject({ verified: true })
        expect(await rows(all), sql).toBe(before)
      }
    },
  )

  it.each(inDepth('that goes too far for rows is copied by whole tables, with an upper bound'))('%s', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY, up int REFERENCES t.a ON DELETE CASCADE);
      INSERT INTO t.a SELECT g, nullif(g - 1, 0) FROM generate_series(1, 1500) g; CREATE INDEX ON t.a (up)`)
    expect(await look('DELETE FROM t.a WHERE id = 1')).toMatchObject({
      copy: { kind: 'tables', tables: ['t.a'] },
      impact: { scope: { exact: false } },
    })
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY); INSERT INTO t.a SELECT generate_series(1, 100001)`)
    expect(await look('DELETE FROM t.a')).toMatchObject({
      copy: { kind: 'tables' },
      impact: { scope: { rows: 100_001, exact: true } },
    })
  })
})

describe('what comes in between', () => {
  it('a child cannot: it waits for the parent, and finds it gone', async () => {
    await fresh(shop)
    const sealed = await seal('DELETE FROM t.orders WHERE id = 7')
    const late = trial.writer.session.query('INSERT INTO t.payments VALUES (1000, 7)').then(
      () => 'written',
      (error: unknown) => String(error),
    )
    await waitUntilBlocked('INSERT INTO t.payments')
    await trial.writer.protect.query('INSERT INTO t.payments VALUES (1001, 8)')
    await trial.writer.protect.query('UPDATE t.orders SET customer = 2 WHERE id = 9')
    expect(await run('DELETE FROM t.orders WHERE id = 7', sealed)).toBe('committed')
    expect(await late).toMatch(/foreign key/)
    expect(await sealed.undo()).toMatchObject({ rows: 6, verified: true })
  })

  it('a child that is not committed when the copy begins is waited for, and copied', async () => {
    await fresh(shop)
    const resolved = await look('DELETE FROM t.orders WHERE id = 7')
    await trial.writer.session.query('BEGIN')
    await trial.writer.session.query('INSERT INTO t.payments VALUES (1000, 7)')
    const vault = new MemorySeal()
    const copying = snapshot([resolved], trial.access.upstream, vault)
    await waitUntilBlocked('FOR UPDATE')
    await trial.writer.session.query('COMMIT')
    const content = await copying
    expect(content.rows).toBe(7)
    await trial.access.run('DELETE FROM t.orders WHERE id = 7')
    expect(await restore(vault.reader(content), trial.access.upstream, () => undefined)).toMatchObject({
      rows: 7,
      verified: true,
    })
  })

  it('rows that are being changed when the copy begins are waited for, and copied as they are then', async () => {
    await fresh(shop)
    const sql = 'DELETE FROM t.orders WHERE id IN (7, 8) AND customer > 5'
    const resolved = await look(sql)
    await trial.writer.session.query('BEGIN')
    await trial.writer.session.query('UPDATE t.orders SET customer = 20 WHERE id = 7')
    await trial.writer.session.query('UPDATE t.orders SET customer = 2 WHERE id = 8')
    await trial.writer.session.query('UPDATE t.payments SET "order" = 9 WHERE id = 7')
    const vault = new MemorySeal()
    const copying = snapshot([resolved], trial.access.upstream, vault)
    await waitUntilBlocked('FOR UPDATE')
    await trial.writer.session.query('COMMIT')
    const content = await copying
    expect(content.rows).toBe(5)
    expect(
      await run(sql, { resolved, content, undo: () => restore(vault.reader(content), trial.access.upstream, () => undefined) }),
    ).toBe('committed')
    expect(await restore(vault.reader(content), trial.access.upstream, () => undefined)).toMatchObject({
      rows: 5,
      verified: true,
    })
    expect(await rows('SELECT id, customer FROM t.orders WHERE id IN (7, 8) ORDER BY 1')).toBe('[["7","20"],["8","2"]]')
  })

  it('another row that the condition names makes it more than was copied: rolled back', async () => {
    await fresh(shop)
    const sql = 'DELETE FROM t.orders WHERE id BETWEEN 7 AND 8 OR id > 200'
    const sealed = await seal(sql)
    expect(sealed.content.rows).toBe(12)
    await trial.writer.session.query('INSERT INTO t.orders VALUES (1000, 1)')
    expect(await run(sql, sealed)).toBe('rolled back')
    expect(await rows('SELECT count(*) FROM t.orders')).toBe('[["201"]]')
  })

  it.each([
    ['another table by USING', 'DELETE FROM t.orders o USING t.chosen c WHERE c.id = o.id', 'UPDATE t.chosen SET id = 8'],
    ['another table in a sub-query', 'DELETE FROM t.orders WHERE id IN (SELECT id FROM t.chosen)', 'UPDATE t.chosen SET id = 8'],
    [
      'other rows of its own',
      'DELETE FROM t.orders WHERE id = (SELECT min(id) + 6 FROM t.orders)',
      'DELETE FROM t.orders WHERE id = 1',
    ],
    [
      'its own rows by USING',
      'DELETE FROM t.orders o USING t.orders p WHERE p.id = 1 AND o.id = p.id + 6',
      'INSERT INTO t.orders VALUES (1000, 1)',
    ],
  ])('a condition that reads %s: no writer comes in, lest one row take the place of another', async (_, sql, write) => {
    await fresh(`${shop}; CREATE TABLE t.chosen (id int); INSERT INTO t.chosen VALUES (7)`)
    const sealed = await seal(sql)
    expect(sealed.resolved.copy).toEqual({ kind: 'rows', rowsEstimate: 6 })
    const swap = trial.writer.session.query(write)
    await waitUntilBlocked(write)
    expect(await run(sql, sealed)).toBe('committed')
    await swap
    expect(await sealed.undo()).toMatchObject({ verified: true })
  })

  it('where the server may count one row twice, no writer comes in: a row nobody copied could take the second place', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY, code text UNIQUE); INSERT INTO t.a SELECT g, 'k' || g FROM generate_series(1, 9) g;
      CREATE TABLE t.d (id int PRIMARY KEY, code text REFERENCES t.a (code) ON DELETE CASCADE, a int REFERENCES t.a ON DELETE SET NULL);
      INSERT INTO t.d SELECT g, 'k' || g, g FROM generate_series(1, 9) g`)
    const sql = 'DELETE FROM t.a WHERE id = 1 OR id > 9'
    const sealed = await seal(sql)
    expect(sealed.content.rows).toBe(3)
    const late = trial.writer.session.query(`INSERT INTO t.a VALUES (10, 'late')`)
    await waitUntilBlocked('INSERT INTO t.a')
    await trial.access.run(sql)
    await late
    expect(await sealed.undo()).toMatchObject({ rows: 2, verified: true })
    expect(await rows('SELECT count(*) FROM t.a')).toBe('[["10"]]')
  })

  it.each([
    ['a view', 'CREATE VIEW t.some AS SELECT 7 AS id'],
    ['a materialized view', 'CREATE MATERIALIZED VIEW t.some AS SELECT 7 AS id'],
    ['a partitioned table', 'CREATE TABLE t.some (id int) PARTITION BY RANGE (id)'],
  ])('a condition that reads %s is no condition to copy by: what it names can not be held still', async (_, sql) => {
    await fresh(`${shop}; ${sql}`)
    expect((await look('DELETE FROM t.orders o USING t.some s WHERE s.id = o.id')).copy.kind).toBe('tables')
    expect((await look('DELETE FROM t.orders WHERE id IN (SELECT id FROM t.some)')).copy.kind).toBe('tables')
  })

  it('a clock that runs on between copy and statement is not asked ahead', async () => {
    await fresh('CREATE TABLE t.a (id int PRIMARY KEY, at timestamptz)')
    expect((await look('DELETE FROM t.a WHERE at < statement_timestamp()')).copy.kind).toBe('tables')
    expect((await look('DELETE FROM t.a WHERE at < now()')).copy.kind).toBe('rows')
  })

  it('another foreign key since the look: target_changed', async () => {
    await fresh(shop)
    const resolved = await look('DELETE FROM t.orders WHERE id = 7')
    await setUp('CREATE TABLE t.late (id int PRIMARY KEY, payment int REFERENCES t.payments ON DELETE CASCADE)')
    await expect(snapshot([resolved], trial.access.upstream, new MemorySeal())).rejects.toMatchObject({ code: 'target_changed' })
  })
})

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

describe('rights', () => {
  it.each([
    ['may change all: rows, by row locks', 'SELECT, UPDATE, DELETE', 'SELECT, UPDATE, DELETE', 'rows'],
    ['may only delete: rows, by table locks', 'SELECT, DELETE', 'SELECT, DELETE', 'rows'],
    ['may not read a child: whole tables', 'SELECT, DELETE', 'DELETE', 'tables'],
    ['may not lock a child: nothing', 'SELECT, DELETE', 'SELECT', 'impossible'],
  ])('a role that %s', async (_, parent, child, kind) => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY); CREATE TABLE t.b (id int PRIMARY KEY, a int REFERENCES t.a ON DELETE CASCADE);
      INSERT INTO t.a VALUES (1), (2); INSERT INTO t.b VALUES (1, 1), (2, 1), (3, 2); DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN PASSWORD 'weak';
      GRANT USAGE ON SCHEMA t TO weak; GRANT ${parent} ON t.a TO weak; GRANT ${child} ON t.b TO weak`)
    const weak = await openAccess(
      trial.server.url('trial').replace('postgres:test-superuser', 'weak:weak'),
      trial.server.url('trial'),
    )
    const resolved = await look('DELETE FROM t.a WHERE id = 1', weak)
    expect(resolved.copy.kind).toBe(kind)
    if (kind === 'rows') {
      const sealed = await seal('DELETE FROM t.a WHERE id = 1', weak)
      expect(await run('DELETE FROM t.a WHERE id = 1', sealed, weak)).toBe('committed')
      expect(await sealed.undo()).toMatchObject({ rows: 3, verified: true })
    }
    await weak[Symbol.asyncDispose]()
    await setUp('DROP SCHEMA t CASCADE; DROP ROLE weak')
  })
})
