import { SallyportError } from './error.ts'
import type { Grant } from './grant.ts'
import type { GovernPorts } from './govern-ports.ts'
import type { ResolvedOperation } from './operation.ts'
import { noteEvent, type Passage } from './passage.ts'
import { findTurn } from './plan.ts'
import { targetsOf } from './question.ts'

/** The open grant for exactly this, or null. One that no longer fits what it was given for is void, for good and on the log. */
export async function findUsableGrant(
  ports: GovernPorts,
  passage: Passage,
  operations: readonly ResolvedOperation[],
  digest: string,
): Promise<Grant | null> {
  const grant = await ports.requests.findGrant(passage.asked.session.subject.agent, digest)
  if (grant === null || grant.state !== 'open') return null
  const nowMs = ports.clock.nowMs()
  const misfit = findMisfit(passage, operations, grant, nowMs)
  if (misfit !== null) {
    await voidGrant(ports, passage, grant, misfit)
    return null
  }
  if (grant.notBeforeMs > nowMs) return null
  const turn = await findTurn(ports, grant)
  switch (turn.turn) {
    case 'now':
      return grant
    case 'later':
      throw new SallyportError(
        'clearance_invalid',
        turn.why,
        'Nothing was run.',
        'Run the steps one after the other, in their order.',
      )
    case 'never':
      await voidGrant(ports, passage, grant, turn.why)
      return null
  }
}

function findMisfit(passage: Passage, operations: readonly ResolvedOperation[], grant: Grant, nowMs: number): string | null {
  if (grant.expiresAtMs <= nowMs) return 'it expired'
  if (grant.policyHash !== passage.policy.hash) return 'the policy changed'
  if (grant.upstream !== passage.asked.upstream.name) return 'it is for another upstream'
  if (JSON.stringify(grant.targets) !== JSON.stringify(targetsOf(operations))) return 'the target changed'
  return null
}

export async function voidGrant(ports: GovernPorts, passage: Passage, grant: Grant, why: string): Promise<void> {
  await noteEvent(ports, passage, 'grant.void', { grant: grant.id, request: grant.request, why })
  await ports.requests.voidGrant(grant.id)
}
