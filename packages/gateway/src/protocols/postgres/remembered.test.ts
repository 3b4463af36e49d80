import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { arrange, startGate, type AgentConnection, type TestGate } from '../../../../../tests/servers/gate.ts'
import { lastKind, runTwice } from '../../../../../tests/servers/judged.ts'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'

/** A real gate with everything in it: what is remembered of a write must not outlive what made it harmless. */
let server: PostgresServer
let gate: TestGate
let agent: AgentConnection
let other: AgentConnection
const keyed = 'UPDATE t SET a = a + 1 WHERE id = 1'

beforeAll(async () => {
  server = await startPostgres()
  gate = await startGate({ postgres: server, upstreams: { 'orders-db': { environment: 'development' } } })
})
afterAll(async () => {
  await gate.stop()
  await server.stop()
})
beforeEach(async () => {
  await arrange(
    server,
    `DROP SCHEMA IF EXISTS one CASCADE; DROP SCHEMA IF EXISTS two CASCADE; DROP TABLE IF EXISTS t; CREATE SCHEMA one; CREATE SCHEMA two;
     CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1), (2, 2);
     CREATE TABLE one.s (id int PRIMARY KEY, a int); CREATE TABLE two.s (id int, a int)`,
  )
  agent = await gate.connect('coder')
  other = await gate.connect('coder')
  return async () => {
    await agent.close()
    await other.close()
  }
})

test('somebody else changes the catalog around the gate: seen within seconds, however often the write comes', async () => {
  expect(await runTwice(gate, agent, keyed)).toBe('write')
  await arrange(server, 'ALTER TABLE t DROP CONSTRAINT t_pkey')
  await expect.poll(async () => runTwice(gate, agent, keyed)).toBe('destroy')
})

test('another session of the gate changes the catalog: the next statement is judged by what is there now', async () => {
  expect(await runTwice(gate, agent, keyed)).toBe('write')
  expect(await runTwice(gate, other, keyed)).toBe('write')
  expect(await other.run('ALTER TABLE t DROP CONSTRAINT t_pkey')).toMatchObject({ sqlState: '00000' })
  expect(await runTwice(gate, agent, keyed)).toBe('destroy')
})

test('the same text after another search_path is another statement, in this session and in the next', async () => {
  const text = 'UPDATE s SET a = 1 WHERE id = 1'
  await agent.run('SET search_path = one')
  expect(await runTwice(gate, agent, text)).toBe('write')
  await agent.run('SET search_path = two')
  expect(await runTwice(gate, agent, text)).toBe('destroy')
  await other.run('SET search_path = two')
  expect(await runTwice(gate, other, text)).toBe('destroy')
})

test('a temporary table of one session stands before nobody else', async () => {
  expect(await runTwice(gate, agent, keyed)).toBe('write')
  await agent.run('CREATE TEMP TABLE t (id int, a int)')
  await agent.run('INSERT INTO t VALUES (1, 1)')
  expect(await runTwice(gate, agent, 'DELETE FROM t WHERE id = 1')).toBe('write')
  expect(await other.run('DELETE FROM t WHERE id = 1')).toMatchObject({ sqlState: '00000' })
  expect(lastKind(gate, 'DELETE FROM t WHERE id = 1')).toBe('destroy')
})

test('a temporary table that a trigger makes unseen stands before nobody else, and is soon seen in its own session', async () => {
  const text = 'DELETE FROM t WHERE id = 7'
  await arrange(
    server,
    `CREATE FUNCTION one.make() RETURNS trigger LANGUAGE plpgsql
       AS 'BEGIN CREATE TEMP TABLE IF NOT EXISTS t (id int, a int); RETURN NEW; END';
     CREATE TRIGGER make BEFORE INSERT ON one.s FOR EACH ROW EXECUTE FUNCTION one.make()`,
  )
  expect(await runTwice(gate, other, text)).toBe('destroy')
  await agent.run('INSERT INTO one.s VALUES (1, 1)')
  await expect.poll(async () => runTwice(gate, agent, text)).toBe('write')
  expect(await runTwice(gate, other, text)).toBe('destroy')
})

test('other literals and binds: one description, each with its own bytes, and the same verdict', async () => {
  const bound = 'UPDATE t SET a = $1 WHERE id = $2'
  for (const values of [
    [1, 1],
    [2, 2],
  ])
    expect(await agent.run(bound, values)).toMatchObject({ sqlState: '00000', rowCount: 1 })
  const bytes = gate
    .events()
    .filter(({ type, data }) => type === 'intent' && data['text'] === bound)
    .map(({ data }) => data['bytesSha256'])
  expect(new Set(bytes).size).toBe(2)
  expect(lastKind(gate, bound)).toBe('write')
})
