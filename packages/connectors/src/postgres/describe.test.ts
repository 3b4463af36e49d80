import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Operation } from '@sallyport/core'
import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { closeParsers, describe as describeSql, parserFaults } from './describe.ts'
import { casesOf } from '../../../../tests/breadth.ts'

const contextCase = z.object({
  sql: z.string(),
  at: z.number().default(0),
  first: z.object({ action: z.string(), resource: z.string().optional() }),
  context: z.record(z.string(), z.json()),
})

const graver = ['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown']

async function worst(sql: string): Promise<string> {
  const operations = await describeSql({ sql })
  return operations.reduce(
    (kind, { impact }) => (graver.indexOf(impact.kind) > graver.indexOf(kind) ? impact.kind : kind),
    'read',
  )
}

/** Nesting in so many shapes that the parser, the printer of its tree, or our walk over it meets its limit. */
const bombs: readonly (readonly [string, string])[] = [
  ['50 KB of balanced parentheses', `SELECT ${'('.repeat(25_000)}1${')'.repeat(25_000)}`],
  ['50 KB of open parentheses', `SELECT ${'('.repeat(50_000)}`],
  ['NOT NOT NOT', `SELECT ${'NOT '.repeat(50_000)}true`],
  ['a sum of 60,000', `SELECT 1${'+1'.repeat(60_000)}`],
  ['signs', `SELECT ${'- '.repeat(60_000)}1`],
  ['nested arrays', `SELECT ${'ARRAY['.repeat(4_000)}1${']'.repeat(4_000)}`],
  ['nested sub-selects', `SELECT ${'(SELECT '.repeat(5_000)}1${')'.repeat(5_000)}`],
  ['unions', `SELECT 1${' UNION SELECT 1'.repeat(10_000)}`],
  ['casts', `SELECT 1${'::int'.repeat(40_000)}`],
  ['nested CTEs', `${'WITH a AS ('.repeat(2_000)}SELECT 1${') SELECT 1'.repeat(2_000)}`],
  ['25,000 statements', 'SELECT 1;'.repeat(25_000)],
  ['open comments', '/*'.repeat(50_000)],
  ['nested blocks', `DO $$ BEGIN ${'BEGIN '.repeat(5_000)}${'END; '.repeat(5_000)}END $$`],
  ['an open dollar quote', `SELECT $a$${'x'.repeat(100_000)}`],
  ['a string past the limit', `SELECT '${'x'.repeat(300_000)}'`],
]

describe('the describer of PostgreSQL', () => {
  afterAll(closeParsers)

  const lines = readFileSync(fileURLToPath(new URL('./cases/context.jsonl', import.meta.url)), 'utf8')
    .trim()
    .split('\n')
  for (const { sql, at, first, context } of lines.map((line) => contextCase.parse(JSON.parse(line)))) {
    test(`context of ${sql.slice(0, 80)}`, async () => {
      const operation = (await describeSql({ sql }))[at]
      expect(operation?.action).toBe(first.action)
      if (first.resource !== undefined) expect(operation?.resources[0]?.name).toBe(first.resource)
      expect(operation?.context).toMatchObject(context)
    })
  }

  test('what is no {sql} is unknown', async () => {
    for (const decoded of [null, 5, 'SELECT 1', [], {}, { sql: 5 }, { sql: 'SELECT 1', more: 1 }]) {
      const operations = await describeSql(decoded)
      expect(operations.map(({ impact }) => impact)).toEqual([{ kind: 'unknown', reversible: false }])
    }
  })

  test('half a character and a zero byte are unknown, wherever they stand', async () => {
    for (const sql of ['SELECT 1\0', '\0', 'SELECT 1; \0 DROP TABLE x', "SELECT '\ud800'", '\udc00'])
      expect(await worst(sql)).toBe('unknown')
  })

  for (const [name, sql] of casesOf(bombs, 8)) {
    test(`hostile: ${name}`, async () => {
      const operations = await describeSql({ sql })
      expect(operations.length).toBeGreaterThan(0)
      // the gate still reads, at once
      expect(await worst('SELECT 1 FROM after_the_bomb')).toBe('read')
      expect(await worst('DROP TABLE after_the_bomb')).toBe('destroy')
    })
  }

  test('1,200 hostile statements at once: each answered, none mild that is not, good ones in between answered right', async () => {
    const hostile = Array.from({ length: 1_200 }, (_, index) => {
      const depth = 50 + (index % 400)
      const shapes = [
        `SELECT ${'('.repeat(depth * 3)}1${')'.repeat(depth * 3)}`,
        `SELECT ${'('.repeat(depth * 7)}`,
        `DELETE FROM t${index} WHERE ${'NOT '.repeat(depth)}true`,
        `UPDATE t SET a = ${'-'.repeat(2)}1 WHERE ${'(SELECT '.repeat(depth)}`,
        `DO $$ BEGIN ${'BEGIN '.repeat(depth)} DROP TABLE t; ${'END; '.repeat(depth)} END $$`,
        `SELECT '${'\\'.repeat(depth)}'; DROP TABLE t${index}; --'`,
      ]
      return shapes[index % shapes.length] ?? ''
    })
    const good = Array.from({ length: 200 }, (_, index) => `SELECT id FROM orders WHERE id = ${index} AND x`)
    const all = await Promise.all([...hostile, ...good].map(worst))
    for (const [index, kind] of all.slice(0, 1_200).entries())
      if (index % 6 !== 0) expect(['destroy', 'unknown'], hostile[index]?.slice(0, 60)).toContain(kind)
    expect(new Set(all.slice(1_200))).toEqual(new Set(['read']))
  })

  test('a flood of long statements does not make short ones wait', async () => {
    const flood = Array.from({ length: 15 }, (_, index) => describeSql({ sql: `SELECT ${index}${'+1'.repeat(20_000)}` }))
    const started = performance.now()
    await Promise.all(Array.from({ length: 50 }, (_, index) => worst(`SELECT short FROM t WHERE a = ${index}`)))
    const shortMs = performance.now() - started
    const finished = await Promise.race([
      Promise.all(flood).then(() => true),
      new Promise<boolean>((resolve) => setImmediate(() => resolve(false))),
    ])
    expect(finished).toBe(false)
    expect(shortMs).toBeLessThan(20_000)
    await Promise.all(flood)
  })

  test('routines that call each other do not multiply', async () => {
    let sql = 'CREATE FUNCTION f0() RETURNS void LANGUAGE sql AS $$DELETE FROM t$$;'
    for (let index = 1; index < 14; index += 1)
      sql += `CREATE FUNCTION f${index}() RETURNS void LANGUAGE sql AS $$${`SELECT f${index - 1}();`.repeat(20)}$$;`
    expect(await worst(`${sql}SELECT f13()`)).toBe('destroy')
  })

  test('a thread that hangs on one text is replaced, and the texts behind it are read', async () => {
    const before = parserFaults()
    const results = await Promise.all([
      worst(`SELECT 1${'+1'.repeat(120_000)}`),
      worst(`SELECT a FROM b ${'/* long */'.repeat(1_000)}`),
    ])
    expect(['read', 'unknown']).toContain(results[0])
    expect(results[1]).toBe('read')
    expect(parserFaults() - before).toBeLessThanOrEqual(1)
  })

  test('the same text twice is the same verdict, also from memory', async () => {
    const [one, two] = [
      await describeSql({ sql: 'DELETE FROM orders WHERE id = 9' }),
      await describeSql({ sql: 'DELETE FROM orders WHERE id = 9' }),
    ]
    expect(two).toBe(one)
  })

  test('every operation says why, and a mild one is never irreversible by accident', async () => {
    const operations: Operation[] = []
    for (const sql of ['SELECT 1', 'INSERT INTO t VALUES (1)', 'DROP TABLE t', 'SET x.y = 1', 'GRANT SELECT ON t TO u'])
      operations.push(...(await describeSql({ sql })))
    for (const { why, impact, action } of operations) {
      expect(why.length).toBeGreaterThan(3)
      expect(action).toMatch(/^postgres\.[a-z0-9_]+$/)
      if (impact.kind === 'read') expect(impact.reversible).toBe(true)
      if (impact.kind === 'unknown') expect(impact.reversible).toBe(false)
    }
  })
})
