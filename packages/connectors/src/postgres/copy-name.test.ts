import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { SealPart } from '@sallyport/core'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { openAccess, type RealAccess } from '../../../../tests/fakes/sql-access.ts'
import { startPostgres, type PostgresServer } from '../../../../tests/servers/postgres.ts'
import { closeParsers, describe as describeSql } from './describe.ts'
import { resolve } from './resolve.ts'
import { snapshot } from './snapshot.ts'

let server: PostgresServer
let access: RealAccess

beforeAll(async () => {
  server = await startPostgres()
  access = await openAccess(server.url(), server.url())
})
afterAll(async () => {
  await access[Symbol.asyncDispose]()
  await server.stop()
  await closeParsers()
})
beforeEach(async () => {
  await access.release()
  await access.session.client.query('ROLLBACK; RESET ALL')
  await server.query(
    'DROP SCHEMA IF EXISTS late, early CASCADE; CREATE SCHEMA late; CREATE SCHEMA early; CREATE TABLE late.a (id int PRIMARY KEY); INSERT INTO late.a VALUES (1)',
  )
  await access.session.client.query('SET search_path = early, late')
})

/** While a part is written, somebody else does something. */
class RacingSeal extends MemorySeal {
  readonly #meanwhile: () => Promise<unknown>
  constructor(meanwhile: () => Promise<unknown>) {
    super()
    this.#meanwhile = meanwhile
  }
  override async put(part: SealPart): Promise<{ readonly sha256: string; readonly bytes: number }> {
    const sealed = await super.put(part)
    await this.#meanwhile()
    return sealed
  }
}

it.each([
  ['DROP TABLE a', 'CREATE TABLE early.a (id int)'],
  ['TRUNCATE a', 'CREATE TABLE early.a (id int)'],
  ['DELETE FROM a WHERE id = 1', 'CREATE TABLE early.a (id int PRIMARY KEY)'],
  ['DROP TABLE a', 'CREATE VIEW early.a AS SELECT 1 AS id'],
])('%s does not run when %s came first in the search path while it was copied', async (sql, meanwhile) => {
  const resolved = await resolve(await describeSql({ sql }), access.upstream)
  await expect(snapshot(resolved, access.upstream, new RacingSeal(() => server.query(meanwhile)))).rejects.toMatchObject({
    code: 'target_changed',
  })
})

it('runs when nothing that it names changed', async () => {
  const resolved = await resolve(await describeSql({ sql: 'DROP TABLE a' }), access.upstream)
  const seal = new RacingSeal(() => server.query('CREATE TABLE early.b (id int)'))
  expect(await snapshot(resolved, access.upstream, seal)).toMatchObject({ rows: 1 })
})
