import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { AccessRequest, Event, EventType } from '@sallyport/core'
import { MemorySource } from '../../../../tests/fakes/log-source.ts'
import { makeQuestion, makeRequest } from '../../../../tests/fakes/people.ts'
import { FakeClock } from '../../../../tests/fakes/ports.ts'
import { unusedContext } from '../../../../tests/fakes/receiver-context.ts'
import { Bell, type BellPorts } from './bell.ts'
import { Delivery } from './delivery.ts'
import { messageOf } from './message.ts'
import type { RingPlan } from './open-question.ts'
import { questionTypes, type LoggedEvent, type Receiver } from './receiver.ts'
import { openRung } from './rung.ts'

const minuteMs = 60_000
/** The clock of the tests starts on 2027-01-15 at 08:00 UTC, a Friday. */
const plan: RingPlan = {
  steps: [
    { afterMs: 0, receivers: ['phone'] },
    { afterMs: 5 * minuteMs, receivers: ['ops', 'second'] },
    { afterMs: 15 * minuteMs, receivers: ['everybody'] },
  ],
  quiet: [],
}
let clock: FakeClock
let source: MemorySource
let memory: Map<string, string>
let states: Map<string, AccessRequest['state']>
let ports: BellPorts
const open: { close(): Promise<void> }[] = []

beforeEach(() => {
  clock = new FakeClock()
  source = new MemorySource()
  memory = new Map()
  states = new Map()
  ports = {
    clock,
    source,
    log: {
      append: ({ type, data, agent }) =>
        Promise.resolve(source.add(type, data, { atMs: clock.nowMs(), ...(agent && { agent }) })),
    },
    memory: { get: (name) => memory.get(name) ?? null, set: (name, value) => void memory.set(name, value) },
    requests: {
      get: async (id) => ({
        ...makeRequest(0, makeQuestion()),
        id,
        state: states.get(id) ?? 'pending',
        endedBy: 'the kill switch',
      }),
      end: async (id, from, to) => {
        const isOpen = from.includes(states.get(id) ?? 'pending')
        if (isOpen) states.set(id, to)
        return isOpen
      },
    },
  }
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

function start(rings: RingPlan | null = plan): Bell {
  const bell = new Bell(ports, rings)
  open.push(bell)
  bell.start()
  return bell
}

function ask(request: string, minutes = 60): number {
  const data = {
    request,
    expiresAtMs: clock.nowMs() + minutes * minuteMs,
    question: { text: `DROP TABLE ${request}`, upstream: 'u', operations: [] },
  }
  return source.add('request.opened', data, { atMs: clock.nowMs(), agent: 'coder' })
}

const rings = (): readonly Event['data'][] =>
  source.events.flatMap(({ event }) => (event.type === 'request.rung' ? [event.data] : []))
const rungShape = z.object({ request: z.string(), receivers: z.array(z.string()) })
const rung = (): readonly string[] =>
  rings().map((data) => {
    const { request, receivers } = rungShape.parse(data)
    return `${request}: ${receivers.join(',')}`
  })
const count = (type: EventType): number => source.events.filter(({ event }) => event.type === type).length

describe('while nobody answers', () => {
  it('one ring after the other is rung, each once, and the log says so', async () => {
    start()
    const opened = ask('r1')
    await expect.poll(rung).toEqual(['r1: phone'])
    clock.advance(5 * minuteMs)
    await expect.poll(rung).toEqual(['r1: phone', 'r1: ops,second'])
    clock.advance(10 * minuteMs)
    await expect.poll(rung).toHaveLength(3)
    expect(rings()[1]).toEqual({
      request: 'r1',
      opened,
      step: 2,
      steps: 3,
      receivers: ['ops', 'second'],
      why: 'unanswered',
      waitedMs: 5 * minuteMs,
    })
    clock.advance(10 * minuteMs)
    ask('r2')
    await expect.poll(rung).toHaveLength(4)
  })

  it('also where the question reaches the store after the log', async () => {
    const { get } = ports.requests
    let isStored = false
    ports = { ...ports, requests: { ...ports.requests, get: (id) => (isStored ? get(id) : Promise.resolve(null)) } }
    start()
    ask('r1')
    await expect.poll(() => memory.get('bell')).toBe('0')
    isStored = true
    await expect
      .poll(() => {
        clock.advance(50)
        return rung()
      })
      .toEqual(['r1: phone'])
  })

  it.each(['request.approved', 'request.rejected', 'request.cancelled'] as const)('and not after %s', async (type) => {
    start()
    ask('r1')
    await expect.poll(rung).toHaveLength(1)
    source.add(type, { request: 'r1' })
    clock.advance(20 * minuteMs)
    ask('r2')
    await expect.poll(rung).toEqual(['r1: phone', 'r2: phone'])
  })

  it('and not what was decided at another gate, of which this log knows nothing', async () => {
    start()
    ask('r1')
    await expect.poll(rung).toHaveLength(1)
    states.set('r1', 'approved')
    clock.advance(20 * minuteMs)
    ask('r2')
    await expect.poll(rung).toEqual(['r1: phone', 'r2: phone'])
    expect(count('request.cancelled')).toBe(0)
  })

  it('what the kill switch ended is said at once, so that whoever was rung hears of it', async () => {
    start()
    ask('r1')
    await expect.poll(rung).toHaveLength(1)
    states.set('r1', 'cancelled')
    source.add('kill', { kind: 'agent', name: 'coder' })
    await expect.poll(() => count('request.cancelled')).toBe(1)
    expect(source.events.at(-1)?.event.data).toEqual({ request: 'r1', by: 'the kill switch' })
  })

  it('until it runs out, which is said when it happens', async () => {
    start()
    ask('r1', 10)
    await expect.poll(rung).toHaveLength(1)
    clock.advance(10 * minuteMs)
    await expect.poll(() => count('request.expired')).toBe(1)
    expect(states.get('r1')).toBe('expired')
    expect(rung()).toHaveLength(1)
  })
})

describe('a gate that starts again', () => {
  it('rings nobody twice, and goes on where it was', async () => {
    const before = start()
    ask('r1')
    ask('r2')
    await expect.poll(rung).toHaveLength(2)
    await before.close()
    clock.advance(6 * minuteMs)
    // A crash after the ring was on the log, before anything else was remembered.
    source.add('request.rung', {
      request: 'r2',
      opened: 1,
      receivers: ['ops', 'second'],
      step: 2,
      steps: 3,
      why: 'unanswered',
      waitedMs: 1,
    })
    start()
    await expect.poll(rung).toHaveLength(4)
    expect(rung().slice(2)).toEqual(['r2: ops,second', 'r1: ops,second'])
  })

  it('rings all that came due meanwhile, in their order, and nothing of what was over', async () => {
    const before = start()
    ask('r1')
    ask('r2')
    await expect.poll(rung).toHaveLength(2)
    await before.close()
    source.add('request.approved', { request: 'r2' })
    clock.advance(16 * minuteMs)
    start()
    await expect.poll(rung).toHaveLength(4)
    expect(rung().slice(2)).toEqual(['r1: ops,second', 'r1: everybody'])
  })

  it('for the first time rings for what comes, not for the past', async () => {
    ask('old')
    start()
    ask('new')
    await expect.poll(rung).toEqual(['new: phone'])
  })
})

describe('quiet hours', () => {
  const quiet: RingPlan = {
    steps: [{ afterMs: 0, receivers: ['phone', 'ops'] }],
    quiet: [{ from: 7 * 60, until: 9 * 60, zone: 'UTC', days: [0, 1, 2, 3, 4, 5, 6], receivers: ['phone'] }],
  }

  it('hold back what can wait, say so, and let it go when they are over', async () => {
    start(quiet)
    ask('r1', 600)
    await expect.poll(rung).toEqual(['r1: ops'])
    expect(count('request.held')).toBe(1)
    clock.advance(59 * minuteMs)
    ask('r2', 600)
    await expect.poll(rung).toEqual(['r1: ops', 'r2: ops'])
    clock.advance(minuteMs)
    await expect.poll(rung).toEqual(['r1: ops', 'r2: ops', 'r1: phone', 'r2: phone'])
    expect(rings()[2]).toMatchObject({ why: 'quiet_hours_over', waitedMs: 60 * minuteMs })
    expect(count('request.held')).toBe(2)
  })

  it('over a restart, and never for what is no longer open', async () => {
    const before = start(quiet)
    ask('r1', 600)
    ask('r2', 600)
    await expect.poll(rung).toHaveLength(2)
    await before.close()
    source.add('request.rejected', { request: 'r1' })
    start(quiet)
    clock.advance(30 * minuteMs)
    clock.advance(30 * minuteMs)
    await expect.poll(rung).toEqual(['r1: ops', 'r2: ops', 'r2: phone'])
    expect(count('request.held')).toBe(2)
  })
})

class Phone implements Receiver {
  readonly name: string
  readonly wants: ReadonlySet<EventType> = new Set(questionTypes)
  readonly batchMax = 1
  readonly heard: string[] = []
  constructor(name: string) {
    this.name = name
  }
  async deliver(batch: readonly LoggedEvent[]): Promise<void> {
    for (const logged of batch) {
      const { title, text } = messageOf(logged, 'http://localhost:6480')
      this.heard.push(`${title}. ${text}`)
    }
  }
}

describe('who is told', () => {
  const posted = new Map<string, string>()
  const startAll = (rings: RingPlan, names: readonly string[]): Phone[] => {
    posted.clear()
    const phones = names.map((name) => new Phone(name))
    const context = {
      ...unusedContext,
      source,
      posted: {
        get: (name: string) => posted.get(name) ?? null,
        set: (name: string, value: string) => void posted.set(name, value),
      },
    }
    const delivery = new Delivery(
      ports,
      phones.map((phone) => openRung(phone, context)),
    )
    open.push(delivery)
    delivery.start()
    start(rings)
    return phones
  }

  it('is who was rung, with the question itself, and then what became of it; nobody else', async () => {
    const [phone, ops, everybody] = startAll(plan, ['phone', 'ops', 'everybody'])
    ask('orders')
    await expect.poll(() => phone?.heard).toEqual([expect.stringContaining('DROP TABLE orders')])
    clock.advance(5 * minuteMs)
    await expect
      .poll(() => ops?.heard)
      .toEqual([expect.stringMatching(/an agent waits.*DROP TABLE orders.*Nobody answered for 5 min\./)])
    source.add('request.approved', { request: 'orders', approvers: ['ada'], notBeforeMs: 0 })
    await expect.poll(() => [phone?.heard.length, ops?.heard.length]).toEqual([2, 2])
    source.add('kill', { kind: 'all', name: '' })
    await expect.poll(() => everybody?.heard.length).toBe(1)
    expect(everybody?.heard[0]).toContain('KILL')
  })

  it('hears in quiet hours what cannot wait: broken glass, alarms that stop an agent, a kill', async () => {
    const always = { from: 1, until: 0, zone: 'UTC', days: [0, 1, 2, 3, 4, 5, 6], receivers: ['phone'] }
    const [phone] = startAll({ steps: [{ afterMs: 0, receivers: ['phone'] }], quiet: [always] }, ['phone'])
    ask('orders')
    await expect.poll(() => count('request.held')).toBe(1)
    source.add('alarm', { kind: 'break_glass', why: 'ada broke glass', person: 'ada', request: 'orders' })
    source.add('alarm', { kind: 'canary', place: 'header', file: '.env' })
    source.add('kill', { kind: 'agent', name: 'coder' })
    await expect.poll(() => phone?.heard.length).toBe(3)
    expect(phone?.heard.join()).not.toContain('DROP TABLE')
  })
})
