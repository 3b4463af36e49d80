import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'
import { acceptedOf, findWidenings } from './widening.ts'

const good = { issuer: 'https://issuer.example', audience: 'https://gate.example', subject: 'repo:acme/shop:ref:refs/heads/main' }

function read(workload: unknown): ReturnType<typeof parseConfig> {
  const written = { version: 1, upstreams: {}, agents: { deploy: { owner: 'ada', may: [], workload } } }
  return parseConfig(JSON.stringify(written), 'sallyport.yaml')
}

function problemOf(workload: unknown): string {
  const result = read(workload)
  return result.ok ? '' : result.mistakes.map(({ what, hint }) => `${what} ${hint}`).join('\n')
}

test('one workload, or several; with one, the gate listens for agents’ HTTP', () => {
  for (const workload of [good, [good, { ...good, subject: ['a', 'b'], claims: { repository_id: '1', shared: false } }]]) {
    const result = read(workload)
    expect(result.ok && result.config.listen.http).toEqual({ host: '127.0.0.1', port: 6443 })
  }
})

test('what would let others in is no configuration', () => {
  const attempts: readonly (readonly [unknown, string])[] = [
    [{ ...good, issuer: 'http://issuer.example' }, 'https'],
    [{ ...good, issuer: 'https://issuer.example?x=1' }, 'query'],
    [{ ...good, issuer: 'https://user@issuer.example' }, 'user'],
    [{ ...good, audience: 'https://issuer.example' }, 'own tokens'],
    [{ ...good, audience: 'https://github.com/acme' }, 'other systems'],
    [{ ...good, audience: 'https://kubernetes.default.svc.cluster.local' }, 'other systems'],
    [{ ...good, audience: 'sts.amazonaws.com' }, 'other systems'],
    [{ ...good, audience: '' }, ''],
    [{ ...good, subject: 'repo:acme/*' }, 'no patterns'],
    [{ ...good, subject: [] }, ''],
    [{ ...good, claims: { ref: 'refs/heads/*' } }, 'no patterns'],
    [{ ...good, claims: { ref: [] } }, ''],
    [{ ...good, claims: { ref: null } }, ''],
    [{ ...good, tokenLife: '2d' }, 'a password'],
    [{ issuer: good.issuer, audience: good.audience }, ''],
    [{ ...good, algorithms: ['HS256'] }, ''],
  ]
  for (const [workload, why] of attempts) {
    expect([workload, problemOf(workload)]).toEqual([workload, expect.stringContaining(why)])
    expect(problemOf(workload)).not.toBe('')
  }
})

test('another workload, or another claim, is a widening; one less is not', () => {
  const accepted = (workload: unknown): ReturnType<typeof acceptedOf> => {
    const result = read(workload)
    if (!result.ok) throw new Error('this is a configuration')
    return acceptedOf(result.config)
  }
  const before = accepted([{ ...good, claims: { repository_id: '1' } }])
  for (const after of [
    [{ ...good, claims: {} }],
    [{ ...good, claims: { repository_id: '2' } }],
    [{ ...good, claims: { repository_id: '1' }, keys: 'x' }],
  ])
    expect(findWidenings(before, accepted(after))).toEqual([expect.stringContaining('gets handles for tokens')])
  expect(findWidenings(before, accepted([]))).toEqual([])
})
