import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { HttpPerson } from '../fakes/http-person.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import {
  cancel,
  checksums,
  eventsOf,
  kindsAsked,
  listSnapshots,
  patience,
  readRequest,
  requestOf,
  undo,
  waits,
} from './evidence.ts'
import { openPsql, type Psql } from './psql.ts'
import { casesOf } from '../breadth.ts'

vi.setConfig(patience)

let postgres: PostgresServer
let gate: TestGate
let coder: Psql
let helper: Psql
let bob: HttpPerson

const tables = ['customers', 'orders', 'lines', 'notes', 'parted']
/** Rows that an owner's agents may change without a prompt in an hour. */
const rowsWithoutPrompt = 5

beforeAll(async () => {
  postgres = await startPostgres()
  const may = ['any orders-db']
  gate = await startGate({
    postgres,
    wait: '0ms',
    limits: { rowsWithoutPrompt },
    agents: { coder: { owner: 'ada', may }, helper: { owner: 'ada', may } },
  })
  await arrange(
    postgres,
    `CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
     CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers ON DELETE CASCADE, total numeric(10,2));
     CREATE TABLE lines (id int PRIMARY KEY, "order" int NOT NULL REFERENCES orders ON DELETE CASCADE, what text);
     CREATE TABLE notes (id int PRIMARY KEY, body text);
     CREATE TABLE parted (id int, region text) PARTITION BY LIST (region);
     CREATE TABLE parted_north PARTITION OF parted FOR VALUES IN ('north');
     CREATE VIEW sales AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
     INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 40) n;
     INSERT INTO orders SELECT n, 1 + n % 40, n * 1.5 FROM generate_series(1, 400) n;
     INSERT INTO lines SELECT n, 1 + n % 400, 'line ' || n FROM generate_series(1, 1200) n;
     INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 30) n;
     INSERT INTO parted SELECT n, 'north' FROM generate_series(1, 20) n;
     CREATE FUNCTION wipe() RETURNS bigint LANGUAGE sql AS 'WITH gone AS (DELETE FROM notes RETURNING 1) SELECT count(*) FROM gone';
     CREATE FUNCTION wipe_after() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM wipe(); RETURN NULL; END';
     CREATE FUNCTION wipe_same(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT wipe() >= 0';
     CREATE TABLE armed (id int)`,
  )
  await gate.person('ada')
  bob = await gate.person('bob')
  coder = await openPsql(gate, 'coder')
  helper = await openPsql(gate, 'helper')
})

afterAll(async () => {
  await gate?.stop()
  await postgres?.stop()
})

describe('Promise 4, at every isolation level: no single request, person or credential held by Sallyport destroys for good', () => {
  it('a request alone runs nothing that destroys, however it is written', async () => {
    const before = await checksums(postgres, tables)
    const written = [
      'DROP TABLE orders CASCADE',
      'TRUNCATE lines',
      'TRUNCATE customers CASCADE',
      'DELETE FROM notes',
      'DELETE FROM notes WHERE true',
      'DELETE FROM notes n USING customers c WHERE c.id = n.id OR true',
      'WITH gone AS (DELETE FROM notes RETURNING *) SELECT count(*) FROM gone',
      "UPDATE notes SET body = ''",
      "INSERT INTO notes SELECT id, '' FROM notes ON CONFLICT (id) DO UPDATE SET body = excluded.body",
      'MERGE INTO notes n USING customers c ON c.id = n.id WHEN MATCHED THEN DELETE',
      'ALTER TABLE notes DROP COLUMN body',
      'ALTER TABLE notes ALTER COLUMN body TYPE int USING 0',
      'DROP SCHEMA public CASCADE',
      'DROP OWNED BY app_use CASCADE',
      'PREPARE p AS DELETE FROM notes; EXECUTE p',
      'BEGIN; DELETE FROM notes; COMMIT',
      'SELECT 1; TRUNCATE notes',
      'EXPLAIN ANALYZE DELETE FROM notes',
      'SELECT wipe()',
      "DO $$ BEGIN EXECUTE 'DELETE ' || 'FROM notes'; END $$",
      'SET session_replication_role = replica; DELETE FROM notes',
      'CREATE RULE r AS ON INSERT TO customers DO ALSO DELETE FROM notes',
    ]
    for (const sql of casesOf(written, 12)) {
      const kinds = await kindsAsked(gate, sql, await coder.run(sql))
      if (kinds.length > 0) expect(kinds.join(' '), sql).toMatch(/destroy|unknown|escalate/)
    }
    expect(await checksums(postgres, tables)).toEqual(before)
    expect(await listSnapshots(gate)).toEqual([])
  })

  it('nor does a harmless request after another that armed it', async () => {
    const before = await checksums(postgres, tables)
    const steps = [
      ['CREATE TABLE one (x bigint DEFAULT wipe())', 'INSERT INTO one DEFAULT VALUES'],
      ['CREATE TABLE two (x int CHECK (wipe() >= 0))', 'INSERT INTO two VALUES (1)'],
      ['CREATE DOMAIN three AS int CHECK (wipe() >= 0)', 'SELECT 1::three'],
      ['CREATE OPERATOR === (leftarg = int, rightarg = int, procedure = wipe_same)', 'SELECT * FROM customers WHERE id === 1'],
      [
        'CREATE TABLE four (x int)',
        'CREATE TRIGGER four AFTER INSERT ON four EXECUTE FUNCTION wipe_after()',
        'INSERT INTO four VALUES (1)',
      ],
      ['CREATE VIEW five AS SELECT wipe()', 'SELECT * FROM five'],
      ['ALTER TABLE armed ADD COLUMN more bigint DEFAULT wipe()'],
    ]
    const fired: string[] = []
    for (const step of steps) {
      for (const sql of step) {
        const ran = await coder.run(sql)
        if (ran.request !== '') await cancel(gate, ran.request)
        if ((await checksums(postgres, ['notes']))['notes'] === before['notes']) continue
        fired.push(sql)
        await arrange(postgres, "INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 30) n")
      }
    }
    expect(fired).toEqual([])
    expect(await checksums(postgres, tables)).toEqual(before)
  })

  it('a loop of small deletes, by two agents of one owner, is undoable and ends at its budget', async () => {
    const before = await checksums(postgres, tables)
    const states: string[] = []
    for (let id = 1; id <= 8; id += 1)
      states.push((await (id % 2 === 0 ? coder : helper).run(`DELETE FROM notes WHERE id = ${id}`)).sqlState)
    expect(states.filter((state) => state === '00000')).toHaveLength(rowsWithoutPrompt)
    expect(states.slice(rowsWithoutPrompt)).toEqual([waits, waits, waits])
    const copies = await listSnapshots(gate)
    expect(copies).toHaveLength(rowsWithoutPrompt)
    for (const { id } of copies) expect(await undo(gate, id)).toMatchObject({ rows: 1, verified: true })
    expect(await checksums(postgres, tables)).toEqual(before)
  })

  it('a request and a person run it only together with a proven copy, and undo brings every row back', async () => {
    for (const sql of ['DROP TABLE orders CASCADE', 'TRUNCATE customers CASCADE', 'DELETE FROM customers']) {
      const before = await checksums(postgres, tables)
      const copies = (await listSnapshots(gate)).length
      const request = requestOf(await coder.run(sql))
      expect(await readRequest(gate, request)).toMatchObject({
        state: 'pending',
        question: { copy: expect.stringMatching(/tables|rows/) },
      })
      await bob.approve(request)
      expect(await checksums(postgres, tables), 'approved is not run').toEqual(before)
      expect(await coder.run(sql), sql).toMatchObject({ sqlState: '00000' })
      expect(await checksums(postgres, tables)).not.toEqual(before)
      const [copy, ...more] = (await listSnapshots(gate)).slice(copies)
      expect(more).toEqual([])
      expect(copy?.rows).toBeGreaterThan(0)
      // The copy was sealed before the intent, and the intent names it.
      const events = gate.events()
      const sealed = events.findIndex(({ type, data }) => type === 'snapshot.sealed' && data['snapshot'] === copy?.id)
      const intent = events.findIndex(({ type, data }) => type === 'intent' && data['snapshot'] === copy?.id)
      expect(sealed).toBeGreaterThan(0)
      expect(intent).toBeGreaterThan(sealed)
      expect(await undo(gate, copy?.id ?? '')).toMatchObject({ verified: true })
      expect(await checksums(postgres, tables)).toEqual(before)
    }
  })

  it('where no copy can be made it is denied, and no person can change that', async () => {
    const before = await checksums(postgres, tables)
    const ran = await coder.run('DROP TABLE parted')
    expect(ran).toMatchObject({ sqlState: '42501', request: '' })
    expect(ran.message).toContain('No copy')
    const opened = eventsOf(gate, 'request.opened').length
    expect(await coder.run('DROP TABLE orders, parted')).toMatchObject({ sqlState: '42501', request: '' })
    expect(eventsOf(gate, 'request.opened')).toHaveLength(opened)
    expect(await checksums(postgres, tables)).toEqual(before)
  })

  it('one person does not do for what no copy can undo', async () => {
    const before = await checksums(postgres, tables)
    const request = requestOf(await coder.run('SELECT wipe()'))
    expect(await readRequest(gate, request)).toMatchObject({
      question: { approvalsNeeded: 2, operations: [{ kind: 'unknown' }] },
    })
    await bob.approve(request)
    expect((await bob.give(request, 'approve')).status).toBeGreaterThanOrEqual(400)
    expect(await coder.run('SELECT wipe()')).toMatchObject({ sqlState: waits })
    expect(await checksums(postgres, tables)).toEqual(before)
  })

  it('without a vault nothing that destroys runs, approved or small', async () => {
    const request = requestOf(await coder.run('DROP TABLE notes'))
    await bob.approve(request)
    const before = await checksums(postgres, tables)
    gate.vault.kill()
    await gate.vault.ended
    for (const sql of ['DELETE FROM notes WHERE id = 1', 'DELETE FROM orders WHERE id = 1', 'TRUNCATE lines']) {
      const ran = await coder.run(sql)
      expect(['58000', waits], `${sql}: ${ran.sqlState} ${ran.message}`).toContain(ran.sqlState)
    }
    expect(await coder.run('DROP TABLE notes')).toMatchObject({ sqlState: '58000' })
    expect(await checksums(postgres, tables)).toEqual(before)
  })
})
