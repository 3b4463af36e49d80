import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findConnector, makeDescribers } from '@sallyport/connectors'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { openAccess, type RealAccess } from '../../../../tests/fakes/sql-access.ts'
import { startPlayground, type Playground } from './playground.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-protection-test-'))
chmodSync(root, 0o711)
const state = join(root, 'state')
let playground: Playground
let access: RealAccess

beforeAll(async () => {
  playground = await startPlayground({ stateDirectory: state, anchor: new Date(0), postgresPort: 0, controlPort: 0 })
  const url = (role: string): string => readFileSync(join(state, 'secrets', `production.${role}`), 'utf8').trim()
  access = await openAccess(url('use'), url('protect'))
})
afterAll(async () => {
  await access[Symbol.asyncDispose]()
  await playground.server.stop()
  rmSync(root, { recursive: true, force: true })
})

/** Everything of the shop's that a person would miss. */
async function look(): Promise<unknown> {
  const sums = ['orders', 'order_items', 'payments', 'audit_log'].map(
    (table) =>
      `(SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)) || ' ' || (SELECT relowner::regrole FROM pg_class WHERE oid = '${table}'::regclass) FROM ${table} t)`,
  )
  const things = `(SELECT string_agg(format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)), E'\\n' ORDER BY conrelid::regclass::text, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
    (SELECT string_agg(indexdef, E'\\n' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'public'),
    (SELECT string_agg(viewname || ' ' || viewowner || definition, E'\\n' ORDER BY viewname) FROM pg_views WHERE schemaname = 'public')`
  return access.protect.query(`SELECT ${sums.join(', ')}, ${things}`)
}

const destructions = [
  'DROP TABLE audit_log',
  'DROP TABLE orders CASCADE',
  'TRUNCATE payments, audit_log',
  'DELETE FROM orders WHERE id BETWEEN 100 AND 140 AND id NOT IN (SELECT order_id FROM payments)',
]

test.each(destructions)('the role for copies can put back what the role for work destroyed: %s', async (sql) => {
  const connector = findConnector('postgres')
  if (!connector?.resolve || !connector.snapshot || !connector.restore) throw new Error('the postgres connector cannot copy')
  await access.release()
  const before = await look()
  const operations = await connector.describe({ sql }, makeDescribers())
  const resolved = await connector.resolve(operations, access.upstream)
  const seal = new MemorySeal()
  const content = await connector.snapshot(resolved, access.upstream, seal)
  await access.run(sql)
  expect(await look().catch(() => 'a table is gone')).not.toEqual(before)
  expect(await connector.restore(seal.reader(content), access.upstream, () => undefined)).toMatchObject({ verified: true })
  expect(await look()).toEqual(before)
})
