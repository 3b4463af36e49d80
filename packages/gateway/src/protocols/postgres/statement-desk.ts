import type { FastPath } from './fast-path.ts'
import type { Held } from './held.ts'
import type { Line } from './line.ts'
import type { Meaning } from './meaning.ts'
import { readPortalOfExecute } from './payload-digest.ts'
import {
  endsGathering,
  notSupported,
  refusedBy,
  reserved,
  skipped,
  unknownPortal,
  unknownStatement,
  unreadable,
  type Refused,
} from './refusal.ts'
import { wantPrepared } from './preparation.ts'
import { portalsMax, readBindNames, readParse, statementsMax, type Carried, type ParseParts, type Portal } from './statements.ts'
import { carry, hasExecute, readQueryText, wantBind, wantQuery, type Wanted } from './unit.ts'
import type { UnitRunner } from './unit-runner.ts'
import { WithheldBinds } from './withheld-bind.ts'
import { client, headerBytes, parseMessage, reservedPrefix } from './wire.ts'

/** The client broke the protocol in a way after which its bytes can't be read any more. */
class Violation extends RangeError {}

/** Deals with the message that may not pass at once: decides it, or refuses it in the client's words. */
export class StatementDesk {
  #line: Line
  #meaning: Meaning
  #runner: UnitRunner
  #fast: FastPath
  #withheld: WithheldBinds
  #deciding: Promise<unknown> = Promise.resolve()

  constructor(line: Line, meaning: Meaning, runner: UnitRunner, fast: FastPath) {
    this.#line = line
    this.#meaning = meaning
    this.#runner = runner
    this.#fast = fast
    this.#withheld = new WithheldBinds(line, runner, fast)
  }

  /** Resolves when no statement is being decided. */
  async idle(): Promise<void> {
    await this.#deciding.catch(() => undefined)
  }

  /** Decides the message at the head of `held`, with what belongs to it. False: the client ends the session. */
  async decide(held: Held, end: number, readOn: () => void): Promise<boolean> {
    const deciding = this.#decide(held, end, readOn)
    this.#deciding = deciding
    return deciding
  }

  async #decide(held: Held, end: number, readOn: () => void): Promise<boolean> {
    const type = held.bytes[0] ?? 0
    if (this.#fast.stop !== null) {
      const stopped = refusedBy(this.#fast.stop)
      this.#fast.stop = null
      return this.#refuse(stopped, held, end, readOn)
    }
    if (type === client.sync && end === headerBytes) {
      held.drop(end)
      await this.#runner.batch.end()
      return true
    }
    // Whatever else it is, the server would skip it: nobody is asked about it.
    if (this.#line.isSkipping && type !== client.terminate) {
      if (type === client.query || type === client.functionCall) throw new Violation('a Query before Sync')
      return this.#refuse(skipped, held, end, readOn)
    }
    // A remembered read that only waits for the disk is walked over again when that has written.
    const catching = this.#fast.catchUp()
    if (catching !== null && (await catching)) return true
    switch (type) {
      case client.terminate:
        // What was sent before it is answered before the backend goes.
        await this.#line.flow.quiet()
        return false
      case client.query:
        return this.#decideQuery(held, end, readOn)
      case client.parse:
        return this.#decideParse(held, end, readOn)
      case client.describe:
        return this.#decideDescribe(held, end, readOn)
      case client.bind:
        return this.#decideBind(held, end, readOn, null)
      case client.execute:
        return this.#decideExecute(held, end, readOn)
      case client.functionCall:
        return this.#refuse(
          notSupported('The function call message is not carried by this gate.', 'Call the function by SELECT.'),
          held,
          end,
          readOn,
        )
      case client.copyData:
      case client.copyDone:
      case client.copyFail:
        // What is left of a copy that was refused: the server would drop it too.
        held.drop(end)
        return true
      default:
        throw new Violation('an unknown message')
    }
  }

  async #decideQuery(held: Held, end: number, readOn: () => void): Promise<boolean> {
    if (!(await this.#endsPreparing())) throw new Violation('a Query before Sync')
    const message = held.bytes.subarray(0, end)
    const text = readQueryText(message)
    if (text === null) return this.#refuse(unreadable('The text holds a zero byte or is not UTF-8.'), held, end, readOn)
    const { epoch } = this.#meaning
    const key = this.#meaning.keys.write(message, headerBytes, end - 1)
    const refused = await this.#runner.run(wantQuery(message, text, key, epoch), held, end)
    return refused === null ? true : this.#afterRun(refused, held, end, true, readOn)
  }

  /**
   * A Query among extended messages would end their batch in the middle: clients don't need it, smugglers do. But one after statements that were only
   * prepared and flushed, which is how asyncpg prepares: the gate ends their batch in the client's place. What failed among them is skipped over until Sync.
   */
  async #endsPreparing(): Promise<boolean> {
    const line = this.#line
    if (line.isGathering || line.executes > 0) return false
    if (!line.touched) return true
    return line.enter().then(
      () => true,
      () => false,
    )
  }

  async #afterRun(refused: Refused, held: Held, end: number, simple: boolean, readOn: () => void): Promise<boolean> {
    if (!this.#runner.dropped) held.drop(end)
    return this.#say(refused, held, simple, readOn)
  }

  #whyNotParse(parts: ParseParts, bytes: Buffer): Refused | null {
    if (parts.name.startsWith(reservedPrefix)) return reserved(parts.name)
    if (this.#line.statements.size >= statementsMax) {
      return {
        code: 'too_large',
        message: `More than ${statementsMax} prepared statements.`,
        notDone: 'This one was not prepared.',
        next: 'Close statements that are no longer used.',
      }
    }
    return this.#runner.refuseForeign(bytes.toString('utf8', parts.sqlAt, parts.sqlEnd), [])
  }

  /**
   * A Parse with its Bind behind it is decided with what is bound, and goes with it. One that stands alone is considered by its text: the server
   * sees it now when it would run as it stands; else it gets an empty statement in its place, and the text goes with the first Bind that is cleared.
   */
  async #decideParse(held: Held, end: number, readOn: () => void): Promise<boolean> {
    const line = this.#line
    const parts = readParse(held.bytes, 0, end)
    if (parts === null) return this.#refuse(unreadable('The Parse message is malformed.'), held, end, readOn)
    const fault = this.#whyNotParse(parts, held.bytes)
    if (fault !== null) return this.#refuse(fault, held, end, readOn)
    // Nothing is answered before Sync or Flush, so whatever comes next may be waited for.
    const next = await held.messageEnd(end, readOn)
    const statement = this.#fast.makeStatement(parts, held.bytes, end, false)
    const bound = held.bytes[end] === client.bind ? readBindNames(held.bytes, end, next) : null
    if (bound?.statement === parts.name && (await this.#unitEnd(held, next, bound.portal, readOn)).executes) {
      const carried = { bytes: Buffer.from(held.bytes.subarray(0, end)), statement, replaces: false }
      held.drop(end)
      return this.#decideBind(held, next - end, readOn, carried)
    }
    // Whether the transaction is failed shows when what was sent before is answered.
    line.flushDeferred()
    await line.flow.quiet()
    if (line.isSkipping || line.isSurelyFailed) return true
    const wanted = wantPrepared(statement, statement.key)
    if (wanted === null) return this.#refuse(unreadable('The text is not UTF-8.'), held, end, readOn)
    const said = await this.#runner.consider(wanted)
    if (!('outcome' in said) || said.outcome === 'refused') return this.#refuse(said, held, end, readOn)
    const withheld = said.may === 'not_yet'
    // What is wrong with it is told now, as the server would.
    const looked = withheld ? await this.#runner.preparation.look(statement) : null
    if (looked !== null && !Buffer.isBuffer(looked)) return this.#refuse(looked, held, end, readOn)
    if (line.isSpoiled || line.isSkipping) return this.#refuse(skipped, held, end, readOn)
    line.forward(withheld ? parseMessage(parts.name, '') : held.bytes.subarray(0, end))
    line.parsed({ ...statement, withheld, description: looked, batch: line.batch, ordinal: line.parses })
    held.drop(end)
    return true
  }

  /** Of a statement that is withheld: the gate asks the server in the client's place, where that can run nothing. */
  async #decideDescribe(held: Held, end: number, readOn: () => void): Promise<boolean> {
    const line = this.#line
    const name = held.bytes.toString('utf8', headerBytes + 1, end - 1)
    if (held.bytes[headerBytes] === 0x50) return this.#describePortal(name, held, end, readOn)
    const statement = line.statements.get(name)
    if (statement === undefined) return this.#refuse(unknownStatement(name), held, end, readOn)
    if (!this.#fast.isSure(statement.batch)) {
      line.flushDeferred()
      await line.flow.quiet()
      return true
    }
    const known = statement.batch === line.batch && line.executes === 0 ? (statement.description ?? null) : null
    const described = known === null ? await this.#runner.preparation.describe(statement) : await this.#afterAnswers(known)
    if (!Buffer.isBuffer(described)) return this.#refuse(described, held, end, readOn)
    line.flow.inject(described)
    line.touched = true
    held.drop(end)
    return true
  }

  async #describePortal(name: string, held: Held, end: number, readOn: () => void): Promise<boolean> {
    const portal = this.#line.statements.portal(name)
    const refused = portal === undefined ? unknownPortal(name) : await this.#withheld.describe(portal)
    if (refused !== null) return this.#refuse(refused, held, end, readOn)
    held.drop(end)
    return true
  }

  /** What the gate says now stands behind the answers to what was sent before. */
  async #afterAnswers(answer: Buffer): Promise<Buffer | Refused> {
    try {
      await this.#line.enter()
      return answer
    } catch (error) {
      return refusedBy(error)
    }
  }

  async #decideBind(held: Held, bindEnd: number, readOn: () => void, carried: Carried | null): Promise<boolean> {
    const line = this.#line
    const names = readBindNames(held.bytes, 0, bindEnd)
    if (names === null) return this.#refuse(unreadable('The Bind message is malformed.'), held, bindEnd, readOn)
    if (names.portal.startsWith(reservedPrefix)) return this.#refuse(reserved(names.portal), held, bindEnd, readOn)
    const before = carried?.statement ?? line.statements.get(names.statement)
    if (before !== undefined && !this.#fast.isSure(before.batch)) {
      // Its Parse is not answered yet: when it is, the walk decides anew.
      line.flushDeferred()
      await line.flow.quiet()
      return true
    }
    if (before === undefined) return this.#refuse(unknownStatement(names.statement), held, bindEnd, readOn)
    if (line.statements.portalCount >= portalsMax) {
      if (!line.isIdle)
        return this.#refuse(
          {
            code: 'too_large',
            message: `More than ${portalsMax} portals.`,
            notDone: 'This one was not bound.',
            next: 'Close portals that are no longer used.',
          },
          held,
          bindEnd,
          readOn,
        )
      line.statements.forgetPortals()
    }
    const { end } = await this.#unitEnd(held, bindEnd, names.portal, readOn)
    const key = this.#fast.keyOf(before)
    const wanted = wantBind(
      held.bytes.subarray(0, end),
      bindEnd,
      names.valuesAt,
      names.portal,
      before,
      key,
      before.keyEpoch,
      carried ?? carry(before),
    )
    if (wanted === null)
      return this.#refuse(unreadable('The Bind message is malformed or the text is not UTF-8.'), held, end, readOn)
    if (!hasExecute(wanted) && !line.isSurelyFailed && !(await this.#reads(wanted))) {
      const notBound = await this.#withheld.withhold(held.bytes.subarray(0, bindEnd), names.portal, before)
      if (notBound !== null) return this.#refuse(notBound, held, bindEnd, readOn)
      held.drop(bindEnd)
      return true
    }
    const refused = await this.#runner.run(wanted, held, end)
    return refused === null ? true : this.#afterRun(refused, held, end, false, readOn)
  }

  /** Whether Bind alone may be shown to the server: it plans what is bound, and that runs functions. What is refused is refused when it would run. */
  async #reads(wanted: Wanted): Promise<boolean> {
    const said = await this.#runner.consider(wanted)
    return 'outcome' in said && said.outcome === 'considered' && said.reads
  }

  /** Bind, Describes of its portal and its Execute are decided together; whatever else follows ends the unit. */
  async #unitEnd(
    held: Held,
    bindEnd: number,
    portal: string,
    readOn: () => void,
  ): Promise<{ readonly end: number; readonly executes: boolean }> {
    let at = bindEnd
    for (;;) {
      const end = await held.messageEnd(at, readOn)
      const type = held.bytes[at]
      if (type === client.execute) {
        const executes = readPortalOfExecute(held.bytes, at, end) === portal
        return { end: executes ? end : at, executes }
      }
      const ownDescribe =
        type === client.describe &&
        held.bytes[at + headerBytes] === 0x50 &&
        held.bytes.toString('utf8', at + headerBytes + 1, end - 1) === portal
      if (!ownDescribe) return { end: at, executes: false }
      at = end
    }
  }

  async #decideExecute(held: Held, end: number, readOn: () => void): Promise<boolean> {
    const line = this.#line
    const name = readPortalOfExecute(held.bytes, 0, end)
    if (name === null) return this.#refuse(unreadable('The Execute message is malformed.'), held, end, readOn)
    const portal = line.statements.portal(name)
    if (portal === undefined) return this.#refuse(unknownPortal(name), held, end, readOn)
    if (!this.#fast.isSure(portal.batch)) {
      await line.flow.quiet()
      return true
    }
    if (portal.kind === 'withheld') return this.#executeWithheld(held, name, readOn)
    if (this.#fast.endsGathering(portal.statement)) return this.#refuse(endsGathering, held, end, readOn)
    const refused = portal.kind === 'cleared' ? this.#mayContinue() : await this.#askAgain(portal)
    if (refused === null && line.isSpoiled) return this.#refuse(skipped, held, end, readOn)
    if (refused !== null) return this.#refuse(refused, held, end, readOn)
    line.forward(held.bytes.subarray(0, end))
    held.drop(end)
    line.executes += 1
    line.touched = true
    return true
  }

  async #executeWithheld(held: Held, name: string, readOn: () => void): Promise<boolean> {
    const wanted = await this.#withheld.unite(held, name)
    if (!('unit' in wanted)) return this.#refuse(wanted, held, held.wholeEnd(0) ?? held.length, readOn)
    const end = wanted.unit.bytes.length
    const refused = await this.#runner.run(wanted, held, end)
    return refused === null ? true : this.#afterRun(refused, held, end, false, readOn)
  }

  /** A suspended portal that was cleared goes on: not a new run, but not after a kill either. */
  #mayContinue(): Refused | null {
    return this.#line.ended === null
      ? null
      : { code: 'killed', message: this.#line.ended, notDone: 'The portal was not run on.', next: 'Connect again.' }
  }

  /** The verdict on a bound read is no longer remembered: it is asked for again, over what was bound. */
  async #askAgain(portal: Portal): Promise<Refused | null> {
    const names = portal.bind === null ? null : readBindNames(portal.bind, 0, portal.bind.length)
    if (portal.bind === null || names === null)
      return notSupported('What was decided about this portal is no longer valid.', 'Bind it again.')
    const { bind, statement } = portal
    const key = this.#fast.keyOf(statement)
    const wanted = wantBind(bind, bind.length, names.valuesAt, names.portal, statement, key, statement.keyEpoch, null)
    if (wanted === null) return unreadable('The portal can no longer be read.')
    return this.#runner.askAgain(wanted)
  }

  /** Tells the client, and in the extended protocol skips to Sync as the server would. `end`: what of `held` this refuses. */
  async #refuse(refused: Refused, held: Held, end: number, readOn: () => void): Promise<boolean> {
    const type = held.bytes[0]
    held.drop(end)
    return this.#say(refused, held, type === client.query || type === client.functionCall, readOn)
  }

  async #say(refused: Refused, held: Held, simple: boolean, readOn: () => void): Promise<boolean> {
    const skip = await this.#runner.refuse(refused, simple)
    if (!skip) return true
    for (;;) {
      const next = await held.messageEnd(0, readOn)
      const skipped = held.bytes[0]
      held.drop(next)
      if (skipped === client.terminate) return false
      if (skipped === client.sync) break
    }
    this.#line.ready()
    return true
  }
}
