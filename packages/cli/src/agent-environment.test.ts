import { describe, expect, test } from 'vitest'
import { makeAgentEnvironment, type AgentEnvironmentSettings } from './agent-environment.ts'

const settings: Omit<AgentEnvironmentSettings, 'inherited'> = {
  agent: 'coder',
  handle: 'sp_handle',
  database: { upstream: 'orders-db', address: '127.0.0.1:6432' },
  proxy: null,
  credentialNames: ['PROD_DB'],
  credentialValues: ['postgres://app:s3cret-p%40ss@db/shop', 's3cret-p@ss', 's3cret-p%40ss', 'short'],
}
const make = (inherited: NodeJS.ProcessEnv) => makeAgentEnvironment({ inherited, ...settings })
const makeWithProxy = (inherited: NodeJS.ProcessEnv) =>
  makeAgentEnvironment({
    inherited,
    ...settings,
    database: null,
    proxy: { address: '127.0.0.1:6443', trust: { bundleFile: '/t/bundle.pem', extraFile: '/t/extra.pem' } },
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

  test('a proxy for HTTPS, trusted by every usual program; loopback goes straight', () => {
    const { environment } = makeWithProxy({ HOME: '/home/ada' })
    expect(environment).toEqual({
      HOME: '/home/ada',
      SALLYPORT_AGENT: 'coder',
      HTTPS_PROXY: 'http://coder:sp_handle@127.0.0.1:6443',
      https_proxy: 'http://coder:sp_handle@127.0.0.1:6443',
      NO_PROXY: 'localhost,127.0.0.1,::1',
      no_proxy: 'localhost,127.0.0.1,::1',
      NODE_USE_ENV_PROXY: '1',
      SSL_CERT_FILE: '/t/bundle.pem',
      CURL_CA_BUNDLE: '/t/bundle.pem',
      GIT_SSL_CAINFO: '/t/bundle.pem',
      REQUESTS_CA_BUNDLE: '/t/bundle.pem',
      PIP_CERT: '/t/bundle.pem',
      HTTPLIB2_CA_CERTS: '/t/bundle.pem',
      AWS_CA_BUNDLE: '/t/bundle.pem',
      CARGO_HTTP_CAINFO: '/t/bundle.pem',
      NIX_SSL_CERT_FILE: '/t/bundle.pem',
      NODE_EXTRA_CA_CERTS: '/t/extra.pem',
      DENO_CERT: '/t/extra.pem',
    })
  })

  test('ways around: a person’s own exceptions and proxies do not lead past the gate', () => {
    const around = { no_proxy: 'backboard.railway.com', NO_PROXY: '*', ALL_PROXY: 'socks5://x', all_proxy: 'x', Https_Proxy: 'y' }
    const { environment } = makeWithProxy({ ...around, HTTP_PROXY: 'http://plain' })
    expect(Object.keys(environment).filter((name) => /proxy/i.test(name))).toEqual([
      'HTTP_PROXY',
      'HTTPS_PROXY',
      'https_proxy',
      'NO_PROXY',
      'no_proxy',
      'NODE_USE_ENV_PROXY',
    ])
    expect(environment['NO_PROXY']).toBe('localhost,127.0.0.1,::1')
    // With no proxy of ours they are the person's business.
    expect(make(around).environment).toMatchObject(around)
  })
})
