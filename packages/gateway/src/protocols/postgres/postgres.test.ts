import { afterAll, beforeAll, expect, test } from 'vitest'
import pg from 'pg'
import type { Listener } from '@sallyport/core'
import { FakeGate } from '../../../../../tests/fakes/govern.ts'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'
import { openPostgresUpstreams } from '../../upstreams/postgres/index.ts'
import { postgresProtocol } from './index.ts'

let server: PostgresServer
let fake: FakeGate
let listener: Listener
let secret: string

beforeAll(async () => {
  server = await startPostgres()
  fake = new FakeGate()
  secret = fake.issue('robot')
  const upstreams = openPostgresUpstreams([{ name: 'orders', environment: 'production', useUrl: server.url(), protectUrl: server.url() }], fake.gate.killSwitch)
  listener = await postgresProtocol.listen(fake.gate, upstreams, { host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await listener.close()
  await server.stop()
})

test('smoke', async () => {
  const client = new pg.Client({ host: '127.0.0.1', port: listener.address.port, user: 'robot', password: secret, database: 'orders' })
  await client.connect()
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  expect((await client.query('select $1::int as one', [5])).rows).toEqual([{ one: 5 }])
  expect((await client.query({ name: 'n1', text: 'select $1::int as one', values: [5] })).rows).toEqual([{ one: 5 }])
  expect((await client.query({ name: 'n1', text: 'select $1::int as one', values: [6] })).rows).toEqual([{ one: 6 }])
  await client.query('create table t (a int)')
  expect((await client.query('insert into t values (1),(2)')).rowCount).toBe(2)
  expect((await client.query('insert into t select generate_series(1,$1)', [5])).rowCount).toBe(5)
  await expect(client.query('drop table t')).rejects.toMatchObject({ code: '42501' })
  await expect(client.query('drop table t where $1', [1])).rejects.toMatchObject({ code: '42601' })
  expect((await client.query('select count(*)::int as n from t')).rows).toEqual([{ n: 7 }])
  await client.end()
})
