import type { Govern, Session } from '@sallyport/core'
import type { Held } from './held.ts'
import type { Line } from './line.ts'
import type { Meaning } from './meaning.ts'
import { readPortalOfExecute } from './payload-digest.ts'
import { notSupported, refusedBy, type Refused } from './refusal.ts'
import { bindKeptBytesMax, portalsMax, readBindNames, readParse, statementsMax, type Portal, type Statement } from './statements.ts'
import { isCopyIn, readQueryText, wantBind, wantQuery } from './unit.ts'
import type { UnitRunner } from './unit-runner.ts'
import { client, headerBytes, reservedPrefix } from './wire.ts'

/** The client broke the protocol in a way after which its bytes can't be read any more. */
class Violation extends RangeError {}

/** Knows of each message of a client whether it may pass at once, and what to do with the one that may not. */
export class StatementDesk {
  #govern: Govern
  #session: Session
  #line: Line
  #meaning: Meaning
  #runner: UnitRunner
  /** What recall threw: the log or the kill switch says stop. */
  #stop: unknown = null
  #deciding: Promise<unknown> = Promise.resolve()

  constructor(govern: Govern, session: Session, line: Line, meaning: Meaning, runner: UnitRunner) {
    this.#govern = govern
    this.#session = session
    this.#line = line
    this.#meaning = meaning
    this.#runner = runner
  }

  /** Resolves when no statement is being decided. */
  async idle(): Promise<void> {
    await this.#deciding.catch(() => undefined)
  }

  /** True when the message may be forwarded now; it is then counted as forwarded. */
  passes(type: number, bytes: Buffer, at: number, next: number): boolean {
    const line = this.#line
    switch (type) {
      case client.query:
        return this.#passesQuery(bytes, at, next)
      case client.bind:
        return this.#passesBind(bytes, at, next)
      case client.execute:
        return this.#passesExecute(bytes, at, next)
      case client.sync:
        if (next !== at + headerBytes) return false
        line.flow.outstanding += 1
        line.endBatch()
        return true
      case client.parse:
        return this.#passesParse(bytes, at, next)
      case client.describe:
      case client.flush:
        line.touched = true
        return true
      case client.close:
        return this.#passesClose(bytes, at, next)
      default:
        return false
    }
  }

  #recalls(key: string | null): boolean {
    if (key === null || this.#runner.careful || this.#runner.stale) return false
    try {
      return this.#govern.recall(this.#session, key)
    } catch (error) {
      this.#stop = error
      return false
    }
  }

  #passesQuery(bytes: Buffer, at: number, next: number): boolean {
    const line = this.#line
    if (line.touched || bytes[next - 1] !== 0) return false
    if (!this.#recalls(this.#meaning.keys.write(bytes, at + headerBytes, next - 1))) return false
    line.statements.close('')
    line.flow.outstanding += 1
    line.endBatch()
    return true
  }

  #passesParse(bytes: Buffer, at: number, next: number): boolean {
    const parts = readParse(bytes, at, next)
    if (parts === null || parts.name.startsWith(reservedPrefix)) return false
    const line = this.#line
    if (line.statements.size >= statementsMax) return false
    const first = (bytes[parts.sqlAt] ?? 0) | 0x20
    const mayCopy = !(first >= 0x61 && first <= 0x7a) || first === 0x63
    if (mayCopy && isCopyIn(bytes.toString('utf8', parts.sqlAt, parts.sqlEnd))) return false
    const parsed = bytes.subarray(parts.sqlAt, next)
    const statement: Statement = {
      name: parts.name,
      // A name can live for long: its text must not keep a whole chunk alive.
      parsed: parts.name === '' ? parsed : Buffer.from(parsed),
      sqlBytes: parts.sqlEnd - parts.sqlAt,
      batch: line.batch,
      ordinal: line.parses,
      key: this.#meaning.keys.write(bytes, parts.sqlAt, parts.sqlEnd),
      keyEpoch: this.#meaning.epoch,
    }
    line.statements.parse(statement, line.flow.batchesDone)
    line.parses += 1
    line.touched = true
    return true
  }

  #keyOf(statement: Statement): string | null {
    if (statement.keyEpoch !== this.#meaning.epoch) {
      statement.key = this.#meaning.keys.write(statement.parsed, 0, statement.sqlBytes)
      statement.keyEpoch = this.#meaning.epoch
    }
    return statement.key
  }

  /** Same batch: an error skips the use too. Else its batch must be done, so that the registry is right. */
  #isSure(batch: number): boolean {
    return batch === this.#line.batch || this.#line.flow.batchesDone > batch
  }

  #passesBind(bytes: Buffer, at: number, next: number): boolean {
    const names = readBindNames(bytes, at, next)
    if (names === null || names.portal.startsWith(reservedPrefix)) return false
    const line = this.#line
    const statement = line.statements.get(names.statement)
    if (statement === undefined || !this.#isSure(statement.batch) || line.statements.portalCount >= portalsMax) return false
    if (!this.#recalls(this.#keyOf(statement))) return false
    const short = next - at <= bindKeptBytesMax
    const bind = !short ? null : names.portal === '' ? bytes.subarray(at, next) : Buffer.from(bytes.subarray(at, next))
    line.statements.bind(names.portal, { statement, batch: line.batch, kind: 'read', suspended: false, bind })
    line.touched = true
    return true
  }

  #passesExecute(bytes: Buffer, at: number, next: number): boolean {
    const line = this.#line
    const portal = line.statements.portal(readPortalOfExecute(bytes, at, next) ?? '\0')
    if (portal === undefined || portal.kind !== 'read' || !this.#isSure(portal.batch)) return false
    if (portal.batch !== line.batch && !this.#recalls(this.#keyOf(portal.statement))) return false
    line.executes += 1
    line.touched = true
    return true
  }

  #passesClose(bytes: Buffer, at: number, next: number): boolean {
    const name = bytes.toString('utf8', at + headerBytes + 1, next - 1)
    if (bytes[at + headerBytes] === 0x53) this.#line.statements.close(name)
    else this.#line.statements.closePortal(name)
    this.#line.touched = true
    return true
  }

  /** Decides the message at the head of `held`, with what belongs to it. False: the client ends the session. */
  async decide(held: Held, end: number, readOn: () => void): Promise<boolean> {
    const deciding = this.#decide(held, end, readOn)
    this.#deciding = deciding
    return deciding
  }

  async #decide(held: Held, end: number, readOn: () => void): Promise<boolean> {
    const type = held.bytes[0]
    if (this.#stop !== null) {
      const stopped = refusedBy(this.#stop)
      this.#stop = null
      return this.#refuse(stopped, held, end, readOn)
    }
    switch (type) {
      case client.terminate:
        // What was sent before it is answered before the backend goes.
        await this.#line.flow.quiet()
        return false
      case client.query:
        return this.#decideQuery(held, end, readOn)
      case client.parse:
        return this.#refuse(this.#whyNotParse(held.bytes, end), held, end, readOn)
      case client.bind:
        return this.#decideBind(held, end, readOn)
      case client.execute:
        return this.#decideExecute(held, end, readOn)
      case client.functionCall:
        return this.#refuse(notSupported('The function call message is not carried by this gate.', 'Call the function by SELECT.'), held, end, readOn)
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
    // A Query among extended messages would end their batch in the middle; no client of ours needs it, smugglers do.
    if (this.#line.touched) throw new Violation('a Query before Sync')
    const message = held.bytes.subarray(0, end)
    const text = readQueryText(message)
    if (text === null) return this.#refuse(unreadable('The text holds a zero byte or is not UTF-8.'), held, end, readOn)
    const key = this.#meaning.keys.write(message, headerBytes, end - 1)
    const refused = await this.#runner.run(wantQuery(message, text, key), held, end)
    return refused === null ? true : this.#afterRun(refused, held, end, true, readOn)
  }

  async #afterRun(refused: Refused, held: Held, end: number, simple: boolean, readOn: () => void): Promise<boolean> {
    if (!this.#runner.dropped) held.drop(end)
    return this.#say(refused, held, simple, readOn)
  }

  #whyNotParse(bytes: Buffer, end: number): Refused {
    const parts = readParse(bytes, 0, end)
    if (parts === null) return unreadable('The Parse message is malformed.')
    if (parts.name.startsWith(reservedPrefix)) return reserved(parts.name)
    if (this.#line.statements.size >= statementsMax) {
      return { code: 'too_large', message: `More than ${statementsMax} prepared statements.`, notDone: 'This one was not prepared.', next: 'Close statements that are no longer used.' }
    }
    return notSupported('COPY FROM STDIN is not carried by this gate yet.', 'Send rows by INSERT.')
  }

  async #decideBind(held: Held, bindEnd: number, readOn: () => void): Promise<boolean> {
    const line = this.#line
    const names = readBindNames(held.bytes, 0, bindEnd)
    if (names === null) return this.#refuse(unreadable('The Bind message is malformed.'), held, bindEnd, readOn)
    if (names.portal.startsWith(reservedPrefix)) return this.#refuse(reserved(names.portal), held, bindEnd, readOn)
    const before = line.statements.get(names.statement)
    if (before !== undefined && !this.#isSure(before.batch)) {
      // Its Parse is not answered yet: when it is, the walk decides anew.
      line.flushDeferred()
      await line.flow.quiet()
      return true
    }
    if (before === undefined) return this.#refuse(unknownName('prepared statement', names.statement, '26000'), held, bindEnd, readOn)
    if (line.statements.portalCount >= portalsMax) {
      if (!line.isIdle) return this.#refuse({ code: 'too_large', message: `More than ${portalsMax} portals.`, notDone: 'This one was not bound.', next: 'Close portals that are no longer used.' }, held, bindEnd, readOn)
      line.statements.forgetPortals()
    }
    const end = await this.#unitEnd(held, bindEnd, names.portal, readOn)
    const wanted = wantBind(held.bytes.subarray(0, end), bindEnd, names.valuesAt, names.portal, before, this.#keyOf(before))
    if (wanted === null) return this.#refuse(unreadable('The Bind message is malformed or the text is not UTF-8.'), held, end, readOn)
    const refused = await this.#runner.run(wanted, held, end)
    return refused === null ? true : this.#afterRun(refused, held, end, false, readOn)
  }

  /** Bind, Describes of its portal and its Execute are decided together; whatever else follows ends the unit. */
  async #unitEnd(held: Held, bindEnd: number, portal: string, readOn: () => void): Promise<number> {
    let at = bindEnd
    for (;;) {
      const end = await held.messageEnd(at, readOn)
      const type = held.bytes[at]
      if (type === client.execute) return readPortalOfExecute(held.bytes, at, end) === portal ? end : at
      const ownDescribe = type === client.describe && held.bytes[at + headerBytes] === 0x50 && held.bytes.toString('utf8', at + headerBytes + 1, end - 1) === portal
      if (!ownDescribe) return at
      at = end
    }
  }

  async #decideExecute(held: Held, end: number, readOn: () => void): Promise<boolean> {
    const line = this.#line
    const name = readPortalOfExecute(held.bytes, 0, end)
    if (name === null) return this.#refuse(unreadable('The Execute message is malformed.'), held, end, readOn)
    const portal = line.statements.portal(name)
    if (portal === undefined) return this.#refuse(unknownName('portal', name, '34000'), held, end, readOn)
    if (!this.#isSure(portal.batch)) {
      await line.flow.quiet()
      return true
    }
    if (portal.kind === 'cleared' && !portal.suspended) {
      return this.#refuse(notSupported('This portal has run.', 'Bind it again.'), held, end, readOn)
    }
    const refused = portal.kind === 'cleared' ? this.#mayContinue() : await this.#askAgain(portal)
    if (refused !== null) return this.#refuse(refused, held, end, readOn)
    line.forward(held.bytes.subarray(0, end))
    held.drop(end)
    line.executes += 1
    line.touched = true
    return true
  }

  /** A suspended portal that was cleared goes on: not a new run, but not after a kill either. */
  #mayContinue(): Refused | null {
    return this.#line.ended === null ? null : { code: 'killed', message: this.#line.ended, notDone: 'The portal was not run on.', next: 'Connect again.' }
  }

  /** The verdict on a bound read is no longer remembered: it is asked for again, over what was bound. */
  async #askAgain(portal: Portal): Promise<Refused | null> {
    const names = portal.bind === null ? null : readBindNames(portal.bind, 0, portal.bind.length)
    if (portal.bind === null || names === null) return notSupported('What was decided about this portal is no longer valid.', 'Bind it again.')
    const wanted = wantBind(portal.bind, portal.bind.length, names.valuesAt, names.portal, portal.statement, this.#keyOf(portal.statement))
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

function unreadable(what: string): Refused {
  return { code: 'protocol_violation', message: what, notDone: 'It was not sent upstream.', next: 'Report this to whoever wrote the client.' }
}

function reserved(name: string): Refused {
  return { code: 'not_supported', message: `The name ${JSON.stringify(name)} begins with ${reservedPrefix}, which the gate keeps for itself.`, notDone: 'Nothing was sent upstream.', next: 'Choose another name.' }
}

function unknownName(what: string, name: string, sqlState: string): Refused {
  return { code: 'unreadable', sqlState, message: `The gate knows no ${what} ${JSON.stringify(name.slice(0, 64))} of this session.`, notDone: 'It was not run.', next: 'Parse and bind it in this session, by the protocol.' }
}
