import type { Cleared, Upstream } from '@sallyport/core'
import type { HeldTransaction } from './held-transaction.ts'
import type { CountedBatch } from './counted-batch.ts'
import type { Line } from './line.ts'
import { conclude, outcomeOf } from './record.ts'
import { refusedBy, skipped, type Refused } from './refusal.ts'
import type { Ran } from './ran.ts'
import { heldBytesMax } from './held-back.ts'
import type { SessionParts } from './session-parts.ts'
import { server, sqlStateOfError } from './wire.ts'

/** What happens between the end of a held statement and the client's answer: count, then commit or roll back. */
export class HeldRun {
  #parts: SessionParts
  #line: Line
  #transaction: HeldTransaction
  #batch: CountedBatch
  #upstream: Upstream

  constructor(parts: SessionParts, line: Line, transaction: HeldTransaction, batch: CountedBatch, upstream: Upstream) {
    this.#parts = parts
    this.#line = line
    this.#transaction = transaction
    this.#batch = batch
    this.#upstream = upstream
  }

  /** `synced`: the client's Sync was sent along, or it sent none: it waits for ReadyForQuery. */
  async finish(cleared: Cleared, ran: Ran, synced: boolean): Promise<Refused | null> {
    const line = this.#line
    if (ran.result === 'broken') {
      await conclude(this.#parts, cleared, outcomeOf(ran))
      return null
    }
    const answer = line.flow.release()
    // What failed is held back with the rest: the gate may speak on.
    line.flow.errored = false
    if (ran.result === 'failed') {
      if (this.#transaction.kind === 'gate') await this.rollBack()
      this.#transaction.kind = 'none'
      await conclude(this.#parts, cleared, outcomeOf(ran))
      return this.#answer(answer ?? [], true, synced)
    }
    if (!this.#transaction.isIntact) return this.#lost(cleared, 'The statement ended the transaction that held it.')
    const refused = await this.#settle(cleared, answer === null)
    if (refused !== null) {
      await this.rollBack()
      await conclude(this.#parts, cleared, { result: 'failed', detail: `rolled back: ${refused.code}` })
      // A Parse is not undone by the rollback: the client has to know that the statement is there.
      for (const message of answer ?? []) if (message[0] === server.parseComplete) line.toClient(message)
      return refused
    }
    const ended = await this.#transaction.finish().catch(() => 'broken' as const)
    if (ended === 'broken') return this.#lost(cleared, 'The connection broke at commit.')
    if (ended === null && this.#batch.isOpen) this.#batch.keep(cleared, outcomeOf(ran))
    else
      await conclude(
        this.#parts,
        cleared,
        ended === null ? outcomeOf(ran) : { result: 'failed', detail: `SQLSTATE ${sqlStateOfError(ended.error)} at commit` },
      )
    return ended === null ? this.#answer(answer ?? [], false, synced) : this.#answer([ended.error], true, synced)
  }

  /** Nobody can tell any more whether it lasts: said so on the log, and the session ends. */
  async #lost(cleared: Cleared, why: string): Promise<null> {
    this.#transaction.kind = 'none'
    await conclude(this.#parts, cleared, { result: 'unknown', detail: why })
    this.#parts.end(why, 'upstream_failed')
    return null
  }

  /** A transaction of the gate's that can't be ended would hold locks, and take the agent's next statements in: then the session ends. */
  async rollBack(): Promise<void> {
    if (this.#transaction.kind === 'none' || this.#line.ended !== null) return
    try {
      await this.#transaction.rollBack()
    } catch {
      this.#parts.end('The transaction of a refused statement could not be rolled back.', 'upstream_failed')
    }
  }

  async #settle(cleared: Cleared, tooMuch: boolean): Promise<Refused | null> {
    if (tooMuch) {
      const message = `The statement answered with more than ${heldBytesMax} bytes before its rows were counted.`
      return {
        code: 'too_large',
        message,
        notDone: 'It was rolled back.',
        next: 'Leave RETURNING out, or change fewer rows at a time.',
      }
    }
    if (!cleared.counted) return null
    try {
      return await this.#parts.gate.govern.settle(cleared.clearance, this.#upstream)
    } catch (error) {
      return { ...refusedBy(error), notDone: 'The statement was rolled back.' }
    }
  }

  /** Gives the client what was held back, and ReadyForQuery in the server's place where it waits for that. */
  async #answer(messages: readonly Buffer[], failed: boolean, synced: boolean): Promise<Refused | null> {
    if (messages.length > 0) this.#line.toClient(Buffer.concat(messages))
    this.#line.flow.errored ||= failed
    if (synced && this.#batch.isOpen) await this.#batch.end()
    else if (synced) this.#line.ready()
    else if (failed) {
      await this.#batch.rollBack('one of its statements failed')
      // The gate's own Sync made the server listen again.
      return skipped
    }
    return null
  }
}
