import type { Govern, Session } from '@sallyport/core'
import { controlsTransaction } from './fold.ts'
import { findForeignCredential, mayHoldPassword } from './foreign-credential.ts'
import type { Line } from './line.ts'
import type { Meaning } from './meaning.ts'
import { readPortalOfExecute } from './payload-digest.ts'
import {
  bindKeptBytesMax,
  portalsMax,
  readBindNames,
  readOwnTypes,
  readParse,
  statementsMax,
  type ParseParts,
  type Statement,
} from './statements.ts'
import type { UnitRunner } from './unit-runner.ts'
import { client, headerBytes, reservedPrefix } from './wire.ts'

/** Knows of each message of a client whether it may pass at once: remembered reads, and what runs nothing. */
export class FastPath {
  /** What recall threw: the log or the kill switch says stop. */
  stop: unknown = null
  /** What was not recalled last. */
  #missed: string | null = null
  #govern: Govern
  #session: Session
  #line: Line
  #meaning: Meaning
  #runner: UnitRunner

  constructor(govern: Govern, session: Session, line: Line, meaning: Meaning, runner: UnitRunner) {
    this.#govern = govern
    this.#session = session
    this.#line = line
    this.#meaning = meaning
    this.#runner = runner
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
        // Where statements of the batch are counted, the gate ends it.
        if (next !== at + headerBytes || line.isGathering) return false
        line.flow.outstanding += 1
        line.endBatch()
        return true
      case client.parse:
        return this.#passesParse(bytes, at, next)
      case client.describe:
        return this.#passesDescribe(bytes, at, next)
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
    return this.#isRead(key, (known) => {
      const isRecalled = this.#govern.recall(this.#session, known)
      this.#missed = isRecalled ? null : known
      return isRecalled
    })
  }

  /** Not null: what was refused last may pass once this resolves true, for the log was behind and nothing else was wrong. */
  catchUp(): Promise<boolean> | null {
    const key = this.#missed
    this.#missed = null
    if (key === null || this.stop !== null) return null
    try {
      const catching = this.#govern.catchUp(this.#session, key)
      return catching === null ? null : catching.then(() => true).catch(() => false)
    } catch {
      // A kill: whoever asks is told.
      return null
    }
  }

  #isRead(key: string | null, ask: (key: string) => boolean): boolean {
    if (key === null || this.#runner.careful || this.#runner.stale || this.#meaning.unsure) return false
    try {
      return ask(key)
    } catch (error) {
      this.stop = error
      return false
    }
  }

  #passesQuery(bytes: Buffer, at: number, next: number): boolean {
    const line = this.#line
    if (line.touched || line.isGathering || bytes[next - 1] !== 0) return false
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
    const sql = bytes.subarray(parts.sqlAt, parts.sqlEnd)
    // A Parse runs nothing, and all the same its bytes would arrive.
    if (mayHoldPassword(sql) && findForeignCredential(sql.toString('utf8'), []) !== null) return false
    const statement = this.makeStatement(parts, bytes, next, false)
    // Parsing can run code (a domain's CHECK over a literal) and takes locks: only what is known to read is shown to the server at once.
    if (!line.isSurelyFailed && !this.#isRead(statement.key, (key) => this.#govern.knows(this.#session, key))) return false
    line.parsed(statement)
    return true
  }

  makeStatement(parts: ParseParts, bytes: Buffer, next: number, withheld: boolean): Statement {
    const parsed = bytes.subarray(parts.sqlAt, next)
    return {
      name: parts.name,
      // A name can live for long: its text must not keep a whole chunk alive.
      parsed: parts.name === '' ? parsed : Buffer.from(parsed),
      sqlBytes: parts.sqlEnd - parts.sqlAt,
      batch: this.#line.batch,
      ordinal: this.#line.parses,
      withheld,
      // A verdict is remembered by the text, which does not say what checks the types of its parameters run.
      key:
        readOwnTypes(parsed, parts.sqlEnd - parts.sqlAt).length > 0
          ? null
          : this.#meaning.keys.write(bytes, parts.sqlAt, parts.sqlEnd),
      keyEpoch: this.#meaning.epoch,
    }
  }

  /** What the server holds in the place of a withheld statement has another description. */
  #passesDescribe(bytes: Buffer, at: number, next: number): boolean {
    const { statements } = this.#line
    const name = bytes.toString('utf8', at + headerBytes + 1, next - 1)
    if (bytes[at + headerBytes] === 0x53 && statements.get(name)?.withheld === true) return false
    if (bytes[at + headerBytes] === 0x50 && statements.portal(name)?.kind === 'withheld') return false
    this.#line.touched = true
    return true
  }

  keyOf(statement: Statement): string | null {
    const { epoch } = this.#meaning
    if (statement.keyEpoch !== epoch) {
      const hasOwnTypes = readOwnTypes(statement.parsed, statement.sqlBytes).length > 0
      statement.key = hasOwnTypes ? null : this.#meaning.keys.write(statement.parsed, 0, statement.sqlBytes)
      statement.keyEpoch = epoch
    }
    return statement.key
  }

  /** It could end the transaction in which statements of this batch are counted: also when it was bound before that began. */
  endsGathering({ parsed, sqlBytes }: Statement): boolean {
    return this.#line.isGathering && controlsTransaction(parsed.toString('utf8', 0, sqlBytes))
  }

  /** Same batch: an error skips the use too. Else its batch must be done, so that the registry is right. */
  isSure(batch: number): boolean {
    return batch === this.#line.batch || this.#line.flow.batchesDone > batch
  }

  #passesBind(bytes: Buffer, at: number, next: number): boolean {
    const names = readBindNames(bytes, at, next)
    if (names === null || names.portal.startsWith(reservedPrefix)) return false
    const line = this.#line
    const statement = line.statements.get(names.statement)
    if (
      statement === undefined ||
      statement.withheld ||
      this.endsGathering(statement) ||
      !this.isSure(statement.batch) ||
      line.statements.portalCount >= portalsMax
    )
      return false
    if (!this.#recalls(this.keyOf(statement))) return false
    const short = next - at <= bindKeptBytesMax
    const bind = !short ? null : names.portal === '' ? bytes.subarray(at, next) : Buffer.from(bytes.subarray(at, next))
    line.statements.bind(names.portal, { statement, batch: line.batch, kind: 'read', bind })
    line.touched = true
    return true
  }

  #passesExecute(bytes: Buffer, at: number, next: number): boolean {
    const line = this.#line
    const portal = line.statements.portal(readPortalOfExecute(bytes, at, next) ?? '\0')
    if (portal === undefined || portal.kind !== 'read' || !this.isSure(portal.batch)) return false
    if (this.endsGathering(portal.statement)) return false
    if (portal.batch !== line.batch && !this.#recalls(this.keyOf(portal.statement))) return false
    line.executes += 1
    line.touched = true
    return true
  }

  #passesClose(bytes: Buffer, at: number, next: number): boolean {
    const name = bytes.toString('utf8', at + headerBytes + 1, next - 1)
    if (bytes[at + headerBytes] === 0x53) this.#line.statements.close(name)
    else this.#line.statements.closePortal(name)
    this.#line.closes += 1
    this.#line.touched = true
    return true
  }
}
