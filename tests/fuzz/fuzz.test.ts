import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { roundsOf } from '../breadth.ts'
import { closeParsers, describe as describeSql } from '../../packages/connectors/src/postgres/describe.ts'
import { read } from './oracle.ts'
import { properties } from './properties.ts'

/** A short run of `npm run prove:fuzz`, with a seed of its own each time: what fails prints it. */
const runs = roundsOf(4_000, 2_000)

afterAll(closeParsers)

test.each(properties)('$name', async ({ share, property }) => {
  await fc.assert(property(), { numRuns: Math.ceil(runs * share) })
})

test('the oracle sees what a describer that believes everything would miss', async () => {
  expect(read('WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x').changes).toBe('DeleteStmt')
  expect(read('SELECT 1 INTO x').changes).toBe('SELECT INTO')
  expect(read('EXPLAIN DELETE FROM t').changes).toBeNull()
  expect(read('EXPLAIN (ANALYZE) DELETE FROM t').changes).toBe('DeleteStmt')
  expect(read('SELECT (SELECT nextval($$s$$))').changes).toBe('nextval')
  expect(read('SELECT 1 FROM').parses).toBe(false)
  expect(read('SELECT /* a */ 1').shape).toBe(read('select   1').shape)
  expect(read('SELECT 1, 2').shape).not.toBe(read('SELECT 2, 1').shape)
  expect((await describeSql({ sql: 'SELECT 1' }))[0]?.impact.kind).toBe('read')
})
