import type { FastPath } from './fast-path.ts'
import type { Held } from './held.ts'
import type { Line } from './line.ts'
import { notSupported, refusedBy, unreadable, type Refused } from './refusal.ts'
import { readBindNames, readResultFormats, withheldBytesMax, type Portal, type Statement } from './statements.ts'
import { carry, wantBind, type Wanted } from './unit.ts'
import type { UnitRunner } from './unit-runner.ts'
import { bindCompleteMessage } from './wire.ts'

/**
 * Bind of what is no plain read, whose Execute does not stand right behind it: what is bound is decided together with its run, so the server sees
 * Bind when the client sends Execute. Until then the gate answers for it.
 */
export class WithheldBinds {
  #line: Line
  #runner: UnitRunner
  #fast: FastPath

  constructor(line: Line, runner: UnitRunner, fast: FastPath) {
    this.#line = line
    this.#runner = runner
    this.#fast = fast
  }

  /** Tells the client that it is bound. Null: it was. */
  async withhold(bind: Buffer, portal: string, statement: Statement): Promise<Refused | null> {
    const { statements } = this.#line
    if (statements.withheldBytes + bind.length > withheldBytesMax)
      return {
        code: 'too_large',
        message: `More than ${withheldBytesMax} bytes are bound and not executed.`,
        notDone: 'This was not bound.',
        next: 'Send Execute right after Bind.',
      }
    const failed = await this.#runner.answered().then(() => null, refusedBy)
    if (failed !== null) return failed
    statements.bind(portal, { statement, batch: this.#line.batch, kind: 'withheld', bind: Buffer.from(bind) })
    this.#line.flow.inject(bindCompleteMessage)
    this.#line.touched = true
    return null
  }

  /** Null: Describe was answered. */
  async describe({ bind, statement }: Portal): Promise<Refused | null> {
    const names = bind === null ? null : readBindNames(bind, 0, bind.length)
    if (bind === null || names === null) return unreadable('The portal can no longer be read.')
    const described = await this.#runner.preparation.describeBound(statement, readResultFormats(bind, names.valuesAt))
    if (!Buffer.isBuffer(described)) return described
    const failed = await this.#runner.answered().then(() => null, refusedBy)
    if (failed !== null) return failed
    this.#line.flow.inject(described)
    this.#line.touched = true
    return null
  }

  /** At its Execute, which is at the head of `held`: puts its Bind back before that. The whole is decided as if it had come so. */
  async unite(held: Held, name: string): Promise<Wanted | Refused> {
    // An end of its transaction, sent before, may be on its way.
    const failed = await this.#runner.answered().then(() => null, refusedBy)
    if (failed !== null) return failed
    const portal = this.#line.statements.portal(name)
    const bind = portal?.bind ?? null
    const names = bind === null ? null : readBindNames(bind, 0, bind.length)
    if (portal === undefined || bind === null || names === null)
      return notSupported('The portal ended with its transaction.', 'Bind it again.')
    // The statement may have got its text, or another, by a run in between.
    const { statement } = portal
    const now = this.#line.statements.get(statement.name)
    const carried = now !== undefined && now.parsed.equals(statement.parsed) ? carry(now) : undefined
    if (carried === undefined)
      return notSupported('The statement of this portal is there no longer.', 'Prepare and bind it again.')
    const key = this.#fast.keyOf(statement)
    held.prepend(bind)
    const end = bind.length + 1 + held.bytes.readInt32BE(bind.length + 1)
    const unit = held.bytes.subarray(0, end)
    const wanted = wantBind(unit, bind.length, names.valuesAt, names.portal, statement, key, statement.keyEpoch, carried)
    return wanted === null ? unreadable('The portal can no longer be read.') : { ...wanted, isBound: true }
  }
}
