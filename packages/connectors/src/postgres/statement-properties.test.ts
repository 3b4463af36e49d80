import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { closeParsers, describe as describeSql } from './describe.ts'

const graver = ['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown']
const mild = new Set(['read', 'write'])

interface Verdict {
  readonly kind: string
  readonly reversible: boolean
}

async function verdict(sql: string): Promise<Verdict> {
  const operations = await describeSql({ sql })
  return {
    kind: operations.reduce(
      (kind, { impact }) => (graver.indexOf(impact.kind) > graver.indexOf(kind) ? impact.kind : kind),
      'read',
    ),
    reversible: operations.every(({ impact }) => impact.reversible),
  }
}

const destroyers = [
  'DELETE FROM users',
  'DELETE FROM users WHERE id = 1',
  'UPDATE users SET name = NULL',
  'TRUNCATE users',
  'DROP TABLE users',
  'DROP SCHEMA public CASCADE',
  'ALTER TABLE users DROP COLUMN name',
  'SELECT lo_unlink(1)',
  'MERGE INTO users u USING s ON u.id = s.id WHEN MATCHED THEN DELETE',
]
/** Statements that return rows: they fit where a query fits. */
const destroyingQueries = ['DELETE FROM users RETURNING id', 'UPDATE users SET name = NULL RETURNING id', 'SELECT lo_unlink(1)']

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`
const block = (text: string): string => `DO ${quote(`BEGIN ${text}; END`)}`

const aroundStatement: readonly ((sql: string) => string)[] = [
  (sql) => `SELECT 1; ${sql}`,
  (sql) => `${sql}; SELECT 1`,
  (sql) => `BEGIN; ${sql}; COMMIT`,
  (sql) => `/* read only */ ${sql} -- SELECT`,
  (sql) => `;;${sql};;`,
  block,
  (sql) => block(`IF true THEN ${sql}; END IF`),
  (sql) => block(`BEGIN ${sql}; EXCEPTION WHEN others THEN NULL; END`),
  (sql) => block(`FOR i IN 1..2 LOOP ${sql}; END LOOP`),
  (sql) => block(`EXECUTE ${quote(sql)}`),
  (sql) => block(`EXECUTE ${quote(sql.slice(0, 3))} || ${quote(sql.slice(3))}`),
  (sql) => `CREATE FUNCTION f() RETURNS void LANGUAGE sql AS ${quote(sql)}; SELECT f()`,
  (sql) => `CREATE PROCEDURE p() LANGUAGE plpgsql AS ${quote(`BEGIN ${sql}; END`)}; CALL p()`,
]
const aroundQuery: readonly ((sql: string) => string)[] = [
  (sql) => `WITH x AS (${sql}) SELECT 1`,
  (sql) => `WITH RECURSIVE a AS (SELECT 1), b AS (${sql}) SELECT * FROM a`,
  (sql) => `INSERT INTO log WITH x AS (${sql}) SELECT 1`,
  (sql) => `COPY (${sql}) TO STDOUT`,
  (sql) => `EXPLAIN (ANALYZE) ${sql}`,
  (sql) => `EXPLAIN ANALYZE VERBOSE ${sql}`,
  (sql) => `PREPARE p AS ${sql}; EXECUTE p`,
  (sql) => `SELECT query_to_xml(${quote(sql)}, true, true, '')`,
  (sql) => `SELECT * FROM dblink('host=x', ${quote(sql)}) AS t(id int)`,
]

const statement = fc.constantFrom(...destroyers, ...destroyingQueries)
const query = fc.constantFrom(...destroyingQueries)

/** A query in one container of queries, or a statement, then in any number of containers of statements. */
const wrapped = fc
  .tuple(
    fc.oneof(
      statement,
      fc.tuple(query, fc.constantFrom(...aroundQuery)).map(([sql, wrap]) => wrap(sql)),
    ),
    fc.array(fc.constantFrom(...aroundStatement), { maxLength: 3 }),
  )
  .map(([sql, wraps]) => wraps.reduce((inner, wrap) => wrap(inner), sql))

/** Words and signs of a statement without quotes, in which white space and case mean nothing. */
const plainStatements = [
  'SELECT id, count ( * ) FROM orders WHERE id = 5 GROUP BY id',
  'UPDATE users SET name = 5 WHERE id = 7',
  'UPDATE users SET name = 5 WHERE active',
  'DELETE FROM users WHERE id = 7',
  'DROP TABLE IF EXISTS users CASCADE',
  'CREATE TABLE t ( id int )',
  'INSERT INTO t VALUES ( 1 )',
  'SELECT pg_terminate_backend ( 1 )',
  'SET role = postgres',
  'ALTER TABLE users DROP COLUMN a',
  'VACUUM FULL users',
  'SELECT my_function ( 1 )',
]
const gap = fc.constantFrom(' ', '\n', '\t', '  ', ' /* DROP */ ', ' -- SELECT\n', '/**/ ', '\r\n', ' /* /* nested */ */ ')
const dressed = fc.constantFrom(...plainStatements).chain((sql) => {
  const words = sql.split(' ')
  return fc.tuple(
    fc.constant(sql),
    fc
      .tuple(...words.map((word) => fc.tuple(fc.constantFrom(word, word.toLowerCase(), word.toUpperCase()), gap)))
      .map((parts) => parts.map((part) => part.join('')).join('')),
  )
})

describe('whatever the text', () => {
  afterAll(closeParsers)

  test('describe answers, and never with nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), fc.string({ unit: 'grapheme', maxLength: 200 }), fc.json()),
        async (sql) => {
          expect((await describeSql({ sql })).length).toBeGreaterThan(0)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('pieces of SQL in any order: what the parser refuses is never mild', async () => {
    const piece = fc.constantFrom(
      'SELECT',
      'DROP',
      'TABLE',
      'users',
      ';',
      '(',
      ')',
      "'",
      '"',
      '$$',
      '--',
      '/*',
      '*/',
      'DELETE',
      'FROM',
      'WHERE',
      '1',
      ',',
      '*',
      'DO',
      'BEGIN',
      'END',
      'WITH',
      'AS',
      "E'\\",
      '\\',
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
        const operations = await describeSql({ sql: pieces.join(' ') })
        const unreadable = operations.filter(({ action }) => action === 'postgres.unreadable')
        for (const { impact } of unreadable) expect(impact).toEqual({ kind: 'unknown', reversible: false })
        if (operations.some(({ action }) => /drop_table|delete/.test(action)))
          expect(mild.has((await verdict(pieces.join(' '))).kind)).toBe(false)
      }),
      { numRuns: 500 },
    )
  })

  test('what destroys stays so in any container', async () => {
    await fc.assert(
      fc.asyncProperty(wrapped, async (sql) => {
        const { kind, reversible } = await verdict(sql)
        expect(mild.has(kind), `${kind}: ${sql}`).toBe(false)
        expect(reversible, sql).toBe(false)
      }),
      { numRuns: 600 },
    )
  })

  test('comments, white space and case change no verdict', async () => {
    await fc.assert(
      fc.asyncProperty(dressed, async ([plain, other]) => {
        expect(await verdict(other), other).toEqual(await verdict(plain))
      }),
      { numRuns: 400 },
    )
  })

  test('a verdict that may be remembered does not hang on the digits of numbers', async () => {
    const template = fc.constantFrom(
      'SELECT * FROM t WHERE id = #',
      'SELECT # + #, f FROM t LIMIT #',
      'SELECT lo_open(1, #)',
      'SELECT pg_sleep(#)',
      'EXPLAIN (ANALYZE #) DELETE FROM t',
      'SELECT lo_get(lo_open(#, #))',
      "SELECT set_config('app.x', '#', false)",
      'SELECT pg_advisory_lock(#)',
      'UPDATE t SET a = # WHERE id = #',
      'UPDATE t SET a = 1 WHERE id IN (SELECT id FROM t LIMIT #)',
      'FETCH # FROM c',
      'SELECT * FROM t ORDER BY # OFFSET # FETCH FIRST # ROWS ONLY',
    )
    const fill = (text: string, digits: readonly number[]): string =>
      digits.reduce((sql, digit) => sql.replace('#', String(digit)), text).replaceAll('#', '0')
    await fc.assert(
      fc.asyncProperty(
        template,
        fc.array(fc.nat(400_000), { minLength: 3, maxLength: 3 }),
        fc.array(fc.nat(400_000), { minLength: 3, maxLength: 3 }),
        async (text, one, other) => {
          const [first, second] = [await describeSql({ sql: fill(text, one) }), await describeSql({ sql: fill(text, other) })]
          if (!first.every(({ context }) => context['rememberable'] === true)) return
          expect(second.map(({ impact, action }) => [impact, action])).toEqual(
            first.map(({ impact, action }) => [impact, action]),
          )
          for (const { impact } of first) expect(impact.kind).toBe('read')
        },
      ),
      { numRuns: 400 },
    )
  })
})
