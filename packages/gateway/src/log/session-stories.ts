import { collectThreads, type SessionBrief, SessionList, type SessionStory, StoryTeller, threadsOf } from '@sallyport/core'
import type { FileLog, LoggedEvent } from './file-log.ts'

/** What is looked through for a list of sessions, or for one of them, entries. The command line reads the whole log. */
const entriesMax = 100_000
/** Few at a time: agents are served between two batches. */
const batch = 500
const threadsMax = 50_000
/** Entries about one request or copy outside the session itself: verdicts, an undo. */
const entriesAThread = 32

export interface SessionStories {
  /** Newest first. `sinceIndex`: older entries of the log were not looked at; 0: all were. */
  list(agent: string | null): Promise<{ readonly sessions: readonly SessionBrief[]; readonly sinceIndex: number }>
  /** Null: no such session among those of the list. */
  tell(id: string): Promise<SessionStory | null>
}

/** Sessions as the log tells them, read when somebody looks and no sooner. */
export function openSessionStories(log: Pick<FileLog, 'size' | 'read'>): SessionStories {
  return new LoggedSessions(log)
}

class LoggedSessions implements SessionStories {
  readonly #log: Pick<FileLog, 'size' | 'read'>
  #list = new SessionList()
  readonly #threads = new Map<string, number[]>()
  #since = 0
  #next = 0
  #catchingUp: Promise<void> = Promise.resolve()

  constructor(log: Pick<FileLog, 'size' | 'read'>) {
    this.#log = log
  }

  async list(agent: string | null): Promise<{ readonly sessions: readonly SessionBrief[]; readonly sinceIndex: number }> {
    await this.#catchUp()
    return { sessions: this.#list.list(agent), sinceIndex: this.#since }
  }

  async tell(id: string): Promise<SessionStory | null> {
    await this.#catchUp()
    const brief = this.#list.find(id)
    if (brief === null) return null
    const { firstIndex, lastIndex } = brief
    const threads = collectThreads(id)
    for await (const { event } of this.#range(firstIndex, lastIndex)) threads.see(event)
    const apart = [...threads.threads]
      .flatMap((thread) => this.#threads.get(thread) ?? [])
      .filter((index) => index < firstIndex || index > lastIndex)
    const indexes = [...new Set(apart)].sort((left, right) => left - right)
    const teller = new StoryTeller(id, threads.threads)
    await this.#add(
      teller,
      indexes.filter((index) => index < firstIndex),
    )
    for await (const { index, event } of this.#range(firstIndex, lastIndex)) teller.add(index, event)
    await this.#add(
      teller,
      indexes.filter((index) => index > lastIndex),
    )
    return teller.finish()
  }

  async #add(teller: StoryTeller, indexes: readonly number[]): Promise<void> {
    for (const wanted of indexes) for (const { index, event } of await this.#log.read(wanted, 1)) teller.add(index, event)
  }

  async *#range(first: number, last: number): AsyncGenerator<LoggedEvent, void> {
    for (let next = first; next <= last;) {
      const events = await this.#log.read(next, Math.min(batch, last - next + 1))
      if (events.length === 0) return
      yield* events
      next += events.length
    }
  }

  /** One at a time: two that read at once would count twice. */
  #catchUp(): Promise<void> {
    this.#catchingUp = this.#catchingUp.catch(() => undefined).then(() => this.#read())
    return this.#catchingUp
  }

  async #read(): Promise<void> {
    const size = this.#log.size()
    if (size - this.#next > entriesMax) {
      this.#next = size - entriesMax
      this.#since = this.#next
      this.#list = new SessionList()
      this.#threads.clear()
    }
    for await (const { index, event } of this.#range(this.#next, size - 1)) {
      this.#next = index + 1
      this.#list.add(index, event)
      for (const thread of threadsOf(event)) this.#follow(thread, index)
    }
  }

  #follow(thread: string, index: number): void {
    const known = this.#threads.get(thread)
    if (known !== undefined) {
      if (known.length < entriesAThread) known.push(index)
      return
    }
    const [oldest] = this.#threads.keys()
    if (this.#threads.size >= threadsMax && oldest !== undefined) this.#threads.delete(oldest)
    this.#threads.set(thread, [index])
  }
}
