import type { Event, EventType } from '@sallyport/core'
import type { LogSource } from '../../packages/gateway/src/delivery/delivery.ts'
import type { LoggedEvent } from '../../packages/gateway/src/delivery/receiver.ts'

/** A log of which only the events are there. */
export class MemorySource implements LogSource {
  readonly events: LoggedEvent[] = []
  readonly #listeners = new Set<() => void>()
  size(): number {
    return this.events.length
  }
  read(from: number, count: number): Promise<readonly LoggedEvent[]> {
    return Promise.resolve(this.events.slice(from, from + count))
  }
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
  add(type: EventType, data: Event['data'] = {}, about: Partial<Pick<Event, 'atMs' | 'agent'>> = {}): number {
    this.events.push({ index: this.events.length, event: { type, atMs: 0, data, ...about } })
    for (const listener of this.#listeners) listener()
    return this.events.length - 1
  }
}
