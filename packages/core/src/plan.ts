import { challengeOf, questionJson, type AccessRequest, type PlanStep, type Question } from './access-request.ts'
import { digestJson } from './canonical.ts'
import { SallyportError } from './error.ts'
import type { GovernPorts } from './govern-ports.ts'
import type { Grant } from './grant.ts'
import { questionBytesMax } from './inquiry.ts'
import type { Clock, Requests } from './ports.ts'
import { worstRequirement } from './question.ts'

/** Nobody reads a longer list with care, and all of them wait for people at once. */
export const stepsMax = 16
const stepsMin = 2

/** Requests of one agent that wait already, as one question: each is described and measured by then, and stays a request of its own. */
export function makePlanQuestion(members: readonly AccessRequest[], reason: string): Question {
  const [first] = members
  if (first === undefined) throw badPlan('A plan has no steps.')
  const questions = members.map(({ question }) => question)
  const fault = findFaultOfList(members)
  if (fault !== null) throw badPlan(fault)
  const steps = members.map(stepOf)
  const { subject, upstream, environment, approversFrom, policyHash } = first.question
  const question: Question = {
    digest: digestJson({
      v: 1,
      purpose: 'sallyport plan',
      subject: { ...subject },
      reason,
      steps: steps.map(({ challenge }) => challenge),
    }),
    subject,
    protocol: 'sallyport',
    upstream,
    environment,
    text: reason,
    bindValues: [],
    operations: questions.flatMap(({ operations }) => operations),
    rowsMax: null,
    copy: worstRequirement(questions.map(({ copy }) => copy)),
    approvalsNeeded: Math.max(...questions.map(({ approvalsNeeded }) => approvalsNeeded)),
    ...(approversFrom === undefined ? {} : { approversFrom }),
    delayMs: Math.max(...questions.map(({ delayMs }) => delayMs)),
    guards: [...new Set(questions.flatMap(({ guards }) => guards))].sort(),
    policyHash,
    steps,
  }
  if (Buffer.byteLength(JSON.stringify(questionJson(question))) > questionBytesMax)
    throw badPlan('This is more than a person can be asked to read at once.')
  return question
}

function findFaultOfList(members: readonly AccessRequest[]): string | null {
  if (members.length < stepsMin || members.length > stepsMax) return `A plan has ${stepsMin} to ${stepsMax} steps.`
  if (new Set(members.map(({ id }) => id)).size < members.length) return 'A plan names each request once.'
  const marks = members.map(({ question: { subject, upstream, approversFrom, policyHash } }) =>
    JSON.stringify([subject.agent, subject.owner, upstream, approversFrom ?? null, policyHash]),
  )
  if (new Set(marks).size > 1) return 'A plan is about one upstream, under one policy.'
  return members.some(({ question }) => question.protocol === 'sallyport')
    ? 'What asks for scope, or is a plan, is no step of a plan.'
    : null
}

function stepOf(member: AccessRequest): PlanStep {
  const { protocol, text, bindValues, operations, rowsMax, copy } = member.question
  const challenge = challengeOf(member, 'approve')
  return { request: member.id, challenge, protocol, text, bindValues, operationsCount: operations.length, rowsMax, copy }
}

function badPlan(what: string): SallyportError {
  return new SallyportError(
    'protocol_violation',
    what,
    'Nothing was asked of people.',
    'Name requests of this agent that wait for people, all on one upstream, in the order in which they are to run.',
  )
}

/** Why a yes to this plan would be to something else than its steps are now, in a sentence; null when it is not. */
export async function findPlanFault(
  { requests, clock }: { readonly requests: Pick<Requests, 'get'>; readonly clock: Clock },
  { question }: AccessRequest,
): Promise<string | null> {
  for (const [index, { request, challenge }] of (question.steps ?? []).entries()) {
    const member = await requests.get(request)
    const isOpen = member?.state === 'pending' && member.expiresAtMs > clock.nowMs()
    if (member === null || !(isOpen || member.state === 'approved'))
      return `Step ${index + 1} has ended; the agent has to declare its plan anew.`
    if (challengeOf(member, 'approve') !== challenge)
      return `Step ${index + 1} is another question than the plan shows; the agent has to declare its plan anew.`
  }
  return null
}

/** Whether a step may run now. */
export type Turn =
  | { readonly turn: 'now' }
  /** Not yet: in a sentence, why. */
  | { readonly turn: 'later'; readonly why: string }
  | { readonly turn: 'never'; readonly why: string }

/** In its order, each after the one before it succeeded, and only while the plan stands. */
export async function findTurn({ requests }: { readonly requests: Requests }, grant: Grant): Promise<Turn> {
  if (grant.plan === null) return { turn: 'now' }
  const plan = await requests.get(grant.plan)
  const steps = plan?.question.steps ?? []
  const own = steps.findIndex(({ request }) => request === grant.request)
  // Approved ahead: it stands while that stands.
  if (plan?.question.ahead !== undefined)
    return plan.state === 'approved' ? { turn: 'now' } : { turn: 'never', why: `its approval ahead was ${plan.state}` }
  if (plan === null || own < 0) return { turn: 'never', why: 'its plan is not known' }
  if (plan.state !== 'approved') return { turn: 'never', why: `its plan was ${plan.state}` }
  for (const [index, { request }] of steps.slice(0, own).entries()) {
    const before = await grantOf(requests, request)
    if (before === null || before.state === 'open')
      return { turn: 'later', why: `It is step ${own + 1} of a plan, and step ${index + 1} has not run.` }
    if (before.state === 'void') return { turn: 'never', why: `step ${index + 1} of its plan will not run` }
    if (!before.settled)
      return { turn: 'later', why: `It is step ${own + 1} of a plan, and what came of step ${index + 1} is not known yet.` }
  }
  return { turn: 'now' }
}

async function grantOf(requests: Requests, id: string): Promise<Grant | null> {
  const member = await requests.get(id)
  if (member === null) return null
  const { subject, digest } = member.question
  const grant = await requests.findGrant(subject.agent, digest)
  return grant?.request === id ? grant : null
}

/** A step that did not succeed ends its plan: what comes after it was approved as coming after it. */
export async function endPlanAfter(
  { requests, log, clock }: Pick<GovernPorts, 'requests' | 'log' | 'clock'>,
  grant: Grant,
  why: string,
): Promise<void> {
  const plan = grant.plan === null ? null : await requests.get(grant.plan)
  const steps = plan?.question.steps ?? []
  const own = steps.findIndex(({ request }) => request === grant.request)
  for (const { request } of own < 0 ? [] : steps.slice(own + 1)) {
    const later = await grantOf(requests, request)
    if (later?.state !== 'open' || later.plan !== grant.plan) continue
    const data = { grant: later.id, request, why }
    await log.append({ type: 'grant.void', atMs: clock.nowMs(), agent: later.agent, data })
    await requests.voidGrant(later.id)
  }
}
