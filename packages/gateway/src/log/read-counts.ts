import { type Clock, encodeEntry, type Event, type Json, sha256Hex } from '@sallyport/core'

/** Items in one `reads` event: with names of at most 128 characters it stays below the 65,535 bytes of an entry. */
const itemsMax = 128
const nameCharactersMax = 128
/** Remembered keys over all sessions; beyond it they are forgotten at the next flush, which costs one hash each when they come back. */
const keysMax = 65_536

/** An event and its bytes on the log. */
export interface EncodedEvent {
  readonly event: Event
  readonly bytes: Uint8Array
}

interface Counted {
  readonly session: string
  readonly agent: string
  /** As given when it is short, such as the id of a `statement` event; else its SHA-256. */
  readonly key: string
  count: number
  /** Monotonic. */
  firstMs: number
  lastMs: number
}

/**
 * Counts reads between flushes: equal (session, key) become one item. `count` is on the path of every recalled read, so it only looks
 * up and adds; hashing and writing wait for the flush.
 */
export class ReadCounts {
  readonly #clock: Clock
  readonly #salt: () => string
  readonly #sessions = new Map<string, Map<string, Counted>>()
  #keys = 0
  #dirty: Counted[] = []
  #lastSession = ''
  #lastKeys: Map<string, Counted> | undefined

  constructor(clock: Clock, salt: () => string) {
    this.#clock = clock
    this.#salt = salt
  }

  get waiting(): boolean {
    return this.#dirty.length > 0
  }

  /** @param monotonicMs now, by a clock that only runs forward: asking two clocks would double what a read costs */
  count(session: string, agent: string, key: string, monotonicMs: number): void {
    const keys = session === this.#lastSession && this.#lastKeys ? this.#lastKeys : this.#keysOf(session)
    const counted = keys.get(key) ?? this.#remember(keys, session, agent, key)
    if (counted.count === 0) {
      counted.firstMs = monotonicMs
      this.#dirty.push(counted)
    }
    counted.count += 1
    counted.lastMs = monotonicMs
  }

  #keysOf(session: string): Map<string, Counted> {
    let keys = this.#sessions.get(session)
    if (keys === undefined) {
      keys = new Map()
      this.#sessions.set(session, keys)
    }
    this.#lastSession = session
    this.#lastKeys = keys
    return keys
  }

  #remember(keys: Map<string, Counted>, session: string, agent: string, key: string): Counted {
    const counted = { session: shorten(session), agent: shorten(agent), key: shorten(key), count: 0, firstMs: 0, lastMs: 0 }
    keys.set(key, counted)
    this.#keys += 1
    return counted
  }

  /** The events for everything counted since the last time; counting starts anew. */
  drain(monotonicMs: number): readonly EncodedEvent[] {
    const dirty = this.#dirty
    this.#dirty = []
    const entries: EncodedEvent[] = []
    for (let start = 0; start < dirty.length; start += itemsMax)
      entries.push(this.#entry(dirty.slice(start, start + itemsMax), monotonicMs))
    for (const counted of dirty) counted.count = 0
    if (this.#keys > keysMax) this.#forget()
    return entries
  }

  #entry(counts: readonly Counted[], monotonicMs: number): EncodedEvent {
    const atMs = this.#clock.nowMs()
    const wallMs = (readMs: number): number => Math.round(atMs - (monotonicMs - readMs))
    const reads: readonly Json[] = counts.map(({ session, agent, key, count, firstMs, lastMs }) => ({
      session,
      agent,
      key,
      count,
      firstAtMs: wallMs(firstMs),
      lastAtMs: wallMs(lastMs),
    }))
    const event: Event = { type: 'reads', atMs, data: { reads } }
    return { event, bytes: encodeEntry(event, this.#salt()) }
  }

  #forget(): void {
    this.#sessions.clear()
    this.#keys = 0
    this.#lastSession = ''
    this.#lastKeys = undefined
  }
}

/** Our own ids are short and plain; whatever else comes here must still fit, and be told apart. */
function shorten(name: string): string {
  return name.length <= nameCharactersMax && /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/.test(name)
    ? name
    : `sha256:${sha256Hex(name.toWellFormed())}`
}
