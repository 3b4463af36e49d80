import { beforeEach, expect, test } from 'vitest'
import { casesOf } from '../breadth.ts'
import { frame, int16, int32, zeroTerminated } from '../../packages/gateway/src/protocols/postgres/wire.ts'
import { RawClient } from '../fakes/postgres-client.ts'
import { useAttackedGate } from '../servers/attacked-gate.ts'
import { arrange } from '../servers/gate.ts'

/**
 * Ways to run code, or overwrite every row, under a name that the text alone takes for harmless. Each is tried by an agent that may write and nothing
 * more (`any` where the text itself is graver), through a real gate before a real server; afterwards every row must still be there.
 */
const rows = 1_500
const attacked = useAttackedGate({
  prepare: async (postgres) => {
    await arrange(
      postgres,
      `CREATE TABLE orders (id int PRIMARY KEY, total int, customer_id int);
     CREATE FUNCTION purge() RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1';
     CREATE FUNCTION purge_pair(int, int) RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1';
     CREATE FUNCTION purge_row(orders) RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1';
     CREATE FUNCTION purge_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM orders; RETURN NEW; END';
     CREATE VIEW cleaner AS SELECT purge();
     CREATE SEQUENCE turns;`,
    )
    await postgres.query(
      'CREATE VIEW public.people AS SELECT rolname, rolpassword FROM pg_authid; GRANT SELECT ON people TO app_use',
    )
  },
})
const { runAs } = attacked

beforeEach(async () => {
  await arrange(attacked.postgres, `TRUNCATE orders; INSERT INTO orders SELECT i, 100, 7 FROM generate_series(1, ${rows}) i`)
})

async function whole(): Promise<unknown> {
  const [row] = await attacked.postgres.query('SELECT count(*)::int AS n, sum(total)::int AS s FROM orders')
  return row
}

const attacks: readonly (readonly [name: string, agent: string, statements: readonly string[]])[] = [
  ['a view calls a function', 'coder', ['SELECT * FROM cleaner']],
  ['a view in an INSERT', 'writer', ['CREATE TABLE log_one (x int)', 'INSERT INTO log_one SELECT purge FROM cleaner']],
  ['a view behind a cursor', 'writer', ['BEGIN', 'DECLARE c CURSOR FOR SELECT * FROM cleaner', 'FETCH 1 FROM c', 'COMMIT']],
  ['a function written as a column', 'coder', ['SELECT o.purge_row FROM orders o LIMIT 1']],
  ['a default', 'writer', ['CREATE TABLE late (x int DEFAULT purge())', 'INSERT INTO late DEFAULT VALUES']],
  [
    'a default of a new column',
    'writer',
    ['CREATE TABLE col (y int)', 'INSERT INTO col VALUES (1)', 'ALTER TABLE col ADD COLUMN x int DEFAULT purge()'],
  ],
  ['a check', 'writer', ['CREATE TABLE checked (x int CHECK (purge() = 1))', 'INSERT INTO checked VALUES (1)']],
  ['a domain', 'writer', ['CREATE DOMAIN sure AS int CHECK (purge() = 1)', 'SELECT 1::sure']],
  [
    'a trigger',
    'writer',
    [
      'CREATE TABLE armed (y int)',
      'CREATE TRIGGER t BEFORE INSERT ON armed FOR EACH ROW EXECUTE FUNCTION purge_trigger()',
      'INSERT INTO armed VALUES (1)',
    ],
  ],
  [
    'an operator',
    'writer',
    ['CREATE OPERATOR public.=== (FUNCTION = purge_pair, LEFTARG = int, RIGHTARG = int)', 'SELECT 1 === 2'],
  ],
  [
    'an overload',
    'writer',
    ["CREATE FUNCTION public.upper(int) RETURNS int LANGUAGE sql AS 'SELECT purge()'", 'SELECT upper(1)'],
  ],
  [
    'a cast',
    'writer',
    [
      'CREATE TYPE pair AS (a int)',
      "CREATE FUNCTION pair_int(pair) RETURNS int LANGUAGE sql AS 'SELECT purge()'",
      'CREATE CAST (pair AS int) WITH FUNCTION pair_int(pair)',
      'SELECT ROW(1)::pair::int',
    ],
  ],
  [
    'a body that looks keyed',
    'writer',
    [
      "CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'UPDATE orders SET total = 0 WHERE customer_id = 7; SELECT 1'",
      'CREATE TABLE wiped (x int DEFAULT wipe())',
      'INSERT INTO wiped DEFAULT VALUES',
    ],
  ],
  [
    'a generated column, its function after an innocent expression',
    'writer',
    [
      "CREATE FUNCTION steady(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM purge(); RETURN 1; END'",
      'CREATE TABLE made (x int, y int GENERATED ALWAYS AS (steady(x)) STORED)',
      'INSERT INTO made VALUES (1)',
    ],
  ],
  [
    'a function renamed into place',
    'writer',
    [
      "CREATE FUNCTION helper() RETURNS int LANGUAGE sql AS 'SELECT 1'",
      "CREATE FUNCTION calls_helper() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN helper(); END'",
      'CREATE TABLE helped (x int DEFAULT calls_helper())',
      'ALTER FUNCTION helper() RENAME TO helper_before',
      'ALTER FUNCTION purge() RENAME TO helper',
      'INSERT INTO helped DEFAULT VALUES',
    ],
  ],
  [
    'a view renamed into place',
    'writer',
    [
      'CREATE VIEW decoy AS SELECT 1 AS purge',
      "CREATE FUNCTION reads_decoy() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT purge FROM decoy); END'",
      'CREATE TABLE decoyed (x int DEFAULT reads_decoy())',
      'ALTER VIEW decoy RENAME TO decoy_before',
      'ALTER VIEW cleaner RENAME TO decoy',
      'INSERT INTO decoyed DEFAULT VALUES',
    ],
  ],
  ['a key that is cast', 'writer', ["UPDATE orders SET total = 0 WHERE id::bool = 't'::bool"]],
  [
    'a computed list of keys',
    'writer',
    ['UPDATE orders SET total = 0 WHERE id = ANY(array_positions(array_fill(1, ARRAY[10000]), 1))'],
  ],
  [
    'an equality of their own',
    'writer',
    [
      "CREATE FUNCTION always(int, jsonb) RETURNS bool LANGUAGE sql AS 'SELECT true'",
      'CREATE OPERATOR public.= (FUNCTION = always, LEFTARG = int, RIGHTARG = jsonb)',
      "UPDATE orders SET total = 0 WHERE id = '{}'::jsonb",
    ],
  ],
  [
    'an upsert of a series',
    'writer',
    [`INSERT INTO orders SELECT g, 0 FROM generate_series(1, ${rows}) g ON CONFLICT (id) DO UPDATE SET total = 0`],
  ],
  [
    'an upsert of a series in an expression',
    'writer',
    [`INSERT INTO orders SELECT 0 + generate_series(1, ${rows}), 0 ON CONFLICT (id) DO UPDATE SET total = 0`],
  ],
  [
    'a merge from a copy of the keys',
    'writer',
    [
      'CREATE TABLE copied AS SELECT id FROM orders',
      'MERGE INTO orders o USING copied s ON o.id = s.id WHEN MATCHED THEN UPDATE SET total = 0',
    ],
  ],
  [
    'a loop over one key that moves',
    'writer',
    [
      `DO $$ BEGIN FOR i IN 1..${rows} LOOP PERFORM nextval('turns'); UPDATE orders SET total = 0 WHERE id = currval('turns'); END LOOP; END $$`,
    ],
  ],
]

test.each(casesOf(attacks, 5))('%s runs nothing without a person', async (_name, agent, statements) => {
  const before = await whole()
  const ran = await runAs(agent, statements)
  expect(await whole()).toEqual(before)
  expect(ran.some(({ sqlState }) => sqlState === '42501' || sqlState === 'SP001')).toBe(true)
})

const secrets: readonly (readonly [name: string, sql: string])[] = [
  ['a view', 'SELECT * FROM people'],
  ['a view in a query as text', "SELECT query_to_xml('SELECT * FROM people', true, true, '')"],
  ['an oid as the name of a table', "SELECT table_to_xml('1260', true, false, '')"],
  ['blanks in the name of a table', "SELECT table_to_xml('pg_catalog . pg_authid', true, false, '')"],
]

test.each(secrets)('a secret under another name is not a read: %s', async (_name, sql) => {
  const [ran] = await runAs('reader', [sql])
  expect(ran?.sqlState).toBe('42501')
})

test.each([
  ['a file', 'CREATE OPERATOR public.=== (FUNCTION = pg_read_file, RIGHTARG = text)'],
  ['a large object', 'CREATE OPERATOR public.=== (FUNCTION = lo_unlink, RIGHTARG = oid)'],
  ['SQL as text', 'CREATE OPERATOR public.=== (FUNCTION = ts_rewrite, LEFTARG = tsquery, RIGHTARG = text)'],
  ['a schema before all names', 'CREATE SCHEMA app_use'],
])('an agent that may write can not lend a name to %s', async (_name, sql) => {
  const [ran] = await runAs('writer', [sql])
  expect(ran?.sqlState).toBe('42501')
})

test('in one batch, behind a read, a view is looked at all the same', async () => {
  const before = await whole()
  const client = await RawClient.open(attacked.gate.port, 'coder', await attacked.gate.issue('coder'), 'orders-db')
  const statement = (sql: string): Buffer =>
    Buffer.concat([
      frame(0x50, zeroTerminated(''), zeroTerminated(sql), int16(0)),
      frame(0x42, zeroTerminated(''), zeroTerminated(''), int16(0), int16(0), int16(0)),
      frame(0x45, zeroTerminated(''), int32(0)),
    ])
  client.send(
    statement('SELECT count(*) FROM orders'),
    statement('SELECT sum(total) FROM orders'),
    statement('SELECT * FROM cleaner'),
    frame(0x53),
  )
  const answers = await client.untilReady()
  client.close()
  expect(answers.filter(({ type }) => type === 'C')).toHaveLength(2)
  expect(answers.filter(({ type }) => type === 'E')).toHaveLength(1)
  expect(await whole()).toEqual(before)
})

test('an approval is void when the function it names was replaced meanwhile', async () => {
  await arrange(
    attacked.postgres,
    "CREATE TABLE tidied (x int); CREATE FUNCTION tidy() RETURNS int LANGUAGE sql AS 'INSERT INTO tidied VALUES (1); SELECT 1'",
  )
  await attacked.gate.person('ada')
  const people = [await attacked.gate.person('bob'), await attacked.gate.person('carol')]
  const connection = await attacked.gate.connect('coder')
  expect((await connection.run('SELECT tidy()')).sqlState).toBe('SP001')
  const id = await attacked.gate.pendingRequest('coder')
  for (const person of people) await person.approve(id)
  await arrange(attacked.postgres, "CREATE OR REPLACE FUNCTION tidy() RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1'")
  const before = await whole()
  expect((await connection.run('SELECT tidy()')).sqlState).not.toBe('00000')
  expect(await whole()).toEqual(before)
  await connection.close()
})

test('many agents at once share one budget', async () => {
  const connections = await Promise.all(Array.from({ length: 6 }, () => attacked.gate.connect('coder')))
  await Promise.all(
    connections.map((connection, index) =>
      connection.run(`DELETE FROM orders WHERE id > ${index * 200} AND id <= ${(index + 1) * 200}`),
    ),
  )
  for (const connection of connections) await connection.close()
  const [row] = await attacked.postgres.query('SELECT count(*)::int AS n FROM orders')
  expect(Number(row?.['n'])).toBeGreaterThanOrEqual(rows - 1_000)
})

test('what is honest still runs', async () => {
  const ran = await runAs('writer', [
    'SELECT count(*), upper($$a$$) FROM orders o WHERE o.id > 3',
    'UPDATE orders SET total = 90 WHERE id = 5',
    'INSERT INTO orders VALUES (6, 100, 7), (7, 100, 7) ON CONFLICT (id) DO UPDATE SET total = excluded.total',
    "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.x := 5; RETURN NEW; END'",
    'CREATE TABLE touched (x int DEFAULT 1 CHECK (abs(x) < 10))',
    'CREATE TRIGGER t BEFORE INSERT ON touched FOR EACH ROW EXECUTE FUNCTION touch()',
    'INSERT INTO touched VALUES (1)',
    'CREATE VIEW summary AS SELECT sum(o.total) FROM orders o',
    'SELECT * FROM summary',
  ])
  expect(ran.map(({ sqlState }) => sqlState)).toEqual(ran.map(() => '00000'))
})
