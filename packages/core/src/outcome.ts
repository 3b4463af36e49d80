import type { Outcome } from './asked.ts'
import type { GovernPorts } from './govern-ports.ts'
import type { Grant } from './grant.ts'
import { noteEvent, type Passage } from './passage.ts'
import { endPlanAfter } from './plan.ts'
import type { Snapshot } from './snapshot.ts'

/** What was taken for a run: the approval it used up, and the copy that protects it. */
export interface Taken {
  readonly grant: Grant | null
  readonly snapshot: Snapshot | null
}

/** What came of an intent: on the log first. Then its approval is done with, and a plan goes on, or ends here. */
export async function noteOutcome(
  ports: GovernPorts,
  passage: Passage,
  intent: string,
  outcome: Outcome,
  { grant, snapshot }: Taken,
): Promise<void> {
  const detail = outcome.detail === undefined ? {} : { detail: outcome.detail.slice(0, 500) }
  const rows = outcome.result === 'succeeded' && outcome.rows !== undefined ? { rows: outcome.rows } : {}
  await noteEvent(ports, passage, 'outcome', {
    ...detail,
    intent,
    result: outcome.result,
    ...rows,
    snapshot: snapshot?.id ?? null,
  })
  if (grant === null) return
  // The run is over, whatever the store says to this: a start settles what is left, and until then no later step of its plan runs.
  try {
    if (outcome.result !== 'succeeded') await endPlanAfter(ports, grant, `a step before it ${outcome.result}`)
    await ports.requests.settle(grant.id)
  } catch {}
}
