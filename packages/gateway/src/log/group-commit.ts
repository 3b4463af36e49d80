import { type Clock, encodeEntry, type Event, type Hash, leafHash, LogFormatError, SallyportError } from '@sallyport/core'
import type { FileSystem } from './file-system.ts'
import { type EncodedEvent, ReadCounts } from './read-counts.ts'
import { SegmentFile } from './segment-file.ts'

/** What one group may hold: hashing it must not hold up the event loop for long. */
const groupEntriesMax = 1024
const groupBodyBytesMax = 4 * 1024 * 1024
/**
 * What nobody's next step waits for: it goes with whatever else becomes durable within this time, or by itself after it. An outcome that a crash
 * takes is unknown, as it would have been a moment earlier.
 */
const unhurried: ReadonlySet<Event['type']> = new Set(['outcome'])
const unhurriedMs = 2
/** Of the time in which reads must be durable, what is left to timers and threads that come late. */
const slackMs = 2
/** Of how long groups take, the last one's share. */
const lastShare = 1 / 8
/** What may wait for the disk before further events are turned away. */
const queuedBytesMax = 64 * 1024 * 1024

interface Waiting extends EncodedEvent {
  readonly resolve: (index: number) => void
  readonly reject: (error: SallyportError) => void
}

interface Group {
  readonly waiting: readonly Waiting[]
  readonly reads: readonly EncodedEvent[]
  /** The place of the reads among those who wait. */
  readonly readsAt: number
}

export interface GroupCommitSettings {
  readonly system: FileSystem
  /** Where the segments lie. */
  readonly entriesDirectory: string
  readonly clock: Clock
  readonly monotonicMs: () => number
  /** 16 random bytes, base64url: one for each entry. */
  readonly salt: () => string
  readonly segmentBytesMax: number
  readonly readsFlushAfterMs: number
  readonly readsDurableWithinMs: number
  /** Called when a group is durable, before those who wait for it hear of it. */
  readonly durable: (firstIndex: number, group: readonly EncodedEvent[], leaves: readonly Hash[]) => void
}

/**
 * Appends events with one durable write for all that were queued during the last one. The first error is the last: after a
 * failed sync the kernel may have dropped what it could not write and call the next one a success, so nothing is tried again.
 */
export class GroupCommit {
  readonly #settings: GroupCommitSettings
  readonly #segments: SegmentFile[]
  readonly #reads: ReadCounts
  #queue: Waiting[] = []
  #queuedBytes = 0
  /** So many of the queue were there before the oldest counted read, and come before it on the log: the beginning of its session, say. */
  #queuedBeforeReads = 0
  #running: Promise<void> | null = null
  #failure: SallyportError | null = null
  /** Since when the oldest counted read waits to be written, and to become durable; monotonic milliseconds. */
  #pendingSinceMs: number | null = null
  #inFlightSinceMs: number | null = null
  /** How long a group takes lately, milliseconds. One that hangs is no reason to write more often. */
  #usualMs = 0
  #flushTimer: NodeJS.Timeout | null = null
  #unhurriedTimer: NodeJS.Timeout | null = null
  /** What is not hurried has waited long enough. */
  #isDue = false
  /** Those who wait until counted reads are durable in time again. */
  #behind: { readonly resolve: () => void; readonly reject: (error: SallyportError) => void }[] = []

  constructor(settings: GroupCommitSettings, segments: readonly SegmentFile[]) {
    this.#settings = settings
    this.#segments = [...segments]
    this.#reads = new ReadCounts(settings.clock, settings.salt)
  }

  get failure(): SallyportError | null {
    return this.#failure
  }

  get size(): number {
    return this.#segments.at(-1)?.nextIndex ?? 0
  }

  /** Takes the segments before this entry out, oldest first, never the one that grows. Whoever asks removes them. */
  forgetBefore(next: number): readonly SegmentFile[] {
    const count = this.#segments.slice(0, -1).filter(({ nextIndex }) => nextIndex <= next).length
    return this.#segments.splice(0, count)
  }

  get segments(): readonly SegmentFile[] {
    return this.#segments
  }

  append(event: Event): Promise<number> {
    if (this.#failure) return Promise.reject(this.#failure)
    let bytes: Uint8Array
    try {
      bytes = encodeEntry(event, this.#settings.salt())
    } catch (error) {
      return Promise.reject(unwritable(event, error))
    }
    if (this.#queuedBytes + bytes.length > queuedBytesMax) return Promise.reject(overloaded())
    return new Promise((resolve, reject) => {
      this.#queue.push({ event, bytes, resolve, reject })
      this.#queuedBytes += bytes.length
      if (!unhurried.has(event.type)) this.#start()
      else this.#unhurriedTimer ??= setTimeout(() => this.#hurry(), unhurriedMs)
    })
  }

  countRead(session: string, agent: string, key: string): void {
    if (this.takeRead(session, agent, key)) return
    throw this.#failure ?? behind(this.oldestReadAgeMs())
  }

  /** False: it was not counted, for the log has failed or is behind. */
  takeRead(session: string, agent: string, key: string): boolean {
    if (this.#failure) return false
    const nowMs = this.#settings.monotonicMs()
    const oldestMs = this.#inFlightSinceMs ?? this.#pendingSinceMs
    if (oldestMs !== null && nowMs - oldestMs > this.#settings.readsDurableWithinMs) return false
    this.#reads.count(session, agent, key, nowMs)
    if (this.#pendingSinceMs !== null) return true
    this.#pendingSinceMs = nowMs
    this.#queuedBeforeReads = this.#queue.length
    const afterMs = this.#gatherMs()
    if (afterMs <= 0) this.#start()
    else this.#flushTimer = setTimeout(() => this.#flush(), afterMs)
    return true
  }

  #flush(): void {
    this.#flushTimer = null
    this.#start()
  }

  /**
   * How long counted reads are gathered now: the slower the disk has been lately, the sooner they go, so that they are durable in time all the same. A
   * read may have to wait for the group before its own, too.
   */
  #gatherMs(): number {
    const { readsFlushAfterMs, readsDurableWithinMs } = this.#settings
    return Math.min(readsFlushAfterMs, readsDurableWithinMs - slackMs - 2 * this.#usualMs)
  }

  /** Age of the oldest counted read that is not durable, 0 when there is none. */
  oldestReadAgeMs(): number {
    const oldestMs = this.#inFlightSinceMs ?? this.#pendingSinceMs
    return oldestMs === null ? 0 : this.#settings.monotonicMs() - oldestMs
  }

  get #isBehind(): boolean {
    return this.oldestReadAgeMs() > this.#settings.readsDurableWithinMs
  }

  /** What is behind is being written, or will be by its timer: whoever waits hears of it then. */
  catchUp(): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure)
    if (!this.#isBehind) return Promise.resolve()
    return new Promise((resolve, reject) => this.#behind.push({ resolve, reject }))
  }

  #wakeBehind(): void {
    if (this.#behind.length === 0 || this.#isBehind) return
    for (const { resolve } of this.#behind.splice(0)) resolve()
  }

  #start(): void {
    this.#running ??= this.#run()
  }

  async #run(): Promise<void> {
    try {
      do {
        // One turn of the event loop, so that everybody who was woken by the last group gets into this one.
        await new Promise(setImmediate)
        await this.#commit(this.#takeGroup())
      } while (!this.#failure && (this.#isHurried() || this.#readsAreDue()))
    } catch (error) {
      this.fail(unwritten(error))
    } finally {
      this.#running = null
    }
  }

  #hurry(): void {
    this.#isDue = true
    this.#start()
  }

  #isHurried(): boolean {
    return this.#isDue ? this.#queue.length > 0 : this.#queue.some(({ event }) => !unhurried.has(event.type))
  }

  #readsAreDue(): boolean {
    if (this.#pendingSinceMs === null) return false
    return this.#flushTimer === null || this.#settings.monotonicMs() - this.#pendingSinceMs >= this.#gatherMs()
  }

  #takeGroup(): Group {
    let count = 0
    let bytes = 0
    for (const { bytes: entry } of this.#queue) {
      if (count >= groupEntriesMax || (count > 0 && bytes + entry.length > groupBodyBytesMax)) break
      count += 1
      bytes += entry.length
    }
    const waiting = this.#queue
    this.#queue = count === waiting.length ? [] : waiting.splice(count)
    if (this.#queue.length === 0) this.#endWait()
    this.#queuedBytes -= bytes
    const readsAt = Math.min(waiting.length, this.#queuedBeforeReads)
    this.#queuedBeforeReads -= readsAt
    return { waiting, reads: this.#readsAreDue() ? this.#takeReads() : [], readsAt }
  }

  #endWait(): void {
    if (this.#unhurriedTimer) clearTimeout(this.#unhurriedTimer)
    this.#unhurriedTimer = null
    this.#isDue = false
  }

  #takeReads(): readonly EncodedEvent[] {
    if (this.#flushTimer) clearTimeout(this.#flushTimer)
    this.#flushTimer = null
    this.#inFlightSinceMs = this.#pendingSinceMs
    this.#pendingSinceMs = null
    return this.#reads.drain(this.#settings.monotonicMs())
  }

  async #commit({ waiting, reads, readsAt }: Group): Promise<void> {
    const group: readonly EncodedEvent[] =
      reads.length === 0 ? waiting : [...waiting.slice(0, readsAt), ...reads, ...waiting.slice(readsAt)]
    if (group.length === 0) return
    try {
      const segment = await this.#segmentFor()
      const entries = group.map(({ bytes }) => bytes)
      const firstIndex = segment.nextIndex
      const startedMs = this.#settings.monotonicMs()
      const written = segment.append(entries)
      // The disk works meanwhile.
      const leaves = entries.map(leafHash)
      segment.advance(entries.length, await written)
      this.#noteSpeed(this.#settings.monotonicMs() - startedMs)
      if (this.#failure) throw this.#failure
      this.#inFlightSinceMs = null
      this.#settings.durable(firstIndex, group, leaves)
      waiting.forEach(({ resolve }, place) => resolve(firstIndex + place + (place < readsAt ? 0 : reads.length)))
      this.#wakeBehind()
    } catch (error) {
      const failure = unwritten(error)
      this.fail(failure)
      for (const { reject } of waiting) reject(this.#failure ?? failure)
    }
  }

  #noteSpeed(tookMs: number): void {
    this.#usualMs += (Math.min(tookMs, this.#settings.readsDurableWithinMs) - this.#usualMs) * lastShare
  }

  async #segmentFor(): Promise<SegmentFile> {
    const last = this.#segments.at(-1)
    if (last && last.bytes < this.#settings.segmentBytesMax) return last
    await last?.finish()
    const fresh = await SegmentFile.create(this.#settings.system, this.#settings.entriesDirectory, this.size)
    this.#segments.push(fresh)
    return fresh
  }

  /** For good: nothing is appended after this. */
  fail(failure: SallyportError): void {
    this.#failure ??= failure
    this.#endWait()
    if (this.#flushTimer) clearTimeout(this.#flushTimer)
    this.#flushTimer = null
    const queue = this.#queue
    this.#queue = []
    this.#queuedBytes = 0
    for (const { reject } of [...queue, ...this.#behind.splice(0)]) reject(this.#failure)
  }

  /** Turns away what comes now, has on disk what came before. */
  async close(): Promise<void> {
    if (this.#flushTimer) clearTimeout(this.#flushTimer)
    this.#flushTimer = null
    if (!this.#failure && (this.#queue.length > 0 || this.#pendingSinceMs !== null)) this.#hurry()
    while (this.#running) await this.#running
    this.fail(new SallyportError('log_unavailable', 'The log was closed.', 'Nothing was appended.', 'Start the gate again.'))
  }
}

function unwritten(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error
  const what = error instanceof Error ? error.message : 'unknown error'
  return new SallyportError(
    'log_unavailable',
    `The log could not be written: ${what}.`,
    'Nothing was run: what is not on the log does not happen.',
    'Mend the disk that holds the log and start the gate again; it will not write to this log before.',
    { cause: error },
  )
}

function behind(ageMs: number): SallyportError {
  return new SallyportError(
    'log_unavailable',
    `The disk is slow: a read counted ${Math.round(ageMs)} ms ago is not durable on the log yet.`,
    'The read was not run.',
    'Try again in a moment; if it goes on, look at the disk that holds the log.',
  )
}

function overloaded(): SallyportError {
  return new SallyportError(
    'log_unavailable',
    'Too much waits to be written to the log.',
    'Nothing was appended.',
    'Try again in a moment.',
  )
}

function unwritable(event: Event, error: unknown): SallyportError {
  const what = error instanceof LogFormatError ? error.message : 'unknown error'
  return new SallyportError(
    'too_large',
    `An event of type ${event.type} cannot be written: ${what}.`,
    'Nothing was appended.',
    'Ask for less in one request.',
  )
}
