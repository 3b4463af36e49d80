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

/** What the switch needs of the store: kills outlive a restart. */
export interface KillStorage {
  add(kill: Omit<Kill, 'id'>): Kill
  /** Releases those of this scope whose id is at most `upToId`. */
  release(kind: KillKind, name: string, nowMs: number, upToId: number): number
  inForce(): readonly Kill[]
  voidGrants(kind: KillKind, name: string): number
  /** Ends the questions that are open: half an approval from before a kill must not be completed after it. */
  cancelRequests(kind: KillKind, name: string): number
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
  revokeHandles(kind: KillKind, name: string): number
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
  #unwritten: readonly Kill[] = []
  #unwrittenId = Number.MIN_SAFE_INTEGER
  #epoch = 0
  #ear: KillEar | null = null
  readonly #listeners: (() => void)[] = []

  constructor(store: KillStorage, log: Log, clock: Clock) {
    this.#store = store
    this.#log = log
    this.#clock = clock
    for (const kill of store.inForce()) this.#stops.set(keyOf(kill.kind, kill.name), kill.reason)
  }

  /** From now on nothing is answered before what the ear has was carried out. */
  listenTo(ear: KillEar): void {
    this.#ear = ear
  }

  epoch(): number {
    this.#ear?.hear()
    return this.#epoch
  }

  epochOf(agent: string, owner: string, session: string, upstream: string): number {
    this.#ear?.hear()
    const epochs = this.#epochs
    if (epochs.size === 0) return 0
    const of = (key: string): number => epochs.get(key) ?? 0
    return of('all:') + of(`agent:${agent}`) + of(`owner:${owner}`) + of(`session:${session}`) + of(`upstream:${upstream}`)
  }

  stopped(agent: string, owner: string, session: string, upstream: string): string | null {
    this.#ear?.hear()
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
    this.#stops.set(key, reason)
    this.#bump(key)
    return what.endSessions(kind, name, reason, drain)
  }

  /** What has been stopped, on disk. */
  async writeDown(order: Omit<Kill, 'id'>, halt: Pick<Killed, 'sessions' | 'haltMs'>, what: Stoppable): Promise<Killed> {
    const { kind, name, reason, by, atMs } = order
    const { sessions, haltMs } = halt
    try {
      const kill = this.#write({ kind, name, reason, by, atMs })
      const handlesRevoked = what.revokeHandles(kind, name)
      const grantsVoided = this.#store.voidGrants(kind, name)
      const requestsCancelled = this.#store.cancelRequests(kind, name)
      const counts = { sessions, handlesRevoked, grantsVoided, requestsCancelled }
      await this.#log.append({
        type: 'kill',
        atMs,
        data: { kind, name, reason, by, ...counts, haltMicroseconds: Math.round(haltMs * 1000) },
      })
      return { kill, sessions, handlesRevoked, grantsVoided, haltMs }
    } catch (error) {
      throw new SallyportError(
        'store_unavailable',
        'It is stopped, but that could not be written down.',
        'A restart of the gate would not remember the kill.',
        'Keep the gate running, mend the disk, kill again.',
        { cause: error },
      )
    }
  }

  #write(kill: Omit<Kill, 'id'>): Kill {
    try {
      return this.#store.add(kill)
    } catch (error) {
      this.#unwritten = [...this.#unwritten, { ...kill, id: this.#unwrittenId++ }]
      throw error
    }
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
    const released = unwritten + this.#store.release(kind, name, this.#clock.nowMs(), upToId)
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
