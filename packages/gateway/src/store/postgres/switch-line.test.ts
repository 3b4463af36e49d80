import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { startSeveringRelay, type SeveringRelay } from '../../../../../tests/fakes/severing-relay.ts'
import { approval, grant, request } from '../../../../../tests/conformance/requests.ts'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'
import type { Ear, Hearer, Store } from '../store.ts'
import { openSharedStore } from './index.ts'
import { inDepth } from '../../../../../tests/breadth.ts'

vi.setConfig({ testTimeout: 60_000 })

const leaseMs = 2_000
const renewEveryMs = 200
const patience = { timeout: 30_000, interval: 10 }

/** A gate as far as the store sees one. */
interface Listening {
  readonly store: Store
  readonly ear: Ear
  readonly seen: string[]
}

let server: PostgresServer
let relay: SeveringRelay
let url: string
let count = 0
let opened: Store[] = []

beforeAll(async () => {
  server = await startPostgres()
  relay = await startSeveringRelay(server.port)
})
afterAll(async () => {
  await relay.close()
  await server.stop()
})
beforeEach(async () => {
  const name = `line_${count++}`
  await server.query(`CREATE DATABASE ${name}`)
  url = server.url(name)
})
afterEach(async () => {
  relay.mend()
  await Promise.all(opened.map(async (store) => store.close()))
  opened = []
})

function overRelay(): string {
  return url.replace(`:${server.port}/`, `:${relay.port}/`)
}

async function listen(gate: string, at = url, more: Partial<Hearer> = {}): Promise<Listening> {
  const store = await openSharedStore({ url: at, gate, leaseMs, renewEveryMs, report: () => undefined })
  opened.push(store)
  const seen: string[] = []
  const ear = store.attend({
    follow: () =>
      void seen.push(
        `in force: ${store.kills
          .inForce()
          .map(({ name }) => name)
          .join(' ')}`,
      ),
    stopAhead: (kind, name) => void seen.push(`ahead: ${kind} ${name}`),
    writeAgain: async () => undefined,
    openHandles: () => ['h1', 'h2'],
    endByHandles: (handles) => void seen.push(`revoked: ${handles.join(' ')}`),
    endOn: (agent, upstream) => void seen.push(`ended: ${agent} on ${upstream}`),
    freeze: (reason) => void seen.push(`frozen: ${reason}`),
    thaw: () => void seen.push('thawed'),
    ...more,
  })
  if (ear === null) throw new Error('the shared store has no ear')
  return { store, ear, seen }
}

function kill(store: Store, name: string): Promise<unknown> {
  return Promise.resolve(store.kills.add({ kind: 'agent', name, reason: '', by: 'operator', atMs: 1 }))
}

it('has stopped a kill at every gate when it is everywhere', async () => {
  const one = await listen('one')
  const other = await listen('other')
  await kill(one.store, 'coder')
  await one.store.kills.everywhere?.()
  expect(other.seen).toContain('in force: coder')
})

it('waits for the lease of a gate that does not answer, and for none that said goodbye', async () => {
  const one = await listen('one')
  const silent = await listen('silent', overRelay())
  const gone = await listen('gone')
  await gone.store.close()
  opened = opened.filter((store) => store !== gone.store)
  relay.sever()
  await kill(one.store, 'coder')
  await one.store.kills.everywhere?.()
  // Asked as every write upstream asks.
  silent.ear.hear()
  expect(silent.seen.at(-1)).toMatch(/^frozen: .*cannot hear the kill switch/)
  expect(await server.query('SELECT id FROM sallyport.gates WHERE lost ORDER BY id', [], url.split('/').at(-1))).toEqual([
    { id: 'gone' },
    { id: 'silent' },
  ])
})

it('thaws a gate that comes back only once it has stopped what was killed meanwhile', async () => {
  const one = await listen('one')
  const silent = await listen('silent', overRelay())
  relay.sever()
  await kill(one.store, 'coder')
  await expect.poll(() => silent.seen.at(-1), patience).toMatch(/^frozen/)
  relay.mend()
  await expect.poll(() => silent.seen.at(-1), patience).toBe('thawed')
  expect(silent.seen.indexOf('in force: coder')).toBeLessThan(silent.seen.indexOf('thawed'))
  expect(silent.seen).toContain('in force: coder')
})

it.each(inDepth('stays frozen as long as what was pulled here cannot be handed on'))('%s', async () => {
  await listen('one')
  let tries = 0
  const writeAgain = async (): Promise<void> => {
    tries += 1
    if (tries < 3) throw new Error('not yet')
  }
  const silent = await listen('silent', overRelay(), { writeAgain })
  relay.sever()
  await expect.poll(() => silent.seen.at(-1), patience).toMatch(/^frozen/)
  relay.mend()
  await expect.poll(() => silent.seen.at(-1), patience).toBe('thawed')
  expect(tries).toBe(3)
})

it('lets go on what was called out and is in no store', async () => {
  const one = await listen('one')
  const other = await listen('other')
  // Lost as long as the thread that calls has no line yet.
  const callOut = (): boolean => {
    one.store.kills.callOut?.('agent', 'coder')
    return other.seen.includes('ahead: agent coder')
  }
  await expect.poll(callOut, patience).toBe(true)
  await expect.poll(() => other.seen.at(-1), patience).toBe('in force: ')
})

it('has a kill in the store, and at every other gate, from another thread than its own, once', async () => {
  const one = await listen('one')
  const other = await listen('other')
  const order = { kind: 'agent', name: 'coder', reason: 'enough', by: 'operator', atMs: 1, mark: 'm1' } as const
  const pulls = one.store.kills.gates?.()
  // Lost as long as that thread has no line yet; however often it is handed over, it is one kill.
  const handOver = (): readonly string[] => {
    pulls?.postMessage({ ...order, drain: false })
    return other.seen
  }
  await expect.poll(handOver, patience).toContain('ahead: agent coder')
  await expect.poll(() => other.seen, patience).toContain('in force: coder')
  const known = await one.store.kills.add(order)
  await one.store.kills.everywhere?.()
  const rows = await server.query('SELECT id, name, mark FROM sallyport.kills', [], url.split('/').at(-1))
  expect(rows).toEqual([{ id: String(known.id), name: 'coder', mark: 'm1' }])
  expect((await one.store.kills.add({ ...order, mark: 'm2' })).id).not.toBe(known.id)
  pulls?.close()
})

it('tells every gate which of its handles was revoked', async () => {
  const one = await listen('one')
  const other = await listen('other')
  const verifier = { salt: '', iterations: 1, storedKey: '', serverKey: '' }
  const life = { parent: null, issuedAtMs: 0, expiresAtMs: Number.MAX_SAFE_INTEGER, revokedAtMs: null }
  await one.store.handles.insert({ id: 'h1', agent: 'coder', owner: 'ada', ...life, scram: verifier, secretSha256: 'a' })
  await one.store.handles.revoke('h1', 1)
  await expect.poll(() => other.seen, patience).toContain('revoked: h1')
})

it('lets go on at every gate what was released at one', async () => {
  const one = await listen('one')
  const other = await listen('other')
  await kill(one.store, 'coder')
  await one.store.kills.everywhere?.()
  await other.store.kills.release('agent', 'coder', 2, Number.MAX_SAFE_INTEGER)
  await expect.poll(() => one.seen.at(-1), patience).toBe('in force: ')
})

it('freezes for good a process whose gate another process has become', async () => {
  const first = await listen('twin')
  await listen('twin')
  await expect.poll(() => first.seen.at(-1), patience).toMatch(/^frozen/)
  await expect(Promise.resolve(first.store.handles.find('h1'))).resolves.toBeNull()
  expect(first.seen).not.toContain('thawed')
})

it.each(inDepth('gives back nothing that another gate consumed, and its own only after the lease of its life before'))(
  '%s',
  async () => {
    const one = await listen('one')
    const other = await listen('other')
    await one.store.requests.open(request('r1'))
    await one.store.requests.addApproval('r1', approval('bob'))
    await one.store.requests.approve('r1', 5, grant('g1', 'r1'))
    await one.store.requests.consume('g1', 'intent')
    expect(await other.store.requests.consumedGrants()).toEqual([])
    await other.store.requests.giveBack('g1')
    expect((await other.store.requests.findGrant('coder', 'd'))?.state).toBe('consumed')
    // The same gate starts anew while its old process may still be at it.
    const again = await listen('one')
    one.ear.hear()
    expect(one.seen.at(-1)).toMatch(/^frozen/)
    expect(await again.store.requests.consumedGrants()).toHaveLength(1)
  },
)

it('hears of a verdict that was given at another gate', async () => {
  const one = await listen('one')
  const other = await listen('other')
  await one.store.requests.open(request('r1'))
  const verdict = one.store.requests.waitForVerdict('r1', 60_000, new AbortController().signal)
  await other.store.requests.end('r1', ['pending'], 'rejected', 'bob')
  expect((await verdict)?.state).toBe('rejected')
})

it('has the same time at gates whose own clocks are ten minutes apart', async () => {
  const open = async (gate: string, skewMs: number): Promise<Store> => {
    const stopwatch = { monotonicMs: () => performance.now(), wallMs: () => Date.now() + skewMs }
    const store = await openSharedStore({ url, gate, stopwatch, report: () => undefined })
    opened.push(store)
    return store
  }
  const [ahead, behind] = [await open('ahead', 300_000), await open('behind', -300_000)]
  expect(Math.abs(ahead.clock.nowMs() - behind.clock.nowMs())).toBeLessThan(60_000)
})

it('gives what is due to one of two gates, and to another only when that one did not begin', async () => {
  const [one, other] = [await listen('one'), await listen('other')]
  const asked = request('r1')
  await one.store.requests.open({ ...asked, expiresAtMs: Number.MAX_SAFE_INTEGER, question: { ...asked.question, delayMs: 5 } })
  const message = { method: 'POST', target: '/', headers: [], body: Buffer.from('x') } as const
  const origin = { scheme: 'https', host: 'api.example', port: 443 } as const
  const deferral = { request: 'r1', handle: 'h1', upstream: 'orders-db', origin, contentType: '', contentCodings: [], message }
  expect(await one.store.deferrals.keep(deferral)).toBe(true)
  await one.store.requests.approve('r1', 5, { ...grant('g1', 'r1'), expiresAtMs: Number.MAX_SAFE_INTEGER })
  const nowMs = one.store.clock.nowMs()
  const due = await Promise.all([one, other, one, other].map(({ store }) => store.deferrals.due(nowMs)))
  const [mine, theirs] = [
    [...(due[0] ?? []), ...(due[2] ?? [])],
    [...(due[1] ?? []), ...(due[3] ?? [])],
  ]
  expect([mine.length > 0, theirs.length > 0].filter(Boolean)).toHaveLength(1)
  // Begun: its grant is used up, so whatever became of that gate nobody runs it again.
  expect(await one.store.requests.consume('g1', 'intent')).toBe(true)
  await server.query("UPDATE sallyport.claims SET until = now() - interval '1 hour'", [], url.split('/').at(-1))
  expect(await other.store.deferrals.due(nowMs)).toEqual([])
})

it('lets one of two gates do what only one may, and another once its time ran out', async () => {
  const [one, other] = [await listen('one'), await listen('other')]
  const took = await Promise.all([one, other].map(async ({ store }) => store.claim('keep copy orders', 60_000)))
  expect(took.filter(Boolean)).toHaveLength(1)
  await server.query("UPDATE sallyport.claims SET until = now() - interval '1 second'", [], url.split('/').at(-1))
  const loser = took[0] === true ? other : one
  expect(await loser.store.claim('keep copy orders', 60_000)).toBe(true)
})

it.each(inDepth('says what happened, what was not done and what next when the store is away, and answers again by itself'))(
  '%s',
  async () => {
    const silent = await listen('silent', overRelay())
    relay.sever()
    await expect(silent.store.requests.get('r1')).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining('store that the gates share'),
      notDone: expect.stringContaining('Nothing'),
    })
    relay.mend()
    await expect.poll(() => silent.store.requests.get('r1').catch(() => 'away'), patience).toBeNull()
  },
)
