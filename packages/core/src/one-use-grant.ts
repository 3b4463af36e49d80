import type { AccessRequest } from './access-request.ts'
import type { Event } from './event.ts'
import type { Grant } from './grant.ts'
import type { Clock, Log, Randomness, Requests } from './ports.ts'
import { targetsOf } from './question.ts'

interface GrantPorts {
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  readonly requests: Requests
  /** How long an approved request may wait to be run, counted from its notBefore. */
  readonly grantMs: number
}

type Approved = Pick<Grant, 'approvers' | 'notBeforeMs' | 'rowsMax' | 'plan'>

/** In the store, and then on the log. False: it is not pending any more. */
export async function approve(
  { clock, random, requests, log, grantMs }: GrantPorts,
  request: AccessRequest,
  approved: Approved,
  more: Event['data'] = {},
): Promise<boolean> {
  const { subject, digest, upstream, policyHash, operations } = request.question
  const expiresAtMs = approved.notBeforeMs + grantMs
  const grant: Grant = {
    id: random.hex(16),
    request: request.id,
    agent: subject.agent,
    digest,
    upstream,
    policyHash,
    targets: targetsOf(operations),
    ...approved,
    expiresAtMs,
    state: 'open',
    settled: false,
    intent: null,
  }
  const { approvers, notBeforeMs, rowsMax, plan } = approved
  if (!(await requests.approve(request.id, notBeforeMs, grant))) return false
  const said = { request: request.id, grant: grant.id, digest, approvers, notBeforeMs, expiresAtMs, rowsMax }
  const data = { ...said, ...(plan !== null && { plan }), ...more }
  await log.append({ type: 'request.approved', atMs: clock.nowMs(), session: request.session, agent: grant.agent, data })
  return true
}
