import { describe, expect, test } from 'vitest'
import { makeAgentEnvironment } from './agent-environment.ts'

const make = (inherited: NodeJS.ProcessEnv) =>
  makeAgentEnvironment({
    inherited,
    agent: 'coder',
    upstream: 'orders-db',
    handle: 'sp_handle',
    postgresAddress: '127.0.0.1:6432',
    credentialNames: ['PROD_DB'],
    credentialValues: ['postgres://app:s3cret-p%40ss@db/shop', 's3cret-p@ss', 's3cret-p%40ss', 'short'],
  })

describe('makeAgentEnvironment', () => {
  test('points every usual variable at the gate', () => {
    const { environment } = make({ HOME: '/home/ada', DATABASE_URL: 'postgres://app:s3cret-p%40ss@db/shop' })
    expect(environment).toEqual({
      HOME: '/home/ada',
      DATABASE_URL: 'postgres://coder:sp_handle@127.0.0.1:6432/orders-db',
      PGHOST: '127.0.0.1',
      PGPORT: '6432',
      PGUSER: 'coder',
      PGPASSWORD: 'sp_handle',
      PGDATABASE: 'orders-db',
      SALLYPORT_AGENT: 'coder',
    })
  })

  test('ways around: variables that libpq prefers to ours are gone', () => {
    const { environment } = make({
      PGHOSTADDR: '10.0.0.5',
      PGSERVICE: 'prod',
      PGSERVICEFILE: '/x',
      PGPASSFILE: '/y',
      PGOPTIONS: '-c x',
      PGSSLMODE: 'require',
    })
    expect(
      Object.keys(environment)
        .filter((name) => name.startsWith('PG'))
        .toSorted(),
    ).toEqual(['PGDATABASE', 'PGHOST', 'PGPASSWORD', 'PGPORT', 'PGUSER'])
  })

  test('a credential goes by its name, and by its value under any name', () => {
    const { environment, removed } = make({
      PROD_DB: 'x',
      ANYTHING: '--password=s3cret-p@ss',
      ENCODED: 'x s3cret-p%40ss',
      KEPT: 'short',
      PATH: '/bin',
    })
    expect(removed).toEqual(['ANYTHING', 'ENCODED', 'PROD_DB'])
    expect(environment).toMatchObject({ KEPT: 'short', PATH: '/bin' })
  })

  test('what looks like another credential stays and is named', () => {
    const { environment, suspicious } = make({
      AWS_SECRET_ACCESS_KEY: 'a',
      GITHUB_TOKEN: 'b',
      TOKENIZER: 'c',
      STAGING_DATABASE_URL: 'd',
    })
    expect(suspicious).toEqual(['AWS_SECRET_ACCESS_KEY', 'GITHUB_TOKEN', 'STAGING_DATABASE_URL'])
    expect(environment['GITHUB_TOKEN']).toBe('b')
  })
})
