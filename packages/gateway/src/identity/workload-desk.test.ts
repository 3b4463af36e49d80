import { createHash, createHmac, createPublicKey } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join, dirname } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Handle } from '@sallyport/core'
import { startIssuer, type Issuer } from '../../../../tests/servers/issuer.ts'
import { openDatabase } from '../store/database.ts'
import { openUsedTokens } from '../store/used-tokens.ts'
import { openWorkloads, type ConfiguredWorkload, type WorkloadPorts } from './workload-desk.ts'

/** Whoever holds no token that an issuer of the configuration signed for us, for this job, now, gets no handle; and the issuer is left in peace. */
let issuer: Issuer
let other: Issuer
beforeAll(async () => {
  ;[issuer, other] = await Promise.all([startIssuer(), startIssuer()])
})
afterAll(async () => {
  await issuer?.stop()
  await other?.stop()
})

type Claims = Readonly<Record<string, unknown>>

const audience = 'https://gate.example'
const subject = 'repo:acme/shop:ref:refs/heads/main'
const claims = { repository: 'acme/shop', repository_id: '4711', ref: 'refs/heads/main' }
const good: Claims = { aud: audience, sub: subject, ...claims, event_name: 'push' }
let jti = 0
const token = (over: Claims = {}, how: Parameters<Issuer['sign']>[1] = {}): Promise<string> =>
  issuer.sign({ ...good, jti: `j${(jti += 1)}`, ...over }, how)

interface Trial {
  readonly offer: (token: string, agent?: string, ttlMs?: number | null) => Promise<string>
  readonly issued: { readonly agent: string; readonly untilMs: number; readonly workload: unknown }[]
  readonly revoked: string[]
  /** How far ahead of the real clock the gate's is. */
  aheadMs: number
  stopped: string | null
  /** Called as a handle is issued. */
  whileIssuing: () => void
}

const database = openDatabase(':memory:')
let trial: Trial

function workload(over: Partial<ConfiguredWorkload> = {}): ConfiguredWorkload {
  return {
    issuer: issuer.url,
    audience,
    subject: [subject],
    claims: { repository: ['acme/shop'], repository_id: ['4711'], ref: ['refs/heads/main'] },
    tokenLife: 3_600_000,
    keysFile: null,
    authorities: issuer.authority,
    ...over,
  }
}

function start(of: readonly ConfiguredWorkload[] = [workload()], over: Partial<WorkloadPorts> = {}): Trial {
  const used = openUsedTokens(database)
  // It stands still, so that nothing hangs on how long a test takes.
  const startedAtMs = Date.now()
  const clock = { nowMs: () => startedAtMs + made.aheadMs }
  const desk = openWorkloads({
    clock,
    killSwitch: { stopped: () => made.stopped },
    workloads: new Map([
      ['deploy', { owner: 'ada', of }],
      ['idle', { owner: 'ada', of: [] }],
    ]),
    use: (names, untilMs, nowMs) => used.use(names, untilMs, nowMs),
    issue: async (agent, ttlMs, by, basis) => {
      made.whileIssuing()
      made.issued.push({ agent, untilMs: basis.untilMs, workload: basis.workload })
      return { handle: handleOf(agent, by), secret: 'sp_new' }
    },
    revoke: async (id) => made.revoked.push(id),
    ...over,
  })
  const made: Trial = {
    issued: [],
    revoked: [],
    aheadMs: 0,
    stopped: null,
    whileIssuing: () => undefined,
    offer: async (text, agent = 'deploy', ttlMs = null) => {
      const answer = await desk.exchange(agent, text, ttlMs).catch((error: unknown) => ({ refused: String(error) }))
      if ('made' in answer) return 'made'
      // Of a token nothing is ever said but names of its claims.
      for (const part of text.split('.')) if (part.length > 8) expect(answer.refused).not.toContain(part)
      return answer.refused
    },
  }
  return made
}

const noScram = { salt: '', iterations: 1, storedKey: '', serverKey: '' }
function handleOf(agent: string, by: string): Handle {
  return {
    id: by,
    agent,
    owner: 'ada',
    parent: null,
    issuedAtMs: 0,
    expiresAtMs: 1,
    revokedAtMs: null,
    scram: noScram,
    secretSha256: '',
  }
}

beforeEach(() => {
  issuer.asked.length = 0
  issuer.instead.clear()
  issuer.keys = [issuer.publicKey]
  trial = start()
})

test('a token that an issuer signed for us gives a handle that ends with it, with what matched for the log', async () => {
  const exp = Math.floor(Date.now() / 1000) + 120
  const shown = await token({ exp })
  expect(await trial.offer(shown)).toBe('made')
  const signed = shown.slice(0, shown.lastIndexOf('.'))
  expect(trial.issued).toEqual([
    {
      agent: 'deploy',
      untilMs: exp * 1000,
      workload: { issuer: issuer.url, subject, matched: claims, token: createHash('sha256').update(signed).digest('hex') },
    },
  ])
  expect(issuer.asked).toEqual(['/.well-known/openid-configuration', '/keys'])
})

test('no other job’s token does: audience, issuer, subject, repository, branch, event, agent', async () => {
  const attempts: readonly (readonly [string, Promise<string>, string?])[] = [
    ['audience', token({ aud: 'https://other.example' })],
    ['audience', token({ aud: [audience, 'https://other.example'] })],
    ['audience', token({ aud: [] })],
    ['issuer', other.sign({ ...good, jti: 'o' })],
    // Signed by another issuer, and said to be of this one.
    ['signature', token({}, { key: other.privateKey })],
    ['issuer', token({ iss: `${issuer.url}/` })],
    ['sub', token({ sub: 'repo:acme/shop:pull_request' })],
    ['sub', token({ sub: 'repo:acme/shop:ref:refs/heads/main2' })],
    ['sub', token({ sub: 'REPO:acme/shop:ref:refs/heads/main' })],
    ['repository_id', token({ repository_id: '4712' })],
    ['repository_id', token({ repository_id: 4711 })],
    ['repository', token({ repository: ['acme/shop'] })],
    ['repository', token({ repository: undefined })],
    ['ref', token({ ref: 'refs/pull/7/merge' })],
    // A fork's pull request that runs on the base branch: everything else is as it should be.
    ['event_name', token({ event_name: 'pull_request_target' })],
    ['event_name', token({ event_name: 'pull_request' })],
    ['event_name', token({ event_name: 'issue_comment' })],
    ['event_name', token({ event_name: ['push'] })],
    ['issuer', token(), 'idle'],
    ['issuer', token(), 'nobody'],
  ]
  for (const [why, made, agent] of attempts) expect(await trial.offer(await made, agent)).toContain(why)
  expect(trial.issued).toEqual([])
})

test('an event that others can cause counts where the configuration names it', async () => {
  trial = start([workload({ claims: { event_name: ['pull_request'] } })])
  expect(await trial.offer(await token({ event_name: 'pull_request' }))).toBe('made')
  expect(await trial.offer(await token({ event_name: 'push' }))).toContain('event_name')
})

test('time: no token of the future, of the past, or of a year', async () => {
  const now = Math.floor(Date.now() / 1000)
  const attempts: readonly (readonly [string, Claims])[] = [
    ['EXPIRED', { iat: now - 600, exp: now - 120 }],
    // Within the skew it is let in, and would be of no use: no handle outlives its token.
    ['run out', { iat: now - 600, exp: now - 30 }],
    ['future', { iat: now + 120, exp: now + 300 }],
    ['CLAIM', { nbf: now + 120 }],
    ['tokenLife', { exp: now + 3_601 }],
    ['tokenLife', { iat: now - 86_400 * 365, exp: now + 60 }],
    ['CLAIM', { exp: undefined }],
    ['CLAIM', { iat: undefined }],
    ['CLAIM', { exp: '9999999999' }],
  ]
  for (const [why, over] of attempts)
    expect([over, await trial.offer(await token(over))]).toEqual([over, expect.stringContaining(why)])
  trial.aheadMs = 3_600_000
  expect(await trial.offer(await token())).toContain('EXPIRED')
  trial.aheadMs = -3_600_000
  expect(await trial.offer(await token())).not.toBe('made')
  expect(trial.issued).toEqual([])
})

test('a token counts once: over a restart, with another signature over it, and by its jti', async () => {
  const shown = await token({ jti: 'same' })
  expect(await trial.offer(shown)).toBe('made')
  expect(await trial.offer(shown)).toContain('used before')
  trial = start()
  expect(await trial.offer(shown)).toContain('used before')
  expect(await trial.offer(await token({ jti: 'same', run_id: '2' }))).toContain('used before')
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  issuer.keys = [{ ...(await exportJWK(publicKey)), kid: 'first' }]
  trial = start()
  const iat = Math.floor(Date.now() / 1000)
  const signer = new SignJWT({ ...good, iss: issuer.url, iat, exp: iat + 60 }).setProtectedHeader({ alg: 'ES256', kid: 'first' })
  // ECDSA signs the same text differently each time.
  const [one, again] = [await signer.sign(privateKey), await signer.sign(privateKey)]
  expect(one).not.toBe(again)
  expect([await trial.offer(one), await trial.offer(again)]).toEqual(['made', expect.stringContaining('used before')])
  const both = await Promise.all([1, 2, 3, 4].map(async () => token({ jti: 'race' }))).then((all) =>
    Promise.all(all.map((text) => start().offer(text))),
  )
  expect(both.filter((said) => said === 'made')).toEqual([])
})

test('no key but the issuer’s own of that algorithm: none, HS256 over the public key, a key in the header, another id', async () => {
  const [, body = ''] = (await token()).split('.')
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const pem = createPublicKey({ key: { ...issuer.publicKey }, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  const head = encode({ alg: 'HS256', kid: 'first', typ: 'JWT' })
  const confused = `${head}.${body}.${createHmac('sha256', pem).update(`${head}.${body}`).digest('base64url')}`
  const own = await generateKeyPair('RS256', { extractable: true })
  const jwk = await exportJWK(own.publicKey)
  const carried = await new SignJWT({ ...good, iss: issuer.url, iat: 1, exp: 2 })
    .setProtectedHeader({ alg: 'RS256', kid: 'first', jwk, jku: `${other.url}/keys`, x5u: `${other.url}/keys` })
    .sign(own.privateKey)
  expect(await trial.offer(confused)).toContain('algorithm')
  for (const alg of ['none', 'None', 'NONE', 'hs256', 'ES256K', ''])
    expect(await trial.offer(`${encode({ alg })}.${body}.AAAA`)).toContain('algorithm')
  expect(await trial.offer(`${encode({ alg: 'none' })}.${body}.`)).toContain('no signed JWT')
  expect(await trial.offer(carried)).toContain('signature')
  expect(await trial.offer(await token({}, { alg: 'PS256', key: await pssOf() }))).toContain('another algorithm')
  expect(await trial.offer(await token({}, { kid: 'second' }))).toContain('no such key')
  expect(other.asked).toEqual([])
  // A symmetric key among the published ones is not one.
  issuer.keys = [{ kty: 'oct', k: Buffer.from('everybody knows this').toString('base64url'), kid: 'shared' }, issuer.publicKey]
  trial = start()
  expect(await trial.offer(await token({}, { kid: 'shared' }))).toContain('no such key')
})

const pssOf = async () => {
  const { privateKey } = await generateKeyPair('PS256')
  return privateKey
}

test('what is no token: too large, garbled, not of three parts', async () => {
  const long = await token({ filler: 'x'.repeat(8_192) })
  for (const text of [
    long,
    '',
    '.',
    'a.b',
    'a.b.c.d',
    'ä.b.c',
    `${Buffer.from('[1]').toString('base64url')}.e30.AA`,
    '%%%.%%%.%%%',
  ])
    expect(await trial.offer(text)).not.toBe('made')
  expect(issuer.asked).toEqual([])
})

test('a flood of unknown keys asks the issuer twice in half a minute, whatever it holds; and others’ tokens not at all', async () => {
  for (let count = 0; count < 40; count += 1)
    expect(await trial.offer(await token({}, { kid: `k${count}` }))).toContain('no such key')
  await Promise.all(Array.from({ length: 40 }, async (_, count) => trial.offer(await token({}, { kid: `p${count}` }))))
  expect(issuer.asked.length).toBeLessThanOrEqual(4)
  expect(await trial.offer(await token())).toBe('made')
  const asked = issuer.asked.length
  for (let count = 0; count < 10; count += 1) await trial.offer(await other.sign({ ...good, jti: `x${count}` }))
  expect([issuer.asked.length, other.asked]).toEqual([asked, []])
  // A key that it has made since is found when the time is over.
  issuer.keys = [{ ...issuer.publicKey, kid: 'rolled' }]
  expect(await trial.offer(await token({}, { kid: 'rolled' }))).toContain('no such key')
  trial.aheadMs = 31_000
  expect(await trial.offer(await token({}, { kid: 'rolled' }))).toBe('made')
  // And one that it withdrew counts no longer, at the latest after ten minutes.
  expect(await trial.offer(await token())).toContain('no such key')
})

test('an issuer that is down, redirects, speaks for another, or says too much, gives no handle and is not hammered', async () => {
  const wellKnown = '/.well-known/openid-configuration'
  const answers: readonly (readonly [string, ReturnType<Issuer['instead']['get']>])[] = [
    [wellKnown, 'down'],
    ['/keys', 'down'],
    [wellKnown, { status: 302, headers: { location: `${other.url}${wellKnown}` }, body: '' }],
    ['/keys', { status: 307, headers: { location: `${other.url}/keys` }, body: '' }],
    [wellKnown, { status: 200, body: JSON.stringify({ issuer: other.url, jwks_uri: `${issuer.url}/keys` }) }],
    [wellKnown, { status: 200, body: JSON.stringify({ issuer: issuer.url, jwks_uri: `http://localhost:1/keys` }) }],
    ['/keys', { status: 200, body: JSON.stringify({ keys: [issuer.publicKey], filler: 'x'.repeat(300_000) }) }],
    ['/keys', { status: 200, body: JSON.stringify({ keys: Array.from({ length: 101 }, () => issuer.publicKey) }) }],
    ['/keys', { status: 200, body: '<html>' }],
    ['/keys', { status: 500, body: JSON.stringify({ keys: [issuer.publicKey] }) }],
  ]
  for (const [path, answer] of answers) {
    issuer.asked.length = 0
    if (answer !== undefined) issuer.instead.set(path, answer)
    trial = start()
    for (let count = 0; count < 3; count += 1) expect(await trial.offer(await token())).toContain('keys could not be had')
    expect([path, issuer.asked.length <= 2]).toEqual([path, true])
    issuer.instead.delete(path)
    // Down for half a minute, and then asked again.
    trial.aheadMs = 31_000
    expect(await trial.offer(await token())).toBe('made')
  }
  expect(other.asked).toEqual([])
  // Keys that were good are used no longer than ten minutes when it cannot be asked.
  issuer.instead.set(wellKnown, 'down')
  trial.aheadMs = 31_000 + 9 * 60_000
  const now = Math.floor(Date.now() / 1000)
  expect(await trial.offer(await token({ exp: now + 3_000 }))).toBe('made')
  trial.aheadMs = 31_000 + 10 * 60_000
  expect(await trial.offer(await token({ exp: now + 3_000 }))).toContain('keys could not be had')
  trial = start([workload({ authorities: other.authority })])
  issuer.instead.clear()
  expect(await trial.offer(await token())).toContain('keys could not be had')
})

test('keys from a file, for an issuer that publishes none', async () => {
  const keysFile = join(dirname(issuer.authorityFile), 'keys.json')
  writeFileSync(keysFile, JSON.stringify({ keys: [issuer.publicKey] }))
  trial = start([workload({ keysFile, claims: {} })])
  expect(await trial.offer(await token({ event_name: undefined }))).toBe('made')
  expect(issuer.asked).toEqual([])
  trial = start([workload({ keysFile: join(dirname(issuer.authorityFile), 'absent.json') })])
  expect(await trial.offer(await token())).toContain('keys could not be had')
})

test('killed: none is made, and one that was being made ends; thirty in a minute are enough', async () => {
  trial.stopped = 'agent deploy is stopped'
  const kept = await token()
  expect(await trial.offer(kept)).toContain('is stopped')
  trial.stopped = null
  expect(await trial.offer(kept)).toBe('made')
  trial.whileIssuing = () => (trial.stopped = 'stopped meanwhile')
  expect(await trial.offer(await token())).toContain('stopped meanwhile')
  expect(trial.revoked).toEqual([`workload ${subject}`])
  trial = start()
  for (let count = 0; count < 30; count += 1) expect(await trial.offer(await token())).toBe('made')
  const late = await token()
  expect(await trial.offer(late)).toContain('in a minute')
  trial.aheadMs = 61_000
  expect(await trial.offer(late)).toBe('made')
})

test('of several workloads any that fits will do, each with its own keys', async () => {
  trial = start([workload({ subject: ['another'] }), workload({ issuer: other.url, authorities: other.authority }), workload()])
  expect(await trial.offer(await token())).toBe('made')
  expect(await trial.offer(await other.sign({ ...good, jti: 'own' }))).toBe('made')
  // The same jti of two issuers is two tokens.
  expect(await trial.offer(await token({ jti: 'own' }))).toBe('made')
  expect(await trial.offer(await issuer.sign({ ...good, iss: other.url, jti: 'lie' }))).not.toBe('made')
})
