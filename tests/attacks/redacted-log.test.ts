import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test, vi } from 'vitest'
import { runCommandLine } from '../fakes/command-line.ts'
import { useAttackedGate } from '../servers/attacked-gate.ts'
import { arrange } from '../servers/gate.ts'

/** Values of a marked column reach the server, and neither the log, nor the store, nor what people and commands are shown. */
const secret = 'ada.lovelace@example.org'
const attacked = useAttackedGate({
  wait: '0s',
  upstreams: { 'orders-db': { redact: ['customers.email'] } },
  prepare: (postgres) =>
    arrange(
      postgres,
      `CREATE TABLE customers (id int PRIMARY KEY, email text UNIQUE); INSERT INTO customers VALUES (1, '${secret}'), (2, 'b');
       CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders VALUES (1, 'plain-value-of-an-order');
       CREATE FUNCTION by_mail(text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM customers WHERE email = $1'`,
    ),
})

let session = ''
let found: readonly unknown[] = []

beforeAll(async () => {
  const { gate } = attacked
  const agent = await gate.connect('coder')
  const simple = await agent.run(`SELECT id FROM customers WHERE email = '${secret}'`)
  const bound = await agent.run('SELECT id FROM customers WHERE email = $1', [secret])
  found = [...simple.rows, ...bound.rows]
  await agent.run(`SELECT by_mail('${secret}')`)
  await agent.run(`UPDATE customers SET email = 'new.${secret}' WHERE id = 2`)
  await agent.run('UPDATE customers SET email = $1 WHERE id = 2', [`newer.${secret}`])
  await agent.run(`INSERT INTO customers VALUES (3, '${secret}')`)
  await agent.run(`DELETE FROM customers WHERE email LIKE '%${secret}'`)
  await agent.run('DELETE FROM customers WHERE email LIKE $1', [`%${secret}`])
  await agent.run(`DROP TABLE customers -- ${secret}`)
  await agent.run("SELECT id FROM orders WHERE note = 'plain-value-of-an-order'")
  await agent.close()
  await vi.waitUntil(() => gate.events().some(({ type }) => type === 'session.closed'), 20_000)
  session = gate.events().find(({ type }) => type === 'session.opened')?.session ?? ''
})

function textsUnder(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
}

test('the server got what was meant for it', () => {
  expect(found).toEqual([{ id: 1 }, { id: 1 }])
})

test('no file of the gate holds a marked value, also in base64', () => {
  const { gate } = attacked
  const texts = [
    ...textsUnder(join(gate.directory, 'log')),
    ...textsUnder(join(gate.directory, 'logs')),
    ...readdirSync(gate.directory)
      .filter((name) => name.startsWith('store.db'))
      .map((name) => readFileSync(join(gate.directory, name), 'latin1')),
  ]
  expect(texts.some((text) => text.includes('plain-value-of-an-order'))).toBe(true)
  for (const form of [
    'lovelace',
    Buffer.from(secret).toString('base64').slice(2, -4),
    Buffer.from(`%${secret}`).toString('base64').slice(2, -4),
  ])
    expect(texts.filter((text) => text.includes(form))).toEqual([])
})

test('the session is replayed in words, with what ran, its rows and its times', async () => {
  const { gate } = attacked
  const listed = await runCommandLine(['log', 'sessions', gate.directory, '--agent', 'coder'], { folder: gate.directory })
  expect(listed.output).toContain(session.slice(0, 12))
  const told = await runCommandLine(['log', 'session', session.slice(0, 10), gate.directory], { folder: gate.directory })
  expect(told.code, told.errors).toBe(0)
  expect(told.output).not.toContain('lovelace')
  expect(told.output).toMatch(/│ UPDATE customers SET email = \[redacted \w{12}\] WHERE id = \[redacted \w{12}\]/)
  expect(told.output).toMatch(/ran +postgres\.\w+ public\.customers \(\w+\) · succeeded · 1 row · \d+ ms/)
  expect(told.output).toMatch(/failed · \d+ ms · SQLSTATE 23505/)
  expect(told.output).toContain('plain-value-of-an-order')
  expect(told.output).toMatch(/◷ asked|✕ refused/)
  const json = await runCommandLine(['log', 'session', session, gate.directory, '--json'], { folder: gate.directory })
  expect(JSON.parse(json.output)).toMatchObject({ id: session, agent: 'coder', upstream: 'orders-db', leftOut: null })
})
