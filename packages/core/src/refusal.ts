import type { AccessRequest } from './access-request.ts'
import type { Refusal } from './asked.ts'
import type { Deny } from './decide.ts'
import { SallyportError } from './error.ts'

export function killedError(why: string): SallyportError {
  return new SallyportError(
    'killed',
    `Stopped by the kill switch: ${why}.`,
    'Nothing was sent upstream.',
    'Wait until a person releases it.',
  )
}

/** People said no, or the question ended without an answer, which is a no. */
export function refuseEnded(request: AccessRequest, url: string): Refusal {
  const by = request.endedBy ?? 'nobody'
  const message =
    request.state === 'rejected'
      ? `${by} rejected this.`
      : request.state === 'cancelled'
        ? `${by} cancelled this.`
        : 'Nobody answered in time, and no answer is a no.'
  return {
    outcome: 'refused',
    code: request.state === 'expired' ? 'approval_expired' : 'approval_rejected',
    message,
    notDone: 'Nothing was run.',
    next: `Do not try again as it is; find out why first: ${url}`,
    requestId: request.id,
    requestUrl: url,
    guards: request.question.guards,
  }
}

export function refuseForError(error: unknown): Refusal {
  if (error instanceof SallyportError) {
    return { outcome: 'refused', code: error.code, message: error.message, notDone: error.notDone, next: error.next, guards: [] }
  }
  return {
    outcome: 'refused',
    code: 'internal',
    message: 'The gate failed while it looked at this request.',
    notDone: 'Nothing was sent upstream.',
    next: "Try again; if it repeats, look into the gate's own log.",
    guards: [],
  }
}

export function noConnector(name: string): SallyportError {
  const next = 'Report this: it is a defect of the gate.'
  return new SallyportError('internal', `No connector is called ${name}.`, 'Nothing was sent upstream.', next)
}

export function notInFlight(): SallyportError {
  const next = 'Report this: it is a defect of the gate.'
  return new SallyportError('clearance_invalid', 'This clearance is not in flight.', 'Nothing was committed.', next)
}

/** The client did not wait any longer, or the delay is not over: the question stays open. */
export function refusePending(request: AccessRequest, url: string, denial: Deny): Refusal {
  const due =
    request.notBeforeMs === null ? '' : ` It is approved and may run from ${new Date(request.notBeforeMs).toISOString()}.`
  return {
    outcome: 'refused',
    code: 'approval_required',
    message: `${denial.message}${due}`,
    notDone: 'Nothing was run.',
    next: `People are asked at ${url} (request ${request.id}). Send exactly the same again once it is approved.`,
    requestId: request.id,
    requestUrl: url,
    guards: denial.reasons.map(({ id }) => id),
  }
}
