import type { AccessRequest, Question } from './access-request.ts'
import { digestJson } from './canonical.ts'
import { isByCode } from './code-approval.ts'
import { SallyportError } from './error.ts'
import type { GovernPorts } from './govern-ports.ts'
import type { Quorum } from './approver.ts'
import { targetsOf } from './question.ts'
import { approve } from './one-use-grant.ts'

/** Said yes to so often, by people and in so many days, before it may be approved ahead. */
const yesesMin = 5
const withinMs = 30 * 86_400_000
export const aheadMsMax = 7 * 86_400_000
export const aheadUsesMax = 50

/** What ask of what destroys and of an outage where a copy, or time, undoes it. Another guard asks for a reason that nobody here knows. */
const guardsAhead: readonly string[] = [
  'destroy-needs-person',
  'destroy-needs-proven-copy',
  'disrupt-needs-person',
  'owner-alone-waits',
]

/** Of an approval ahead of one digest: there is one question about it at a time. */
export function aheadDigestOf(digest: string): string {
  return digestJson({ v: 1, purpose: 'sallyport approval ahead', digest })
}

/** Why this is asked each time, whoever says yes how often; null: people may approve it ahead. */
export function findAheadFault({ protocol, steps, operations, copy, guards, rowsMax }: Question): string | null {
  if (protocol === 'sallyport' || steps !== undefined) return 'More scope, and a plan, are asked each time.'
  if (operations.length === 0) return 'What the gate cannot read is asked each time.'
  for (const { kind, reversible, resources } of operations) {
    if (kind === 'escalate' || kind === 'unknown') return `What is ${kind} is asked each time.`
    const isCopied = kind === 'destroy' && (copy === 'rows' || copy === 'tables')
    if (!reversible && !isCopied) return 'What no copy puts back is decided each time.'
    if (kind === 'destroy' && rowsMax === null) return 'Its rows were not always counted.'
    if (resources.length === 0 || resources.some(({ identity }) => identity === null))
      return 'Nobody can say which things exactly it touches.'
  }
  return guards.every((guard) => guardsAhead.includes(guard)) ? null : 'Another guard asks here than those that a copy satisfies.'
}

/** What a person asks for of the others. */
export interface AheadWanted {
  readonly uses: number
  readonly forMs: number
}

/** The requests whose plain yeses an approval ahead may stand on: all about one digest, answered by passkeys. @param all of any kind */
export function findYeses(all: readonly AccessRequest[], digest: string, nowMs: number): readonly AccessRequest[] | null {
  const alike = all.filter(({ question, createdAtMs }) => question.digest === digest && createdAtMs >= nowMs - withinMs)
  // What an approval ahead, or a plan, let run was looked at by nobody: it is neither a yes nor a no.
  const decided = alike.filter(
    ({ state, approvals, expiresAtMs }) =>
      !(state === 'pending' && expiresAtMs > nowMs) && !(state === 'approved' && approvals.length === 0),
  )
  return decided.length >= yesesMin && decided.every(isPlainYes) ? decided : null
}

function isPlainYes({ state, approvals }: AccessRequest): boolean {
  return (
    state === 'approved' &&
    approvals.every(
      (one) => one.verdict === 'approve' && one.conditions === undefined && one.breakGlass === undefined && !isByCode(one),
    )
  )
}

interface AheadSettings {
  readonly mode: 'solo' | 'team'
  readonly coolOffMs: number
  readonly quorum: Quorum | null
  readonly policyHash: string
}

/** The question whether exactly this may run so often without being asked: itself a widening, never milder than what it stands for. @throws SallyportError */
export function makeAheadQuestion(
  yeses: readonly AccessRequest[],
  { uses, forMs }: AheadWanted,
  { mode, coolOffMs, quorum, policyHash }: AheadSettings,
): Question {
  // As it is now: of a thing that is another by now nobody said yes to anything.
  const newest = yeses.toSorted((left, right) => left.createdAtMs - right.createdAtMs).at(-1)
  if (newest === undefined) throw notAhead('Nobody said yes to this.')
  const { question } = newest
  const fault = findAheadFault(question)
  if (fault !== null) throw notAhead(fault)
  if (!Number.isSafeInteger(uses) || uses < 1 || uses > aheadUsesMax) throw notAhead(`It is for 1 to ${aheadUsesMax} times.`)
  if (!Number.isSafeInteger(forMs) || forMs < 3_600_000 || forMs > aheadMsMax) throw notAhead('It is for an hour to 7 days.')
  const bounds = yeses.map(({ question: { rowsMax } }) => rowsMax ?? 0)
  const hours = Math.round(forMs / 3_600_000)
  return {
    digest: aheadDigestOf(question.digest),
    subject: question.subject,
    protocol: 'sallyport',
    upstream: question.upstream,
    environment: question.environment,
    text: question.text,
    bindValues: question.bindValues,
    operations: question.operations.map((operation) => ({
      ...operation,
      action: 'sallyport.approve_ahead',
      kind: 'escalate',
      reversible: true,
      why: `Exactly this (${operation.action}), up to ${uses} times within ${hours} hours, without asking again. ${operation.why}`.slice(
        0,
        1000,
      ),
    })),
    rowsMax: question.rowsMax === null ? null : Math.max(...bounds),
    copy: question.copy,
    approvalsNeeded: Math.max(mode === 'team' ? 2 : 1, question.approvalsNeeded, quorum?.count ?? 1),
    ...(quorum === null ? {} : { approversFrom: quorum.group }),
    delayMs: mode === 'team' ? 0 : coolOffMs,
    guards: ['widening-needs-people'],
    policyHash,
    ahead: { digest: question.digest, uses, forMs },
  }
}

function notAhead(what: string): SallyportError {
  return new SallyportError('refused_by_guard', what, 'Nothing was asked of people.', 'Answer it each time.')
}

/** Until when an approval ahead stands; null: it does not, or not yet. Its own grant is never used up: whatever voids grants ends it. */
export async function findAheadEnd(
  requests: Pick<GovernPorts['requests'], 'findGrant'>,
  { id, question, state, notBeforeMs }: AccessRequest,
  policyHash: string,
  nowMs: number,
): Promise<number | null> {
  const { ahead } = question
  if (ahead === undefined || state !== 'approved' || notBeforeMs === null || question.policyHash !== policyHash) return null
  const endsMs = notBeforeMs + ahead.forMs
  if (notBeforeMs > nowMs || endsMs <= nowMs) return null
  const grant = await requests.findGrant(question.subject.agent, question.digest)
  return grant?.request === id && grant.state === 'open' ? endsMs : null
}

/** A new question that people approved ahead is answered by that, once for each use of it. Otherwise it is as it was. */
export async function answerAhead(ports: GovernPorts, request: AccessRequest, policyHash: string): Promise<AccessRequest> {
  const { requests, clock, log, ahead: uses } = ports
  const { question } = request
  if (uses === undefined || findAheadFault(question) !== null) return request
  const { agent } = question.subject
  const found = await requests.findByDigest(agent, aheadDigestOf(question.digest))
  const nowMs = clock.nowMs()
  const endsMs = found === null ? null : await findAheadEnd(requests, found, policyHash, nowMs)
  if (found === null || endsMs === null || found.question.ahead?.digest !== question.digest) return request
  if (!isSameTargets(question, found.question)) return request
  if ((question.rowsMax ?? 0) > (found.question.rowsMax ?? 0)) return request
  if (question.approvalsNeeded > found.question.approvalsNeeded) return request
  const grant = await requests.findGrant(agent, found.question.digest)
  if (grant === null) return request
  if (!(await uses.use(found.id, found.question.ahead.uses, endsMs))) {
    // Over before its time: people can be asked for another.
    await log.append({
      type: 'grant.void',
      atMs: nowMs,
      agent,
      data: { grant: grant.id, request: found.id, why: 'it was used up' },
    })
    await requests.voidGrant(grant.id)
    return request
  }
  const approved = {
    approvers: grant.approvers,
    // The delay that anybody can cancel is each use's own.
    notBeforeMs: nowMs + question.delayMs,
    rowsMax: question.rowsMax,
    plan: found.id,
  }
  await approve({ ...ports, grantMs: uses.grantMs }, request, approved, {
    ahead: found.id,
  })
  return (await requests.get(request.id)) ?? request
}

/** A digest does not hold the shape of a table: another one is another question. */
function isSameTargets(left: Question, right: Question): boolean {
  return JSON.stringify(targetsOf(left.operations)) === JSON.stringify(targetsOf(right.operations))
}
