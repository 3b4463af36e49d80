import type { Asked } from './asked.ts'
import { decide, type Decision, type DecisionFacts } from './decide.ts'
import type { ResolvedOperation, Subject } from './operation.ts'
import type { Passage } from './passage.ts'
import type { PolicyEngine } from './policy/engine.ts'
import type { Clock, Randomness } from './ports.ts'
import { isPureRead } from './question.ts'
import type { Session } from './session.ts'

/** Whether what it was described and resolved to may be remembered: plain writes, and plain reads whose key names the catalog. */
export function isPlain(asked: Asked, operations: readonly ResolvedOperation[]): boolean {
  const isWrite = operations.every(
    ({ impact, copy, context }) =>
      impact.kind === 'write' && impact.reversible && copy.kind === 'none' && context['foldable'] === true,
  )
  const isRead = asked.keyNamesCatalog === true && isPureRead(operations) && isRememberable(operations)
  if (!isWrite && !isRead) return false
  // A table of this very session's is another one, or none, in the next.
  return asked.keyNamesCatalog !== true || operations.every(({ temporary }) => temporary !== true)
}

/** What a remembered verdict depended on. When any of it differs, the verdict is gone. */
export interface Basis {
  readonly policyHash: string
  readonly killEpoch: number
}

interface Entry {
  readonly basis: Basis
  readonly untilMs: number
}

export interface ReadEntry extends Entry {
  readonly statement: string
}

/** What a plain statement was described and resolved to. It is decided anew each time. */
export interface PlainEntry extends Entry {
  readonly operations: readonly ResolvedOperation[]
}

/** How long a remembered read verdict, or the description of a plain statement, may serve before the catalog is asked again. */
const shortMs = { read: 5_000, write: 2_000 } as const
/** The same where the key names the catalog, which is what else it depends on. */
const longMs = 60_000

/** Long ones are spread over the second half of their time, lest all sessions ask anew at once. */
export function memoryEndsMs(
  ports: { readonly clock: Clock; readonly random: Randomness },
  { asked, standing }: Pick<Passage, 'asked' | 'standing'>,
  kind: keyof typeof shortMs,
): number {
  const nowMs = ports.clock.nowMs()
  const endsMs = standing.endsMs ?? Number.POSITIVE_INFINITY
  if (asked.keyNamesCatalog !== true) return Math.min(endsMs, nowMs + shortMs[kind])
  const share = Number.parseInt(ports.random.hex(2), 16) / 0xffff
  return Math.min(endsMs, nowMs + (longMs * (1 + share)) / 2)
}

/** Whether the connector says of each that it means the same the next time. */
export function isRememberable(operations: readonly ResolvedOperation[]): boolean {
  return operations.every(({ context }) => context['rememberable'] === true)
}

/** Keys that one session, or all sessions of one agent on one upstream, may have remembered. Past it they start anew. */
const keysMax = 2_000
/** Agents on upstreams whose writes are remembered at once. Past it all start anew. */
const sharesMax = 1_000
/** How long a session waits for another one's look-up of the very same. */
const othersMsMax = 1_000

/** Verdicts on reads, by session and key. It belongs to one session so that nothing one agent did decides for another, and goes with it. */
export class ReadMemory {
  readonly #sessions = new WeakMap<Session, Map<string, ReadEntry>>()

  find(session: Session, key: string, basis: Basis, nowMs: number): ReadEntry | null {
    return holding(this.#sessions.get(session)?.get(key), basis, nowMs)
  }

  keep(session: Session, key: string, entry: ReadEntry): void {
    let entries = this.#sessions.get(session)
    if (entries === undefined || entries.size >= keysMax) {
      entries = new Map()
      this.#sessions.set(session, entries)
    }
    entries.set(key, entry)
  }
}

interface Share {
  readonly entries: Map<string, PlainEntry>
  /** What is being looked up just now. */
  readonly lookUps: Map<string, Promise<unknown>>
}

/**
 * Descriptions of plain statements. Those whose key names the catalog they were looked up in are shared by all sessions of one agent of one
 * owner on one upstream: the key then says everything that what a text means depends on. Others stay with their session.
 */
export class PlainMemory {
  readonly #own = new WeakMap<Session, Share>()
  readonly #shared = new Map<string, Share>()
  /** The share of a session, so that finding it makes no string. */
  readonly #sharedOf = new WeakMap<Session, Share>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  find({ session, key, keyNamesCatalog }: Asked, basis: Basis, nowMs: number): readonly ResolvedOperation[] | null {
    if (key === null) return null
    const share = keyNamesCatalog === true ? this.#share(session) : this.#own.get(session)
    return holding(share?.entries.get(key), basis, nowMs)?.operations ?? null
  }

  keep({ session, key, keyNamesCatalog }: Asked, entry: PlainEntry): void {
    if (key === null) return
    const { entries } = keyNamesCatalog === true ? this.#share(session) : this.#session(session)
    if (entries.size >= keysMax) entries.clear()
    entries.set(key, entry)
  }

  /**
   * Many sessions that begin alike look up once: whoever comes while another session looks up the very same waits for that, and takes what
   * `find` then finds, if it finds anything.
   */
  async lookUp<Out>(
    { session, key, keyNamesCatalog }: Asked,
    { find, work, signal }: { readonly find: () => Out | null; readonly work: () => Promise<Out>; readonly signal: AbortSignal },
  ): Promise<Out> {
    if (key === null || keyNamesCatalog !== true) return work()
    const { lookUps } = this.#share(session)
    const others = lookUps.get(key)
    if (others !== undefined) {
      await this.#wait(others, signal)
      return find() ?? work()
    }
    const looking = work()
    lookUps.set(key, looking)
    try {
      return await looking
    } finally {
      lookUps.delete(key)
    }
  }

  /** However it ends, and no longer than `othersMsMax`: one session's slow look-up is not everybody's. */
  async #wait(others: Promise<unknown>, signal: AbortSignal): Promise<void> {
    const rested = new AbortController()
    const waiting = this.#clock.sleep(othersMsMax, AbortSignal.any([signal, rested.signal]))
    await Promise.race([others.catch(() => undefined), waiting]).finally(() => rested.abort())
  }

  #session(session: Session): Share {
    const known = this.#own.get(session)
    if (known !== undefined) return known
    const share: Share = { entries: new Map(), lookUps: new Map() }
    this.#own.set(session, share)
    return share
  }

  #share(session: Session): Share {
    const known = this.#sharedOf.get(session)
    if (known !== undefined) return known
    const { subject, upstream, protocol } = session
    const name = JSON.stringify([subject.agent, subject.owner, upstream, protocol])
    let share = this.#shared.get(name)
    if (share === undefined) {
      // Sessions that hold an old share keep to it until they end: what is in it still says all that it depends on.
      if (this.#shared.size >= sharesMax) this.#shared.clear()
      share = { entries: new Map(), lookUps: new Map() }
      this.#shared.set(name, share)
    }
    this.#sharedOf.set(session, share)
    return share
  }
}

function holding<Kind extends Entry>(entry: Kind | undefined, basis: Basis, nowMs: number): Kind | null {
  if (entry === undefined || entry.untilMs <= nowMs) return null
  return entry.basis.killEpoch === basis.killEpoch && entry.basis.policyHash === basis.policyHash ? entry : null
}

interface Decided {
  readonly subject: Subject
  readonly facts: DecisionFacts
  readonly policy: PolicyEngine
  readonly decision: Decision
}

/**
 * decide is pure, so what it said of the very same operations, subject, facts and policy is what it would say again. Operations are told apart
 * by identity, and never change once resolved; a policy engine neither.
 */
export class DecisionMemory {
  readonly #decided = new WeakMap<readonly ResolvedOperation[], Decided>()

  decide(operations: readonly ResolvedOperation[], subject: Subject, facts: DecisionFacts, policy: PolicyEngine): Decision {
    const known = this.#decided.get(operations)
    if (known !== undefined && known.policy === policy && isSame(known, subject, facts)) return known.decision
    const decision = decide(operations, subject, facts, policy)
    this.#decided.set(operations, { subject, facts, policy, decision })
    return decision
  }
}

function isSame({ subject, facts }: Decided, newSubject: Subject, newFacts: DecisionFacts): boolean {
  return (
    subject.agent === newSubject.agent &&
    subject.owner === newSubject.owner &&
    facts.upstream === newFacts.upstream &&
    facts.environment === newFacts.environment &&
    facts.mode === newFacts.mode &&
    // Approvals are rare: with any of them everything is looked at anew.
    facts.approvers.length === 0 &&
    newFacts.approvers.length === 0 &&
    facts.delayed === newFacts.delayed &&
    facts.copyProven === newFacts.copyProven &&
    facts.restorePoint === newFacts.restorePoint &&
    facts.rowsSpent === newFacts.rowsSpent &&
    facts.rowsWithoutPrompt === newFacts.rowsWithoutPrompt &&
    facts.drilled === newFacts.drilled &&
    facts.coolOffMs === newFacts.coolOffMs &&
    facts.quorum?.group === newFacts.quorum?.group &&
    facts.quorum?.count === newFacts.quorum?.count &&
    facts.granted === newFacts.granted &&
    facts.within === newFacts.within
  )
}
