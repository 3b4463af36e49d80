import { afterAll, expect, test } from 'vitest'
import type { Operation } from '@sallyport/core'
import { closeParsers, describe } from './describe.ts'

afterAll(closeParsers)

const marks = (operations: readonly Operation[]): unknown[] => operations.map(({ context }) => context['secretInText'] === true)
const kinds = (operations: readonly Operation[]): string[] => operations.map(({ impact }) => impact.kind)

test.each([
  "ALTER ROLE app PASSWORD 'hunter2'",
  "CREATE ROLE app LOGIN ENCRYPTED PASSWORD 'hunter2'",
  "CREATE USER app WITH PASSWORD 'hunter2'",
  "ALTER USER app PASSWORD 'hunter2' VALID UNTIL 'infinity'",
  "CREATE USER MAPPING FOR app SERVER far OPTIONS (user 'app', password 'hunter2')",
  "ALTER USER MAPPING FOR app SERVER far OPTIONS (SET password 'hunter2')",
  "CREATE SERVER far FOREIGN DATA WRAPPER x OPTIONS (secret_key 'hunter2')",
  "CREATE FOREIGN TABLE t (a int) SERVER far OPTIONS (api_key 'hunter2')",
  "CREATE SUBSCRIPTION s CONNECTION 'host=far password=hunter2' PUBLICATION p",
  "CREATE SUBSCRIPTION s CONNECTION 'postgres://app:hunter2@far/db' PUBLICATION p",
  "ALTER SUBSCRIPTION s CONNECTION 'host=far password = hunter2'",
  "ALTER SYSTEM SET primary_conninfo = 'host=far password=hunter2'",
  "ALTER DATABASE d SET app.jwt_secret = 'hunter2'",
  "ALTER ROLE app SET app.token = 'hunter2'",
  "SET app.api_key = 'hunter2'",
  "BEGIN; ALTER ROLE app PASSWORD 'hunter2'; COMMIT",
  "EXPLAIN CREATE TABLE t AS SELECT 1; ALTER ROLE app PASSWORD 'hunter2'",
])('%s is withheld', async (sql) => {
  const operations = await describe({ sql })
  expect(marks(operations)).toContain(true)
  expect(JSON.stringify(operations)).not.toContain('hunter2')
})

test.each([
  'ALTER ROLE app NOLOGIN',
  'ALTER ROLE app PASSWORD NULL',
  "SET password_encryption = 'md5'",
  "SET search_path = 'password'",
  'RESET app.token',
  "CREATE SUBSCRIPTION s CONNECTION 'host=far passfile=/x' PUBLICATION p",
  "DELETE FROM users WHERE password = 'hunter2'",
  "DROP TABLE orders -- PASSWORD 'hunter2'",
  "SELECT 'ALTER ROLE app PASSWORD ''x'''",
  // People have to read what else these do.
  'COPY t FROM PROGRAM \'curl -H "Authorization: Bearer hunter2" far\'',
  "SELECT dblink('host=far password=hunter2', 'DROP TABLE orders')",
])('%s is shown', async (sql) => {
  expect(marks(await describe({ sql }))).not.toContain(true)
})

test.each([
  "ALTER ROLE app PASSWORD 'x'; DROP TABLE orders",
  "DELETE FROM orders WHERE id > 5; SET a.secret = 'x'",
  "DO $$ BEGIN ALTER ROLE app PASSWORD 'x'; DELETE FROM orders; END $$",
])('nothing hides behind a credential: %s', async (sql) => {
  const operations = await describe({ sql })
  expect(kinds(operations)).toContain('unknown')
})

test.each([
  "ALTER ROLE app PASSWORD 'x'",
  "BEGIN; ALTER ROLE app PASSWORD 'x'; COMMIT",
  "ALTER ROLE a PASSWORD 'x'; ALTER ROLE b PASSWORD 'y'",
])('a credential alone is no unknown: %s', async (sql) => {
  expect(kinds(await describe({ sql }))).not.toContain('unknown')
})
