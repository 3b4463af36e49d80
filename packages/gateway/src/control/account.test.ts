import { createHash } from 'node:crypto'
import { generateKeyPair } from 'jose'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { makePeopleBench, type PeopleBench } from '../../../../tests/fakes/people.ts'
import {
  challengeIn,
  enrolAnother,
  makeSignedIn,
  type makeSite,
  origin,
  port,
  type Said,
  Visit,
} from '../../../../tests/fakes/visit.ts'
import { quorumOf } from '../approval-settings.ts'
import { parseConfig } from '../config.ts'
import { membersAt } from '../main/members.ts'
import { startIssuer, type Issuer } from '../../../../tests/servers/issuer.ts'
import { openProvider } from '../identity/provider.ts'
import { openAccounts, type Accounts } from '../store/accounts.ts'
import { keepSignIns } from '../store/sign-ins.ts'

/** Signing in at a provider shows pages to somebody who connected the account with a passkey, and gives nothing else to anybody. */
let issuer: Issuer
let other: Issuer
let bench: PeopleBench
let site: ReturnType<typeof makeSite>
let ada: Visit
let accounts: Accounts
beforeAll(async () => {
  ;[issuer, other] = await Promise.all([startIssuer(), startIssuer()])
})
afterAll(async () => {
  await issuer?.stop()
  await other?.stop()
})

const clientId = 'sallyport'
const callback = '/sign-in/account/callback'

beforeEach(async () => {
  for (const one of [issuer, other]) {
    one.asked.length = 0
    one.posted.length = 0
    one.instead.clear()
  }
  const made = makePeopleBench()
  made.state.mode = 'team'
  accounts = openAccounts(made.database)
  const provider = openProvider(
    {
      issuer: issuer.url,
      clientId,
      clientSecret: 'client-secret-of-the-tests',
      scopes: ['openid'],
      name: { claim: 'name', people: null },
      groups: { claim: 'groups', names: { 'acme-dba': 'dba' } },
      authorities: issuer.authority,
    },
    made.clock,
  )
  bench = { ...made, ports: { ...made.ports, accounts: { ...provider, ...accounts, signIns: keepSignIns() } } }
  const signedIn = await makeSignedIn(bench)
  site = signedIn.site
  ada = signedIn.visit
})

interface Begun {
  readonly visit: Visit
  readonly url: URL
  readonly state: string
  readonly nonce: string
}

async function begin(visit = new Visit(site), next = '/people'): Promise<Begun> {
  const said = await visit.get(`/sign-in/account?next=${encodeURIComponent(next)}`, { 'sec-fetch-site': 'same-origin' })
  expect(said.status).toBe(303)
  const url = new URL(said.headers.get('location') ?? '')
  return { visit, url, state: url.searchParams.get('state') ?? '', nonce: url.searchParams.get('nonce') ?? '' }
}

type Claims = Readonly<Record<string, unknown>>

/** What the provider answers to the code: an ID token of these claims. */
async function answer(claims: Claims, how: Parameters<Issuer['sign']>[1] = {}): Promise<void> {
  const idToken = await issuer.sign({ aud: clientId, sub: 'a-1', name: 'ada', ...claims }, how)
  const body = JSON.stringify({ access_token: 'access-token-of-nobody', token_type: 'bearer', id_token: idToken })
  issuer.instead.set('/token', { status: 200, body })
}

const back = (visit: Visit, query: Readonly<Record<string, string>>): Promise<Said> =>
  visit.get(`${callback}?${new URLSearchParams({ code: 'code-1', iss: issuer.url, ...query }).toString()}`, {
    'sec-fetch-site': 'cross-site',
  })

/** A whole sign-in at the provider. */
async function arrive(claims: Claims = {}, begun?: Begun): Promise<{ readonly visit: Visit; readonly said: Said }> {
  const { visit, state, nonce } = begun ?? (await begin())
  await answer({ nonce, ...claims })
  return { visit, said: await back(visit, { state }) }
}

async function connectWith(visit: Visit, passkeyOf: Visit): Promise<Said> {
  const page = await visit.get('/sign-in?next=%2Fpeople')
  const connects = /name="connects" value="([0-9a-f]+)"/.exec(page.text)?.[1] ?? ''
  const asked = await visit.post('/sign-in/options', { next: '/people', connects })
  return asked.status === 200
    ? visit.post('/sign-in', { next: '/people', connects, response: passkeyOf.passkey.assert(challengeIn(asked)) })
    : asked
}

async function connected(): Promise<Visit> {
  const { visit } = await arrive()
  expect((await connectWith(visit, ada)).status).toBe(200)
  return visit
}

const isSignedIn = async (visit: Visit): Promise<boolean> => (await visit.get('/people')).status === 200

test('the first time it takes the person’s passkey, which is on the log; then the account alone shows pages, by PKCE, state and nonce', async () => {
  const begun = await begin()
  expect(begun.url.origin + begun.url.pathname).toBe(`${issuer.url}/authorize`)
  const asked = Object.fromEntries(begun.url.searchParams)
  expect(asked).toMatchObject({
    client_id: clientId,
    response_type: 'code',
    code_challenge_method: 'S256',
    redirect_uri: `${origin}${callback}`,
  })
  const { visit, said } = await arrive({}, begun)
  expect(said.text).toContain('Connect this account')
  const form = new URLSearchParams(issuer.posted.at(-1))
  expect(
    createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url'),
  ).toBe(asked['code_challenge'])
  expect(await isSignedIn(visit)).toBe(false)
  expect((await visit.get('/sign-in')).text).toContain('Connect with my passkey')
  expect((await connectWith(visit, ada)).body).toEqual({ go: '/people' })
  expect(bench.log.ofType('person.connected').map(({ data }) => [data['person'], data['subject']])).toEqual([['ada', 'a-1']])
  const again = await arrive({ groups: ['acme-dba', 'everybody', 7] })
  expect(again.said.text).toContain('href="/people"')
  expect(await isSignedIn(again.visit)).toBe(true)
  const nowMs = bench.clock.nowMs()
  const membersOf = (group: string, atMs: number, at = issuer.url): readonly string[] =>
    accounts.membersOf(at, group, atMs, 60_000)
  expect(membersOf('dba', nowMs)).toEqual(['ada'])
  // Too old; said by a clock that was ahead; by another provider; of a group that is only called alike.
  expect(membersOf('dba', nowMs + 60_000)).toEqual([])
  expect(membersOf('dba', nowMs - 120_000)).toEqual([])
  expect(membersOf('dba', nowMs, other.url)).toEqual([])
  for (const alike of ['DBA', 'dba ', 'acme-dba', 'everybody', '']) expect(membersOf(alike, nowMs)).toEqual([])
  expect(JSON.stringify(bench.log.events)).not.toContain('access-token-of-nobody')
})

test('an account decides nothing: only a passkey does, and whatever is added is refused until somebody allows it', async () => {
  await connected()
  const { visit } = await arrive()
  await visit.get('/people')
  for (const path of [
    '/people/invitations/options',
    '/people/me/unlock/options',
    '/configuration/reread',
    `/requests/${'a'.repeat(32)}/cancel`,
    '/new/act',
  ])
    expect([path, (await visit.post(path, {})).status]).toEqual([path, 403])
  await enrolAnother(site, ada, 'bob')
  const request = await bench.ask({ subject: { agent: 'coder', owner: 'bob' } })
  const asked = await visit.challenge(request, 'approve')
  // The prompt may be asked for; what signs it is a passkey of the person's, and no other.
  const forged = await visit.post(`/requests/${request.id}/verdict`, {
    verdict: 'approve',
    reason: '',
    response: visit.passkey.assert(challengeIn(asked)),
  })
  expect(forged.status).toBe(403)
  expect((await bench.ports.requests.get(request.id))?.approvals).toEqual([])
  await visit.get('/live')
  expect((await visit.post('/kill', { kind: 'agent', id: 'coder' })).status).toBe(200)
  expect(bench.log.ofType('kill').at(-1)?.data['reason']).toContain('account')
})

test('a name at the provider makes nobody a person: not enrolled, another’s name, another’s passkey', async () => {
  expect((await arrive({ name: 'mallory' })).said.text).toContain('Nobody is enrolled here as mallory')
  expect((await arrive({ name: undefined })).said.status).toBe(403)
  const bob = await enrolAnother(site, ada, 'bob')
  const mallory = await arrive({ sub: 'm-1', name: 'ADA' })
  // Whoever runs the provider named an account of theirs like a colleague: without the colleague's passkey it is nobody's.
  expect((await connectWith(mallory.visit, bob)).status).toBe(403)
  expect(await isSignedIn(mallory.visit)).toBe(false)
  await connected()
  const second = await arrive({ sub: 'm-2', name: 'ada' })
  expect([second.said.status, await isSignedIn(second.visit)]).toEqual([403, false])
  expect(bench.log.ofType('verdict.refused').at(-1)?.data).toMatchObject({ what: 'account', subject: 'm-2', person: 'ada' })
  // The account stays whose it is, whatever the provider calls it later.
  const renamed = await arrive({ name: 'bob' })
  expect((await renamed.visit.get('/people')).text).toContain('<span>ada</span>')
})

test('nothing is connected but what the page showed, in the browser that proved it', async () => {
  const { visit } = await arrive()
  await visit.get('/sign-in')
  const plain = await visit.post('/sign-in/options', { next: '/people' })
  expect((await visit.post('/sign-in', { next: '/people', response: ada.passkey.assert(challengeIn(plain)) })).status).toBe(200)
  expect(accounts.find(issuer.url, 'a-1')).toBeNull()
  const stranger = new Visit(site)
  await stranger.get('/sign-in')
  expect((await stranger.post('/sign-in/options', { next: '/', connects: 'a'.repeat(32) })).status).toBe(409)
})

test('a callback without its cookie, with another state, used twice, or too late signs nobody in', async () => {
  await connected()
  const begun = await begin()
  await answer({ nonce: begun.nonce })
  const wrong: readonly (readonly [string, Visit, Readonly<Record<string, string>>])[] = [
    ['no cookie', new Visit(site), { state: begun.state }],
    ['another’s cookie', (await begin()).visit, { state: begun.state }],
    ['another state', (await begin()).visit, { state: 'made-up' }],
    ['no state', (await begin()).visit, {}],
    // Mix-up: the answer of another provider (RFC 9207).
    ['another issuer', begun.visit, { state: begun.state, iss: other.url }],
  ]
  const attacked = issuer.posted.length
  for (const [why, visit, query] of wrong) {
    const said = await back(visit, query)
    expect([why, said.status === 403 || said.status === 401, await isSignedIn(visit)]).toEqual([why, true, false])
  }
  // None of them got as far as the code.
  expect(issuer.posted.length).toBe(attacked)
  const good = await begin()
  const { visit } = await arrive({}, good)
  expect(await isSignedIn(visit)).toBe(true)
  const replay = new Visit(site)
  for (const [name, value] of good.visit.cookies) if (name === 'sallyport_account') replay.cookies.set(name, value)
  expect((await back(replay, { state: good.state })).status).toBe(403)
  const late = await begin()
  bench.clock.shiftMs += 11 * 60_000
  expect((await arrive({}, late)).said.status).toBe(403)
})

test('an ID token of another client, nonce, issuer, key or time signs nobody in', async () => {
  await connected()
  const old = await begin()
  const now = Math.floor(Date.now() / 1000)
  const foreign = await generateKeyPair('RS256')
  const attempts: readonly (readonly [string, Claims, Parameters<Issuer['sign']>[1]?])[] = [
    ['another client', { aud: 'another-client' }],
    ['two clients', { aud: [clientId, 'another-client'], azp: 'another-client' }],
    ['a nonce of before', { nonce: old.nonce }],
    ['no nonce', { nonce: undefined }],
    ['another issuer', { iss: other.url }],
    ['expired', { iat: now - 7_200, exp: now - 3_600 }],
    ['another key', {}, { key: foreign.privateKey }],
    ['an unknown key', {}, { kid: 'second', key: foreign.privateKey }],
    ['no subject', { sub: undefined }],
  ]
  for (const [why, claims, how] of attempts) {
    const { visit, state, nonce } = await begin()
    await answer({ nonce, ...claims }, how)
    const said = await back(visit, { state })
    expect([why, said.status, await isSignedIn(visit)]).toEqual([why, 401, false])
    expect(said.text).not.toContain('access-token-of-nobody')
  }
  expect(other.asked).toEqual([])
})

test('it leads to our own pages only, begins from them only, and gives every browser a session of its own', async () => {
  await connected()
  for (const next of ['https://evil.example/', '//evil.example', '/\\evil.example', '/sign-in/account', 'javascript:alert(1)']) {
    const { said } = await arrive({}, await begin(new Visit(site), next))
    expect(said.text).toContain('href="/requests"')
  }
  const stranger = new Visit(site)
  expect((await stranger.get('/sign-in/account', { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
  expect((await stranger.get('/sign-in/account', { host: `evil.example:${port}` })).status).toBe(421)
  const planted = new Visit(site)
  planted.cookies.set('sallyport_session', 'a'.repeat(64))
  const { visit } = await arrive({}, await begin(planted))
  expect(visit.cookies.get('sallyport_session')).not.toBe('a'.repeat(64))
  expect(await isSignedIn(visit)).toBe(true)
})

test('a person who was removed, or whose session is over, is signed in by no account', async () => {
  const bob = await enrolAnother(site, ada, 'bob')
  const first = await arrive({ sub: 'b-1', name: 'bob' })
  expect((await connectWith(first.visit, bob)).status).toBe(200)
  const { visit } = await arrive({ sub: 'b-1', name: 'bob' })
  await bench.ports.people.remove('bob', 'ada', bench.clock.nowMs())
  expect(await isSignedIn(visit)).toBe(false)
  expect((await arrive({ sub: 'b-1', name: 'bob' })).said.status).toBe(403)
  accounts.learnGroups({ issuer: issuer.url, subject: 'b-1' }, ['dba'], bench.clock.nowMs())
  expect(accounts.membersOf(issuer.url, 'dba', bench.clock.nowMs(), 3_600_000)).not.toContain('bob')
})

test('a provider that is down keeps nobody from their passkey, and is not hammered', async () => {
  issuer.instead.set('/.well-known/openid-configuration', 'down')
  const visit = new Visit(site)
  for (let count = 0; count < 5; count += 1)
    expect((await visit.get('/sign-in/account', { 'sec-fetch-site': 'same-origin' })).status).toBe(503)
  expect(issuer.asked.length).toBe(1)
  expect((await ada.signIn()).status).toBe(200)
  bench.clock.shiftMs += 11_000
  issuer.instead.clear()
  expect((await begin()).url.href).toContain(issuer.url)
})

test('people of the provider’s group approve while it says so, and for no longer', async () => {
  const config = parseConfig(
    `version: 1
upstreams: { orders-db: { protocol: postgres, use: "env:U" } }
agents: {}
people:
  oidc: { issuer: "${issuer.url}", clientId: sallyport, clientSecret: "env:S", groups: { claim: groups, for: 12h } }
groups: { dba: { oidc: dba }, everybody: [bob] }
approvals: { orders-db: { from: dba } }
`,
    'sallyport.yaml',
  )
  if (!config.ok) throw new Error(config.mistakes.map(({ what }) => what).join('; '))
  bench.state.findQuorum = quorumOf(config.config, membersAt(config.config, { accounts, clock: bench.clock }))
  const bob = await enrolAnother(site, ada, 'bob')
  const bobs = { sub: 'b-1', name: 'bob' }
  const says = async (groups: readonly string[]): Promise<Visit> => (await arrive({ ...bobs, groups })).visit
  const approve = async (who: Visit): Promise<number> =>
    (await who.verdict(await bench.ask({ approversFrom: 'dba' }), 'approve')).status
  const members = async (): Promise<unknown> => (await bench.state.findQuorum?.('orders-db'))?.members

  // The claim alone is nobody's: an account counts after a passkey connected it, and from its next sign-in on.
  expect((await arrive({ sub: 'x-1', name: 'ada', groups: ['acme-dba'] })).said.status).toBe(200)
  expect(await members()).toEqual([])
  expect(await approve(bob)).toBe(409)
  expect((await connectWith(await says(['acme-dba']), bob)).status).toBe(200)
  await says(['acme-dba'])
  expect(await members()).toEqual(['bob'])
  expect(await approve(bob)).toBe(200)

  // Who is removed there is none of them from the next sign-in on, and a group that is only called like ours never was ours.
  const waiting = await bench.ask({ approversFrom: 'dba' })
  await says(['dba', 'ACME-DBA', 'acme-dba ', 'everybody'])
  expect((await bob.verdict(waiting, 'approve')).status).toBe(409)
  // Another provider's word, about the very same person, is not asked for.
  accounts.connect({ issuer: other.url, subject: 'b-9' }, 'bob')
  accounts.learnGroups({ issuer: other.url, subject: 'b-9' }, ['dba'], bench.clock.nowMs())
  expect((await bob.verdict(waiting, 'approve')).status).toBe(409)

  // What was said too long ago counts no more, without anybody's doing.
  await says(['acme-dba'])
  expect(await approve(bob)).toBe(200)
  bench.clock.shiftMs += 12 * 3_600_000
  await bob.signIn()
  expect(await approve(bob)).toBe(409)
})
