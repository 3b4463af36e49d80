import { beforeEach, describe, expect, test } from 'vitest'
import { casesOf } from '../breadth.ts'
import { useAttackedGate } from '../servers/attacked-gate.ts'
import { arrange } from '../servers/gate.ts'

/**
 * What was in the database before the agent came runs with its plainest writes: triggers, rules, defaults, checks, keys that follow. Each statement here
 * is a harmless write by its text; afterwards every row of `orders` must still be there, unless people were asked. What is honest must not ask.
 */
const rows = 1_200
const attacked = useAttackedGate({
  wait: '0s',
  furtherAgents: { other: { owner: 'ada', may: ['any orders-db'] } },
  prepare: async (postgres) => {
    await arrange(
      postgres,
      `CREATE TABLE orders (id int PRIMARY KEY, total int, customer_id int);
     CREATE TABLE customers (id int PRIMARY KEY, name text, spent int);
     CREATE TABLE lines (id int PRIMARY KEY, customer_id int REFERENCES customers ON UPDATE CASCADE);
     CREATE FUNCTION purge() RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1';
     CREATE FUNCTION purge_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM orders; RETURN NEW; END';
     CREATE FUNCTION zero_all() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE orders SET total = 0; RETURN NEW; END';
     CREATE FUNCTION zero_of() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE orders SET total = 0 WHERE customer_id = NEW.id; RETURN NEW; END';
     CREATE FUNCTION zero_one() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE orders SET total = 0 WHERE id = NEW.id; RETURN NEW; END';
     CREATE FUNCTION text_row() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN EXECUTE 'DELETE FROM ' || TG_ARGV[0]; RETURN NEW; END$$;
     CREATE FUNCTION calls_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM purge(); RETURN NEW; END';
     CREATE FUNCTION relay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO armed VALUES (NEW.id); RETURN NEW; END';
     CREATE TABLE armed (id int); CREATE TRIGGER t AFTER INSERT ON armed FOR EACH ROW EXECUTE FUNCTION purge_row();
     CREATE TABLE relayed (id int); CREATE TRIGGER t BEFORE INSERT ON relayed FOR EACH ROW EXECUTE FUNCTION relay();
     CREATE TABLE overwriting (id int); CREATE TRIGGER t AFTER INSERT ON overwriting EXECUTE FUNCTION zero_all();
     CREATE TABLE joined (id int); CREATE TRIGGER t AFTER INSERT ON joined FOR EACH ROW EXECUTE FUNCTION zero_of();
     CREATE TABLE single (id int); CREATE TRIGGER t AFTER INSERT ON single FOR EACH ROW EXECUTE FUNCTION zero_one();
     CREATE TABLE spoken (id int); CREATE TRIGGER t AFTER INSERT ON spoken FOR EACH ROW EXECUTE FUNCTION text_row('orders');
     CREATE TABLE calling (id int); CREATE TRIGGER t AFTER INSERT ON calling FOR EACH ROW EXECUTE FUNCTION calls_row();
     CREATE FUNCTION fine(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
     CREATE FUNCTION public.lower(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN purge(); END';
     CREATE FUNCTION beside() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM fine(1), lower(2); RETURN NEW; END';
     CREATE TABLE besides (id int); CREATE TRIGGER t AFTER INSERT ON besides FOR EACH ROW EXECUTE FUNCTION beside();
     CREATE FUNCTION fined() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM fine(NEW.id); RETURN NEW; END';
     CREATE TABLE fines (id int); CREATE TRIGGER t AFTER INSERT ON fines FOR EACH ROW EXECUTE FUNCTION fined();
     CREATE TABLE changing (id int PRIMARY KEY, v int); INSERT INTO changing VALUES (1, 1);
     CREATE TRIGGER t AFTER UPDATE ON changing FOR EACH ROW EXECUTE FUNCTION purge_row();
     CREATE TABLE parted (id int) PARTITION BY RANGE (id); CREATE TABLE parted_one PARTITION OF parted FOR VALUES FROM (0) TO (1000);
     CREATE TRIGGER t AFTER INSERT ON parted_one FOR EACH ROW EXECUTE FUNCTION purge_row();
     CREATE VIEW behind AS SELECT id FROM armed;
     CREATE VIEW instead AS SELECT id FROM customers;
     CREATE TRIGGER t INSTEAD OF INSERT ON instead FOR EACH ROW EXECUTE FUNCTION purge_row();
     CREATE TABLE ruled (id int); CREATE RULE r AS ON INSERT TO ruled DO ALSO DELETE FROM orders;
     CREATE TABLE defaulting (id int, x int DEFAULT purge());
     CREATE TABLE checked (id int CHECK (purge() = 1));
     CREATE DOMAIN sure AS int CHECK (purge() = 1); CREATE TABLE domained (id sure);
     CREATE FUNCTION steady(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM purge(); RETURN 1; END';
     CREATE TABLE made (id int, y int GENERATED ALWAYS AS (steady(id)) STORED);
     CREATE TABLE indexed (id int); CREATE INDEX ON indexed (steady(id));
     CREATE TABLE conditional (id int);
     CREATE FUNCTION nothing_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
     CREATE TRIGGER t AFTER INSERT ON conditional FOR EACH ROW WHEN (purge() = 1) EXECUTE FUNCTION nothing_row();
     CREATE TABLE audit (id int, what text, at timestamptz DEFAULT now());
     CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO audit (id, what) VALUES (NEW.id, TG_OP); NEW.total := abs(NEW.total); PERFORM pg_notify('orders', NEW.id::text); RETURN NEW; END$$;
     CREATE TABLE bookings (id int PRIMARY KEY, total int, customer_id int);
     CREATE TRIGGER t BEFORE INSERT OR UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION audited();
     CREATE FUNCTION spend() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE customers SET spent = spent + NEW.total WHERE id = NEW.customer_id; RETURN NULL; END';
     CREATE TRIGGER u AFTER INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION spend();`,
    )
  },
})
const { runAs } = attacked

beforeEach(async () => {
  await arrange(
    attacked.postgres,
    `TRUNCATE orders; INSERT INTO orders SELECT i, 100, i % 3 FROM generate_series(1, ${rows}) i;
     DELETE FROM lines; DELETE FROM customers; INSERT INTO customers SELECT i, 'c', 0 FROM generate_series(0, 2) i; INSERT INTO lines VALUES (1, 1);`,
  )
})

async function whole(): Promise<unknown> {
  const [row] = await attacked.postgres.query(
    'SELECT (SELECT count(*)::int FROM orders) AS n, (SELECT sum(total)::int FROM orders) AS s, (SELECT sum(customer_id)::int FROM lines) AS l',
  )
  return row
}

const attacks: readonly (readonly [name: string, statement: string | readonly [string, readonly unknown[]]])[] = [
  ['a trigger that deletes', 'INSERT INTO armed VALUES (1)'],
  ['a trigger that deletes, by parameters', ['INSERT INTO armed VALUES ($1)', [1]]],
  ['a trigger that deletes, in a CTE', 'WITH x AS (INSERT INTO armed VALUES (1) RETURNING id) SELECT * FROM x'],
  ['a trigger that deletes, in a block', 'DO $$ BEGIN INSERT INTO armed VALUES (1); END $$'],
  [
    'a trigger that deletes, by MERGE',
    'MERGE INTO armed a USING (VALUES (1)) v(id) ON a.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.id)',
  ],
  ['a trigger that deletes, by EXPLAIN ANALYZE', 'EXPLAIN ANALYZE INSERT INTO armed VALUES (1)'],
  ['a trigger that fires another', 'INSERT INTO relayed VALUES (1)'],
  ['a trigger that overwrites everything', 'INSERT INTO overwriting VALUES (1)'],
  ['a trigger that overwrites what no unique index holds to one', 'INSERT INTO joined VALUES (1)'],
  ['a trigger that overwrites one row, fired by a query', `INSERT INTO single SELECT g FROM generate_series(1, ${rows}) g`],
  [
    'a trigger that overwrites one row, fired in a loop',
    `DO $$ BEGIN FOR i IN 1..${rows} LOOP INSERT INTO single VALUES (i); END LOOP; END $$`,
  ],
  ['a trigger that runs text', 'INSERT INTO spoken VALUES (1)'],
  ['a trigger that calls a function', 'INSERT INTO calling VALUES (1)'],
  ['a trigger that calls an overload beside a harmless function', 'INSERT INTO besides VALUES (1)'],
  ['a trigger on a keyed update', 'UPDATE changing SET v = 2 WHERE id = 1'],
  ['a trigger on an upsert', 'INSERT INTO changing VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET v = excluded.v'],
  ['a trigger on a partition', 'INSERT INTO parted VALUES (1)'],
  ['a trigger behind a view', 'INSERT INTO behind VALUES (1)'],
  ['a trigger instead of a view', 'INSERT INTO instead VALUES (7)'],
  ['a rule', 'INSERT INTO ruled VALUES (1)'],
  ['a default', 'INSERT INTO defaulting (id) VALUES (1)'],
  ['a check', 'INSERT INTO checked VALUES (1)'],
  ['a domain', 'INSERT INTO domained VALUES (1)'],
  ['a generated column', 'INSERT INTO made VALUES (1)'],
  ['an index', 'INSERT INTO indexed VALUES (1)'],
  ['the condition of a trigger', 'INSERT INTO conditional VALUES (1)'],
  ['a foreign key that follows', 'UPDATE customers SET id = 9 WHERE id = 1'],
]

// So many requests of one agent may wait at once: two share them.
const asked = attacks.map(([name, statement], index) => [name, index % 2 === 0 ? 'coder' : 'other', statement] as const)

describe('what was there before does not run unasked with a plain write', () => {
  test.each(casesOf(attacks, 5))('%s is out of scope for who may write', async (_name, statement) => {
    const before = await whole()
    const [ran] = await runAs('writer', [statement])
    expect(await whole()).toEqual(before)
    expect(ran?.sqlState).toBe('42501')
  })

  test.each(casesOf(asked, 5))('%s asks people', async (_name, agent, statement) => {
    const before = await whole()
    const [ran] = await runAs(agent, [statement])
    expect(await whole()).toEqual(before)
    expect(['42501', 'SP001']).toContain(ran?.sqlState)
  })
})

test('triggers that stamp, count, tell and add are no reason to ask', async () => {
  const ran = await runAs('writer', [
    'INSERT INTO bookings VALUES (1, -5, 1)',
    ['INSERT INTO bookings (id, total, customer_id) VALUES ($1, $2, $3)', [2, 7, 2]],
    'UPDATE bookings SET total = 9 WHERE id = 1',
    'INSERT INTO single VALUES (5000)',
    'INSERT INTO customers VALUES (50, $$x$$, 0)',
    'INSERT INTO changing VALUES (77, 1)',
    'INSERT INTO fines VALUES (1)',
    'BEGIN',
    'CREATE TABLE fresh (id int)',
    'INSERT INTO fresh SELECT generate_series(1, 5)',
    'COMMIT',
  ])
  expect(ran.map(({ sqlState, message }) => `${sqlState} ${message}`)).toEqual(ran.map(() => '00000 '))
  const [row] = await attacked.postgres.query(
    'SELECT count(*)::int AS n, (SELECT spent FROM customers WHERE id = 1) AS s FROM audit',
  )
  expect(row).toEqual({ n: 3, s: 5 })
})
