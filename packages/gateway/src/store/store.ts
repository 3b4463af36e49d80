import type { Budgets, Clock, Handle, Quarantine, Quarantines, Requests, StandingGrant, StandingGrants } from '@sallyport/core'
import type { DeferralStore } from './deferrals.ts'
import type { MessagePort } from 'node:worker_threads'
import type { Kill, KillKind, NewKill } from './kills.ts'
import type { PeopleStore } from './people.ts'

/** What a store on this machine answers at once, and a shared one after a while. */
export type Awaitable<Value> = Value | Promise<Value>

type Account = { readonly issuer: string; readonly subject: string }

/** What gates tell each other of themselves. */
export interface Roll {
  /** Of this gate, for people at the others. Seldom, and no more than `aboutBytesMax`. */
  tell(about: string): Promise<void>
  list(): Promise<{ readonly schema: number; readonly leaseMs: number; readonly gates: readonly RollLine[] }>
}

export interface RollLine {
  readonly gate: string
  /** Kills wait for it: it has a lease, or had one until a moment ago. */
  readonly isLive: boolean
  /** By the store's own clock. */
  readonly seenMsAgo: number
  /** Null: it has told nothing. */
  readonly about: string | null
}

/** Small facts that outlive a gate. */
export interface Facts {
  get(name: string): Awaitable<string | null>
  set(name: string, value: string): Awaitable<void>
}

/** Some of them, known here without asking: what is asked all the time, or where nobody can wait. */
export interface FactsView {
  get(name: string): string | null
  set(name: string, value: string): Awaitable<void>
  /** Only if it still is what it was thought to be, at whichever gate. */
  swap(name: string, before: string | null, after: string): Awaitable<boolean>
}

/** Scope that people gave for a time: what stands now is known without asking. */
export interface SharedStanding extends StandingGrants {
  /** Whether this request's ever began, whether or not its time is over. */
  hasStood(request: string): Awaitable<boolean>
  /** Null: it does not stand now. */
  live(request: string): StandingGrant | null
  /** False: this request's stands already, or has stood. */
  add(grant: StandingGrant): Awaitable<boolean>
  list(): readonly StandingGrant[]
  /** Null: nothing stands for that request. */
  end(request: string): Awaitable<StandingGrant | null>
  forget(): void
}

/** What a gate does about kills, releases and revocations at other gates. */
export interface Hearer {
  /** Stops what is in force now, synchronously, and lets go on what no longer is. */
  follow(): void
  /** What a message says that somebody pulled: stopped before the store is asked, and let go on again if the store has no such kill. */
  stopAhead(kind: KillKind, name: string): void
  /** What the store did not take before. Resolves when it has all of it. */
  writeAgain(): Promise<void>
  /** The handles of the sessions that are open here. */
  openHandles(): readonly string[]
  endByHandles(handles: readonly string[]): void
  /** What stood for this agent on this upstream was ended elsewhere. */
  endOn(agent: string, upstream: string): void
  /** No byte more until `thaw`. */
  freeze(reason: string): void
  thaw(): void
}

/** Carries out what was not carried out yet, before anything is written upstream. */
export interface Ear {
  hear(): void
}

/** All that outlives a gate and is not the log: on this machine, or shared by many gates. */
export interface Store {
  /** The same time at every gate that shares it. */
  readonly clock: Clock
  readonly requests: Requests
  readonly budgets: Budgets
  readonly people: PeopleStore
  readonly deferrals: DeferralStore
  /** Which account at an identity provider is whose. */
  readonly accounts: {
    find(issuer: string, subject: string): Awaitable<string | null>
    isConnected(issuer: string, person: string): Awaitable<boolean>
    connect(account: Account, person: string): Awaitable<boolean>
    learnGroups(account: Account, groups: readonly string[], nowMs: number): Awaitable<void>
    membersOf(issuer: string, group: string, nowMs: number, ageMaxMs: number): Awaitable<readonly string[]>
  }
  /** Sign-ins there that were begun: each is ended once, at whichever gate. */
  readonly signIns: {
    keep(idSha256: string, body: string, untilMs: number, nowMs: number): Awaitable<void>
    take(idSha256: string, nowMs: number): Awaitable<string | null>
  }
  /** Tokens of others that were taken for a handle: each counts once, at whichever gate. */
  readonly usedTokens: {
    use(names: readonly string[], untilMs: number, nowMs: number): Awaitable<'first' | 'used' | 'full'>
  }
  readonly facts: Facts
  view(names: readonly string[]): Awaitable<FactsView>
  readonly handles: {
    insert(handle: Handle): Awaitable<void>
    insertChild(handle: Handle, nowMs: number): Awaitable<boolean>
    countChildren(agent: string, parent: string, nowMs: number): Awaitable<{ readonly agent: number; readonly parent: number }>
    use(id: string): Awaitable<boolean>
    active(agent: string, nowMs: number, most: number): Awaitable<readonly Handle[]>
    find(id: string): Awaitable<Handle | null>
    inForce(nowMs: number, most: number): Awaitable<readonly Handle[]>
    replace(old: string, made: Handle, endsAtMs: number, nowMs: number): Awaitable<readonly string[] | null>
    revoke(id: string, nowMs: number): Awaitable<readonly string[]>
    revokeOf(kind: 'agent' | 'owner' | 'all', name: string, nowMs: number): Awaitable<readonly string[]>
  }
  readonly kills: {
    add(kill: NewKill): Awaitable<Kill>
    release(kind: KillKind, name: string, nowMs: number, upToId: number): Awaitable<number>
    /** A local view: it is asked before each write upstream. */
    inForce(): readonly Kill[]
    voidGrants(kind: KillKind, name: string): Awaitable<number>
    cancelRequests(kind: KillKind, name: string): Awaitable<number>
    /** Tells other gates at once, before it is written down. Absent: there is no other. */
    callOut?(kind: KillKind, name: string): void
    /** For another thread of this gate, once: what it hands over is told to other gates and written down while this thread is busy. Absent: there is no other. */
    gates?(): MessagePort | null
    /** Resolves when every other gate has stopped what was pulled or revoked here, or cannot write any more. Absent: there is no other. */
    everywhere?(): Promise<void>
  }
  /** @param policyHash of the policy in force: what was given under another one stands no longer */
  standing(policyHash: string): SharedStanding
  readonly quarantines: Quarantines & {
    of(upstream: string): Awaitable<readonly Quarantine[]>
    forget(upstream: string, id: string): Awaitable<void>
  }
  readonly narrowing: {
    kill(kind: KillKind, name: string, reason: string, by: string, atMs: number): Awaitable<void>
    revokeHandle(id: string, nowMs: number): Awaitable<void>
    endHandle(id: string, endsAtMs: number, nowMs: number): Awaitable<void>
    removePerson(name: string, by: string, nowMs: number): Awaitable<void>
    removePasskey(person: string, credentialId: string): Awaitable<void>
    removeCodeApp(person: string, id: string): Awaitable<void>
    freeze(reason: string, nowMs: number): Awaitable<void>
  }
  /** All gates that share it; null: this one is alone. */
  readonly roll: Roll | null
  /** Whether this gate is the one that does this, for so long. */
  claim(name: string, forMs: number): Awaitable<boolean>
  /** From now on what other gates do is heard; null: there are none. */
  attend(hearer: Hearer): Ear | null
  close(): Awaitable<void>
}
