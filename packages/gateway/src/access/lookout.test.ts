import { type Event, type EventType, type Json } from '@sallyport/core'
import { expect, it, vi } from 'vitest'
import { openLookout } from './lookout.ts'

interface Logged {
  readonly index: number
  readonly event: Event
}

const clock = { nowMs: () => 1_000_000, sleep: async () => undefined }
const fact = (type: EventType, data: { readonly [key: string]: Json } = {}, agent?: string, atMs = 1_000): Event => ({
  type,
  atMs,
  data,
  ...(agent === undefined ? {} : { agent, session: 's' }),
})
const started = fact('gate.started')
const refused = fact('decision', { outcome: 'deny' }, 'coder')
const alarm = fact('alarm', { kind: 'probing' }, 'coder')

/** A gate's start over this past; what it appended, and whom it stopped. */
function start(
  past: readonly Event[],
  stopping: readonly string[] = [],
): {
  readonly alarms: Event[]
  readonly stopped: string[]
  readonly tell: (...events: readonly Event[]) => void
  readonly learn: () => void
} {
  const alarms: Event[] = []
  const stopped: string[] = []
  let next = past.length
  let hear: (events: readonly Logged[]) => void = () => undefined
  const read = Promise.withResolvers<readonly Logged[]>()
  openLookout({
    clock,
    log: {
      append: async (event) => alarms.push(event),
      appendRead: () => undefined,
    },
    subscribe: (listener) => {
      hear = listener
      return () => undefined
    },
    past: () => read.promise,
    stopping: new Set(stopping),
    stop: async (agent) => stopped.push(agent),
  })
  return {
    alarms,
    stopped,
    tell: (...events) => hear(events.map((event) => ({ index: next++, event }))),
    learn: () => read.resolve(past.map((event, index) => ({ index, event }))),
  }
}

it('counts on from what the log held before the start, and tells nothing of it again', async () => {
  const told = Array.from({ length: 10 }, () => refused)
  const gate = start([started, ...told, alarm, ...told.slice(1), started])
  gate.learn()
  await vi.waitFor(() => {
    gate.tell(fact('reads'))
    expect(gate.alarms).toEqual([])
  })
  gate.tell(refused)
  await vi.waitFor(() => expect(gate.alarms).toHaveLength(1))
  expect(gate.alarms[0]).toMatchObject({
    type: 'alarm',
    agent: 'coder',
    data: { kind: 'probing', events: expect.arrayContaining([12, 20]) },
  })
})

it('misses nothing that comes while the past is still read, and counts nothing of it twice', async () => {
  const gate = start([started, ...Array.from({ length: 4 }, () => refused)])
  gate.tell(refused, refused, refused, refused, refused)
  gate.learn()
  gate.tell(refused)
  await vi.waitFor(() => expect(gate.alarms).toHaveLength(1))
})

it('knows what an agent usually does from before the start', async () => {
  const intent = (action: string): Event => fact('intent', { operations: [{ action, kind: 'write' }] }, 'coder')
  const gate = start([started, ...Array.from({ length: 25 }, () => intent('postgres.insert')), started])
  gate.learn()
  gate.tell(intent('postgres.insert'), intent('postgres.grant'))
  await vi.waitFor(() => expect(gate.alarms).toMatchObject([{ data: { kind: 'first_time' } }]))
})

it('stops whom an alarm should have stopped, when its gate was killed before it could', async () => {
  const gate = start([started, alarm, started], ['probing'])
  gate.learn()
  await vi.waitFor(() => expect(gate.stopped).toEqual(['coder']))
})

it.each<[string, readonly Event[]]>([
  ['it was answered', [started, alarm, fact('kill', { kind: 'agent', name: 'coder' }), started]],
  ['everything was stopped', [started, alarm, fact('kill', { kind: 'all', name: '' }), started]],
  ['the gate ended in good order after it', [started, alarm, fact('gate.stopped'), started]],
  ['the run after it did nothing about it', [started, alarm, started, started]],
  ['it was not meant to stop anybody then', [started, alarm, fact('reads', {}, undefined, 60_000), started]],
])('stops nobody for an alarm of before when %s', async (_, past) => {
  const gate = start([...past], ['probing', 'burst'])
  gate.learn()
  // Behind the learning: an alarm of now.
  await vi.waitFor(() => {
    gate.tell(fact('alarm', { kind: 'burst' }, 'reader'))
    expect(gate.stopped).toContain('reader')
  })
  expect(gate.stopped).not.toContain('coder')
})
