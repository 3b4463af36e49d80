import {
  makePlanQuestion,
  stepsMax,
  visibleLine,
  type AccessRequest,
  type AgentAnswer,
  type DeclaredPlan,
  type Handle,
  type KillSwitch,
} from '@sallyport/core'
import { describe } from './agent-answer.ts'
import { notGiven, openQuestion, type OpeningPorts } from './opening.ts'

export interface PlanPorts extends OpeningPorts {
  readonly killSwitch: Pick<KillSwitch, 'stopped'>
  readonly policyHash: () => string
  readonly isAgent: (agent: string) => boolean
  readonly requestUrl: (id: string) => string
}

const reasonMax = 500

/** Requests that wait already, asked about at once: people give one verdict on all of it, and anything else asks anew. @throws SallyportError */
export async function declarePlan(ports: PlanPorts, handle: Handle, plan: DeclaredPlan): Promise<AgentAnswer> {
  checkPlan(ports, handle, plan)
  const members = await Promise.all(plan.requests.map((id) => findMember(ports, handle, id)))
  const question = makePlanQuestion(members, plan.reason)
  const { upstream } = question
  const stopped = ports.killSwitch.stopped(handle.agent, handle.owner, '', upstream)
  if (stopped !== null) throw notGiven('killed', `Stopped by the kill switch: ${stopped}.`, 'Wait until a person releases it.')
  const found = await ports.requests.findByDigest(handle.agent, question.digest)
  const isOpen = found?.state === 'pending' && found.expiresAtMs > ports.clock.nowMs()
  if (found !== null && (isOpen || found.state === 'approved')) return describe(ports, found)
  // It cannot outlast its steps.
  const endsAtMs = Math.min(...members.map(({ expiresAtMs }) => expiresAtMs))
  return describe(ports, await openQuestion(ports, handle, question, endsAtMs))
}

function checkPlan({ isAgent }: PlanPorts, handle: Handle, { requests, reason }: DeclaredPlan): void {
  if (handle.narrowing)
    throw notGiven('not_in_scope', 'A narrowed handle declares no plan.', 'Declare it with the handle that it was narrowed from.')
  if (!isAgent(handle.agent)) throw notGiven('not_in_scope', 'This agent is no longer configured.', 'Ask its owner.')
  if (requests.length > stepsMax)
    throw notGiven('protocol_violation', `A plan has at most ${stepsMax} steps.`, 'Declare a shorter one.')
  if (reason.trim() === '' || reason.length > reasonMax || visibleLine(reason) !== reason)
    throw notGiven(
      'protocol_violation',
      `A reason of one line and at most ${reasonMax} characters is needed: people read it.`,
      'Say what the plan is for.',
    )
}

async function findMember(ports: PlanPorts, { agent, owner }: Handle, id: string): Promise<AccessRequest> {
  const found = await ports.requests.get(id)
  const subject = found?.question.subject
  if (found === null || subject?.agent !== agent || subject.owner !== owner)
    throw notGiven('not_in_scope', `This agent has no request ${id}.`, 'Name requests that refusals named.')
  if (found.state === 'approved') return found
  if (found.state !== 'pending' || found.expiresAtMs <= ports.clock.nowMs())
    throw notGiven('target_changed', `Request ${id} has ended.`, 'Send that operation again, and name the request it opens.')
  if (found.question.policyHash !== ports.policyHash())
    throw notGiven('target_changed', `The policy changed since ${id} was asked.`, 'Send that operation again.')
  return found
}
