import type { DecisionFacts } from './decide.ts'
import type { Grant } from './grant.ts'
import type { GovernPorts } from './govern-ports.ts'
import type { ResolvedOperation } from './operation.ts'
import type { Passage } from './passage.ts'

/** Everything that decide may look at besides the operations, as it is now. */
export async function gatherFacts(
  ports: GovernPorts,
  passage: Passage,
  operations: readonly ResolvedOperation[],
  grant: Grant | null,
  copyProven: boolean,
): Promise<DecisionFacts> {
  const { session, upstream } = passage.asked
  const { mode, windowMs, rowsWithoutPrompt, coolOffMs, quorumOf } = ports.settings()
  const counted = operations.some(({ copy }) => copy.kind === 'rows')
  return {
    upstream: upstream.name,
    environment: upstream.environment,
    mode,
    approvers: grant?.approvers ?? [],
    delayed: grant !== null && grant.notBeforeMs <= ports.clock.nowMs(),
    copyProven,
    restorePoint: upstream.access.kind === 'sql' && typeof ports.protection?.state(upstream.name)?.provenAtMs === 'number',
    rowsSpent: counted ? await ports.budgets.spent(session.subject.owner, upstream.name, windowMs) : 0,
    rowsWithoutPrompt,
    drilled: await ports.restorePoints.isDrilled(upstream.name),
    coolOffMs,
    glassBroken: grant !== null && (await wasGlassBroken(ports, grant)),
    quorum: (await quorumOf?.(upstream.name)) ?? null,
    granted: passage.standing.scopes,
    within: session.narrowing?.scopes ?? null,
  }
}

async function wasGlassBroken({ requests }: GovernPorts, grant: Grant): Promise<boolean> {
  return (await requests.get(grant.request))?.approvals.some(({ breakGlass }) => breakGlass === true) === true
}
