import { timingSafeEqual } from 'node:crypto'
import { challengeOf, codeChallengeOf, type AccessRequest, type Approval } from './access-request.ts'
import { findGlassFault, type Glass } from './break-glass.ts'
import { boundsOf, findConditionFault } from './condition.ts'
import { countApprovers, isMember, isSamePerson, type Quorum } from './approver.ts'
import type { Json } from './canonical.ts'
import { findCodeFault, isByCode, withoutWeakCodes, type CodeRule } from './code-approval.ts'
import type { Grant } from './grant.ts'
import { approve } from './one-use-grant.ts'
import type { Clock, Log, Randomness, Requests } from './ports.ts'
import { findPlanFault } from './plan.ts'

export interface VerdictPorts {
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  readonly requests: Requests
  readonly policyHash: () => string
  readonly mode: () => 'solo' | 'team'
  /** Whether somebody is enrolled under this name now: what a person who was removed signed counts no longer. */
  readonly isEnrolled: (person: string) => Promise<boolean>
  /** Whose verdicts count for an upstream, where not everybody's do. */
  readonly quorumOf: (upstream: string) => Quorum | null | Promise<Quorum | null>
  /** Absent: nobody may break glass. */
  readonly glass?: Glass
  /** What a one-time code may approve. Absent or null: nothing. */
  readonly codeRule?: () => CodeRule | null
  /** How long an approved request may wait to be run, counted from its notBefore. */
  readonly grantMs: number
}

export type VerdictResult =
  | {
      readonly result: 'recorded'
      readonly state: AccessRequest['state']
      readonly approvalsMissing: number
      readonly notBeforeMs: number | null
    }
  | { readonly result: 'refused'; readonly why: string }

/**
 * Records one person's verdict, whose signature was verified by the caller over exactly `challengeOf(request, verdict)`.
 * The verdict is durable on the log before it counts. One rejection ends the request; anything odd about an approval refuses it.
 */
export async function giveVerdict(ports: VerdictPorts, requestId: string, approval: Approval): Promise<VerdictResult> {
  const request = await ports.requests.get(requestId)
  const fault = (await findFault(ports, request, approval)) ?? (await findLateFault(ports, request, approval))
  if (fault !== null || request === null) {
    const why = fault ?? 'There is no such request.'
    await ports.log.append({
      type: 'verdict.refused',
      atMs: ports.clock.nowMs(),
      data: { request: requestId, person: approval.person, why },
    })
    return { result: 'refused', why }
  }
  await ports.log.append({
    type: 'verdict',
    atMs: ports.clock.nowMs(),
    session: request.session,
    agent: request.question.subject.agent,
    data: { request: request.id, digest: request.question.digest, approval: approvalJson(approval) },
  })
  if (approval.breakGlass === true) await ringGlass(ports, request, approval)
  return applyVerdict(ports, request, approval)
}

/** The store's half of a verdict that is on the log; a restart applies it again when the gate died in between. */
export async function applyVerdict(ports: VerdictPorts, request: AccessRequest, approval: Approval): Promise<VerdictResult> {
  if (approval.verdict === 'reject') {
    // Kept with its reason, which the agent is told. Whoever had approved before has a verdict already: what ends the request is this one all the same.
    await ports.requests.addApproval(request.id, approval)
    const ended = await ports.requests.end(request.id, ['pending', 'approved'], 'rejected', approval.person)
    if (!ended) return { result: 'refused', why: 'The request had already ended.' }
    await ports.log.append({
      type: 'request.rejected',
      atMs: ports.clock.nowMs(),
      session: request.session,
      data: { request: request.id, by: approval.person },
    })
    await endSteps(ports, request, 'rejected', approval.person)
    return { result: 'recorded', state: 'rejected', approvalsMissing: 0, notBeforeMs: null }
  }
  if (!(await ports.isEnrolled(approval.person))) return { result: 'refused', why: 'This person is no longer enrolled.' }
  const fault = await findLateFault(ports, request, approval)
  if (fault !== null) return { result: 'refused', why: fault }
  const stored = request.approvals.some(
    ({ challenge, credentialId }) => challenge === approval.challenge && credentialId === approval.credentialId,
  )
  if (!stored && !(await ports.requests.addApproval(request.id, approval)))
    return { result: 'refused', why: 'This person has given a verdict already, or the request has ended.' }
  const current = await ports.requests.get(request.id)
  if (current === null || current.state !== 'pending') return { result: 'refused', why: 'The request has ended.' }
  const { question } = current
  if (approval.breakGlass === true) return breakGlass(ports, current, approval)
  const names = await namesThatCount(ports, current)
  const { counted } = countApprovers(names, question.subject.owner, ports.mode())
  const missing = Math.max(0, question.approvalsNeeded - counted)
  if (missing > 0) return { result: 'recorded', state: 'pending', approvalsMissing: missing, notBeforeMs: null }
  return finishApproval(ports, current, names)
}

async function namesThatCount(
  { isEnrolled, quorumOf, codeRule }: VerdictPorts,
  { approvals, question }: AccessRequest,
): Promise<readonly string[]> {
  const quorum = await quorumOf(question.upstream)
  const able = approvals.filter(({ verdict, person }) => verdict === 'approve' && (quorum === null || isMember(quorum, person)))
  const enrolled = await Promise.all(able.map(({ person }) => isEnrolled(person)))
  const standing = able.filter((_approval, index) => enrolled[index])
  return withoutWeakCodes(codeRule?.() ?? null, question, standing).map(({ person }) => person)
}

/** What has to be looked up: who may break glass now, and whether a plan's steps still are what it shows. */
async function findLateFault(ports: VerdictPorts, request: AccessRequest | null, approval: Approval): Promise<string | null> {
  if (request === null) return null
  const fault = approval.verdict === 'reject' ? null : await findPlanFault(ports, request)
  return fault ?? (approval.breakGlass === true ? findGlassFault(ports.glass, request, approval) : null)
}

/** On the log and to everybody who is told, before it counts. */
async function ringGlass({ log, clock }: VerdictPorts, request: AccessRequest, { person, reason }: Approval): Promise<void> {
  const { agent, owner } = request.question.subject
  const why = `${person} broke glass for what ${agent} asked: ${reason === '' ? 'no reason given' : reason}`
  const data = { kind: 'break_glass', request: request.id, person, owner, why }
  await log.append({ type: 'alarm', atMs: clock.nowMs(), session: request.session, agent, data })
}

/** One person instead of several: where several were needed, the delay stands for the others, and anybody can cancel until then. */
async function breakGlass(ports: VerdictPorts, request: AccessRequest, { person, atMs }: Approval): Promise<VerdictResult> {
  const { subject, approvalsNeeded } = request.question
  const delayMs = approvalsNeeded > 1 ? (ports.glass?.delayMs() ?? 0) : 0
  const late = await ports.glass?.broken({ request: request.id, person, agent: subject.agent, owner: subject.owner, atMs })
  if (typeof late === 'string') return { result: 'refused', why: late }
  return finishApproval(ports, request, [person], delayMs)
}

async function finishApproval(
  ports: VerdictPorts,
  request: AccessRequest,
  approvers: readonly string[],
  delayMs = 0,
): Promise<VerdictResult> {
  const bounds = boundsOf(request, approvers, ports.clock.nowMs())
  const notBeforeMs = Math.max(bounds.notBeforeMs, ports.clock.nowMs() + delayMs)
  if (
    !(await approve(
      ports,
      request,
      { approvers, notBeforeMs, rowsMax: bounds.rowsMax, plan: null },
      byCodeOf(request, approvers),
    ))
  )
    return { result: 'refused', why: 'The request has ended.' }
  await approveSteps(ports, request, { approvers, notBeforeMs })
  return { result: 'recorded', state: 'approved', approvalsMissing: 0, notBeforeMs }
}

/** Those of them who signed nothing. */
function byCodeOf({ approvals }: AccessRequest, approvers: readonly string[]): { readonly byCode?: readonly string[] } {
  const byCode = approvals.filter((one) => isByCode(one) && approvers.includes(one.person)).map(({ person }) => person)
  return byCode.length === 0 ? {} : { byCode }
}

/**
 * The steps of a plan that is approved, each with a one-use grant of its own.
 * @param isOver what ended or ran already, by the log: it gets none
 */
export async function approveSteps(
  ports: VerdictPorts,
  { id, question }: AccessRequest,
  { approvers, notBeforeMs }: Pick<Grant, 'approvers' | 'notBeforeMs'>,
  isOver: (request: string) => boolean = () => false,
): Promise<void> {
  for (const { request } of question.steps ?? []) {
    const member = isOver(request) ? null : await ports.requests.get(request)
    if (member?.state !== 'pending') continue
    await approve(ports, member, { approvers, notBeforeMs, rowsMax: member.question.rowsMax, plan: id })
  }
}

/** A no to a plan is a no to each of its steps. */
async function endSteps(
  { requests, log, clock }: Pick<VerdictPorts, 'clock' | 'log' | 'requests'>,
  { question }: AccessRequest,
  state: 'rejected' | 'cancelled',
  by: string,
): Promise<void> {
  for (const { request } of question.steps ?? []) {
    if (!(await requests.end(request, ['pending', 'approved'], state, by))) continue
    await log.append({ type: `request.${state}`, atMs: clock.nowMs(), data: { request, by } })
  }
}

/** Why this verdict on this request does not count now; null when it does. Asked when it is given, and again when a restart finds it on the log. */
export async function findFault(
  ports: Pick<VerdictPorts, 'clock' | 'policyHash' | 'mode' | 'quorumOf' | 'codeRule'>,
  request: AccessRequest | null,
  approval: Approval,
): Promise<string | null> {
  if (request === null) return 'There is no such request.'
  if (request.state !== 'pending' && !(approval.verdict === 'reject' && request.state === 'approved'))
    return `The request is ${request.state}.`
  if (request.expiresAtMs <= ports.clock.nowMs() && approval.verdict === 'approve') return 'The request has expired.'
  if (!isEqual(approval.challenge, expectedOf(request, approval)))
    return 'The signature is over something else than this request and this verdict.'
  if (isByCode(approval)) {
    const fault = isPlainYes(approval) ? findCodeFault(ports.codeRule?.() ?? null, request.question) : 'A code says a plain yes.'
    if (fault !== null) return fault
  }
  if (approval.verdict === 'reject') return approval.conditions === undefined ? null : 'A no has no conditions.'
  const { question } = request
  if (question.policyHash !== ports.policyHash()) return 'The policy changed since this was asked; the agent has to ask again.'
  if (isSamePerson(approval.person, question.subject.agent)) return 'An agent approves nothing.'
  if (ports.mode() === 'team' && isSamePerson(approval.person, question.subject.owner))
    return 'You own this agent; in team mode somebody else has to approve what it asks.'
  const quorum = await ports.quorumOf(question.upstream)
  if (quorum !== null && approval.breakGlass !== true && !isMember(quorum, approval.person))
    return `Only people of the group "${quorum.group}" approve what is asked of ${question.upstream}.`
  if (request.approvals.some(({ person }) => isSamePerson(person, approval.person))) return 'You have given your verdict already.'
  return findConditionFault(question, approval.conditions, ports.clock.nowMs())
}

function expectedOf(request: AccessRequest, approval: Approval): string {
  return isByCode(approval)
    ? codeChallengeOf(request)
    : challengeOf(request, approval.verdict, approval.conditions, approval.breakGlass)
}

/** Conditions and broken glass are signed; what is not signed could be anybody's. A no takes a passkey, or is a cancellation. */
function isPlainYes({ verdict, conditions, breakGlass }: Approval): boolean {
  return verdict === 'approve' && conditions === undefined && breakGlass === undefined
}

/** Anyone in the group may cancel what is pending, or approved and not yet run. */
export async function cancelRequest(
  ports: Pick<VerdictPorts, 'clock' | 'log' | 'requests'>,
  requestId: string,
  by: string,
): Promise<boolean> {
  const request = await ports.requests.get(requestId)
  if (request === null) return false
  if (!(await ports.requests.end(requestId, ['pending', 'approved'], 'cancelled', by))) return false
  await ports.log.append({
    type: 'request.cancelled',
    atMs: ports.clock.nowMs(),
    session: request.session,
    data: { request: requestId, by },
  })
  await endSteps(ports, request, 'cancelled', by)
  return true
}

export function approvalJson(approval: Approval): Json {
  const { person, verdict, atMs, challenge, credentialId, evidence, reason, conditions, breakGlass, method } = approval
  const plain = { person, verdict, atMs, challenge, credentialId, evidence, reason }
  return {
    ...plain,
    ...(conditions === undefined ? {} : { conditions: { ...conditions } }),
    ...(breakGlass === undefined ? {} : { breakGlass }),
    ...(method === undefined ? {} : { method }),
  }
}

function isEqual(left: string, right: string): boolean {
  const one = Buffer.from(left)
  const other = Buffer.from(right)
  return one.length === other.length && timingSafeEqual(one, other)
}
