import { beforeEach, describe, expect, test } from 'vitest'
import { casesOf, inDepth } from '../breadth.ts'
import {
  bindMessage,
  executeMessage,
  parseMessage,
  queryMessage,
  syncMessage,
} from '../../packages/gateway/src/protocols/postgres/wire.ts'
import { RawClient } from '../fakes/postgres-client.ts'
import { useAttackedGate, type Statement } from '../servers/attacked-gate.ts'
import { arrange, type Ran } from '../servers/gate.ts'

/**
 * With a limit of 100 rows that run without a prompt, whatever changes 101 asks first or is rolled back, by whichever way the rows are reached;
 * and what changes fewer counts toward the same budget, whoever of the owner's agents does it, over however many handles.
 */
const rows = 300
const rowsWithoutPrompt = 100
const attacked = useAttackedGate({
  wait: '0s',
  limits: { rowsWithoutPrompt },
  agents: Object.fromEntries(
    Array.from({ length: 80 }, (_, index) => [`agent${index}`, { owner: `owner${index >> 1}`, may: ['any orders-db'] }]),
  ),
  prepare: async (postgres) => {
    await arrange(
      postgres,
      `CREATE TABLE customers (id int PRIMARY KEY, name text);
     CREATE TABLE orders (id int PRIMARY KEY, total int, customer_id int REFERENCES customers ON DELETE CASCADE ON UPDATE CASCADE);
     CREATE TABLE drafts (id int PRIMARY KEY);
     CREATE VIEW open_orders AS SELECT id, total, customer_id FROM orders WHERE total > 0;
     CREATE TABLE flags (id int PRIMARY KEY, v int); 
     CREATE FUNCTION purge_rows() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM orders WHERE id <= 101; RETURN OLD; END';
     CREATE TRIGGER t AFTER DELETE ON flags FOR EACH ROW EXECUTE FUNCTION purge_rows();
     CREATE TABLE marks (id int PRIMARY KEY, v int);
     CREATE FUNCTION zero_rows() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE orders SET total = 0 WHERE id <= 101; RETURN NEW; END';
     CREATE TRIGGER t AFTER UPDATE ON marks FOR EACH ROW EXECUTE FUNCTION zero_rows();`,
    )
  },
})
const { runAs } = attacked

beforeEach(async () => {
  await arrange(
    attacked.postgres,
    `TRUNCATE orders, customers, flags, marks, drafts; INSERT INTO customers SELECT i, 'c' FROM generate_series(0, 1) i;
     INSERT INTO orders SELECT i, 100, CASE WHEN i <= 150 THEN 0 ELSE 1 END FROM generate_series(1, ${rows}) i;
     INSERT INTO flags VALUES (1, 1); INSERT INTO marks VALUES (1, 1); INSERT INTO drafts SELECT generate_series(1, 300)`,
  )
})

const once = (sql: string): Buffer => Buffer.concat([parseMessage('', sql), bindMessage('', '', []), executeMessage('')])

let used = 0
/** Two agents of one owner whose budget nobody has touched. */
function newcomers(): readonly [string, string] {
  used += 2
  return [`agent${used - 2}`, `agent${used - 1}`]
}

async function whole(): Promise<unknown> {
  const [row] = await attacked.postgres.query(
    `SELECT (SELECT count(*)::int FROM orders) AS orders, (SELECT sum(total)::int FROM orders) AS total, (SELECT sum(customer_id)::int FROM orders) AS of,
      (SELECT count(*)::int FROM customers) AS customers, (SELECT count(*)::int FROM flags) AS flags, (SELECT count(*)::int FROM drafts) AS drafts`,
  )
  return row
}

const over: readonly (readonly [name: string, statements: readonly Statement[]])[] = [
  ['in autocommit', ['DELETE FROM orders WHERE id <= 101']],
  ['by parameters', [['DELETE FROM orders WHERE id <= $1', [101]]]],
  ['in a transaction', ['BEGIN', 'DELETE FROM orders WHERE id <= 101', 'COMMIT']],
  [
    'in two halves of a transaction',
    ['BEGIN', 'DELETE FROM orders WHERE id <= 51', 'DELETE FROM orders WHERE id <= 101', 'COMMIT'],
  ],
  [
    'in many small ones of a transaction',
    ['BEGIN', ...Array.from({ length: 11 }, (_, i) => `DELETE FROM orders WHERE id <= ${i * 10 + 10}`), 'COMMIT'],
  ],
  ['under a savepoint', ['BEGIN', 'SAVEPOINT a', 'DELETE FROM orders WHERE id <= 101', 'RELEASE a', 'COMMIT']],
  ['in one query of many statements', ['DELETE FROM orders WHERE id <= 51; DELETE FROM orders WHERE id <= 101']],
  ['with its own BEGIN and COMMIT in one query', ['BEGIN; DELETE FROM orders WHERE id <= 101; COMMIT']],
  ['in a CTE', ['WITH gone AS (DELETE FROM orders WHERE id <= 101 RETURNING id) SELECT count(*) FROM gone']],
  [
    'in two CTEs',
    [
      'WITH a AS (DELETE FROM orders WHERE id <= 51 RETURNING id), b AS (DELETE FROM orders WHERE id BETWEEN 52 AND 101 RETURNING id) SELECT 1',
    ],
  ],
  ['by a join', ['DELETE FROM orders o USING drafts d WHERE d.id = o.id AND d.id <= 101']],
  [
    'by a cursor',
    [
      'BEGIN',
      'DECLARE c CURSOR FOR SELECT id FROM orders WHERE id <= 101 FOR UPDATE',
      ...Array.from({ length: 101 }, () => ['FETCH c', 'DELETE FROM orders WHERE CURRENT OF c']).flat(),
      'COMMIT',
    ],
  ],
  ['through a view', ['DELETE FROM open_orders WHERE id <= 101']],
  ['by cascade', ['DELETE FROM customers WHERE id = 0']],
  ['by cascade in a transaction', ['BEGIN', 'DELETE FROM customers WHERE id = 0', 'COMMIT']],
  ['by a key that is followed', ['UPDATE customers SET id = 7 WHERE id = 0']],
  ['by a trigger', ['DELETE FROM flags WHERE id = 1']],
  ['by a trigger of an update by key', ['UPDATE marks SET v = 2 WHERE id = 1']],
  ['by UPDATE', ['UPDATE orders SET total = 0 WHERE id <= 101']],
  ['by UPDATE through a view', ['UPDATE open_orders SET total = 0 WHERE id <= 101']],
  ['by UPDATE FROM', ['UPDATE orders o SET total = 0 FROM drafts d WHERE d.id = o.id AND d.id <= 101']],
  ['by MERGE', ['MERGE INTO orders o USING drafts d ON d.id = o.id AND d.id <= 101 WHEN MATCHED THEN DELETE']],
  [
    'by INSERT ON CONFLICT',
    ['INSERT INTO orders SELECT i, 0, 0 FROM generate_series(1, 101) i ON CONFLICT (id) DO UPDATE SET total = 0'],
  ],
  ['prepared in SQL', ['PREPARE p AS DELETE FROM orders WHERE id <= $1', 'EXECUTE p(101)']],
  [
    'prepared in SQL, a few at a time',
    ['PREPARE p AS DELETE FROM orders WHERE id = $1', ...Array.from({ length: 101 }, (_, i) => `EXECUTE p(${i + 1})`)],
  ],
  ['in a block', ['DO $$ BEGIN DELETE FROM orders WHERE id <= 101; END $$']],
  ['by EXPLAIN ANALYZE', ['EXPLAIN ANALYZE DELETE FROM orders WHERE id <= 101']],
]

const asked = (ran: readonly Ran[]): number => ran.filter(({ sqlState }) => sqlState !== '00000').length

describe(`with a limit of ${rowsWithoutPrompt} rows`, () => {
  test.each(casesOf(over, 2))('101 of them %s: people are asked, and not one is gone', async (_name, statements) => {
    const before = await whole()
    const [agent] = newcomers()
    expect(asked(await runAs(agent, statements))).toBeGreaterThan(0)
    expect(await whole()).toEqual(before)
  })

  test('a pipeline of 101, sent before the first answer came', async () => {
    const [agent] = newcomers()
    const connection = await attacked.gate.connect(agent)
    const sent = Array.from({ length: 11 }, (_, index) =>
      connection.client.query('DELETE FROM orders WHERE id > $1 AND id <= $2', [index * 10, index * 10 + 10]).then(
        () => 'ran',
        () => 'asked',
      ),
    )
    const answers = await Promise.all(sent)
    await connection.close()
    expect(answers).toEqual([...Array<string>(10).fill('ran'), 'asked'])
    expect(await whole()).toMatchObject({ orders: rows - 100 })
  })

  const begins: readonly (readonly [string, readonly Buffer[]])[] = [
    ['under one Sync', []],
    ['under one Sync, after a write of its own', [once('INSERT INTO marks VALUES (9, 9)')]],
    ['under one Sync, in a transaction', [once('BEGIN')]],
  ]
  test.each(casesOf(begins, 0))(
    'a batch of 11 × 10 %s: not one row is gone, whatever the client says after it',
    async (_name, first) => {
      const before = await whole()
      const [agent] = newcomers()
      const raw = await RawClient.open(attacked.gate.port, agent, await attacked.gate.issue(agent), 'orders-db')
      const ten = (index: number): Buffer => once(`DELETE FROM orders WHERE id > ${index * 10} AND id <= ${index * 10 + 10}`)
      raw.send(...first, ...Array.from({ length: 11 }, (_, index) => ten(index)), syncMessage, queryMessage('COMMIT'))
      const answers = await raw.answers(2)
      raw.close()
      expect(answers.filter((line) => line === 'C DELETE 10')).toHaveLength(10)
      expect(answers.filter((line) => line.startsWith('E'))).toEqual(['E SP001'])
      expect(await whole()).toEqual(before)
    },
  )

  test.each(inDepth('ten batches of 10 rows, each under its own Sync, run; the eleventh does not'))('%s', async () => {
    const [agent] = newcomers()
    const raw = await RawClient.open(attacked.gate.port, agent, await attacked.gate.issue(agent), 'orders-db')
    const five = (from: number): Buffer => once(`DELETE FROM orders WHERE id > ${from} AND id <= ${from + 5}`)
    const batches = Array.from({ length: 11 }, (_, index) => [five(index * 10), five(index * 10 + 5), syncMessage]).flat()
    raw.send(...batches)
    const answers = await raw.answers(11)
    raw.close()
    expect(answers.filter((line) => line.startsWith('E'))).toEqual(['E SP001'])
    expect(await whole()).toMatchObject({ orders: rows - 100 })
  })

  const spread: readonly (readonly [string, 0 | 1, 0 | 1])[] = [
    ['over two agents of one owner', 1, 1],
    ['over two handles of one agent', 0, 1],
    ['over one connection', 0, 0],
  ]
  test.each(casesOf(spread, 1))('99 rows run, and 99 more ask: %s', async (_name, second, connections) => {
    const agents = newcomers()
    const half = (from: number): string => `DELETE FROM drafts WHERE id > ${from} AND id <= ${from + 99}`
    if (connections === 0) expect((await runAs(agents[0], [half(0), half(99)])).map(({ rowCount }) => rowCount)).toEqual([99, 0])
    else {
      expect(await runAs(agents[0], [half(0)])).toMatchObject([{ sqlState: '00000', rowCount: 99 }])
      expect(asked(await runAs(agents[second] ?? '', [half(99)]))).toBe(1)
    }
    expect(await whole()).toMatchObject({ drafts: 201 })
    // The one row that is left of the budget.
    expect(await runAs(agents[second] ?? '', ['DELETE FROM drafts WHERE id = 300'])).toMatchObject([{ rowCount: 1 }])
  })

  test('99 rows at the same moment from two agents of one owner: at most one of them runs', async () => {
    const [one, other] = newcomers()
    const both = await Promise.all([
      runAs(one, ['DELETE FROM drafts WHERE id <= 99']),
      runAs(other, ['DELETE FROM drafts WHERE id > 200 AND id <= 299']),
    ])
    expect(both.flat().filter(({ sqlState }) => sqlState === '00000').length).toBeLessThanOrEqual(1)
    const [left] = await attacked.postgres.query('SELECT count(*)::int AS n FROM drafts')
    expect(Number(left?.['n'])).toBeGreaterThanOrEqual(201)
  })

  test('another owner has a budget of their own', async () => {
    const [mine] = newcomers()
    const [theirs] = newcomers()
    expect(await runAs(mine, ['DELETE FROM drafts WHERE id <= 99'])).toMatchObject([{ rowCount: 99 }])
    expect(await runAs(theirs, ['DELETE FROM drafts WHERE id > 99 AND id <= 198'])).toMatchObject([{ rowCount: 99 }])
  })

  test.each(inDepth('what was rolled back is gone from the transaction, and stays spent: the budget errs on the safe side'))(
    '%s',
    async () => {
      const [agent] = newcomers()
      const ran = await runAs(agent, [
        'BEGIN',
        'DELETE FROM drafts WHERE id <= 60',
        'ROLLBACK',
        'DELETE FROM drafts WHERE id <= 60',
      ])
      expect(ran.map(({ sqlState }) => sqlState === '00000')).toEqual([true, true, true, false])
      expect(await whole()).toMatchObject({ drafts: 300 })
    },
  )
})
