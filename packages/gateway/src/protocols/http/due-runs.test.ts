import { expect, it } from 'vitest'
import type { Handle } from '@sallyport/core'
import { FakeGate } from '../../../../../tests/fakes/govern.ts'
import { FakeClock } from '../../../../../tests/fakes/ports.ts'
import type { Due } from './deferral.ts'
import { DueRuns } from './due-runs.ts'
import { digestMessage } from './payload-digest.ts'
import type { GovernedUpstream, HttpUpstreams } from './upstreams.ts'

/** What is due, as the store would say at each look: handles in force and approvals not cancelled, as they are then. */
class DueStore {
  readonly waiting = new Map<string, Due>()
  readonly revoked = new Set<string>()

  keep(): Promise<boolean> {
    return Promise.resolve(true)
  }

  due(): Promise<readonly Due[]> {
    return Promise.resolve(
      [...this.waiting.values()].map((one) => (this.revoked.has(one.agent) ? { ...one, handle: null } : one)),
    )
  }

  drop(request: string): Promise<void> {
    this.waiting.delete(request)
    return Promise.resolve()
  }
}

/** An upstream that answers what is sent to `/slow` only when told. */
class Governed implements GovernedUpstream {
  readonly name = 'cloud'
  readonly identity = 'cloud'
  readonly connector = 'railway'
  readonly graphqlPaths = new Set<string>()
  readonly sent: string[] = []
  #answer: (() => void)[] = []

  enter(): ReturnType<GovernedUpstream['enter']> {
    const upstream = { name: 'cloud', identity: 'cloud', environment: 'production', access: { kind: 'none' } } as const
    return { upstream, rest: () => Promise.resolve(), leave: () => Promise.resolve() }
  }

  async send(...[, { message }, listener]: Parameters<GovernedUpstream['send']>): ReturnType<GovernedUpstream['send']> {
    this.sent.push(message.target)
    const answer = (): void => {
      listener.head({ status: 200, reason: 'OK', headers: [] })
      listener.end()
    }
    if (message.target.startsWith('/slow')) this.#answer.push(answer)
    else queueMicrotask(answer)
    return Promise.resolve({ resume: () => undefined, abandon: () => undefined })
  }

  forwardRead(): ReturnType<GovernedUpstream['forwardRead']> {
    return Promise.reject(new Error('nothing due is a read that is remembered'))
  }

  answer(): void {
    for (const answer of this.#answer.splice(0)) answer()
  }
}

const origin = { scheme: 'https', host: 'api.cloud.test', port: 443 } as const

function makeDue(request: string, agent: string, target: string): Due {
  const handle: Handle = {
    id: `handle of ${agent}`,
    agent,
    owner: 'ada',
    parent: null,
    issuedAtMs: 0,
    expiresAtMs: Number.MAX_SAFE_INTEGER,
    revokedAtMs: null,
    scram: { salt: '', iterations: 1, storedKey: '', serverKey: '' },
    secretSha256: '',
  }
  const message = { method: 'POST', target, headers: [['host', 'api.cloud.test']], body: Buffer.alloc(0) } as const
  const deferral = { request, handle: handle.id, upstream: 'cloud', origin, message, contentType: '', contentCodings: [] }
  return { deferral, agent, session: 'session', handle }
}

function start(...due: readonly Due[]): { fake: FakeGate; governed: Governed; store: DueStore; clock: FakeClock; runs: DueRuns } {
  const fake = new FakeGate({ decide: () => ({ kind: 'write' }), upstreams: ['cloud'] })
  const governed = new Governed()
  const store = new DueStore()
  const clock = new FakeClock()
  for (const one of due) store.waiting.set(one.deferral.request, one)
  const upstreams: HttpUpstreams = { find: () => governed, tunnel: () => Promise.reject(new Error('no tunnel')) }
  const runs = new DueRuns({ gate: fake.gate, upstreams, settings: { store, clock, everyMs: 1_000 }, bodyBytesMax: 1_024 })
  runs.start()
  return { fake, governed, store, clock, runs }
}

it('one upstream that does not answer holds up nobody else, and nothing runs twice', async () => {
  const { governed, clock, runs } = start(makeDue('1', 'coder', '/slow'), makeDue('2', 'other', '/quick'))
  await expect.poll(() => governed.sent).toEqual(['/slow', '/quick'])
  clock.advance(1_000)
  governed.answer()
  await runs.close()
  expect(governed.sent).toEqual(['/slow', '/quick'])
})

it('one agent with much that is due leaves room for the others', async () => {
  const many = Array.from({ length: 40 }, (_, index) => makeDue(`many ${index}`, 'coder', `/slow/${index}`))
  const { governed, runs } = start(...many, makeDue('last', 'other', '/quick'))
  await expect.poll(() => governed.sent).toContain('/quick')
  governed.answer()
  await runs.close()
})

it('what waits for its turn is looked at anew: a handle that was revoked meanwhile sends nothing', async () => {
  const many = Array.from({ length: 8 }, (_, index) => makeDue(`many ${index}`, 'coder', `/slow/${index}`))
  const { governed, store, clock, runs } = start(...many)
  await expect.poll(() => governed.sent.length).toBeGreaterThan(0)

  const before = [...governed.sent]
  store.revoked.add('coder')
  while (store.waiting.size > 0) {
    governed.answer()
    clock.advance(1_000)
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  governed.answer()
  await runs.close()
  expect(governed.sent).toEqual(before)
})

it('an answer that is long in coming is waited for no longer than said, kept from a client that left, and given once', async () => {
  const due = makeDue('1', 'coder', '/slow')
  const { governed, clock, runs } = start(due)
  await expect.poll(() => governed.sent).toEqual(['/slow'])
  const sha256 = digestMessage(due.deferral.message)
  const gone = new AbortController()

  const waited = runs.take('coder', governed, sha256, gone.signal)
  clock.advance(20_000)
  await expect(waited).rejects.toMatchObject({ code: 'too_slow', notDone: 'It was not sent a second time.' })

  const left = runs.take('coder', governed, sha256, gone.signal)
  gone.abort()
  await expect(left).rejects.toMatchObject({ code: 'too_slow' })
  governed.answer()

  const here = new AbortController().signal
  expect(await runs.take('coder', governed, sha256, here)).toMatchObject({ head: { status: 200 } })
  expect(await runs.take('coder', governed, sha256, here)).toBeNull()
  await runs.close()
})

it('the end of the gate does not wait for ever for an upstream that never answers', async () => {
  const { governed, clock, runs } = start(makeDue('1', 'coder', '/slow'))
  await expect.poll(() => governed.sent).toEqual(['/slow'])
  const closed = runs.close()
  const end = new AbortController()
  void closed.then(() => end.abort())
  await expect
    .poll(() => {
      clock.advance(10_000)
      return end.signal.aborted
    })
    .toBe(true)
})
