import type { Asked, Attendance, Cleared, Considered, Govern, Outcome, Refusal } from './asked.ts'
import { type Clearance, makeClearance } from './clearance.ts'
import type { Upstream } from './connector.ts'
import type { Permit } from './decide.ts'
import { deny, noteConsidered } from './decided.ts'
import { gatherFacts } from './decision-facts.ts'
import { SallyportError } from './error.ts'
import type { GovernPorts } from './govern-ports.ts'
import type { Grant } from './grant.ts'
import { findUsableGrant, voidGrant } from './grant-use.ts'
import { worstKind } from './impact.ts'
import { findOrOpen, waitForPeople } from './inquiry.ts'
import { DecisionMemory, isPlain, isRememberable, memoryEndsMs, PlainMemory, ReadMemory } from './memory.ts'
import type { Basis, ReadEntry } from './memory.ts'
import { digestRequest, withoutCopy, type Operation, type ResolvedOperation } from './operation.ts'
import { noteEvent, textForLog, type Passage } from './passage.ts'
import { boundRowsChanged, countBefore, mayBeHeld, protect, settleHeld, type HeldStatement } from './protect.ts'
import { isPureRead, operationsJson, summarize } from './question.ts'
import { noteOutcome, type Taken } from './outcome.ts'
import { killedError, noConnector, notInFlight, refuseEnded, refuseForError, refusePending } from './refusal.ts'
import type { Session } from './session.ts'
import type { Snapshot } from './snapshot.ts'
import { nothingStands } from './standing.ts'

interface InFlight extends HeldStatement, Taken {}

/** For what is only considered: nobody waits, and no people are told. */
const unattended: Attendance = { waitMs: 0, signal: new AbortController().signal, pending: () => undefined }

/** Makes the pipeline of DESIGN §3. All its branching is in this file. */
export function createGovern(ports: GovernPorts): Govern {
  return new Pipeline(ports)
}

class Pipeline implements Govern {
  readonly #ports: GovernPorts
  readonly #reads = new ReadMemory()
  readonly #plain: PlainMemory
  readonly #decisions = new DecisionMemory()
  readonly #inFlight = new WeakMap<Clearance, InFlight>()
  /** Looked up in another catalog than the key names: good for this request, and for nothing later. */
  readonly #unconfirmed = new WeakSet<readonly ResolvedOperation[]>()

  constructor(ports: GovernPorts) {
    this.#ports = ports
    this.#plain = new PlainMemory(ports.clock)
  }

  knows(session: Session, key: string): boolean {
    return this.#findRead(session, key) !== null
  }

  #findRead(session: Session, key: string): ReadEntry | null {
    const { killSwitch, clock, policy } = this.#ports
    const basis = { policyHash: policy().hash, killEpoch: killSwitch.epoch() }
    const entry = this.#reads.find(session, key, basis, clock.nowMs())
    if (entry === null) return null
    const { agent, owner } = session.subject
    const stopped = killSwitch.stopped(agent, owner, session.id, session.upstream)
    if (stopped !== null) throw killedError(stopped)
    return entry
  }

  recall(session: Session, key: string): boolean {
    const entry = this.#findRead(session, key)
    if (entry === null) return false
    const { log } = this.#ports
    // False: the log is behind or failed, which is not the fast path's to judge. `catchUp` waits for the disk, `ask` does too, or refuses.
    if (log.takeRead !== undefined) return log.takeRead(session.id, session.subject.agent, entry.statement)
    try {
      log.appendRead(session.id, session.subject.agent, entry.statement)
    } catch {
      return false
    }
    return true
  }

  catchUp(session: Session, key: string): Promise<void> | null {
    return this.#findRead(session, key) === null ? null : (this.#ports.log.catchUp?.() ?? null)
  }

  async ask(asked: Asked, attendance: Attendance): Promise<Cleared | Refusal> {
    try {
      return await this.#pass(this.#enter(asked, attendance))
    } catch (error) {
      return refuseForError(error)
    }
  }

  #enter(asked: Asked, attendance: Attendance): Passage {
    const { connectors, killSwitch, clock } = this.#ports
    const connector = connectors.get(asked.connector)
    if (connector === undefined) throw noConnector(asked.connector)
    const { session, upstream } = asked
    return {
      asked,
      attendance,
      connector,
      killEpoch: killSwitch.epochOf(session.subject.agent, session.subject.owner, session.id, upstream.name),
      switchEpoch: killSwitch.epoch(),
      ...this.#inForce(asked),
      deadlineMs: clock.nowMs() + attendance.waitMs,
    }
  }

  #inForce({ session, upstream }: Asked): Pick<Passage, 'policy' | 'standing'> {
    const { policy, standing } = this.#ports
    const { agent, owner } = session.subject
    return { policy: policy(), standing: standing?.of(agent, owner, upstream.name) ?? nothingStands }
  }

  async consider(asked: Asked): Promise<Considered | Refusal> {
    try {
      const passage = this.#enter(asked, unattended)
      this.#checkKill(passage)
      const operations = this.#recallPlain(passage) ?? (await this.#lookUpOnce(passage))
      const facts = await gatherFacts(this.#ports, passage, operations, null, false)
      const decision = this.#decisions.decide(operations, asked.session.subject, facts, passage.policy)
      const digest = digestRequest(asked.session.subject, asked.payload, operations)
      if (decision.outcome === 'deny')
        return decision.requestable === null
          ? await deny(this.#ports, passage, operations, digest, decision)
          : { outcome: 'considered', may: 'not_yet', reads: false }
      if (decision.obligations.length > 0) return { outcome: 'considered', may: 'not_yet', reads: false }
      const reads = isPureRead(operations)
      if (!reads) await noteConsidered(this.#ports, passage, operations, digest)
      this.#checkKill(passage)
      return { outcome: 'considered', may: 'now', reads }
    } catch (error) {
      return refuseForError(error)
    }
  }

  async #pass(entered: Passage): Promise<Cleared | Refusal> {
    let passage = entered
    this.#checkKill(passage)
    let remembered = this.#recallPlain(passage)
    let isFirst = true
    let told = false
    for (;;) {
      this.#checkKill(passage)
      const operations = remembered ?? (await (isFirst ? this.#lookUpOnce(passage) : this.#lookUp(passage)))
      isFirst = false
      const { asked, policy } = passage
      const digest = digestRequest(asked.session.subject, asked.payload, operations)
      const facts = await gatherFacts(this.#ports, passage, operations, null, false)
      const decision = this.#decisions.decide(operations, asked.session.subject, facts, policy)
      if (decision.outcome === 'permit') return await this.#proceed(passage, operations, digest, decision, null)
      // What is refused, or asked about, is looked up as it is now.
      if (remembered !== null) {
        remembered = null
        continue
      }
      if (decision.requestable === null) return await deny(this.#ports, passage, operations, digest, decision)
      const grant = await findUsableGrant(this.#ports, passage, operations, digest)
      if (grant !== null) {
        const granted = this.#decisions.decide(
          operations,
          asked.session.subject,
          await gatherFacts(this.#ports, passage, operations, grant, false),
          policy,
        )
        if (granted.outcome === 'permit') return await this.#proceed(passage, operations, digest, granted, grant)
        await voidGrant(this.#ports, passage, grant, 'it no longer satisfies the guards')
      }
      const request = await findOrOpen(this.#ports, passage, operations, digest, decision)
      if (request.state === 'rejected') return refuseEnded(request, this.#ports.requestUrl(request.id))
      if (!told) {
        told = true
        passage.attendance.pending({
          id: request.id,
          url: this.#ports.requestUrl(request.id),
          summary: summarize(operations, asked.upstream),
          expiresAtMs: request.expiresAtMs,
        })
      }
      const after = await waitForPeople(this.#ports, passage, request)
      if (after === null) return refusePending(request, this.#ports.requestUrl(request.id), decision)
      if (after.state !== 'approved') return refuseEnded(after, this.#ports.requestUrl(after.id))
      // People took their time: another policy may be in force, and what stood for a while may have ended.
      passage = { ...passage, ...this.#inForce(asked) }
    }
  }

  /** Together with other sessions that begin alike, and for later. What people were asked about, or refused, is looked up alone. */
  #lookUpOnce(passage: Passage): Promise<readonly ResolvedOperation[]> {
    const { asked, attendance } = passage
    const work = async (): Promise<readonly ResolvedOperation[]> => {
      const operations = await this.#lookUp(passage)
      this.#rememberPlain(passage, operations)
      return operations
    }
    return this.#plain.lookUp(asked, { find: () => this.#recallPlain(passage), work, signal: attendance.signal })
  }

  async #lookUp(passage: Passage): Promise<readonly ResolvedOperation[]> {
    return this.#resolve(passage, await this.#describe(passage))
  }

  /** describe: pure and total by contract; a connector that breaks it is caught here, and what it did not read is unknown. */
  async #describe(passage: Passage): Promise<readonly Operation[]> {
    try {
      const operations = await passage.connector.describe(passage.asked.decoded, this.#ports.describers)
      if (operations.length > 0) return operations
    } catch {
      // falls through to unknown: the error may quote the agent's own bytes, so it is not kept
    }
    const impact = { kind: 'unknown', reversible: false } as const
    return [
      { action: `${passage.connector.id}.unreadable`, resources: [], impact, why: 'The gate could not read this.', context: {} },
    ]
  }

  async #resolve(passage: Passage, described: readonly Operation[]): Promise<readonly ResolvedOperation[]> {
    const { connector, asked } = passage
    // What reads by its text alone needs no look at the catalog, unless the connector says that only the catalog can confirm it.
    if (described.every(({ impact, context }) => impact.kind === 'read' && context['provisional'] !== true))
      return described.map((operation) => ({ ...operation, copy: { kind: 'none' } }))
    if (connector.resolve !== undefined && asked.upstream.access.kind !== 'none') {
      const resolved = await connector.resolve(described, asked.upstream)
      if (asked.key !== null && (await asked.confirmCatalog?.()) === false) this.#unconfirmed.add(resolved)
      return resolved
    }
    return described.map(withoutCopy)
  }

  /** protect → decide again → clear. */
  async #proceed(
    passage: Passage,
    operations: readonly ResolvedOperation[],
    digest: string,
    permit: Permit,
    grant: Grant | null,
  ): Promise<Cleared | Refusal> {
    const { asked } = passage
    if (isPureRead(operations)) return await this.#clearRead(passage, operations, digest)
    let snapshot: Snapshot | null = null
    if (permit.obligations.includes('snapshot')) {
      snapshot = await protect(this.#ports, passage, operations, digest, grant)
      const { owner } = asked.session.subject
      // Spent first, then looked at again: of two that ask at once, neither can see the budget as it was before the other.
      const own = permit.promptless ? (snapshot?.rows ?? 0) : 0
      if (permit.promptless) await this.#ports.budgets.spend(owner, asked.upstream.name, own)
      const facts = await gatherFacts(this.#ports, passage, operations, grant, true)
      const again = this.#decisions.decide(
        operations,
        asked.session.subject,
        { ...facts, rowsSpent: Math.max(0, facts.rowsSpent - own) },
        passage.policy,
      )
      if (again.outcome === 'deny') return await deny(this.#ports, passage, operations, digest, again)
    }
    const rowsMax = boundRowsChanged(operations, snapshot, grant, permit)
    const rowsBefore = rowsMax === null ? null : await countBefore(passage)
    return await this.#clear(passage, operations, digest, { grant, snapshot, rowsMax, rowsBefore })
  }

  async #clear(
    passage: Passage,
    operations: readonly ResolvedOperation[],
    digest: string,
    what: Taken & { readonly rowsMax: number | null; readonly rowsBefore: number | null },
  ): Promise<Cleared> {
    const { asked } = passage
    const { requests, random } = this.#ports
    this.#checkKill(passage)
    const intent = random.hex(16)
    if (what.grant !== null && !(await requests.consume(what.grant.id, intent))) {
      throw new SallyportError(
        'clearance_invalid',
        'The approval was used by another request in the meantime.',
        'Nothing was run.',
        'Ask again.',
      )
    }
    await noteEvent(this.#ports, passage, 'intent', {
      approvers: what.grant?.approvers ?? [],
      bytesSha256: asked.payload.bytesSha256,
      digest,
      grant: what.grant?.id ?? null,
      intent,
      operations: operationsJson(operations),
      policyHash: passage.policy.hash,
      request: what.grant?.request ?? null,
      rowsMax: what.rowsMax,
      snapshot: what.snapshot?.id ?? null,
      text: textForLog(passage, operations),
    })
    await this.#checkKillAfter(passage, intent, what)
    const clearance = makeClearance({
      digest,
      bytesSha256: asked.payload.bytesSha256,
      intent,
      rowsMax: what.rowsMax,
      killEpoch: passage.killEpoch,
    })
    const { rowsBefore, snapshot } = what
    this.#inFlight.set(clearance, { passage, operations, ...what })
    return {
      outcome: 'cleared',
      kind: worstKind(operations.map(({ impact }) => impact.kind)),
      clearance,
      operations,
      counted: rowsBefore !== null || (snapshot !== null && passage.connector.confirm !== undefined && mayBeHeld(operations)),
    }
  }

  /** A read: on the log within 10 ms, without waiting (promise 7), and remembered when its key says all there is to say. */
  async #clearRead(passage: Passage, operations: readonly ResolvedOperation[], digest: string): Promise<Cleared> {
    const { asked } = passage
    const { log } = this.#ports
    const { session, key } = asked
    const statement = asked.payload.bytesSha256.slice(0, 32)
    const first = noteEvent(this.#ports, passage, 'statement', {
      digest,
      operations: operationsJson(operations),
      statement,
      text: textForLog(passage, operations),
    })
    try {
      log.appendRead(session.id, session.subject.agent, statement)
      first.catch(() => undefined)
    } catch {
      // The disk is behind: wait for it instead of turning the client away. When the log has failed, this throws.
      await first
    }
    if (key !== null && isRememberable(operations) && !this.#unconfirmed.has(operations)) {
      this.#reads.keep(session, key, { basis: basisOf(passage), untilMs: memoryEndsMs(this.#ports, passage, 'read'), statement })
    }
    this.#checkKill(passage)
    const clearance = makeClearance({
      digest,
      bytesSha256: asked.payload.bytesSha256,
      intent: '',
      rowsMax: null,
      killEpoch: passage.killEpoch,
    })
    return { outcome: 'cleared', kind: 'read', clearance, operations, counted: false }
  }

  #recallPlain(passage: Passage): readonly ResolvedOperation[] | null {
    return this.#plain.find(passage.asked, basisOf(passage), this.#ports.clock.nowMs())
  }

  /** What is plain is described and resolved once in a while; it is still decided, and on the log, each time. */
  #rememberPlain(passage: Passage, operations: readonly ResolvedOperation[]): void {
    const { asked } = passage
    if (this.#unconfirmed.has(operations) || !isPlain(asked, operations)) return
    this.#plain.keep(asked, { basis: basisOf(passage), untilMs: memoryEndsMs(this.#ports, passage, 'write'), operations })
  }

  async settle(clearance: Clearance, upstream: Upstream): Promise<Refusal | null> {
    try {
      const flight = this.#inFlight.get(clearance)
      if (flight === undefined) throw notInFlight()
      await settleHeld(flight, upstream)
      return null
    } catch (error) {
      return refuseForError(error)
    }
  }

  async conclude(clearance: Clearance, outcome: Outcome): Promise<void> {
    if (clearance.intent === '') return
    const flight = this.#inFlight.get(clearance)
    if (flight === undefined) return
    this.#inFlight.delete(clearance)
    await noteOutcome(this.#ports, flight.passage, clearance.intent, outcome, flight)
  }

  /** A kill that came while the intent became durable: nothing was sent, and the log says so. */
  async #checkKillAfter(passage: Passage, intent: string, what: Taken): Promise<void> {
    try {
      this.#checkKill(passage)
    } catch (error) {
      const detail = 'stopped by the kill switch before anything was sent'
      await noteOutcome(this.#ports, passage, intent, { result: 'failed', detail }, what)
      throw error
    }
  }

  #checkKill(passage: Passage): void {
    const { session, upstream } = passage.asked
    const { agent, owner } = session.subject
    const stopped = this.#ports.killSwitch.stopped(agent, owner, session.id, upstream.name)
    if (stopped !== null) throw killedError(stopped)
    if (this.#ports.killSwitch.epochOf(agent, owner, session.id, upstream.name) !== passage.killEpoch)
      throw killedError('the kill switch was pulled meanwhile')
  }
}

function basisOf({ policy, switchEpoch }: Passage): Basis {
  return { policyHash: policy.hash, killEpoch: switchEpoch }
}
