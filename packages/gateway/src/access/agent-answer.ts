import type { AccessRequest, AgentAnswer, Clock } from '@sallyport/core'

/** What an agent is told of a request of its own, and what to do next. */
export function describe(
  { clock, requestUrl }: { readonly clock: Clock; readonly requestUrl: (id: string) => string },
  request: AccessRequest,
): AgentAnswer {
  const { question } = request
  const state = stateOf(request, clock.nowMs())
  return {
    id: request.id,
    state,
    summary: question.operations
      .slice(0, 5)
      .map(({ action, resources }) =>
        `${action} ${resources
          .slice(0, 5)
          .map(({ name }) => name)
          .join(', ')}`.trim(),
      )
      .join('; '),
    upstream: question.upstream,
    createdAtMs: request.createdAtMs,
    expiresAtMs: request.expiresAtMs,
    approvalsGiven: request.approvals.filter(({ verdict }) => verdict === 'approve').length,
    approvalsNeeded: question.approvalsNeeded,
    notBeforeMs: request.notBeforeMs,
    reasons: request.approvals.flatMap(({ verdict, reason }) => (verdict === 'reject' && reason !== '' ? [reason] : [])),
    url: requestUrl(request.id),
    next: question.steps === undefined || state !== 'approved' ? nextOf(state) : planNext,
  }
}

function stateOf(request: AccessRequest, nowMs: number): AgentAnswer['state'] {
  if (request.state === 'pending' && request.expiresAtMs <= nowMs) return 'expired'
  if (request.state === 'approved' && (request.notBeforeMs ?? 0) > nowMs) return 'waiting_for_its_time'
  return request.state
}

function nextOf(state: AgentAnswer['state']): string {
  switch (state) {
    case 'pending':
      return 'Wait: people have not decided. Ask here again with ?wait=SECONDS, or send exactly the same once it is approved.'
    case 'approved':
      return 'Send exactly the same again now; it runs once.'
    case 'waiting_for_its_time':
      return 'It is approved. Send exactly the same again after notBefore; anybody can cancel it until then.'
    case 'rejected':
      return 'It was refused. Do not ask the same again; read the reasons, and do something else.'
    case 'expired':
      return 'Nobody answered in time, which is a no for now. Send it again if it still matters.'
    case 'cancelled':
      return 'It was cancelled and will not run. Ask your owner before you try again.'
  }
}

const planNext =
  'Send each of its steps again now, one after the other, in their order; each runs once, and one that fails ends the plan.'
