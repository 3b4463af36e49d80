import { expect, test } from 'vitest'
import { findForeignCredential, mayHoldPassword } from './foreign-credential.ts'

const password = 'hunter2hunter2'

test.each([
  ['dblink', `SELECT * FROM dblink('host=far user=app password=${password}', 'DROP TABLE orders') AS t(a int)`],
  ['dblink with blanks', `SELECT dblink_exec('host=far password = ${password}', 'x')`],
  ['dblink by URL', `SELECT dblink_connect('postgres://app:${password}@far/shop')`],
  ['a subscription', `CREATE SUBSCRIPTION s CONNECTION 'host=far password=${password}' PUBLICATION p`],
  ['a subscription by URL', `ALTER SUBSCRIPTION s CONNECTION 'postgresql://app:${password}@far/shop'`],
  ['a user mapping', `CREATE USER MAPPING FOR app SERVER far OPTIONS (user 'app', password '${password}')`],
  ['a user mapping in capitals', `ALTER USER MAPPING FOR app SERVER far OPTIONS (SET PASSWORD '${password}')`],
  ['a user mapping, quoted', `CREATE  USER\nMAPPING FOR app SERVER far OPTIONS ("password" '${password}')`],
  ['dblink, dollar-quoted', `SELECT dblink_connect($x$host=far password=${password}$x$)`],
  ['dblink in a block', `DO $$ BEGIN PERFORM dblink('host=far password=${password}', 'x'); END $$`],
  ['a password that is quoted once more', `SELECT dblink_connect('host=far password=''${password}''')`],
  ['a setting', `ALTER SYSTEM SET primary_conninfo = 'host=far password=${password}'`],
])('%s with a password is found', (_name, sql) => {
  expect(mayHoldPassword(Buffer.from(sql))).toBe(true)
  expect(findForeignCredential(sql, [])).not.toBeNull()
})

test('a connection string that is bound is found too', () => {
  expect(findForeignCredential('SELECT dblink_connect($1)', [`host=far password=${password}`])).toEqual({ place: 'bound value' })
  expect(findForeignCredential('INSERT INTO notes VALUES ($1)', [`host=far password=${password}`])).toBeNull()
})

test.each([
  "SELECT * FROM dblink('far', 'SELECT 1') AS t(a int)",
  "CREATE SUBSCRIPTION s CONNECTION 'host=far user=app' PUBLICATION p",
  'SELECT password FROM subscriptions WHERE id = 1',
  'UPDATE users SET password = $1 WHERE id = 2',
  "ALTER ROLE app PASSWORD 'x'",
  'UPDATE subscriptions SET password = $1 WHERE id = 2',
  "SELECT 'a', s.password = md5(s.salt) FROM subscriptions s WHERE s.password = 'b'",
  "INSERT INTO links VALUES ('https://example.test/a:b@c')",
  "CREATE USER MAPPING FOR app SERVER far OPTIONS (user 'app')",
])('%s goes on', (sql) => {
  expect(findForeignCredential(sql, [])).toBeNull()
})

test('a megabyte is read in less than seconds', () => {
  for (const piece of ['dblink ', 'a://', 'password =', 'options(', 'password ', 'user  mapping ']) {
    const startMs = performance.now()
    findForeignCredential(`dblink ${piece.repeat(1_048_576 / piece.length)}`, [])
    expect(performance.now() - startMs, piece).toBeLessThan(60_000)
  }
})
