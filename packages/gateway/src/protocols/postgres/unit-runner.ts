import { SallyportError, type Cleared, type Considered, type Refusal, type SqlRow, type Upstream } from '@sallyport/core'
import { Asking } from './asking.ts'
import { CopyIn } from './copy-in.ts'
import { CountedBatch } from './counted-batch.ts'
import { canChangeMeaning, controlsTransaction, mayEndTransaction } from './fold.ts'
import { findForeignCredential, refuseForeign } from './foreign-credential.ts'
import { GateChannel } from './gate-channel.ts'
import type { Held } from './held.ts'
import { HeldRun } from './held-run.ts'
import { HeldTransaction, mayRunHeld } from './held-transaction.ts'
import type { Line } from './line.ts'
import { settingsOf, type Meaning } from './meaning.ts'
import { conclude, outcomeOf } from './record.ts'
import { Preparation } from './preparation.ts'
import { endsGathering, notSupported, refusalFields, refusedBy, refusedInFailed, skipped, type Refused } from './refusal.ts'
import type { Ran } from './ran.ts'
import { bindKeptBytesMax, type Statement } from './statements.ts'
import { digestUnit } from './payload-digest.ts'
import { countCloses, hasExecute, syncFollows, withSync, type Wanted } from './unit.ts'
import type { SessionParts } from './session-parts.ts'
import { syncMessage } from './wire.ts'

/** Asks about one statement, runs it if it was cleared, refuses it in the client's words if not. One statement at a time. */
export class UnitRunner {
  readonly upstream: Upstream
  /** Settings may have changed unseen, or will when the transaction ends: nothing is recalled, everything is asked. */
  careful = false
  /** The settings known are not those in force: read again before the next statement. */
  stale = false
  /** A statement is with the upstream, or waits for people: what a CancelRequest would stop. */
  state: 'none' | 'asking' | 'running' = 'none'
  readonly preparation: Preparation
  readonly batch: CountedBatch
  #parts: SessionParts
  #line: Line
  #meaning: Meaning
  #channel: GateChannel
  #transaction: HeldTransaction
  #heldRun: HeldRun
  #copies: CopyIn
  #asking: Asking
  #held: Held | null = null
  #wanted: Wanted | null = null
  /** The unit took the client's Sync along: whoever refuses answers it instead of waiting for it. */
  #tookSync = false
  /** The unit was taken off the head of `held`. */
  dropped = false
  #succeeded = false
  /** Something other than its Sync follows what is held: it runs in a transaction with what comes. */
  #isAmongOthers = false

  constructor(parts: SessionParts, line: Line, meaning: Meaning) {
    this.#parts = parts
    this.#line = line
    this.#meaning = meaning
    this.#channel = new GateChannel(line)
    this.batch = new CountedBatch(parts, line, this.#channel)
    this.#transaction = new HeldTransaction(line, this.#channel, this.batch)
    this.#copies = new CopyIn(parts, line)
    this.preparation = new Preparation(parts, line, this.#channel, this.#transaction)
    const backend = line.backend
    this.upstream = {
      name: parts.open.session.upstream,
      identity: backend.identity,
      environment: backend.environment,
      quarantineMs: backend.quarantineMs,
      access: { kind: 'sql', session: this.#channel, protect: backend.protect.channel, hold: (sql) => this.#hold(sql) },
    }
    this.#heldRun = new HeldRun(parts, line, this.#transaction, this.batch, this.upstream)
    this.#asking = new Asking(parts, line, meaning, this.#channel, this.upstream)
  }

  /** A CancelRequest while people are waited for: the wait ends. */
  cancelWait(): void {
    if (this.state === 'asking') this.#asking.cancelWait()
  }

  async refreshMeaning(told: SqlRow | null = null): Promise<void> {
    const names = await this.#meaning.refresh(this.#channel, told)
    if (names === null) {
      const why =
        'standard_conforming_strings or client_encoding was changed: the gate and the server would read text differently'
      this.#parts.end(why, 'protocol_violation')
      throw new SallyportError('protocol_violation', why, 'The statement was not run.', 'Connect again.')
    }
    this.#line.statements.retain(names)
    this.stale = false
    if (this.#line.isIdle) this.careful = false
  }

  /** Null: ran, or its own error was passed on. Else the refusal that the client must be told. */
  async run(wanted: Wanted, held: Held, end: number): Promise<Refused | null> {
    this.#held = held
    this.#wanted = wanted
    this.#tookSync = false
    this.dropped = false
    this.#succeeded = false
    this.#isAmongOthers = false
    try {
      const refused = await this.#askAndRun(wanted, held, end)
      // Its Sync is answered: a refusal of what comes next has another.
      if (refused === null) this.#tookSync = false
      return refused
    } catch (error) {
      return refusedBy(error)
    } finally {
      this.state = 'none'
      // Whoever asks to hold after this (a Parse that is only considered) must not be taken for this statement.
      this.#held = null
      this.#wanted = null
      if (this.#transaction.kind !== 'none') await this.#heldRun.rollBack()
      await this.#line.backend.protect.end(this.#succeeded && this.#line.ended === null).catch(() => undefined)
    }
  }

  /** Of a statement that is prepared apart from being bound. */
  async consider(wanted: Wanted): Promise<Considered | Refusal | Refused> {
    if (this.stale || this.#meaning.unsure) {
      if (!(await this.#mustRefresh())) return { outcome: 'considered', may: 'not_yet', reads: false }
      const failed = await this.refreshMeaning().then(() => null, refusedBy)
      if (failed !== null) return failed
    }
    return this.preparation.consider(wanted, (prepared, bytesSha256) =>
      this.#asking.asked(prepared, bytesSha256, this.#isDoubtful),
    )
  }

  /** Resolves when the client has the answers to all that it sent. @throws SallyportError when one of them is an error */
  async answered(): Promise<void> {
    if ((await this.#line.enter()) === 'inside') await this.#channel.query('SELECT')
  }

  /** A portal bound as a read goes on: null when it still is one. */
  async askAgain(wanted: Wanted): Promise<Refused | null> {
    const digest = digestUnit(wanted.unit)
    if (digest === null) return notSupported('What was decided about this portal is no longer valid.', 'Bind it again.')
    const verdict = await this.#parts.gate.govern.ask(
      this.#asking.asked(wanted, digest, this.#isDoubtful),
      this.#asking.attendance(),
    )
    // What was looked up on the gate's own connection must not stay open as a transaction.
    await this.#line.backend.protect.end(false).catch(() => undefined)
    if (this.#line.ended !== null) return this.#endedMeanwhile(verdict)
    if (verdict.outcome === 'refused') return verdict
    if (verdict.kind === 'read') return null
    await conclude(this.#parts, verdict, { result: 'failed', detail: 'not sent: its portal was bound as a read' })
    return notSupported('This portal is no longer a plain read.', 'Bind it again.')
  }

  /** Null: this text, and what is bound to it, holds no password of another database (promise 2). */
  refuseForeign(text: string, bound: readonly string[]): Refused | null {
    const found = findForeignCredential(text, bound)
    return found === null ? null : refuseForeign(this.#parts, found)
  }

  async #askAndRun(wanted: Wanted, held: Held, end: number): Promise<Refused | null> {
    const foreign = this.refuseForeign(wanted.text, wanted.boundTexts)
    if (foreign !== null) return foreign
    if (this.batch.isOpen && controlsTransaction(wanted.text)) return endsGathering
    if (await this.#mustRefresh()) await this.refreshMeaning()
    const digest = digestUnit(wanted.unit)
    if (digest === null)
      return {
        code: 'protocol_violation',
        message: 'The statement is malformed.',
        notDone: 'It was not run.',
        next: 'Report this to whoever wrote the client.',
      }
    // Whether it would wait inside a transaction shows when what was sent before is answered.
    await this.#line.flow.quiet()
    this.state = 'asking'
    const verdict = await this.#parts.gate.govern.ask(
      this.#asking.asked(wanted, digest, this.#isDoubtful),
      this.#asking.attendance(),
    )
    // Nothing but reads runs in a session of which the log does not know. When it never will, the session has ended.
    if (verdict.outcome === 'cleared' && verdict.kind !== 'read') await this.#parts.open.written?.catch(() => undefined)
    if (this.#line.ended !== null) return this.#endedMeanwhile(verdict)
    if (verdict.outcome === 'refused') return this.#line.isSurelyFailed ? refusedInFailed(wanted.text, verdict) : verdict
    return this.#runCleared(verdict, wanted, held, end)
  }

  /** The session ended while govern worked: what was cleared is not run, and that is on the log. */
  async #endedMeanwhile(verdict: Cleared | Refusal): Promise<Refused> {
    if (verdict.outcome === 'cleared' && verdict.kind !== 'read')
      await conclude(this.#parts, verdict, { result: 'failed', detail: 'not sent: the session ended first' })
    return { code: 'killed', message: 'The session ended.', notDone: 'The statement was not run.', next: 'Connect again.' }
  }

  /** What the text means has to be asked, and can be: a transaction that has failed answers nothing, and shows it with the answers on their way. */
  async #mustRefresh(): Promise<boolean> {
    if (!this.stale && !this.#meaning.unsure) return false
    await this.#line.flow.quiet()
    return !this.#line.isFailed
  }

  get #isDoubtful(): boolean {
    return this.careful || this.stale
  }

  async #hold(sql: string): Promise<void> {
    const wanted = this.#wanted
    const held = this.#held
    if (wanted === null || held === null)
      throw unsupported('No statement is being decided.', 'Report this: it is a defect of the gate.')
    if (this.#transaction.kind === 'none') {
      if (!mayRunHeld(wanted.text))
        throw unsupported(
          'This text controls transactions, and one of its statements must be held until it is counted.',
          'Send its statements one by one.',
        )
      this.#isAmongOthers =
        wanted.portal !== null &&
        (this.batch.isOpen ||
          this.#line.executes > 0 ||
          !(await syncFollows(held, wanted.unit.bytes.length, () => this.#parts.readOn())))
    }
    await this.#transaction.hold(sql, this.#isAmongOthers ? 'batch' : 'statement')
  }

  async #runCleared(cleared: Cleared, wanted: Wanted, held: Held, end: number): Promise<Refused | null> {
    if (this.#line.isSkipping || this.#line.isSpoiled) return this.#skip(cleared)
    const isHeld = this.#transaction.kind !== 'none'
    const set = settingsOf(cleared.operations)
    const changing = canChangeMeaning(wanted.text, cleared.kind) || set.any || (this.careful && mayEndTransaction(wanted.text))
    this.#meaning.follow(set.own)
    if (cleared.counted && !isHeld) {
      await conclude(this.#parts, cleared, { result: 'failed', detail: 'not sent: it must be counted and is not held' })
      return {
        code: 'internal',
        message: 'The statement must be counted, and nothing holds it.',
        notDone: 'It was not run.',
        next: 'Report this: it is a defect of the gate.',
      }
    }
    if (cleared.kind === 'read' && !changing && !isHeld) {
      this.#sendRead(cleared, wanted, held, end)
      return null
    }
    if (wanted.portal !== null && !hasExecute(wanted)) {
      if (cleared.kind !== 'read')
        await conclude(this.#parts, cleared, {
          result: 'failed',
          detail: 'not sent: it was bound as a read, and is none any more',
        })
      return notSupported('This is no longer a plain read.', 'Bind it again.')
    }
    return this.#watch(cleared, wanted, held, end, isHeld, changing)
  }

  /** The server runs nothing more of this batch: what was cleared is not sent, also where the gate's own Sync has made it listen again. */
  async #skip(cleared: Cleared): Promise<Refused> {
    if (cleared.kind !== 'read')
      await conclude(this.#parts, cleared, { result: 'failed', detail: `not sent: ${skipped.message}` })
    return skipped
  }

  #sendRead(cleared: Cleared, wanted: Wanted, held: Held, end: number): void {
    this.#line.send(cleared.clearance, wanted.unit, wanted)
    held.drop(end)
    this.dropped = true
    this.#sent(wanted, 'read', wanted.portal === null)
  }

  /** Keeps the books of what was just written. */
  #sent(wanted: Wanted, kind: 'read' | 'cleared', ready: boolean): void {
    const line = this.#line
    line.touched = true
    if (wanted.portal !== null && wanted.statement !== null) {
      this.#bound(wanted.portal, wanted.statement, wanted.unit.bytes, kind)
      if (hasExecute(wanted)) line.executes += 1
    } else line.statements.close('')
    if (!ready) return
    line.flow.outstanding += 1
    line.endBatch()
  }

  #bound(portal: string, statement: Statement, bytes: Buffer, kind: 'read' | 'cleared'): void {
    const bindBytes = 1 + bytes.readInt32BE(1)
    const bind = bindBytes > bindKeptBytesMax ? null : Buffer.from(bytes.subarray(0, bindBytes))
    this.#line.statements.bind(portal, { statement, batch: this.#line.batch, kind, bind })
  }

  /** Sends and stays until it has run: nothing else of this client may pass before. */
  async #watch(
    cleared: Cleared,
    wanted: Wanted,
    held: Held,
    end: number,
    isHeld: boolean,
    changing: boolean,
  ): Promise<Refused | null> {
    const line = this.#line
    const { batch } = line
    await line.flow.quiet()
    if (line.isSkipping) return this.#skip(cleared)
    const tail = this.#isAmongOthers
      ? { bytes: Buffer.concat([wanted.unit.bytes, syncMessage]), end, ready: false }
      : wanted.portal === null
        ? { bytes: wanted.unit.bytes, end, ready: true }
        : withSync(wanted.unit.bytes, held, end, !this.batch.isOpen)
    const until = tail.ready || this.#isAmongOthers ? 'ready' : 'completion'
    const ran = line.flow.watch(Math.max(0, line.executes - line.flow.completions), until)
    if (isHeld) line.flow.holdBack()
    try {
      this.state = 'running'
      line.send(cleared.clearance, { ...wanted.unit, bytes: tail.bytes }, wanted)
    } catch (error) {
      line.flow.unwatch()
      line.flow.release()
      await conclude(this.#parts, cleared, { result: 'failed', detail: 'not sent' })
      return refusedBy(error)
    }
    held.drop(tail.end)
    this.dropped = true
    line.closes += countCloses(tail.bytes)
    this.#tookSync = tail.ready && wanted.portal !== null
    const counters = { ...line.counters, executes: line.executes + 1 }
    if (isHeld) this.#sentHeld(wanted)
    else this.#sent(wanted, 'cleared', tail.ready)
    const protocol = wanted.portal === null ? 'simple' : 'extended'
    const follow = { protocol, synced: until === 'ready', isHeld, counters } as const
    const came = await (cleared.kind === 'read' ? ran : this.#copies.follow(ran, held, follow))
    if (line.batch === batch && !isHeld) this.#tookSync = false
    this.state = 'none'
    const synced = tail.ready || this.#copies.tookSync
    const refused = isHeld ? await this.#heldRun.finish(cleared, came, synced) : this.#finish(cleared, came)
    this.#succeeded = came.result === 'completed' && refused === null
    if (changing) await this.#afterChange(cleared, wanted)
    return refused
  }

  #sentHeld(wanted: Wanted): void {
    const line = this.#line
    line.flow.outstanding += 1
    line.flow.swallowReady = true
    if (wanted.portal === null) line.statements.close('')
    line.statements.closePortal(wanted.portal ?? '')
    // The savepoint goes and the portal stays: what its row limit kept back can still be fetched.
    if (this.#transaction.kind === 'agent' && wanted.portal !== null && wanted.statement !== null)
      this.#bound(wanted.portal, wanted.statement, wanted.unit.bytes, 'cleared')
  }

  #finish(cleared: Cleared, ran: Ran): null {
    if (cleared.kind === 'read') return null
    if (this.batch.isOpen && ran.result === 'completed') this.batch.keep(cleared, outcomeOf(ran))
    else void conclude(this.#parts, cleared, outcomeOf(ran))
    return null
  }

  /** Whatever follows may mean something else: the server is asked before anything more passes. */
  async #afterChange(cleared: Cleared, wanted: Wanted): Promise<void> {
    const line = this.#line
    if (line.ended !== null) return
    line.statements.forgetPortals()
    const isPlain = !canChangeMeaning(wanted.text, cleared.kind) && !mayEndTransaction(wanted.text)
    const isSetting = isPlain || /^\s*(set|reset)\b[^;]*;?\s*$/i.test(wanted.text)
    if (cleared.kind !== 'read' && !isSetting) this.#meaning.separate()
    if (!isSetting) line.backend.catalog.doubt()
    this.stale = true
    this.careful = true
    if (line.isFailed || line.executes > 0) return
    // The statement has run and was answered: what fails here makes the next one ask again, and refuses that.
    await this.refreshMeaning().catch(() => undefined)
  }

  /** Says no, as the server would have: an open transaction is aborted. True: a Sync of the client's is still to come. */
  async refuse(refused: Refused, simple: boolean): Promise<boolean> {
    const told = await this.#line.abort()
    if (!told) {
      if (refused.asCame === undefined) this.#line.error(refusalFields(refused))
      else this.#line.flow.inject(refused.asCame)
      this.#line.flow.errored = true
    }
    await this.batch.rollBack(refused.code)
    const tookSync = this.#tookSync
    this.#tookSync = false
    if (!simple && !tookSync) return true
    this.#line.ready()
    return false
  }
}

function unsupported(what: string, next: string): SallyportError {
  return new SallyportError('not_supported', what, 'The statement was not run.', next)
}
