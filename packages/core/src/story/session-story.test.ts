import { describe, expect, it } from 'vitest'
import type { Json } from '../canonical.ts'
import type { Event, EventType } from '../event.ts'
import { collectThreads, type SessionStory, StoryTeller } from './session-story.ts'
import { SessionList } from './session-list.ts'

const operations = [{ action: 'postgres.update', kind: 'write', resources: [{ name: 'public.orders' }] }]

function fact(type: EventType, data: { readonly [key: string]: Json }, session: string | null = 's1', atMs = 1_000): Event {
  return session === null ? { type, atMs, data } : { type, atMs, session, agent: 'coder', data }
}

function opened(session = 's1'): Event {
  const data = { owner: 'ada', handle: 'h', protocol: 'postgres', upstream: 'orders-db', peer: '127.0.0.1' }
  return fact('session.opened', data, session)
}

function tell(events: readonly Event[], stepsKept?: number): SessionStory {
  const threads = collectThreads('s1')
  for (const event of events) threads.see(event)
  const teller = new StoryTeller('s1', threads.threads, stepsKept === undefined ? {} : { stepsKept })
  events.forEach((event, index) => teller.add(index, event))
  return teller.finish()
}

describe('the story of a session', () => {
  it('joins an intent with its outcome, its time, its rows and who approved it', () => {
    const story = tell([
      opened(),
      fact(
        'intent',
        { intent: 'i1', text: 'update orders set x = 1', operations, approvers: ['ada', 'bo'], request: 'r1', snapshot: 'c1' },
        's1',
        2_000,
      ),
      fact('outcome', { intent: 'i1', result: 'succeeded', rows: 7, snapshot: 'c1' }, 's1', 2_045),
      fact('session.closed', { reason: 'the client left' }, 's1', 3_000),
    ])
    expect(story).toMatchObject({
      agent: 'coder',
      owner: 'ada',
      upstream: 'orders-db',
      closedAtMs: 3_000,
      closedWhy: 'the client left',
    })
    expect(story.totals).toMatchObject({ ran: 1, rows: 7, failed: 0, unknown: 0 })
    expect(story.steps[1]).toMatchObject({
      kind: 'ran',
      result: 'succeeded',
      rows: 7,
      durationMs: 45,
      people: ['ada', 'bo'],
      request: 'r1',
      snapshot: 'c1',
      operations: [{ action: 'postgres.update', kind: 'write', resources: ['public.orders'] }],
    })
  })

  it('has the verdict on a plan that one of its requests was a step of, and none on another', () => {
    const verdictOn = (request: string): Event =>
      fact('verdict', { request, approval: { person: 'bo', verdict: 'approve', reason: '' } }, 'handle h')
    const { steps } = tell([
      opened(),
      fact('request.opened', { request: 'r1' }),
      verdictOn('p2'),
      verdictOn('p1'),
      fact('request.approved', { request: 'r1', plan: 'p1', approvers: ['bo'] }),
    ])
    expect(steps.filter(({ kind }) => kind === 'verdict').map(({ request }) => request)).toEqual(['p1'])
  })

  it('counts reads of one text where the text stands, and leaves those of others out', () => {
    const counted = { agent: 'coder', firstAtMs: 5, count: 40, lastAtMs: 9_000 }
    const story = tell([
      opened(),
      fact('statement', { statement: 'k1', text: 'select 1', operations: [] }),
      fact(
        'reads',
        {
          reads: [
            { ...counted, session: 's1', key: 'k1' },
            { ...counted, session: 's2', key: 'k1' },
          ],
        },
        null,
      ),
    ])
    expect(story.totals.reads).toBe(40)
    expect(story.steps[1]).toMatchObject({ kind: 'read', times: 40, lastAtMs: 9_000, text: { text: 'select 1', sha256: null } })
  })

  it('holds what people did about its requests in other places and later', () => {
    const approval = { person: 'ada', verdict: 'approve', reason: 'known', challenge: 'x' }
    const story = tell([
      fact('request.opened', { request: 'r1', question: { text: 'drop table t', upstream: 'orders-db', operations } }, 's0'),
      fact('verdict', { request: 'r1', approval }, 's0'),
      opened(),
      fact('intent', { intent: 'i1', text: 'drop table t', operations, request: 'r1', snapshot: 'c1' }),
      fact('outcome', { intent: 'i1', result: 'succeeded' }),
      fact('undo', { intent: 'i1', snapshot: 'c1', rows: 3, by: 'ada' }, null),
      fact('undo', { intent: 'i9', snapshot: 'c9', rows: 3, by: 'ada' }, null),
      fact('intent', { intent: 'i2', text: 'of another session', operations, request: 'r1' }, 's0'),
    ])
    expect(story.steps.map(({ kind }) => kind)).toEqual(['asked', 'verdict', 'opened', 'ran', 'undone'])
    expect(story.steps[1]).toMatchObject({ people: ['ada'], said: 'approved: known' })
  })

  it('says which kill ended it, and no other', () => {
    const stop = (kind: string, name: string): Event => fact('kill', { kind, name, reason: 'enough', by: 'ada' }, null)
    const story = tell([stop('agent', 'coder'), opened(), stop('agent', 'reader'), stop('upstream', 'orders-db')])
    expect(story.steps.filter(({ kind }) => kind === 'stopped')).toMatchObject([{ index: 3, people: ['ada'] }])
  })

  it('leaves the middle out with a count and a digest, and cuts a text with its length and digest', () => {
    const many = Array.from({ length: 50 }, (_, place) =>
      fact('intent', { intent: `i${place}`, text: `update ${place}`, operations: [] }),
    )
    const story = tell([opened(), ...many, fact('outcome', { intent: 'i3', result: 'failed', detail: 'SQLSTATE 23505' })], 5)
    expect(story.leftOut).toMatchObject({
      steps: expect.any(Number),
      fromIndex: 5,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    expect(story.steps.length + (story.leftOut?.steps ?? 0)).toBe(51)
    expect(story.totals).toMatchObject({ ran: 50, failed: 1 })
    expect(story.steps.find(({ index }) => index === 4)).toMatchObject({ result: 'failed', said: 'SQLSTATE 23505' })
    const long = tell([fact('intent', { intent: 'i', text: 'x'.repeat(9_000), operations: [] })])
    expect(long.steps[0]?.text).toMatchObject({ characters: 9_000, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) })
    expect(long.steps[0]?.text?.text).toHaveLength(4_000)
  })

  it('tells what it can of events in another shape', () => {
    const story = tell([
      opened(),
      fact('intent', { intent: 4, text: null, operations: 'none', rows: 'x' }),
      fact('kill', { kind: 'odd' }, null),
    ])
    expect(story.steps).toHaveLength(2)
  })
})

describe('the list of sessions', () => {
  it('counts what each did and forgets the oldest', () => {
    const list = new SessionList(2)
    const events = [
      opened('s1'),
      opened('s2'),
      fact('intent', {}, 's2'),
      fact('outcome', { result: 'failed' }, 's2'),
      opened('s3'),
    ]
    events.forEach((event, index) => list.add(index, event))
    expect(list.list().map(({ id }) => id)).toEqual(['s3', 's2'])
    expect(list.find('s2')).toMatchObject({ ran: 1, troubles: 1, firstIndex: 1, lastIndex: 3, owner: 'ada' })
    expect(list.dropped).toBe(1)
  })
})
