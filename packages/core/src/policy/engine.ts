import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { digestJson } from '../canonical.ts'
import type { ImpactKind } from '../impact.ts'
import type { Environment } from '../operation.ts'
import { type Guard, guardText, obligations, shippedGuards, shippedGuardText } from './guards.ts'
import { policySchema } from './schema.ts'
import { compileScope, type Scope } from './scope.ts'

/** What a policy may look at, for one operation. Whole numbers only, capped at 2^53-1. */
export interface Facts {
  readonly action: string
  readonly reversible: boolean
  readonly copy: string
  readonly copyProven: boolean
  readonly undoable: boolean
  readonly rowsCounted: boolean
  readonly rowsInWindow: number
  readonly rowsWithoutPrompt: number
  readonly approvals: number
  readonly delayed: boolean
  readonly ownerAlone: boolean
  /** A restore point before it stands in for a copy. */
  readonly restorePoint: boolean
  /** False where configuration demands a restore point whose drill passed lately enough, and there is none. */
  readonly drilled: boolean
}

export interface PolicyRequest {
  readonly agent: string
  readonly owner: string
  readonly upstream: string
  readonly environment: Environment
  readonly kind: ImpactKind
  readonly facts: Facts
}

export interface Verdict {
  readonly inScope: boolean
  /** Guards that forbid, sorted by id. */
  readonly forbidding: readonly Guard[]
  /** Any error of any policy is a denial. */
  readonly errors: readonly string[]
}

interface GuardPolicy {
  readonly guard: Guard
  readonly text: string
}

const shippedPolicies: readonly GuardPolicy[] = shippedGuards.map((shipped) => {
  const { id, why, obligation } = shipped
  return { guard: { id, why, obligation }, text: guardText(shipped) }
})

/** Verdicts remembered by everything they depend on: the engine never changes, and neither does what it says of one request. */
const verdictsMax = 4_096

export interface AgentScope {
  readonly agent: string
  readonly scopes: readonly Scope[]
}

/** The policies in force. Immutable; a change makes a new one with another hash. */
export interface PolicyEngine {
  /** SHA-256 over everything that decides: guards, schema, every agent's scope. On the log and in every approval. */
  readonly hash: string
  readonly guards: readonly Guard[]
  evaluate(request: PolicyRequest): Verdict
}

/**
 * Parses, validates and pre-parses the policies.
 * @param extraGuards Cedar text of further `forbid` policies from configuration; a `permit` in it is an error
 * @throws Error naming the policy and the fault; nothing is in force then
 */
export function createPolicyEngine(agents: readonly AgentScope[], extraGuards = ''): PolicyEngine {
  const hasExtra = extraGuards.trim() !== ''
  const guardPolicies = [...shippedPolicies, ...(hasExtra ? splitPolicies(extraGuards) : [])]
  const guards = new Map(guardPolicies.map(({ guard }) => [guard.id, guard]))
  if (guards.size !== guardPolicies.length) throw new Error('policy: two guards have the same @id')
  // The shipped ones by themselves are validated by a test: it would take a tenth of a second at every start.
  if (hasExtra) validateGuards(Object.fromEntries(guardPolicies.map(({ guard, text }) => [guard.id, text])))
  const scopeTexts = agents.map(({ agent, scopes }) => ({ agent, text: compileScope(agent, scopes) }))
  const hash = digestJson({
    schema: policySchema,
    guards: `${shippedGuardText}\n${extraGuards}`,
    scopes: scopeTexts.map(({ agent, text }) => [agent, text]),
  })
  const guardSet: Record<string, string> = { base: 'permit (principal, action, resource);' }
  for (const { guard, text } of guardPolicies) guardSet[guard.id] = text
  preparse(`${hash}:guards`, guardSet)
  for (const { agent, text } of scopeTexts) preparse(`${hash}:scope:${agent}`, text)
  const known = new Set(agents.map(({ agent }) => agent))
  const verdicts = new Map<string, Verdict>()
  return {
    hash,
    guards: [...guards.values()],
    evaluate: (request) => {
      const key = JSON.stringify(request)
      const remembered = verdicts.get(key)
      if (remembered !== undefined) return remembered
      const verdict = evaluate(hash, known, guards, request)
      if (verdicts.size >= verdictsMax) verdicts.clear()
      verdicts.set(key, verdict)
      return verdict
    },
  }
}

function splitPolicies(text: string): readonly GuardPolicy[] {
  const parts = cedar.policySetTextToParts(text)
  if (parts.type === 'failure') throw new Error(`policy: ${parts.errors.map(({ message }) => message).join('; ')}`)
  if (parts.policy_templates.length > 0) throw new Error('policy: templates are not allowed among guards')
  return parts.policies.map((policy) => ({ text: policy, guard: readGuard(policy) }))
}

function readGuard(text: string): Guard {
  const parsed = cedar.policyToJson(text)
  if (parsed.type === 'failure') throw new Error(`policy: ${parsed.errors.map(({ message }) => message).join('; ')}`)
  const { effect, annotations } = parsed.json
  const id = annotations?.['id']
  if (effect !== 'forbid') throw new Error(`policy: guards are "forbid … unless"; ${id ?? 'one without @id'} is a permit`)
  if (!id) throw new Error('policy: a guard without @id')
  const why = annotations?.['why']
  if (!why) throw new Error(`policy: guard ${id} has no @why, the sentence a person reads`)
  const named = annotations?.['obligation']
  if (named === undefined || named === null) return { id, why, obligation: null }
  const obligation = obligations.find((name) => name === named)
  if (obligation === undefined)
    throw new Error(`policy: guard ${id} has the obligation "${named}", which is none of ${obligations.join(', ')}`)
  return { id, why, obligation }
}

function validateGuards(policies: Record<string, string>): void {
  const answer = cedar.validate({ schema: policySchema, policies: { staticPolicies: policies } })
  if (answer.type === 'failure') throw new Error(`policy: ${answer.errors.map(({ message }) => message).join('; ')}`)
  const faults = answer.validationErrors.map(({ policyId, error }) => `${policyId}: ${error.message}`)
  if (faults.length > 0) throw new Error(`policy: ${faults.join('; ')}`)
}

function preparse(name: string, policies: string | Record<string, string>): void {
  const answer = cedar.preparsePolicySet(name, { staticPolicies: policies })
  if (answer.type === 'failure') throw new Error(`policy: ${answer.errors.map(({ message }) => message).join('; ')}`)
}

function evaluate(hash: string, known: ReadonlySet<string>, guards: ReadonlyMap<string, Guard>, request: PolicyRequest): Verdict {
  // The guards are asked whoever it is: scope that people gave for a time does not come from here.
  const scope = known.has(request.agent) ? authorize(`${hash}:scope:${request.agent}`, request) : nobodysScope
  const guard = authorize(`${hash}:guards`, request)
  const errors = [...scope.errors, ...guard.errors].sort()
  const forbidding =
    guard.decision === 'deny'
      ? guard.reasons.map((id) => guards.get(id) ?? { id, why: 'A guard that is not known.', obligation: null })
      : []
  // Cedar gives the reasons in random order.
  forbidding.sort((left, right) => (left.id < right.id ? -1 : 1))
  if (guard.decision === 'deny' && forbidding.length === 0) errors.push('the guards denied without a reason')
  return { inScope: scope.decision === 'allow', forbidding, errors }
}

const nobodysScope = { decision: 'deny', errors: [] } as const

function authorize(
  policySet: string,
  request: PolicyRequest,
): { decision: 'allow' | 'deny'; reasons: string[]; errors: string[] } {
  const environment = { type: 'Environment', id: request.environment }
  const upstream = { type: 'Upstream', id: request.upstream }
  const owner = { type: 'Owner', id: request.owner }
  const agent = { type: 'Agent', id: request.agent }
  const action = { type: 'Action', id: request.facts.action }
  const answer = cedar.statefulIsAuthorized({
    principal: agent,
    action,
    resource: upstream,
    context: { ...request.facts },
    preparsedPolicySetId: policySet,
    entities: [
      { uid: environment, attrs: {}, parents: [] },
      { uid: upstream, attrs: {}, parents: [environment] },
      { uid: owner, attrs: {}, parents: [] },
      { uid: agent, attrs: {}, parents: [owner] },
      { uid: { type: 'Action', id: request.kind }, attrs: {}, parents: [] },
      { uid: action, attrs: {}, parents: [{ type: 'Action', id: request.kind }] },
    ],
  })
  if (answer.type === 'failure') return { decision: 'deny', reasons: [], errors: answer.errors.map(({ message }) => message) }
  const { decision, diagnostics } = answer.response
  return {
    decision,
    reasons: [...diagnostics.reason],
    errors: diagnostics.errors.map(({ policyId, error }) => `${policyId}: ${error.message}`),
  }
}
