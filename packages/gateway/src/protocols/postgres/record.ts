import type { Cleared, Outcome } from '@sallyport/core'
import { refusedBy } from './refusal.ts'
import type { Ran } from './ran.ts'
import type { SessionParts } from './session-parts.ts'

/** Every cleared statement gets exactly one outcome on the log; a log that can't take it ends the session. */
export async function conclude(parts: SessionParts, cleared: Cleared, outcome: Outcome): Promise<void> {
  const concluding = parts.gate.govern.conclude(cleared.clearance, outcome)
  parts.pending.add(concluding)
  try {
    await concluding
  } catch (error) {
    parts.end('The outcome of a statement could not be written to the log.', refusedBy(error).code)
  } finally {
    parts.pending.delete(concluding)
  }
}

export function outcomeOf(ran: Ran): Outcome {
  switch (ran.result) {
    case 'completed':
      return {
        result: 'succeeded',
        ...(ran.rows === undefined ? {} : { rows: ran.rows }),
        ...(ran.suspended ? { detail: 'stopped at its row limit' } : {}),
      }
    case 'failed':
      return {
        result: 'failed',
        detail: ran.skipped ? 'not run: an earlier statement of the batch failed' : `SQLSTATE ${ran.sqlState}`,
      }
    case 'broken':
      return { result: 'unknown', detail: 'the connection ended before the upstream answered' }
  }
}
