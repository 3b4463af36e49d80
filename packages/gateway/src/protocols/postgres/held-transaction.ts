import { SallyportError } from '@sallyport/core'
import type { CountedBatch } from './counted-batch.ts'
import type { GateChannel } from './gate-channel.ts'
import type { Line } from './line.ts'
import { errorResponse, inTransaction, makeReservedName } from './wire.ts'

/** The transaction in which locks for a statement are taken, the statement runs and its rows are counted. */
export class HeldTransaction {
  /** `gate`: the gate began it and must end it. `agent`: a savepoint, in the agent's own or in that of a batch. */
  kind: 'none' | 'gate' | 'agent' = 'none'
  #line: Line
  #channel: GateChannel
  #savepoint = makeReservedName()

  #batch: CountedBatch

  constructor(line: Line, channel: GateChannel, batch: CountedBatch) {
    this.#batch = batch
    this.#line = line
    this.#channel = channel
  }

  /** `statement`: it is a transaction of its own. `batch`: what the client sends until Sync is one. */
  async hold(sql: string, unit: 'statement' | 'batch'): Promise<void> {
    if (this.kind === 'none') await this.#begin(unit)
    if (sql !== '') await this.#channel.query(sql)
  }

  async #begin(unit: 'statement' | 'batch'): Promise<void> {
    const place = await this.#line.enter()
    if (place === 'inside') await this.#batch.takeOver()
    if (this.#line.isFailed) {
      throw new SallyportError(
        'not_supported',
        'The transaction is aborted.',
        'The statement was not run.',
        'Send ROLLBACK first.',
      )
    }
    if (this.#line.isIdle && unit === 'statement') {
      await this.#channel.query('BEGIN')
      this.kind = 'gate'
      return
    }
    if (this.#line.isIdle) await this.#batch.begin()
    await this.#channel.query(`SAVEPOINT ${this.#savepoint}`)
    this.kind = 'agent'
  }

  /** Makes what ran last, or gives the server's error. In the agent's own transaction it lasts when the agent commits. */
  async finish(): Promise<{ readonly error: Buffer } | null> {
    const kind = this.kind
    this.kind = 'none'
    if (kind === 'none') return null
    const ended = await this.#channel.attempt(kind === 'gate' ? 'COMMIT' : `RELEASE SAVEPOINT ${this.#savepoint}`)
    if ('error' in ended) return ended
    if (kind === 'agent' || ended.tag === 'COMMIT') return null
    return {
      error: errorResponse({
        severity: 'ERROR',
        code: '25P02',
        message: 'The upstream rolled the statement back instead of committing it.',
      }),
    }
  }

  /** False when what ran ended the transaction that was to hold it: nothing it did can be undone or counted any more. */
  get isIntact(): boolean {
    return this.kind === 'none' || this.#line.flow.status === inTransaction
  }

  /** Undoes it all. An agent's own transaction stays open; whoever refuses aborts it. */
  async rollBack(): Promise<void> {
    const kind = this.kind
    this.kind = 'none'
    if (kind === 'none' || this.#line.ended !== null) return
    const ended = await this.#channel.attempt(kind === 'gate' ? 'ROLLBACK' : `ROLLBACK TO SAVEPOINT ${this.#savepoint}`)
    if (kind === 'gate' && 'error' in ended)
      throw new SallyportError('upstream_failed', 'A ROLLBACK failed.', 'The transaction may be open.', 'Connect again.')
  }
}

/**
 * Whether a Query may run inside a transaction that the gate owns: not when it could end that transaction itself. Words are looked for in the
 * raw text, so a comment or a quote can only make this refuse more.
 */
export function mayRunHeld(text: string): boolean {
  const control = /\b(begin|commit|end|rollback|abort|start|savepoint|release|prepare)\b/i
  const several = /;\s*\S/.test(text)
  return several
    ? !control.test(text)
    : !/^\W*(begin|commit|end|rollback|abort|start|savepoint|release|prepare\s+transaction)\b/i.test(text)
}
