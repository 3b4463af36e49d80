import type { ResolvedOperation } from '@sallyport/core'
import { expect, test } from 'vitest'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { useTrialDatabase } from '../../../../tests/servers/trial-database.ts'
import { confirm } from './confirm.ts'
import { describe as describeSql } from './describe.ts'
import { resolveReached } from './reach-resolve.ts'
import { snapshot } from './snapshot.ts'

/** Somebody stands between the connector's last look under lock and the statement. */
const trial = useTrialDatabase()

const other = (sql: string): Promise<unknown> => trial.server.query(sql, [], 'trial')

async function arrange(): Promise<void> {
  await trial.access.release()
  await trial.access.session.client.query('ROLLBACK; RESET ALL; DISCARD TEMP')
  await trial.access.protect.client.query('ROLLBACK')
  await other(`DROP SCHEMA IF EXISTS one CASCADE; DROP SCHEMA IF EXISTS two CASCADE; CREATE SCHEMA one; CREATE SCHEMA two;
    CREATE TABLE two.orders (id int PRIMARY KEY, total int); INSERT INTO two.orders SELECT i, i FROM generate_series(1, 5) i;
    CREATE TABLE two.log (id int);
    CREATE FUNCTION two.note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO two.log VALUES (1); RETURN NULL; END$$;
    CREATE TRIGGER note AFTER UPDATE ON two.orders FOR EACH ROW EXECUTE FUNCTION two.note();
    CREATE FUNCTION two.least_id() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'`)
  await trial.access.session.client.query('SET search_path = one, two')
}

/** describe, resolve, lock and copy; then what somebody does in the gap; then the statement, uncommitted; then what confirm says. */
async function runWith(sql: string, inTheGap: string | null): Promise<string> {
  const resolved: readonly ResolvedOperation[] = await resolveReached(await describeSql({ sql }), trial.access.upstream)
  if (resolved.some(({ copy }) => copy.kind === 'rows' || copy.kind === 'tables'))
    await snapshot(resolved, trial.access.upstream, new MemorySeal())
  const { access: sqlAccess } = trial.access.upstream
  if (sqlAccess.kind === 'sql') await sqlAccess.hold('SELECT 1')
  if (inTheGap !== null) await other(inTheGap)
  await trial.access.session.query(sql)
  const said = await confirm(resolved, trial.access.upstream).then(
    () => 'confirmed',
    (error: unknown) => (error instanceof Error && 'code' in error ? `${String(error.code)}: ${error.message}` : String(error)),
  )
  if (said === 'confirmed') await trial.access.run('SELECT 1')
  else await trial.access.release()
  return said
}

const statements = [
  'DELETE FROM orders WHERE id < 3',
  'UPDATE orders SET total = 0 WHERE id < 3',
  'TRUNCATE orders',
  'DROP TABLE orders',
  'ALTER TABLE orders DROP COLUMN total',
]
const shadow =
  'CREATE TABLE one.orders (id int PRIMARY KEY, total int); INSERT INTO one.orders SELECT i, i FROM generate_series(1, 9) i'

test.each(statements)('nobody in the gap: %s is confirmed', async (sql) => {
  await arrange()
  expect(await runWith(sql, null)).toBe('confirmed')
})

test.each(statements)('a table that comes first in the search path, in the gap: %s is rolled back', async (sql) => {
  await arrange()
  expect(await runWith(sql, shadow)).toMatch(/^target_changed: (?:two\.orders came to mean|Another than two\.orders)/)
  expect(
    await other('SELECT (SELECT sum(total)::int FROM one.orders) AS one, (SELECT sum(total)::int FROM two.orders) AS two'),
  ).toEqual([{ one: 45, two: 15 }])
})

test('a temporary table of the session’s own, made by what ran in the gap', async () => {
  await arrange()
  const resolved = await resolveReached(await describeSql({ sql: 'DELETE FROM orders WHERE id = 1' }), trial.access.upstream)
  await snapshot(resolved, trial.access.upstream, new MemorySeal())
  await trial.access.session.query('CREATE TEMP TABLE orders AS SELECT 1 AS id')
  await trial.access.session.query('DELETE FROM orders WHERE id = 1')
  await expect(confirm(resolved, trial.access.upstream)).rejects.toMatchObject({
    code: 'target_changed',
    notDone: 'The statement was rolled back.',
  })
  await trial.access.release()
})

test('a schema of another, renamed into the place of the one that was looked at', async () => {
  await arrange()
  await other('CREATE TABLE one.orders (id int, total int)')
  await trial.access.session.client.query('SET search_path = three, two')
  expect(await runWith('DROP TABLE orders', 'ALTER SCHEMA one RENAME TO three')).toMatch(
    /^target_changed: Another than two\.orders/,
  )
  expect(await other('SELECT count(*)::int AS n FROM three.orders')).toEqual([{ n: 0 }])
  await other('DROP SCHEMA three CASCADE')
})

test('one name of two: what stands behind the other goes, and nothing else may', async () => {
  await arrange()
  await other('CREATE TABLE two.more (id int)')
  expect(await runWith('DROP TABLE orders, more', 'CREATE TABLE one.more (id int)')).toMatch(
    /^target_changed: Another than two\.more/,
  )
  await other('DROP TABLE one.more')
  expect(await runWith('DROP TABLE orders, more', null)).toBe('confirmed')
})

test('another table that hangs on by inheritance in the gap goes with CASCADE: more went than was looked at', async () => {
  await arrange()
  await other('CREATE SCHEMA three; CREATE TABLE three.t (id int)')
  const gap = 'CREATE TABLE three.late (id int)'
  const said = await runWith('DROP SCHEMA three CASCADE', gap).catch((error: unknown) => String(error))
  expect(said).toMatch(/^target_changed: Something came to be dropped/)
  expect(await other("SELECT to_regclass('three.late')::text AS late")).toEqual([{ late: 'three.late' }])
  await other('DROP SCHEMA three CASCADE')
})

test('a trigger’s function, replaced in the gap', async () => {
  await arrange()
  const gap = `CREATE OR REPLACE FUNCTION two.note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN DELETE FROM two.log; RETURN NULL; END$$`
  expect(await runWith('UPDATE orders SET total = 0 WHERE id < 3', gap)).toMatch(
    /^target_changed: What depends on its tables, or a function/,
  )
  expect(await other('SELECT sum(total)::int AS n FROM two.orders')).toEqual([{ n: 15 }])
})

test('a trigger’s function of a table that rows go from by cascade, replaced in the gap', async () => {
  await arrange()
  await other(`CREATE TABLE two.items (id int PRIMARY KEY, o int REFERENCES two.orders ON DELETE CASCADE); INSERT INTO two.items VALUES (1, 1);
    CREATE TRIGGER note AFTER DELETE ON two.items FOR EACH ROW EXECUTE FUNCTION two.note()`)
  expect(await runWith('DELETE FROM orders WHERE id = 2', null)).toBe('confirmed')
  const gap = `CREATE OR REPLACE FUNCTION two.note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN DELETE FROM two.log; RETURN NULL; END$$`
  expect(await runWith('DELETE FROM orders WHERE id = 1', gap)).toMatch(/^target_changed/)
})

test('a function that the condition calls, replaced in the gap', async () => {
  await arrange()
  const gap = `CREATE OR REPLACE FUNCTION two.least_id() RETURNS int STABLE LANGUAGE sql AS 'SELECT 9'`
  expect(await runWith('DELETE FROM orders WHERE id < least_id()', gap)).toMatch(/^target_changed: two\.least_id was replaced/)
})

test('in the agent’s own transaction, what it dropped before is not held against it', async () => {
  await arrange()
  await other('CREATE TABLE two.mine (id int)')
  await trial.access.session.client.query('BEGIN; DROP TABLE two.mine')
  expect(await runWith('DROP TABLE orders', null)).toBe('confirmed')
  await trial.access.session.client.query('ROLLBACK')
})
