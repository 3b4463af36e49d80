import { randomBytes } from 'node:crypto'
import { impactKinds, type Handle, type Log, type Session, type WantedAccess } from '@sallyport/core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makePeopleBench, type PeopleBench } from '../../../../../tests/fakes/people.ts'
import { enrolAnother, makeSignedIn, makeSite, Visit } from '../../../../../tests/fakes/visit.ts'
import { testRequests } from '../../../../../tests/conformance/requests.ts'
import { testStore } from '../../../../../tests/conformance/store.ts'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'
import { openAgentDesk } from '../../access/agent-desk.ts'
import { LocalKillSwitch, type Stoppable } from '../../access/kill-switch.ts'
import { openReviews, type ReviewPorts } from '../../access/reviews.ts'
import { openRollCall, type RollCall } from '../../main/roll-call.ts'
import type { Store } from '../store.ts'
import { openSharedStore } from './index.ts'

let server: PostgresServer
let count = 0
const opened: Store[] = []
/** A lease that no pause of a loaded machine ends. */
const patientMs = 60_000
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server.stop())
afterEach(async () => {
  await Promise.all(opened.splice(0).map(async (store) => store.close()))
})

async function makeDatabase(): Promise<string> {
  const name = `store_${count++}`
  await server.query(`CREATE DATABASE ${name}`)
  return server.url(name)
}

async function open(url: string, gate: string, leaseMs = 4_000): Promise<Store> {
  const store = await openSharedStore({ url, gate, leaseMs, report: () => undefined })
  opened.push(store)
  return store
}

testStore('the shared store', async () => {
  const url = await makeDatabase()
  return { one: await open(url, 'one'), other: await open(url, 'other') }
})

testRequests('the shared store', async () => {
  const url = await makeDatabase()
  // The first is not closed: what a process finds that starts after a kill -9, once the lease of the life before is over.
  const leaseMs = 300
  const { requests } = await open(url, 'gate', leaseMs)
  return { requests, reopen: async () => (await open(url, 'gate', leaseMs)).requests }
})

describe('people at two gates', () => {
  interface Place {
    readonly bench: PeopleBench
    readonly one: Store
    readonly other: Store
    /** The pages of each gate, over the one store. */
    readonly sites: readonly [ReturnType<typeof makeSite>, ReturnType<typeof makeSite>]
    readonly ada: Visit
  }

  const accountOfAda = { issuer: 'https://id.example', subject: 'a-1', name: 'ada', groups: ['dba'] }

  async function openPlace(): Promise<Place> {
    const url = await makeDatabase()
    const [one, other] = [await open(url, 'one'), await open(url, 'other')]
    const bench = makePeopleBench()
    const pagesOf = (store: Store): PeopleBench => {
      const provider = {
        issuer: accountOfAda.issuer,
        begin: async () => ({ url: 'https://id.example/', secrets: { state: 's', nonce: 'n', codeVerifier: 'v' } }),
        finish: async () => accountOfAda,
      }
      const accounts = { ...provider, ...store.accounts, signIns: store.signIns }
      return { ...bench, ports: { ...bench.ports, ...store.people, accounts } }
    }
    const { site, visit } = await makeSignedIn(pagesOf(one))
    return { bench, one, other, sites: [site, makeSite(pagesOf(other))], ada: visit }
  }

  function sameBrowser(site: ReturnType<typeof makeSite>, { cookies }: Visit): Visit {
    const visit = new Visit(site)
    for (const [name, value] of cookies) visit.cookies.set(name, value)
    return visit
  }

  it('signs a browser in at both, and out at both', async () => {
    const { sites, ada } = await openPlace()
    const there = sameBrowser(sites[1], ada)
    expect((await there.get('/people')).text).toContain('ada')
    await there.post('/sign-out', {})
    expect((await ada.get('/people')).status).toBe(303)
    // What was signed out is not brought back by the cookie that had it.
    expect((await sameBrowser(sites[1], ada).get('/people')).status).toBe(303)
  })

  it('signs everybody out of both when the store is not to be believed any more', async () => {
    const { one, sites, ada } = await openPlace()
    const there = sameBrowser(sites[1], ada)
    expect((await there.get('/people')).status).toBe(200)
    await one.narrowing.freeze('an older image', 1)
    for (const visit of [ada, there]) expect((await visit.get('/people')).status).toBe(303)
  })

  it('ends a sign-in at a provider once, at whichever gate, and no replay of it anywhere', async () => {
    const { one, sites, ada } = await openPlace()
    await one.accounts.connect(accountOfAda, 'ada')
    const begun = new Visit(sites[0])
    expect((await begun.get('/sign-in/account', { 'sec-fetch-site': 'same-origin' })).status).toBe(303)
    const replays = sites.map((site) => sameBrowser(site, begun))
    const stranger = new Visit(sites[1])
    const answer = '/sign-in/account/callback?code=c&state=s'
    expect((await stranger.get(answer)).status).toBe(403)
    const ended = sameBrowser(sites[1], begun)
    expect((await ended.get(answer)).status).toBe(200)
    for (const replay of replays) expect((await replay.get(answer)).status).toBe(403)
    expect((await sameBrowser(sites[0], ended).get('/requests')).status).toBe(200)
    expect((await ada.get('/people')).status).toBe(200)
  })

  it('shows at the one what runs at the other, and no more of it once that has gone', async () => {
    const url = await makeDatabase()
    const [one, other] = [await open(url, 'one', patientMs), await open(url, 'other', patientMs)]
    const session = (id: string): Session => ({
      id,
      subject: { agent: 'coder', owner: 'ada' },
      handleId: 'h1',
      protocol: 'postgres',
      upstream: 'orders-db',
      openedAtMs: 1,
      peer: '127.0.0.1',
    })
    const callOf = (store: Store, gate: string, aheadMs: number): RollCall =>
      openRollCall({
        store: { clock: { nowMs: () => 5_000, sleep: async () => undefined }, roll: store.roll },
        gate,
        sessions: () => [session(`of ${gate}`)],
        posture: () => ({ isolationLevel: 2, warnings: [`from ${gate}`] }),
        wallMs: () => 5_000 + aheadMs,
      })
    const [here, there] = [callOf(one, 'one', 0), callOf(other, 'other', 60_000)]
    for (const call of [here, there]) {
      call.start()
      // Told once it is started, whatever its timer does.
      await call.close()
    }
    expect(await here.asked?.sessionsElsewhere()).toEqual([{ ...session('of other'), gate: 'other' }])
    expect(await here.sentence()).toMatch(/^This gate is one; .* with 1 other: other\.$/)
    expect((await here.asked?.list())?.gates).toMatchObject([
      { gate: 'one', isOwn: true, isLive: true, skewMs: 0, warnings: ['from one'], sessions: 1 },
      { gate: 'other', isOwn: false, isLive: true, skewMs: 60_000, warnings: ['from other'], sessions: 1 },
    ])
    await other.close()
    opened.splice(opened.indexOf(other), 1)
    expect(await here.asked?.sessionsElsewhere()).toEqual([])
    expect((await here.asked?.list())?.gates[1]).toMatchObject({ gate: 'other', isLive: false, sessions: 0 })
  })

  it('connects an account to one person, however many gates are at it at once', async () => {
    const { one, other, sites, ada } = await openPlace()
    await enrolAnother(sites[0], ada, 'bob')
    const tries = await Promise.all([one.accounts.connect(accountOfAda, 'ada'), other.accounts.connect(accountOfAda, 'bob')])
    expect(tries.filter(Boolean)).toHaveLength(1)
    const person = tries[0] ? 'ada' : 'bob'
    expect(await other.accounts.find(accountOfAda.issuer, accountOfAda.subject)).toBe(person)
    expect(await one.accounts.connect({ ...accountOfAda, subject: 'a-2' }, person)).toBe(false)
    expect(await one.accounts.connect({ ...accountOfAda, subject: 'a-3' }, 'nobody')).toBe(false)
    await one.accounts.learnGroups(accountOfAda, ['dba'], 5)
    expect(await other.accounts.membersOf(accountOfAda.issuer, 'dba', 6, 100)).toEqual([person])
    expect(await other.accounts.membersOf(accountOfAda.issuer, 'dba', 105, 100)).toEqual([])
    expect(await other.accounts.membersOf('https://other.example', 'dba', 6, 100)).toEqual([])
  })

  it('lets a person break glass once over both until somebody else has looked, even at the same moment', async () => {
    const { bench, one, other } = await openPlace()
    const reviews = await Promise.all(
      [one, other].map(async (store) => {
        const view = await store.view(['reviews'])
        const memory: ReviewPorts['memory'] = {
          get: (name) => store.facts.get(name),
          swap: (name, before, after) => view.swap(name, before, after),
        }
        return openReviews({ clock: bench.clock, log: bench.log, memory, breakers: ['ada', 'bob'], delayMs: 1 })
      }),
    )
    const glass = (request: string, person: string) => ({ request, person, agent: 'coder', owner: 'olga', atMs: 1 })
    const faults = await Promise.all(reviews.map((one, index) => one.broken(glass(`r${index}`, 'ada'))))
    expect(faults.filter((fault) => fault === null)).toHaveLength(1)
    const [here, there] = reviews
    expect(await here?.fault('Ada')).toMatch(/Nobody has looked/)
    expect(await there?.fault('ada')).toMatch(/Nobody has looked/)
    expect(await there?.broken(glass('r2', 'bob'))).toBeNull()
    const request = faults[0] === null ? 'r0' : 'r1'
    // Neither by who broke it, nor twice.
    expect(await there?.close(request, 'Ada', {})).toBe(false)
    const closed = await Promise.all(reviews.map((one) => one.close(request, 'carol', {})))
    expect(closed.filter(Boolean)).toHaveLength(1)
    expect(await here?.fault('ada')).toBeNull()
    expect((await here?.open())?.map(({ person }) => person)).toEqual(['bob'])
  })
})

describe('a kill at one gate while scope for a time begins at another', () => {
  const what: Stoppable = { endSessions: () => 0, revokeHandles: async () => 0 }
  const life = { parent: null, issuedAtMs: 0, expiresAtMs: Number.MAX_SAFE_INTEGER, revokedAtMs: null }
  const handle: Handle = {
    ...life,
    id: 'h1',
    agent: 'coder',
    owner: 'ada',
    scram: { salt: '', iterations: 1, storedKey: '', serverKey: '' },
    secretSha256: 'a',
  }
  const scopes: WantedAccess['scopes'] = [{ kinds: impactKinds, action: null, upstream: 'orders-db' }]
  const wanted: WantedAccess = { scopes, durationMs: 600_000, reason: 'a test' }

  function switchOf(store: Store, log: Log): LocalKillSwitch {
    const killSwitch = new LocalKillSwitch(store.kills, log, store.clock)
    const ear = store.attend({
      follow: () => killSwitch.follow(what),
      stopAhead: (kind, name) => killSwitch.stopAhead(kind, name, what),
      writeAgain: async () => undefined,
      openHandles: () => [],
      endByHandles: () => undefined,
      endOn: () => undefined,
      freeze: (reason) => killSwitch.freeze(reason, what),
      thaw: () => killSwitch.thaw(),
    })
    if (ear !== null) killSwitch.listenTo(ear)
    return killSwitch
  }

  /** A desk at the one gate, whose log lets something else happen at the moment at which the scope is written down. */
  async function openDesk(one: Store, meanwhile: () => Promise<unknown>): Promise<() => Promise<string>> {
    const log: Log = {
      append: async ({ type }) => {
        if (type === 'grant.standing') await meanwhile()
        return 0
      },
      appendRead: () => undefined,
    }
    const desk = openAgentDesk({
      clock: one.clock,
      random: { hex: (bytes) => randomBytes(bytes).toString('hex') },
      log,
      requests: one.requests,
      killSwitch: switchOf(one, log),
      standing: one.standing('p'),
      settings: () => ({
        mode: 'team',
        coolOffMs: 0,
        rowsWithoutPrompt: 0,
        windowMs: 1,
        retainMs: 1,
        requestMs: 3_600_000,
        pendingMax: 2,
      }),
      policyHash: () => 'p',
      environmentOf: () => 'production',
      isAgent: () => true,
      requestUrl: (id) => id,
    })
    return async () => {
      const answer = await desk.requestAccess(handle, wanted)
      return answer.outcome === 'asked' ? answer.request.id : answer.outcome
    }
  }

  async function approveAt({ requests, clock }: Store, id: string): Promise<void> {
    const nowMs = clock.nowMs()
    const { question } = (await requests.get(id)) ?? {}
    const about = {
      agent: 'coder',
      digest: question?.digest ?? '',
      upstream: 'orders-db',
      policyHash: 'p',
      targets: [],
      rowsMax: null,
    }
    const times = { notBeforeMs: nowMs, expiresAtMs: nowMs + 900_000 }
    await requests.approve(id, nowMs, {
      id: `g-${id}`,
      request: id,
      ...about,
      approvers: ['bob'],
      ...times,
      state: 'open',
      intent: null,
      plan: null,
      settled: false,
    })
  }

  it('leaves nothing standing at either, also after a person released it', async () => {
    const url = await makeDatabase()
    const [one, other] = [await open(url, 'one', patientMs), await open(url, 'other', patientMs)]
    const quiet: Log = { append: async () => 0, appendRead: () => undefined }
    const there = switchOf(other, quiet)
    let pull = true
    const ask = await openDesk(one, async () => (pull ? there.kill('agent', 'coder', 'enough', 'operator', what) : null))
    const id = await ask()
    await approveAt(other, id)
    await expect(ask()).rejects.toMatchObject({ code: 'killed' })
    await there.release('agent', 'coder', {})
    const standing = [one, other].map((store) => store.standing('p'))
    await expect.poll(() => ask().catch(() => 'killed'), { timeout: 30_000 }).not.toBe('killed')
    expect(standing.flatMap((each) => each.list())).toEqual([])
    // Without a kill it does begin, and the other gate hears of it.
    pull = false
    const next = await ask()
    expect(next).not.toBe(id)
    await approveAt(other, next)
    expect(await ask()).toBe('granted')
    await expect.poll(() => standing[1]?.list().map(({ request }) => request), { timeout: 30_000 }).toEqual([next])
  })
})
