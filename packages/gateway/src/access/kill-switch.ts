import { SallyportError, type Clock, type Json, type KillSwitch, type Log } from '@sallyport/core'

export type KillKind = 'session' | 'agent' | 'owner' | 'upstream' | 'all'

/** One kill in force. */
export interface Kill {
  readonly id: number
  readonly kind: KillKind
  readonly name: string
  readonly reason: string
  readonly by: string
  readonly atMs: number
}

/** With a mark the store has it once, whichever thread of this gate was first. */
type NewKill = Omit<Kill, 'id'> & { readonly mark?: string }

/** A store on this machine answers at once, one that gates share after a while. */
type Awaitable<Value> = Value | Promise<Value>

/** What the switch needs of the store: kills outlive a restart. */
export interface KillStorage {
  add(kill: NewKill): Awaitable<Kill>
  /** Releases those of this scope whose id is at most `upToId`. */
  release(kind: KillKind, name: string, nowMs: number, upToId: number): Awaitable<number>
  inForce(): readonly Kill[]
  voidGrants(kind: KillKind, name: string): Awaitable<number>
  /** Ends the questions that are open: half an approval from before a kill must not be completed after it. */
  cancelRequests(kind: KillKind, name: string): Awaitable<number>
  /** Tells other gates at once, before it is written down. Absent: there is no other. */
  callOut?(kind: KillKind, name: string): void
  /** Resolves when every other gate has stopped it too, or cannot write any more. Absent: there is no other. */
  everywhere?(): Promise<void>
}

export interface Killed {
  readonly kill: Kill
  /** Sessions that were open and were ended. */
  readonly sessions: number
  readonly handlesRevoked: number
  readonly grantsVoided: number
  /** From the call to the moment after which nothing more is written upstream. */
  readonly haltMs: number
}

/** What the switch stops. Each must have stopped when its call returns. */
export interface Stoppable {
  /** Ends the matching sessions synchronously, but for reads that may end by themselves when it drains; returns how many. */
  endSessions(kind: KillKind, name: string, reason: string, drain: boolean): number
  revokeHandles(kind: KillKind, name: string): Awaitable<number>
}

/** Where kills come from that this thread has not been told of yet. */
export interface KillEar {
  /** Carries them out before it returns. */
  hear(): void
}

/** This gate's kill switch. Local state decides, so that a full store or log cannot keep anything running. */
export class LocalKillSwitch implements KillSwitch {
  readonly #stops = new Map<string, string>()
  readonly #epochs = new Map<string, number>()
  readonly #store: KillStorage
  readonly #log: Log
  readonly #clock: Clock
  /** Pulled, but not in the store: shown all the same, so that a person can release them. Their ids are negative and grow. */
  #unwritten: readonly (NewKill & Pick<Kill, 'id'>)[] = []
  #unwrittenId = Number.MIN_SAFE_INTEGER
  #epoch = 0
  readonly #ears: KillEar[] = []
  /** Pulled here and on its way into the store: how often, by scope. What the store says of it does not count before it has it. */
  readonly #own = new Map<string, number>()
  /** Why this gate stopped everything by itself; null: it did not. */
  #frozen: string | null = null
  readonly #listeners: (() => void)[] = []

  constructor(store: KillStorage, log: Log, clock: Clock) {
    this.#store = store
    this.#log = log
    this.#clock = clock
    for (const kill of store.inForce()) this.#stops.set(keyOf(kill.kind, kill.name), kill.reason)
  }

  /** From now on nothing is answered before what the ear has was carried out. There may be more than one. */
  listenTo(ear: KillEar): void {
    this.#ears.push(ear)
  }

  #hear(): void {
    for (const ear of this.#ears) ear.hear()
  }

  epoch(): number {
    this.#hear()
    return this.#epoch
  }

  epochOf(agent: string, owner: string, session: string, upstream: string): number {
    this.#hear()
    const epochs = this.#epochs
    if (epochs.size === 0) return 0
    const of = (key: string): number => epochs.get(key) ?? 0
    return of('all:') + of(`agent:${agent}`) + of(`owner:${owner}`) + of(`session:${session}`) + of(`upstream:${upstream}`)
  }

  stopped(agent: string, owner: string, session: string, upstream: string): string | null {
    this.#hear()
    if (this.#frozen !== null) return this.#frozen
    const stops = this.#stops
    if (stops.size === 0) return null
    return (
      stops.get('all:') ??
      stops.get(`agent:${agent}`) ??
      stops.get(`owner:${owner}`) ??
      stops.get(`session:${session}`) ??
      stops.get(`upstream:${upstream}`) ??
      null
    )
  }

  inForce(): readonly Kill[] {
    return [...this.#store.inForce(), ...this.#unwritten]
  }

  /** Stops first, writes down after. Resolves when it is durable; rejects, still stopped, when it could not be written down. */
  async kill(kind: KillKind, name: string, reason: string, by: string, what: Stoppable): Promise<Killed> {
    const startedMs = performance.now()
    const sessions = this.stopNow(kind, name, reason, what)
    const haltMs = performance.now() - startedMs
    return this.writeDown({ kind, name, reason, by, atMs: this.#clock.nowMs() }, { sessions, haltMs }, what)
  }

  /** When it returns nothing more of what it names is written upstream; how many sessions it ended. */
  stopNow(kind: KillKind, name: string, reason: string, what: Stoppable, drain = false): number {
    const key = keyOf(kind, name)
    this.#own.set(key, (this.#own.get(key) ?? 0) + 1)
    this.#stops.set(key, reason)
    this.#bump(key)
    // A gate that stops everything may do so for itself alone: nobody calls that out before it is written down.
    if (kind !== 'all') this.#store.callOut?.(kind, name)
    return what.endSessions(kind, name, reason, drain)
  }

  /**
   * Takes over what the store has: what was pulled at another gate stops here too before this returns, and what people released there goes on. What
   * was pulled here and has not come to the store stays.
   */
  follow(what: Stoppable): void {
    const inForce = new Map(this.inForce().map((kill) => [keyOf(kill.kind, kill.name), kill]))
    for (const [key, { kind, name, reason }] of inForce) {
      const isNew = !this.#stops.has(key)
      this.#stops.set(key, reason)
      if (!isNew) continue
      this.#bump(key)
      what.endSessions(kind, name, reason, false)
    }
    for (const key of [...this.#stops.keys()].filter((one) => !inForce.has(one) && !this.#own.has(one))) {
      this.#stops.delete(key)
      this.#bump(key)
    }
  }

  /** Before the store is asked: `follow` lets it go on when there is no such kill. */
  stopAhead(kind: KillKind, name: string, what: Stoppable): void {
    const key = keyOf(kind, name)
    if (this.#stops.has(key)) return
    this.#stops.set(key, 'pulled at another gate')
    this.#bump(key)
    what.endSessions(kind, name, 'pulled at another gate', false)
  }

  /** Everything stops until `thaw`, and nobody has to write that down or release it: this gate cannot know what it would have to stop. */
  freeze(reason: string, what: Stoppable): void {
    this.#frozen = reason
    this.#bump('all:')
    what.endSessions('all', '', reason, false)
  }

  /** Why this gate does nothing now, while nobody stopped it: it cannot hear the switch. Null: it hears. */
  deafness(): string | null {
    return this.#frozen
  }

  thaw(): void {
    this.#frozen = null
    this.#bump('all:')
  }

  /** What the store did not take when it was pulled. Rejects when it does not take it now. */
  async writeAgain(what: Stoppable): Promise<void> {
    for (const { id, ...order } of this.#unwritten) {
      await this.#store.add(order)
      this.#unwritten = this.#unwritten.filter((one) => one.id !== id)
      await this.#tidyUp(order, what)
    }
  }

  /** What has been stopped, on disk. */
  async writeDown(order: NewKill, halt: Pick<Killed, 'sessions' | 'haltMs'>, what: Stoppable): Promise<Killed> {
    const { kind, name, reason, by, atMs, mark = '' } = order
    const { sessions, haltMs } = halt
    try {
      const kill = await this.#write({ kind, name, reason, by, atMs, mark })
      const everywhere = this.#store.everywhere?.()
      // Its failure is waited for below, and no surprise before that.
      everywhere?.catch(() => undefined)
      const { handlesRevoked, grantsVoided, requestsCancelled } = await this.#tidyUp(order, what)
      await everywhere
      const counts = { sessions, handlesRevoked, grantsVoided, requestsCancelled }
      await this.#log.append({
        type: 'kill',
        atMs,
        data: { kind, name, reason, by, ...counts, haltMicroseconds: Math.round(haltMs * 1000) },
      })
      return { kill, sessions, handlesRevoked, grantsVoided, haltMs }
    } catch (error) {
      throw new SallyportError('store_unavailable', ...this.#notWritten(), { cause: error })
    }
  }

  #notWritten(): readonly [string, string, string] {
    return this.#store.everywhere === undefined
      ? [
          'It is stopped, but that could not be written down.',
          'A restart of the gate would not remember the kill.',
          'Keep the gate running, mend the disk, kill again.',
        ]
      : [
          'It is stopped at this gate, but the store that the gates share did not confirm it.',
          'Another gate may not have stopped it; one that cannot reach the store stops everything by itself. A restart of this gate might not remember the kill.',
          'Kill it at another gate too, see that the store runs, and keep this gate running: it hands the kill on when the store answers.',
        ]
  }

  async #write(kill: NewKill): Promise<Kill> {
    const key = keyOf(kill.kind, kill.name)
    try {
      return await this.#store.add(kill)
    } catch (error) {
      this.#unwritten = [...this.#unwritten, { ...kill, id: this.#unwrittenId++ }]
      throw error
    } finally {
      // From here on it stands in the store, or among what is not written yet.
      const left = (this.#own.get(key) ?? 0) - 1
      if (left > 0) this.#own.set(key, left)
      else this.#own.delete(key)
    }
  }

  /** Questions first: one that is approved meanwhile leaves a grant, which is void then. */
  async #tidyUp(
    { kind, name }: Pick<Kill, 'kind' | 'name'>,
    what: Stoppable,
  ): Promise<{ readonly handlesRevoked: number; readonly grantsVoided: number; readonly requestsCancelled: number }> {
    const handlesRevoked = await what.revokeHandles(kind, name)
    const requestsCancelled = await this.#store.cancelRequests(kind, name)
    return { handlesRevoked, requestsCancelled, grantsVoided: await this.#store.voidGrants(kind, name) }
  }

  /**
   * Only after a person's passkey said so; the caller has verified it. What was pulled on the same scope after the kill that the person saw
   * (`upToId`) stays in force.
   */
  async release(kind: KillKind, name: string, signed: Json, upToId = Number.MAX_SAFE_INTEGER): Promise<boolean> {
    const key = keyOf(kind, name)
    await this.#log.append({ type: 'release', atMs: this.#clock.nowMs(), data: { kind, name, signed } })
    const isMeant = (kill: Kill): boolean => keyOf(kill.kind, kill.name) === key && kill.id <= upToId
    const unwritten = this.#unwritten.filter(isMeant).length
    const released = unwritten + (await this.#store.release(kind, name, this.#clock.nowMs(), upToId))
    this.#unwritten = this.#unwritten.filter((kill) => !isMeant(kill))
    this.#bump(key)
    const left = this.inForce().findLast((kill) => keyOf(kill.kind, kill.name) === key)
    if (left === undefined) this.#stops.delete(key)
    else this.#stops.set(key, left.reason)
    return released > 0
  }

  #bump(key: string): void {
    this.#epoch += 1
    this.#epochs.set(key, (this.#epochs.get(key) ?? 0) + 1)
    for (const listener of this.#listeners) {
      try {
        listener()
      } catch {
        // Whatever it is: the kill goes on.
      }
    }
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }
}

function keyOf(kind: KillKind, name: string): string {
  return kind === 'all' ? 'all:' : `${kind}:${name}`
}

interface ShownKill {
  readonly id: string
  readonly scope:
    | { readonly kind: 'session' | 'agent' | 'owner' | 'upstream'; readonly id: string }
    | { readonly kind: 'all'; readonly id: '*' }
  readonly reason: string
  readonly by: string
  readonly atMs: number
}

/** A kill as people are shown it. */
export function showKill(kill: Kill): ShownKill {
  const scope = kill.kind === 'all' ? ({ kind: 'all', id: '*' } as const) : { kind: kill.kind, id: kill.name }
  return { id: String(kill.id), scope, reason: kill.reason, by: kill.by, atMs: kill.atMs }
}
