import type { AccessRequest, Approval } from './access-request.ts'
import type { Event } from './event.ts'
import type { Grant } from './grant.ts'
import type { SnapshotContent, SnapshotReader } from './connector.ts'
import type { Seal, Snapshot } from './snapshot.ts'

/** Time, injected. */
export interface Clock {
  nowMs(): number
  /** Resolves after `ms`, or when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Unguessable ids, injected. Hex of `bytes` random bytes. */
export interface Randomness {
  hex(bytes: number): string
}

/** The append-only log. */
export interface Log {
  /** Resolves with the event's index once it is durable. Rejects with `log_unavailable`; after that nothing may run. */
  append(event: Event): Promise<number>
  /**
   * For reads: counted at once, durable within 10 ms. Throws `log_unavailable` when the log fails or is further behind than that.
   * Equal keys within one flush become one `reads` event with a count.
   */
  appendRead(session: string, agent: string, key: string): void
  /**
   * As `appendRead`, but false where that throws: while a disk is slow thousands of reads a second hear it, and an error takes longer to make than a
   * read. Absent: there is `appendRead`.
   */
  takeRead?(session: string, agent: string, key: string): boolean
  /**
   * Resolves when what was counted before is durable so far that `appendRead` takes more, at once when it does already; rejects with
   * `log_unavailable` when the log has failed. Absent: whoever waits awaits an append of its own.
   */
  catchUp?(): Promise<void>
}

/** The vault as the gate sees it: seal, read, list. There is no verb to delete. */
export interface Vault {
  seal(
    about: { readonly upstream: string; readonly upstreamIdentity: string; readonly digest: string; readonly retainMs: number },
    fill: (seal: Seal) => Promise<SnapshotContent>,
  ): Promise<Snapshot>
  open(id: string): Promise<SnapshotReader & { readonly snapshot: Snapshot }>
  list(): Promise<readonly Snapshot[]>
  /** The newest proven copy of anything of this upstream; its age is shown to people. */
  newest(upstream: string): Promise<Snapshot | null>
}

/** Access requests and one-use grants, durable before a promise resolves. All changes are compare-and-set. */
export interface Requests {
  open(request: AccessRequest): Promise<void>
  get(id: string): Promise<AccessRequest | null>
  /** The newest request for this digest by this agent, in any state. */
  findByDigest(agent: string, digest: string): Promise<AccessRequest | null>
  list(): Promise<readonly AccessRequest[]>
  /** Adds a verdict to a pending request; false when it is no longer pending or this person has one already. */
  addApproval(id: string, approval: Approval): Promise<boolean>
  /** How many requests of this agent are pending and have not run out at `nowMs`. */
  countPending(agent: string, nowMs: number): Promise<number>
  /** pending|approved → ended, and its open grant void in the same transaction. False when it was in none of `from`, or its grant was consumed. */
  end(id: string, from: readonly AccessRequest['state'][], to: 'rejected' | 'expired' | 'cancelled', by: string): Promise<boolean>
  /** pending → approved, and its one-use grant in the same transaction. False when it was not pending. */
  approve(id: string, notBeforeMs: number, grant: Grant): Promise<boolean>
  findGrant(agent: string, digest: string): Promise<Grant | null>
  /** open → consumed by this intent. False when it was not open: somebody else was first. */
  consume(grantId: string, intent: string): Promise<boolean>
  /** consumed without a durable intent → open again; only at start. */
  giveBack(grantId: string): Promise<void>
  voidGrant(grantId: string): Promise<void>
  /** Consumed and not yet settled: only a start looks at them. */
  consumedGrants(): Promise<readonly Grant[]>
  /** Its intent was found on the log: it is used up for good. */
  settle(grantId: string): Promise<void>
  /** Resolves with the request when it has left `pending`, when `signal` aborts, or after `timeoutMs`. */
  waitForVerdict(id: string, timeoutMs: number, signal: AbortSignal): Promise<AccessRequest | null>
}

/** Rows changed without a prompt, over a rolling window, by owner and upstream; shared by all of an owner's agents and their children. */
export interface Budgets {
  /** Rows spent in the window that ends now. */
  spent(owner: string, upstream: string, windowMs: number): Promise<number>
  /** Durable before it resolves. Spends before the rows change; what did not run stays spent. */
  spend(owner: string, upstream: string, rows: number): Promise<void>
}

/** The local view of the kill switch. */
export interface KillSwitch {
  /** Grows with every kill and release, anywhere: a cheap "has anything changed at all". */
  epoch(): number
  /** Grows with every kill and release that concerns this agent, owner, session or upstream, and never falls. Clearances are bound to it. */
  epochOf(agent: string, owner: string, session: string, upstream: string): number
  /** A reason when this agent, session, upstream or everything is killed, or when this gate cannot hear the switch; else null. */
  stopped(agent: string, owner: string, session: string, upstream: string): string | null
  /** Calls back, before a kill is acknowledged, with every kill and release. Absent: whoever keeps something ready for agents asks `epoch`. */
  onChange?(listener: () => void): void
}

/** Tells people that there is something to decide. Failure to notify never fails a request. */
export interface Notify {
  requestOpened(request: AccessRequest): void
}
