import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'
import { acceptedOf, findWidenings } from './widening.ts'

const good = { issuer: 'https://id.example', clientId: 'sallyport', clientSecret: 'env:OIDC_SECRET' }
const read = (people: unknown): ReturnType<typeof parseConfig> =>
  parseConfig(JSON.stringify({ version: 1, upstreams: {}, agents: {}, people }), 'sallyport.yaml')

test('a list of names is still a configuration, and says nothing of a provider', () => {
  for (const people of [undefined, [], ['ada', 'bob'], {}]) {
    const result = read(people)
    expect([people, result.ok && result.config.oidc]).toEqual([people, null])
  }
})

test('a provider is asked over TLS, and its secret stands elsewhere', () => {
  expect(read({ oidc: { ...good, groups: { claim: 'groups', names: { 'acme-dba': 'dba' }, for: '1h' } } }).ok).toBe(true)
  for (const [people, why] of [
    [{ oidc: { ...good, issuer: 'http://id.example' } }, 'https'],
    [{ oidc: { ...good, clientSecret: 'the-secret-itself' } }, 'reference'],
    [{ oidc: { ...good, algorithms: ['none'] } }, 'algorithms'],
    [{ oidc: { ...good, name: { claim: 'na me' } } }, 'claim'],
  ] as const) {
    const result = read(people)
    expect(result.ok ? '' : JSON.stringify(result.mistakes)).toContain(why)
  }
})

test('another provider, or another claim for names or groups, is a widening; none is not', () => {
  const accepted = (people: unknown): ReturnType<typeof acceptedOf> => {
    const result = read(people)
    if (!result.ok) throw new Error('this is a configuration')
    return acceptedOf(result.config)
  }
  const before = accepted({ oidc: good })
  for (const after of [
    { ...good, issuer: 'https://other.example' },
    { ...good, name: { claim: 'email' } },
    { ...good, groups: { claim: 'roles' } },
  ])
    expect(findWidenings(before, accepted({ oidc: after }))).toHaveLength(1)
  expect(findWidenings(accepted([]), before)).toHaveLength(1)
  expect(findWidenings(before, accepted([]))).toEqual([])
})
