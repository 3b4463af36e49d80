import { SallyportError, type Cleared, type Outcome } from '@sallyport/core'
import { notInside, type GateChannel } from './gate-channel.ts'
import type { Line } from './line.ts'
import { conclude } from './record.ts'
import type { SessionParts } from './session-parts.ts'
import { errorResponse, inTransaction, sqlStateOfError } from './wire.ts'

interface Kept {
  readonly cleared: Cleared
  readonly outcome: Outcome
}

/**
 * The transaction that a batch of several statements is for the server, as one that the gate began: no Sync of the gate's ends it, so that each statement can be
 * held and counted, and all of them last together when the client's Sync comes, or none does.
 */
export class CountedBatch {
  #parts: SessionParts
  #line: Line
  #channel: GateChannel
  /** What ran in it: whether it lasts is known when it ends. */
  #kept: Kept[] = []
  #committing = false

  constructor(parts: SessionParts, line: Line, channel: GateChannel) {
    this.#parts = parts
    this.#line = line
    this.#channel = channel
    parts.ending.addEventListener('abort', () => this.#abandon())
  }

  get isOpen(): boolean {
    return this.#line.isGathering
  }

  /** Begins it where nothing of the client's batch has run yet. */
  async begin(): Promise<void> {
    await this.#channel.query('BEGIN')
    this.#line.isGathering = true
  }

  /**
   * Where something ran since the client's last Sync: what ran is in a transaction that the gate's Sync would end and make last. BEGIN takes it over whole. An
   * agent's own BEGIN in the batch has done so already: then the transaction stays the agent's.
   */
  async takeOver(): Promise<void> {
    const line = this.#line
    // Answered when everything before is.
    await this.#channel.query('SELECT')
    const { block } = line.flow
    if (block === 'unsure') throw notInside()
    if (block === 'none') await this.#channel.query('BEGIN')
    line.isGathering = block === 'none'
    await line.settle(null)
    if (line.flow.status !== inTransaction)
      throw new SallyportError(
        'upstream_failed',
        'The upstream did not keep the transaction open that the batch is in.',
        'The statement was not run.',
        'Send Sync before this statement.',
      )
  }

  /** The outcome of a statement that ran in it. */
  keep(cleared: Cleared, outcome: Outcome): void {
    if (cleared.kind !== 'read') this.#kept.push({ cleared, outcome })
  }

  /** At the client's Sync: makes it last, and answers in the server's place. */
  async end(): Promise<void> {
    const line = this.#line
    await line.settle(null)
    if (line.flow.errored || line.flow.status !== inTransaction) await this.rollBack('an earlier statement of the batch failed')
    else await this.#commit()
    if (line.ended === null) line.ready()
  }

  async #commit(): Promise<void> {
    const line = this.#line
    this.#committing = true
    try {
      const ended = await this.#channel.attempt('COMMIT')
      line.isGathering = false
      const error = 'error' in ended ? ended.error : ended.tag === 'COMMIT' ? null : notCommitted
      if (error !== null) {
        line.flow.inject(error)
        line.flow.errored = true
      }
      await this.#conclude((outcome) =>
        error === null ? outcome : { result: 'failed', detail: `SQLSTATE ${sqlStateOfError(error)} at commit` },
      )
    } catch {
      const why = 'The connection broke at commit.'
      await this.#conclude(() => ({ result: 'unknown', detail: why }))
      this.#parts.end(why, 'upstream_failed')
    } finally {
      this.#committing = false
    }
  }

  /** Nothing of it lasts. The server is between two batches and listens. */
  async rollBack(why: string): Promise<void> {
    const line = this.#line
    if (!this.isOpen || line.ended !== null) return
    const { errored } = line.flow
    const { isSpoiled } = line
    // What failed has been told: the gate may speak on.
    line.flow.errored = false
    line.isSpoiled = false
    const ended = await this.#channel.attempt('ROLLBACK').catch(() => null)
    line.isGathering = false
    line.flow.errored ||= errored
    line.isSpoiled ||= isSpoiled
    await this.#conclude(() => ({ result: 'failed', detail: `rolled back: ${why}` }))
    if (ended === null || 'error' in ended)
      this.#parts.end('The transaction of a refused batch could not be rolled back.', 'upstream_failed')
  }

  async #conclude(say: (outcome: Outcome) => Outcome): Promise<void> {
    const kept = this.#kept
    this.#kept = []
    await Promise.all(kept.map(({ cleared, outcome }) => conclude(this.#parts, cleared, say(outcome))))
  }

  /** The connection went before the gate said COMMIT: the server rolls back by itself. */
  #abandon(): void {
    if (!this.#committing)
      void this.#conclude(() => ({ result: 'failed', detail: 'rolled back: the session ended before its Sync' }))
  }
}

const notCommitted = errorResponse({
  severity: 'ERROR',
  code: '25P02',
  message: 'The upstream rolled the batch back instead of committing it.',
})
