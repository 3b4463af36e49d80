import { z } from 'zod'
import type { AccessRequest, Approval } from './access-request.ts'
import type { Json } from './canonical.ts'
import type { Event, EventType } from './event.ts'
import { endPlanAfter } from './plan.ts'
import { applyVerdict, approveSteps, findFault, type VerdictPorts } from './verdict.ts'

/** What a start found of the run before it, and did about it. */
export interface Recovery {
  /** Intents without an outcome: they may have run. Never retried; each got an outcome `unknown`. */
  readonly unknown: readonly string[]
  /** Approvals that had been taken for a run whose intent never became durable: given back, since nothing ran. */
  readonly givenBack: readonly string[]
  /** Verdicts that were on the log but not yet in the store: applied. */
  readonly applied: readonly string[]
}

const json: z.ZodType<Json> = z.lazy(() =>
  z.union([z.null(), z.boolean(), z.number(), z.string(), z.array(json), z.record(z.string(), json)]),
)
const approvalData: z.ZodType<Approval> = z.object({
  person: z.string(),
  verdict: z.enum(['approve', 'reject']),
  atMs: z.number(),
  challenge: z.string(),
  credentialId: z.string(),
  evidence: json,
  reason: z.string(),
  conditions: z.object({ rowsMax: z.number().nullable(), notBeforeMs: z.number().nullable() }).exactOptional(),
  breakGlass: z.literal(true).exactOptional(),
  method: z.literal('totp').exactOptional(),
})
const verdictData = z.object({ request: z.string(), approval: approvalData })
const intentData = z.object({ intent: z.string(), grant: z.string().nullish(), request: z.string().nullish() })
const endData = z.object({ request: z.string() })
/** After one of these no verdict before it counts any more. */
const ends: readonly EventType[] = ['request.rejected', 'request.cancelled', 'request.expired', 'grant.void']

/**
 * Brings store and log together after a crash (DESIGN §3, clear): consumed without intent is given back, intent without outcome is `unknown`.
 * @param events the log since the start of the run before; nothing else may append meanwhile
 */
export async function recover(ports: VerdictPorts, events: AsyncIterable<Event>): Promise<Recovery> {
  const open = new Map<string, Event>()
  /** Requests whose run did not succeed, as far as the log says. */
  const unsuccessful = new Set<string>()
  const asked = new Map<string, string>()
  const intents = new Set<string>()
  const grants = new Map<string, string>()
  const over = new Set<string>()
  const verdicts: { request: string; approval: Approval }[] = []
  for await (const event of events) {
    if (event.type === 'intent') {
      const { intent, grant, request } = intentData.parse(event.data)
      if (request) over.add(request)
      if (request) asked.set(intent, request)
      intents.add(intent)
      if (grant) grants.set(grant, intent)
      open.set(intent, event)
    }
    if (event.type === 'outcome') {
      const { intent } = intentData.parse(event.data)
      open.delete(intent)
      if (event.data['result'] !== 'succeeded') unsuccessful.add(asked.get(intent) ?? '')
    }
    if (ends.includes(event.type)) over.add(endData.parse(event.data).request)
    if (event.type === 'verdict') verdicts.push(verdictData.parse(event.data))
  }
  await useUp(ports, grants)
  // Before anything is settled: a step that is settled lets the next one run.
  for (const intent of open.keys()) unsuccessful.add(asked.get(intent) ?? '')
  for (const request of unsuccessful) await endPlanOf(ports, request)
  const givenBack = await giveBack(ports, intents)
  const unknown = [...open.keys()]
  for (const [intent, event] of open) {
    await ports.log.append({
      type: 'outcome',
      atMs: ports.clock.nowMs(),
      ...(event.session === undefined ? {} : { session: event.session }),
      ...(event.agent === undefined ? {} : { agent: event.agent }),
      data: {
        intent,
        result: 'unknown',
        detail: 'the gate stopped before it knew; look at the upstream before doing it again',
        snapshot: event.data['snapshot'] ?? null,
      },
    })
  }
  return { unknown, givenBack, applied: await applyAgain(ports, verdicts, over) }
}

/** This step failed, or nobody knows what came of it: those after it do not run. */
async function endPlanOf(ports: VerdictPorts, request: string): Promise<void> {
  const question = (await ports.requests.get(request))?.question
  const grant = question === undefined ? null : await ports.requests.findGrant(question.subject.agent, question.digest)
  if (grant?.request === request && grant !== null)
    await endPlanAfter(ports, grant, 'a step before it did not succeed, or nobody knows')
}

/** A store from an older disk image must not bring used approvals back: the log says they were used. */
async function useUp(ports: VerdictPorts, grants: ReadonlyMap<string, string>): Promise<void> {
  for (const [grant, intent] of grants) await ports.requests.consume(grant, intent)
}

async function giveBack(ports: VerdictPorts, intents: ReadonlySet<string>): Promise<readonly string[]> {
  const back: string[] = []
  for (const grant of await ports.requests.consumedGrants()) {
    if (grant.intent !== null && intents.has(grant.intent)) {
      await ports.requests.settle(grant.id)
      continue
    }
    await ports.log.append({
      type: 'grant.returned',
      atMs: ports.clock.nowMs(),
      agent: grant.agent,
      data: { grant: grant.id, request: grant.request, why: 'the gate stopped before its intent was durable; nothing ran' },
    })
    await ports.requests.giveBack(grant.id)
    back.push(grant.id)
  }
  return back
}

/** A store from an older disk image may still wait for what was approved and run, or ended, long ago: the log says so, and no new grant is made. */
async function applyAgain(
  ports: VerdictPorts,
  verdicts: readonly { request: string; approval: Approval }[],
  over: ReadonlySet<string>,
): Promise<readonly string[]> {
  const applied: string[] = []
  for (const { request: id, approval } of verdicts) {
    if (over.has(id)) continue
    const request = await ports.requests.get(id)
    if (request === null || request.state !== 'pending') continue
    if (request.question.steps?.some((step) => over.has(step.request)) || !(await isStillGood(ports, request, approval))) continue
    const result = await applyVerdict(ports, request, approval)
    if (result.result === 'recorded') applied.push(id)
  }
  for (const id of new Set(verdicts.map(({ request }) => request))) await finishPlan(ports, id, over)
  return applied
}

/** A plan that was approved when the gate stopped, and not all of its steps. */
async function finishPlan(ports: VerdictPorts, id: string, over: ReadonlySet<string>): Promise<void> {
  const plan = await ports.requests.get(id)
  if (plan?.question.steps === undefined || plan.state !== 'approved') return
  const grant = await ports.requests.findGrant(plan.question.subject.agent, plan.question.digest)
  if (grant?.request === id && grant.state === 'open') await approveSteps(ports, plan, grant, (request) => over.has(request))
}

/** Time went by, and policy, mode or people may be others now. What the store has of this very verdict already is no second one. */
async function isStillGood(ports: VerdictPorts, request: AccessRequest, approval: Approval): Promise<boolean> {
  const others = request.approvals.filter(
    ({ challenge, credentialId }) => challenge !== approval.challenge || credentialId !== approval.credentialId,
  )
  return (await findFault(ports, { ...request, approvals: others }, approval)) === null
}
