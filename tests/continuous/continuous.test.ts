import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'

const slow = { timeout: 30_000, interval: 50 }
let postgres: PostgresServer
let gate: TestGate

beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({ postgres, upstreams: { 'orders-db': { continuous: { every: '200ms' } } } })
}, 60_000)
afterAll(async () => {
  await gate.stop()
  await postgres.stop()
})

const kinds = (type: string): readonly unknown[] =>
  gate
    .events()
    .filter((event) => event.type === type)
    .map(({ data }) => data)

describe('continuous protection', () => {
  it('begins by itself: a slot, a stream, a base copy', async () => {
    await expect.poll(() => kinds('protection.began'), slow).toHaveLength(1)
    await expect.poll(() => kinds('snapshot.sealed'), slow).toContainEqual(expect.objectContaining({ kind: 'base' }))
  })
})
