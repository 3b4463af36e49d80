import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { arrange, startGate, type AgentConnection, type TestGate } from '../servers/gate.ts'
import { lastKind, runTwice } from '../servers/judged.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { casesOf, inDepth } from '../breadth.ts'

/** What is remembered of a plain write or read must never serve where a fresh look would say more. On a real gate. */
let server: PostgresServer
let gate: TestGate
let agent: AgentConnection
let other: AgentConnection

beforeAll(async () => {
  server = await startPostgres()
  gate = await startGate({ postgres: server, upstreams: { 'orders-db': { environment: 'development' } } })
})
afterAll(async () => {
  await gate?.stop()
  await server?.stop()
})
beforeEach(async () => {
  await server.query('ALTER SYSTEM RESET ALL')
  await server.query('SELECT pg_reload_conf()')
  await arrange(
    server,
    `DROP SCHEMA IF EXISTS one CASCADE; DROP SCHEMA IF EXISTS two CASCADE; DROP TABLE IF EXISTS t, u, w; CREATE SCHEMA one; CREATE SCHEMA two;
     CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1), (2, 2); CREATE TABLE u (id int);
     CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
     CREATE TABLE w (id int);
     CREATE TRIGGER tr BEFORE INSERT ON w FOR EACH ROW EXECUTE FUNCTION f();
     CREATE TABLE one.s (id int PRIMARY KEY, a int); CREATE TABLE two.s (id int, a int)`,
  )
  agent = await gate.connect('coder')
  other = await gate.connect('coder')
  return async () => {
    await agent.close()
    await other.close()
  }
})

/** How long ago the gate last looked at the catalog for a statement: on its own connection, but for the one that watches. */
async function sinceLastLookMs(): Promise<number> {
  const rows = await server.query(
    `SELECT extract(epoch FROM clock_timestamp() - max(query_start))::float8 * 1000 AS ms FROM pg_stat_activity
     WHERE application_name = 'sallyport protect' AND query NOT LIKE '%pg_postmaster_start_time%'`,
  )
  return Number(rows[0]?.['ms'] ?? 0)
}

/** Runs it until the gate has run it for longer than it believes what it knows, without looking. */
async function runUntilRemembered(connection: AgentConnection, text: string): Promise<string | undefined> {
  const runAndSee = async (): Promise<number> => {
    expect(await connection.run(text)).toMatchObject({ sqlState: '00000' })
    return sinceLastLookMs()
  }
  await expect.poll(runAndSee).toBeGreaterThan(2_200)
  return lastKind(gate, text)
}

/** For longer than the gate takes to know the catalog again after doubting it. */
async function runOften(connection: AgentConnection, text: string): Promise<void> {
  for (let time = 0; time < 60; time += 1) expect(await connection.run(text)).toMatchObject({ sqlState: '00000' })
  expect(lastKind(gate, text)).toBe('write')
}

const insert = 'INSERT INTO w VALUES (1)'
const harmful = `CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM u; RETURN NEW; END'`

test.each(casesOf(['BEGIN ISOLATION LEVEL REPEATABLE READ', 'START TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'by default'], 1))(
  'what a transaction sees that began before the change is remembered for nobody: %s',
  async (begin) => {
    expect(await runUntilRemembered(other, insert)).toBe('write')
    if (begin === 'by default') await agent.run("SET default_transaction_isolation = 'repeatable read'")
    await agent.run(begin === 'by default' ? 'BEGIN' : begin)
    await agent.run('SELECT count(*) FROM t')
    await arrange(server, harmful)
    await expect.poll(async () => runTwice(gate, other, insert)).toBe('unknown')
    const own = insert.replace('(1)', '( 1 )')
    for (let time = 0; time < 30; time += 1) await agent.run(own)
    expect(lastKind(gate, own)).not.toBe('write')
    await agent.run('ROLLBACK')
    const third = await gate.connect('coder')
    await runTwice(gate, third, own)
    await third.close()
    expect(lastKind(gate, own)).toBe('unknown')
  },
  60_000,
)

test.each(inDepth('the server is told other settings and reads them again: the same text is another statement within seconds'))(
  '%s',
  async () => {
    await server.query(`ALTER SYSTEM SET search_path = 'one'`)
    await server.query('SELECT pg_reload_conf()')
    const fresh = await gate.connect('coder')
    try {
      const text = 'UPDATE s SET a = 1 WHERE id = 1'
      expect(await runUntilRemembered(fresh, text)).toBe('write')
      await server.query(`ALTER SYSTEM SET search_path = 'two'`)
      await server.query('SELECT pg_reload_conf()')
      await expect.poll(async () => runTwice(gate, fresh, text)).toBe('destroy')
    } finally {
      await fresh.close()
    }
  },
)

test('what one session looked up while its own table stood before another, made by a trigger, serves nobody else', async () => {
  await arrange(
    server,
    `${harmful}; CREATE FUNCTION one.make() RETURNS trigger LANGUAGE plpgsql
       AS 'BEGIN CREATE TEMP TABLE IF NOT EXISTS w (id int); RETURN NEW; END';
     CREATE TRIGGER make BEFORE INSERT ON one.s FOR EACH ROW EXECUTE FUNCTION one.make()`,
  )
  expect(await runUntilRemembered(agent, 'INSERT INTO u VALUES (7)')).toBe('write')
  await agent.run('BEGIN')
  await agent.run('INSERT INTO one.s VALUES (1, 1)')
  expect(lastKind(gate, 'INSERT INTO one.s VALUES (1, 1)')).toBe('write')
  await runOften(agent, insert)
  const third = await gate.connect('coder')
  await runTwice(gate, third, insert)
  await third.close()
  expect(lastKind(gate, insert)).toBe('unknown')
})

test.each(inDepth('inside a plain transaction what is looked up is remembered, for the next session too'))('%s', async () => {
  await agent.run('BEGIN')
  expect(await runUntilRemembered(agent, 'UPDATE t SET a = a + 1 WHERE id = 1')).toBe('write')
  await agent.run('COMMIT')
  const third = await gate.connect('coder')
  await third.run('UPDATE t SET a = a + 1 WHERE id = 2')
  await third.close()
  expect(await sinceLastLookMs()).toBeGreaterThan(2_200)
})

test('a transaction that keeps its snapshot is judged by what runs now, or is told to begin again', async () => {
  await agent.run('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await agent.run('SELECT count(*) FROM u')
  await server.query('CREATE TEMP TABLE of_somebody_else (id int PRIMARY KEY DEFAULT 1)')
  await arrange(server, 'CREATE TABLE one.more (id int)')
  expect(await agent.run('INSERT INTO u VALUES (1)')).toMatchObject({ sqlState: '00000' })
  await arrange(server, harmful)
  const refused = await agent.run('INSERT INTO w VALUES (1)')
  expect(refused.message).toContain('since this transaction began')
  await agent.run('ROLLBACK')
  await agent.run('BEGIN ISOLATION LEVEL REPEATABLE READ')
  expect(await agent.run('INSERT INTO w VALUES (2)')).toMatchObject({ sqlState: '00000' })
  expect(lastKind(gate, 'INSERT INTO w VALUES (2)')).toBe('unknown')
})
