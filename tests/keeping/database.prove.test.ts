import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openProducer } from '../../packages/gateway/src/producers/index.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { MemorySeal } from './memory-seal.ts'
import { beginOwnTransaction } from './own-transaction.ts'

let server: PostgresServer
beforeAll(async () => (server = await startPostgres()))
afterAll(() => server.stop())

const options = { report: () => undefined, signal: new AbortController().signal }

describe('a database kept whole', () => {
  it('is restored and compared', async () => {
    await server.query('CREATE DATABASE shop')
    await server.query(
      'CREATE TABLE t (id int primary key, x text, c regclass); insert into t select g, g::text, $$t$$ from generate_series(1,1000) g',
      [],
      'shop',
    )
    const producer = openProducer({ kind: 'database', upstream: 'shop' }, () => ({
      target: {
        host: server.host,
        port: server.port,
        ...server.superuser,
        database: 'shop',
        tls: 'disable',
        rootCertificate: null,
      },
      begin: () => beginOwnTransaction(server.url('shop')),
    }))
    const seal = new MemorySeal()
    const content = await producer.copy(seal, options)
    const proof = await producer.prove(seal.reader(content), {
      ...options,
      checks: [{ ask: 'select count(*) from t', is: '1000' }],
    })
    expect(proof).toMatchObject({ rows: 1000, compared: 1, answers: [{ passed: true }] })
  })
})
