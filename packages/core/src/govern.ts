import type { AccessRequest } from './access-request.ts'
import type { Asked, Attendance, Cleared, Govern, Outcome, Refusal } from './asked.ts'
import type { Json } from './canonical.ts'
import { type Clearance, makeClearance } from './clearance.ts'
import type { Connector, SnapshotContent, Upstream } from './connector.ts'
import { decide, type DecisionFacts, type Deny, type Permit } from './decide.ts'
import { SallyportError } from './error.ts'
import type { EventType } from './event.ts'
import type { GovernPorts } from './govern-ports.ts'
import type { Grant } from './grant.ts'
import { worstKind } from './impact.ts'
import { Memory } from './memory.ts'
import { digestRequest, type Operation, type ResolvedOperation } from './operation.ts'
import type { PolicyEngine } from './policy/engine.ts'
import { isPureRead, makeQuestion, operationsJson, summarize, targetsOf, worstCopy } from './question.ts'
import { killedError, refuseEnded, refuseForError } from './refusal.ts'
import type { Session } from './session.ts'
import type { Snapshot } from './snapshot.ts'

/** How long a remembered read verdict, or the description of a plain write, may serve before the catalog is asked again, ms. */
const rememberReadMs = 5_000
const rememberWriteMs = 2_000
/** Statement text on the log is bounded; its digest is always whole. */
const textOnLogMax = 32_768

/** One request on its way through the pipeline. */
interface Passage {
  readonly asked: Asked
  readonly attendance: Attendance
  readonly connector: Connector
  readonly killEpoch: number
  readonly policy: PolicyEngine
  readonly deadlineMs: number
}

interface InFlight {
  readonly passage: Passage
  readonly rowsBefore: number | null
  readonly rowsMax: number | null
  readonly snapshot: Snapshot | null
}

/** Makes the pipeline of DESIGN §3. All its branching is in this file. */
export function createGovern(ports: GovernPorts): Govern {
  return new Pipeline(ports)
}

class Pipeline implements Govern {
  readonly #ports: GovernPorts
  readonly #memory = new Memory()
  readonly #inFlight = new WeakMap<Clearance, InFlight>()

  constructor(ports: GovernPorts) {
    this.#ports = ports
  }

  recall(session: Session, key: string): boolean {
    const { killSwitch, clock, policy, log } = this.#ports
    const { agent, owner } = session.subject
    const basis = { policyHash: policy().hash, killEpoch: killSwitch.epochOf(agent, owner, session.id, session.upstream) }
    const entry = this.#memory.find(session, key, basis, clock.nowMs())
    if (entry === null || entry.operations !== null) return false
    const stopped = killSwitch.stopped(agent, owner, session.id, session.upstream)
    if (stopped !== null) throw killedError(stopped)
    try {
      log.appendRead(session.id, agent, entry.statement)
    } catch {
      // The log is behind or failed: not the fast path's to judge. `ask` waits for the disk, or refuses.
      return false
    }
    return true
  }

  async ask(asked: Asked, attendance: Attendance): Promise<Cleared | Refusal> {
    try {
      const connector = this.#ports.connectors.get(asked.connector)
      if (connector === undefined) throw new SallyportError('internal', `No connector is called ${asked.connector}.`, 'Nothing was sent upstream.', 'Report this: it is a defect of the gate.')
      const { session, upstream } = asked
      const passage: Passage = {
        asked,
        attendance,
        connector,
        killEpoch: this.#ports.killSwitch.epochOf(session.subject.agent, session.subject.owner, session.id, upstream.name),
        policy: this.#ports.policy(),
        deadlineMs: this.#ports.clock.nowMs() + attendance.waitMs,
      }
      return await this.#pass(passage)
    } catch (error) {
      return refuseForError(error)
    }
  }

  async #pass(passage: Passage): Promise<Cleared | Refusal> {
    this.#checkKill(passage)
    const remembered = this.#recallWrite(passage)
    const described = remembered ?? (await this.#describe(passage))
    let told = false
    for (;;) {
      this.#checkKill(passage)
      const operations = remembered ?? (await this.#resolve(passage, described))
      const { asked, policy } = passage
      const digest = digestRequest(asked.session.subject, asked.payload, operations)
      const facts = await this.#facts(passage, operations, null, false)
      const decision = decide(operations, asked.session.subject, facts, policy)
      if (decision.outcome === 'permit') return await this.#proceed(passage, operations, digest, decision, null)
      if (decision.requestable === null) return await this.#deny(passage, operations, digest, decision)
      const grant = await this.#findGrant(passage, operations, digest)
      if (grant !== null) {
        const granted = decide(operations, asked.session.subject, await this.#facts(passage, operations, grant, false), policy)
        if (granted.outcome === 'permit') return await this.#proceed(passage, operations, digest, granted, grant)
        await this.#voidGrant(passage, grant, 'it no longer satisfies the guards')
      }
      const request = await this.#findOrOpen(passage, operations, digest, decision)
      if (request.state === 'rejected') return refuseEnded(request, this.#ports.requestUrl(request.id))
      if (!told) {
        told = true
        passage.attendance.pending({ id: request.id, url: this.#ports.requestUrl(request.id), summary: summarize(operations, asked.upstream), expiresAtMs: request.expiresAtMs })
      }
      const after = await this.#wait(passage, request)
      if (after === null) return this.#refusePending(request, decision)
      if (after.state !== 'approved') return refuseEnded(after, this.#ports.requestUrl(after.id))
    }
  }

  /** describe: pure and total by contract; a connector that breaks it is caught here, and what it did not read is unknown. */
  async #describe(passage: Passage): Promise<readonly Operation[]> {
    try {
      const operations = await passage.connector.describe(passage.asked.decoded, this.#ports.describers)
      if (operations.length > 0) return operations
    } catch {
      // falls through to unknown: the error may quote the agent's own bytes, so it is not kept
    }
    return [{ action: `${passage.connector.id}.unreadable`, resources: [], impact: { kind: 'unknown', reversible: false }, why: 'The gate could not read this.', context: {} }]
  }

  async #resolve(passage: Passage, described: readonly Operation[]): Promise<readonly ResolvedOperation[]> {
    const { connector, asked } = passage
    const worst = worstKind(described.map(({ impact }) => impact.kind))
    if (worst === 'read') return described.map((operation) => ({ ...operation, copy: { kind: 'none' } }))
    if (connector.resolve !== undefined && asked.upstream.access.kind !== 'none') return connector.resolve(described, asked.upstream)
    return described.map((operation) => ({
      ...operation,
      copy: operation.impact.kind === 'destroy' ? { kind: 'impossible', reason: 'this connector knows no copy of it', remedy: 'Use an upstream whose connector can copy.' } : { kind: 'none' },
    }))
  }

  async #facts(passage: Passage, operations: readonly ResolvedOperation[], grant: Grant | null, copyProven: boolean): Promise<DecisionFacts> {
    const { asked } = passage
    const settings = this.#ports.settings()
    const counted = operations.some(({ copy }) => copy.kind === 'rows')
    return {
      upstream: asked.upstream.name,
      environment: asked.upstream.environment,
      mode: settings.mode,
      approvers: grant?.approvers ?? [],
      delayed: grant !== null && grant.notBeforeMs <= this.#ports.clock.nowMs(),
      copyProven,
      rowsSpent: counted ? await this.#ports.budgets.spent(asked.session.subject.owner, asked.upstream.name, settings.windowMs) : 0,
      rowsWithoutPrompt: settings.rowsWithoutPrompt,
      coolOffMs: settings.coolOffMs,
    }
  }

  async #findGrant(passage: Passage, operations: readonly ResolvedOperation[], digest: string): Promise<Grant | null> {
    const grant = await this.#ports.requests.findGrant(passage.asked.session.subject.agent, digest)
    if (grant === null || grant.state !== 'open') return null
    const nowMs = this.#ports.clock.nowMs()
    if (grant.expiresAtMs <= nowMs) return await this.#voidGrant(passage, grant, 'it expired')
    if (grant.policyHash !== passage.policy.hash) return await this.#voidGrant(passage, grant, 'the policy changed')
    if (grant.upstream !== passage.asked.upstream.name) return await this.#voidGrant(passage, grant, 'it is for another upstream')
    if (JSON.stringify(grant.targets) !== JSON.stringify(targetsOf(operations))) return await this.#voidGrant(passage, grant, 'the target changed')
    if (grant.notBeforeMs > nowMs) return null
    return grant
  }

  async #voidGrant(passage: Passage, grant: Grant, why: string): Promise<null> {
    await this.#append(passage, 'grant.void', { grant: grant.id, request: grant.request, why })
    await this.#ports.requests.voidGrant(grant.id)
    return null
  }

  async #findOrOpen(passage: Passage, operations: readonly ResolvedOperation[], digest: string, denial: Deny): Promise<AccessRequest> {
    const { requests, clock, random, notify } = this.#ports
    const { session } = passage.asked
    const found = await requests.findByDigest(session.subject.agent, digest)
    const nowMs = clock.nowMs()
    if (found !== null && (await this.#isCurrent(passage, found, operations, nowMs))) return found
    const settings = this.#ports.settings()
    if ((await requests.countPending(session.subject.agent)) >= settings.pendingMax) {
      throw new SallyportError('limit_exceeded', `This agent has ${settings.pendingMax} requests waiting for people already.`, 'Nothing was run, and no request was opened.', 'Wait until some are decided or have expired.')
    }
    const request: AccessRequest = {
      id: random.hex(16),
      nonce: random.hex(32),
      session: session.id,
      question: makeQuestion(passage.asked, operations, digest, denial, passage.policy.hash),
      state: 'pending',
      approvals: [],
      createdAtMs: nowMs,
      expiresAtMs: nowMs + settings.requestMs,
      notBeforeMs: null,
      endedBy: null,
    }
    await this.#append(passage, 'request.opened', {
      request: request.id,
      nonce: request.nonce,
      digest,
      guards: request.question.guards,
      text: this.#text(passage, operations),
      operations: operationsJson(operations),
      rowsMax: request.question.rowsMax,
      approvalsNeeded: request.question.approvalsNeeded,
      delayMs: request.question.delayMs,
      policyHash: passage.policy.hash,
      expiresAtMs: request.expiresAtMs,
    })
    await requests.open(request)
    notify.requestOpened(request)
    return request
  }

  /** Whether a request found by digest still asks what would be asked now. A rejection stands as long as a question would have. */
  async #isCurrent(passage: Passage, found: AccessRequest, operations: readonly ResolvedOperation[], nowMs: number): Promise<boolean> {
    if (found.question.policyHash !== passage.policy.hash) return false
    if (JSON.stringify(targetsOf(found.question.operations)) !== JSON.stringify(targetsOf(operations))) return false
    if (found.state === 'rejected') return found.expiresAtMs > nowMs
    if (found.state === 'pending') {
      if (found.expiresAtMs > nowMs) return true
      await this.#append(passage, 'request.expired', { request: found.id })
      await this.#ports.requests.end(found.id, ['pending'], 'expired', 'time')
      return false
    }
    if (found.state !== 'approved') return false
    const grant = await this.#ports.requests.findGrant(found.question.subject.agent, found.question.digest)
    return grant !== null && grant.request === found.id && grant.state === 'open' && grant.expiresAtMs > nowMs
  }

  /** The request once people have decided and its delay is over; null when that takes longer than the client waits. */
  async #wait(passage: Passage, request: AccessRequest): Promise<AccessRequest | null> {
    const { clock, requests } = this.#ports
    const { signal } = passage.attendance
    let current: AccessRequest | null = request
    for (;;) {
      const leftMs = passage.deadlineMs - clock.nowMs()
      if (leftMs <= 0 || signal.aborted || current === null) return null
      if (current.state === 'pending') {
        current = await requests.waitForVerdict(request.id, leftMs, signal)
        continue
      }
      const delayMs = (current.notBeforeMs ?? 0) - clock.nowMs()
      if (current.state !== 'approved' || delayMs <= 0) return current
      if (delayMs > leftMs) return null
      await clock.sleep(delayMs, signal)
      current = await requests.get(request.id)
    }
  }

  /** protect → decide again → clear. */
  async #proceed(passage: Passage, operations: readonly ResolvedOperation[], digest: string, permit: Permit, grant: Grant | null): Promise<Cleared | Refusal> {
    const { asked } = passage
    if (isPureRead(operations)) return await this.#clearRead(passage, operations, digest)
    let snapshot: Snapshot | null = null
    if (permit.obligations.includes('snapshot')) {
      snapshot = await this.#protect(passage, operations, digest, grant)
      const again = decide(operations, asked.session.subject, await this.#facts(passage, operations, grant, true), passage.policy)
      if (again.outcome === 'deny') return await this.#deny(passage, operations, digest, again)
    }
    const rowsMax = boundRowsChanged(operations, snapshot, grant, permit)
    if (permit.promptless && snapshot !== null) await this.#ports.budgets.spend(asked.session.subject.owner, asked.upstream.name, snapshot.rows)
    const rowsBefore = rowsMax === null ? null : await this.#countBefore(passage)
    this.#rememberWrite(passage, operations, rowsMax)
    return await this.#clear(passage, operations, digest, { grant, snapshot, rowsMax, rowsBefore })
  }

  async #protect(passage: Passage, operations: readonly ResolvedOperation[], digest: string, grant: Grant | null): Promise<Snapshot> {
    const { asked, connector } = passage
    const { snapshot: copy } = connector
    if (copy === undefined) throw new SallyportError('no_copy_possible', `Connector ${connector.id} can make no copy.`, 'Nothing was run.', 'Ask for an operation that needs none.')
    const settings = this.#ports.settings()
    const about = { upstream: asked.upstream.name, upstreamIdentity: asked.upstream.identity, digest, retainMs: settings.retainMs }
    let snapshot: Snapshot
    try {
      snapshot = await this.#ports.vault.seal(about, async (seal) => {
        const content = await copy.call(connector, operations, asked.upstream, seal)
        this.#checkBounds(passage, content, grant)
        return content
      })
    } catch (error) {
      await this.#append(passage, 'snapshot.failed', { digest, code: error instanceof SallyportError ? error.code : 'copy_failed' })
      throw error
    }
    await this.#append(passage, 'snapshot.sealed', { snapshot: snapshot.id, digest, kind: snapshot.kind, rows: snapshot.rows, bytes: snapshot.bytes, checksums: { ...snapshot.checksums }, retainUntilMs: snapshot.retainUntilMs })
    return snapshot
  }

  #checkBounds(passage: Passage, content: SnapshotContent, grant: Grant | null): void {
    const bound = grant === null ? this.#ports.settings().rowsWithoutPrompt : grant.rowsMax
    if (passage.asked.upstream.environment !== 'production' && grant === null) return
    if (bound === null || content.rows <= bound) return
    throw new SallyportError('limit_exceeded', `This would change ${content.rows} rows, more than the ${bound} that were allowed.`, 'Nothing was run.', 'Ask again: people will see the new number.')
  }

  async #countBefore(passage: Passage): Promise<number | null> {
    const { access } = passage.asked.upstream
    if (passage.connector.count === undefined || access.kind !== 'sql') return null
    await access.hold('')
    return passage.connector.count(passage.asked.upstream)
  }

  async #clear(
    passage: Passage,
    operations: readonly ResolvedOperation[],
    digest: string,
    what: { grant: Grant | null; snapshot: Snapshot | null; rowsMax: number | null; rowsBefore: number | null },
  ): Promise<Cleared> {
    const { asked } = passage
    const { requests, random } = this.#ports
    this.#checkKill(passage)
    const intent = random.hex(16)
    if (what.grant !== null && !(await requests.consume(what.grant.id, intent))) {
      throw new SallyportError('clearance_invalid', 'The approval was used by another request in the meantime.', 'Nothing was run.', 'Ask again.')
    }
    await this.#append(passage, 'intent', {
      intent,
      digest,
      bytesSha256: asked.payload.bytesSha256,
      text: this.#text(passage, operations),
      operations: operationsJson(operations),
      grant: what.grant?.id ?? null,
      request: what.grant?.request ?? null,
      approvers: what.grant?.approvers ?? [],
      snapshot: what.snapshot?.id ?? null,
      rowsMax: what.rowsMax,
      policyHash: passage.policy.hash,
    })
    this.#checkKill(passage)
    const clearance = makeClearance({ digest, bytesSha256: asked.payload.bytesSha256, intent, rowsMax: what.rowsMax, killEpoch: passage.killEpoch })
    this.#inFlight.set(clearance, { passage, rowsBefore: what.rowsBefore, rowsMax: what.rowsMax, snapshot: what.snapshot })
    return { outcome: 'cleared', kind: worstKind(operations.map(({ impact }) => impact.kind)), clearance, operations, counted: what.rowsBefore !== null }
  }

  /** A read: on the log within 10 ms, without waiting (promise 7), and remembered when its key says all there is to say. */
  async #clearRead(passage: Passage, operations: readonly ResolvedOperation[], digest: string): Promise<Cleared> {
    const { asked } = passage
    const { log, clock } = this.#ports
    const { session, key } = asked
    const statement = asked.payload.bytesSha256.slice(0, 32)
    const first = this.#append(passage, 'statement', { statement, digest, text: this.#text(passage, operations), operations: operationsJson(operations) })
    try {
      log.appendRead(session.id, session.subject.agent, statement)
      first.catch(() => undefined)
    } catch {
      // The disk is behind: wait for it instead of turning the client away. When the log has failed, this throws.
      await first
    }
    if (key !== null && operations.every(({ context }) => context['rememberable'] === true)) {
      this.#memory.keep(session, key, { basis: this.#basis(passage), untilMs: clock.nowMs() + rememberReadMs, statement, operations: null })
    }
    this.#checkKill(passage)
    const clearance = makeClearance({ digest, bytesSha256: asked.payload.bytesSha256, intent: '', rowsMax: null, killEpoch: passage.killEpoch })
    return { outcome: 'cleared', kind: 'read', clearance, operations, counted: false }
  }

  #basis(passage: Passage): { policyHash: string; killEpoch: number } {
    return { policyHash: passage.policy.hash, killEpoch: passage.killEpoch }
  }

  #recallWrite(passage: Passage): readonly ResolvedOperation[] | null {
    const { key, session } = passage.asked
    if (key === null) return null
    return this.#memory.find(session, `write ${key}`, this.#basis(passage), this.#ports.clock.nowMs())?.operations ?? null
  }

  /** A plain write is described and resolved once in a while; it is still decided, and its intent durable, each time. */
  #rememberWrite(passage: Passage, operations: readonly ResolvedOperation[], rowsMax: number | null): void {
    const { key, session } = passage.asked
    const plain = operations.every(({ impact, copy, context }) => impact.kind === 'write' && impact.reversible && copy.kind === 'none' && context['foldable'] === true)
    if (key === null || rowsMax !== null || !plain) return
    this.#memory.keep(session, `write ${key}`, { basis: this.#basis(passage), untilMs: this.#ports.clock.nowMs() + rememberWriteMs, statement: '', operations })
  }

  async settle(clearance: Clearance, upstream: Upstream): Promise<Refusal | null> {
    try {
      const flight = this.#inFlight.get(clearance)
      if (flight === undefined) throw new SallyportError('clearance_invalid', 'This clearance is not in flight.', 'Nothing was committed.', 'Report this: it is a defect of the gate.')
      const { rowsMax, rowsBefore, passage } = flight
      if (rowsMax === null || rowsBefore === null || passage.connector.count === undefined) return null
      const changed = (await passage.connector.count(upstream)) - rowsBefore
      if (changed <= rowsMax) return null
      throw new SallyportError('limit_exceeded', `It changed ${changed} rows, more than the ${rowsMax} that were allowed and copied.`, 'It was rolled back.', 'Ask again: people will see the new number.')
    } catch (error) {
      return refuseForError(error)
    }
  }

  async conclude(clearance: Clearance, outcome: Outcome): Promise<void> {
    if (clearance.intent === '') return
    const flight = this.#inFlight.get(clearance)
    if (flight === undefined) return
    this.#inFlight.delete(clearance)
    const detail = outcome.detail === undefined ? {} : { detail: outcome.detail.slice(0, 500) }
    const rows = outcome.result === 'succeeded' && outcome.rows !== undefined ? { rows: outcome.rows } : {}
    await this.#append(flight.passage, 'outcome', { intent: clearance.intent, result: outcome.result, snapshot: flight.snapshot?.id ?? null, ...detail, ...rows })
  }

  async #deny(passage: Passage, operations: readonly ResolvedOperation[], digest: string, denial: Deny): Promise<Refusal> {
    await this.#append(passage, 'decision', { outcome: 'deny', code: denial.code, digest, guards: denial.reasons.map(({ id }) => id), why: denial.message, text: this.#text(passage, operations), operations: operationsJson(operations) })
    return { outcome: 'refused', code: denial.code, message: denial.message, notDone: 'Nothing was run.', next: denial.next, guards: denial.reasons.map(({ id }) => id) }
  }

  #refusePending(request: AccessRequest, denial: Deny): Refusal {
    const url = this.#ports.requestUrl(request.id)
    const due = request.notBeforeMs === null ? '' : ` It is approved and may run from ${new Date(request.notBeforeMs).toISOString()}.`
    return {
      outcome: 'refused',
      code: 'approval_required',
      message: `${denial.message}${due}`,
      notDone: 'Nothing was run.',
      next: `People are asked at ${url} (request ${request.id}). Send exactly the same again once it is approved.`,
      requestId: request.id,
      requestUrl: url,
      guards: denial.reasons.map(({ id }) => id),
    }
  }

  #checkKill(passage: Passage): void {
    const { session, upstream } = passage.asked
    const { agent, owner } = session.subject
    const stopped = this.#ports.killSwitch.stopped(agent, owner, session.id, upstream.name)
    if (stopped !== null) throw killedError(stopped)
    if (this.#ports.killSwitch.epochOf(agent, owner, session.id, upstream.name) !== passage.killEpoch) throw killedError('the kill switch was pulled meanwhile')
  }

  /** The agent's text as the log keeps it: bounded, and withheld where it may hold a secret (a password in ALTER ROLE). */
  #text(passage: Passage, operations: readonly ResolvedOperation[]): string {
    const { text } = passage.asked
    if (operations.some(({ context }) => context['secretInText'] === true)) return '(withheld: it may hold a secret; bytesSha256 stands for it)'
    const whole = text.toWellFormed()
    return whole.length <= textOnLogMax ? whole : `${whole.slice(0, textOnLogMax)}… (${whole.length} characters in all; bytesSha256 covers the whole)`
  }

  async #append(passage: Passage, type: EventType, data: { readonly [key: string]: Json }): Promise<void> {
    const { session } = passage.asked
    await this.#ports.log.append({ type, atMs: this.#ports.clock.nowMs(), session: session.id, agent: session.subject.agent, data })
  }
}

/** Rows not copied, or beyond what was approved, must not change. */
function boundRowsChanged(operations: readonly ResolvedOperation[], snapshot: Snapshot | null, grant: Grant | null, permit: Permit): number | null {
  const copied = worstCopy(operations) === 'rows' && snapshot !== null ? snapshot.rows : null
  const allowed = grant === null ? null : grant.rowsMax
  if (copied === null && allowed === null) return null
  if (!permit.promptless && copied === null) return allowed
  return Math.min(copied ?? Number.MAX_SAFE_INTEGER, allowed ?? Number.MAX_SAFE_INTEGER)
}
