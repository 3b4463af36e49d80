import { describe, expect, it } from 'vitest'
import type { EventType } from '@sallyport/core'
import { MemorySource } from '../../../../tests/fakes/log-source.ts'
import { FakeClock } from '../../../../tests/fakes/ports.ts'
import { Delivery, type DeliveryPorts } from './delivery.ts'
import { DeliveryError, type LoggedEvent, type Receiver } from './receiver.ts'

/** One that takes what it gets, or not, as told. */
class Told implements Receiver {
  readonly name: string
  readonly wants: ReadonlySet<EventType>
  readonly batchMax: number
  readonly got: number[] = []
  answer: () => Promise<void> = () => Promise.resolve()
  tries = 0
  constructor(name: string, wants: readonly EventType[], batchMax = 10) {
    this.name = name
    this.wants = new Set(wants)
    this.batchMax = batchMax
  }
  async deliver(batch: readonly LoggedEvent[]): Promise<void> {
    this.tries += 1
    await this.answer()
    this.got.push(...batch.map(({ index }) => index))
  }
}

function makeBench(): { ports: DeliveryPorts; source: MemorySource; clock: FakeClock; memory: Map<string, string> } {
  const source = new MemorySource()
  const clock = new FakeClock()
  const memory = new Map<string, string>()
  const log: DeliveryPorts['log'] = { append: ({ type, data }) => Promise.resolve(source.add(type, data)) }
  const kept = {
    get: (name: string) => memory.get(name) ?? null,
    set: (name: string, value: string) => void memory.set(name, value),
  }
  return { source, clock, memory, ports: { clock, log, source, memory: kept } }
}

describe('what is told outside', () => {
  it('is what a receiver wants, in order, from when it was set up', async () => {
    const { ports, source } = makeBench()
    source.add('alarm')
    const told = new Told('a', ['alarm', 'kill'], 2)
    const delivery = new Delivery(ports, [told])
    delivery.start()
    for (const type of ['kill', 'intent', 'alarm', 'alarm', 'outcome'] as const) source.add(type)
    await expect.poll(() => told.got).toEqual([1, 3, 4])
    expect(delivery.health()).toMatchObject([{ name: 'a', failures: 0 }])
    await delivery.close()
  })

  it('goes on after a restart where it was, and tells again what it is not sure of', async () => {
    const { ports, source, memory } = makeBench()
    const first = new Told('a', ['alarm'], 1)
    const before = new Delivery(ports, [first])
    before.start()
    source.add('alarm')
    await expect.poll(() => memory.get('delivered:a')).toBe('1')
    first.answer = () => Promise.reject(new DeliveryError('it answered 503'))
    source.add('alarm')
    await expect.poll(() => first.tries).toBe(2)
    await before.close()
    source.add('alarm')
    const second = new Told('a', ['alarm'], 1)
    const after = new Delivery(ports, [second])
    after.start()
    await expect.poll(() => second.got).toEqual([1, 2])
    await after.close()
  })

  it('is not held up by another receiver that never answers', async () => {
    const { ports, source } = makeBench()
    const dead = new Told('dead', ['alarm'])
    dead.answer = () => new Promise((_, reject) => ends.push(() => reject(new Error('closed'))))
    const ends: (() => void)[] = []
    const well = new Told('well', ['alarm'])
    const delivery = new Delivery(ports, [dead, well])
    delivery.start()
    for (let one = 0; one < 50; one += 1) source.add('alarm')
    await expect.poll(() => well.got.length).toBe(50)
    expect(dead.got).toEqual([])
    const closing = delivery.close()
    for (const end of ends) end()
    await closing
  })

  it('an outage is said once on the log, waited out in longer and longer pauses, and loses nothing', async () => {
    const { ports, source, clock } = makeBench()
    const told = new Told('a', ['alarm'])
    told.answer = () => Promise.reject(new DeliveryError('it answered 503'))
    const delivery = new Delivery(ports, [told])
    delivery.start()
    source.add('alarm')
    for (const [tries, pauseMs] of [1_000, 2_000, 4_000, 8_000].entries()) {
      await expect.poll(() => told.tries).toBe(tries + 1)
      clock.advance(pauseMs - 1)
      expect(told.tries).toBe(tries + 1)
      // The pause begins when the failure was noted, a turn after the try.
      await expect
        .poll(() => {
          clock.advance(1)
          return told.tries
        })
        .toBe(tries + 2)
    }
    expect(source.events.filter(({ event }) => event.type === 'delivery.failed')).toMatchObject([
      { event: { data: { receiver: 'a', why: 'it answered 503', lost: [] } } },
    ])
    expect(delivery.health()).toMatchObject([{ why: 'it answered 503' }])
    told.answer = () => Promise.resolve()
    source.add('alarm')
    await expect
      .poll(() => {
        clock.advance(60_000)
        return told.got.length
      })
      .toBe(2)
    await expect.poll(() => source.events.at(-1)?.event.type).toBe('delivery.recovered')
    await delivery.close()
  })

  it('what would be refused for ever is left out, said so on the log, and holds up nothing', async () => {
    const { ports, source } = makeBench()
    const told = new Told('a', ['alarm', 'kill'], 1)
    let first = true
    told.answer = () => {
      const isFirst = first
      first = false
      return isFirst ? Promise.reject(new DeliveryError('it answered 413', true)) : Promise.resolve()
    }
    const delivery = new Delivery(ports, [told])
    delivery.start()
    const lost = source.add('alarm')
    const kept = source.add('kill')
    await expect.poll(() => told.got).toEqual([kept])
    expect(source.events.filter(({ event }) => event.type === 'delivery.failed')).toMatchObject([
      { event: { data: { lost: [lost] } } },
    ])
    await delivery.close()
  })

  it('does not begin before its time, nor in a log that is shorter than it remembers', async () => {
    const { ports, source, memory } = makeBench()
    memory.set('delivered:a', '99')
    source.add('alarm')
    const told = new Told('a', ['alarm'])
    const delivery = new Delivery(ports, [told])
    delivery.start()
    source.add('alarm')
    await expect.poll(() => told.got).toEqual([1])
    await delivery.close()
  })
})
