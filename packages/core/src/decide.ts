import { countApprovers, isMember, type Quorum } from './approver.ts'
import type { ErrorCode } from './error.ts'
import { severity } from './impact.ts'
import type { Environment, ResolvedOperation, Subject } from './operation.ts'
import { isWithin } from './narrowing.ts'
import type { Facts, PolicyEngine } from './policy/engine.ts'
import type { Guard } from './policy/guards.ts'
import type { Scope } from './policy/scope.ts'

/** What decide knows besides the operations: everything that can change a verdict, and nothing it has to look up. */
export interface DecisionFacts {
  readonly upstream: string
  readonly environment: Environment
  readonly mode: 'solo' | 'team'
  /** People who approved exactly this digest, under this policy, for these targets. Empty: nobody. */
  readonly approvers: readonly string[]
  /** Whose approvals count here, where not everybody's do. Null or absent: everybody's. */
  readonly quorum?: Quorum | null
  /** One person stood for the group: every guard still counts the people there are. */
  readonly glassBroken?: boolean
  /** True when the delay that the approval carried is over. */
  readonly delayed: boolean
  /** True once protect sealed and proved the copy that the operations need. */
  readonly copyProven: boolean
  /** The upstream is protected to this moment, and a restore from its very chain was made and verified. */
  readonly restorePoint?: boolean
  /** Rows changed without a prompt in the window, by this owner on this upstream, before this request. */
  readonly rowsSpent: number
  readonly rowsWithoutPrompt: number
  /** False where a restore point whose drill passed lately enough is demanded, and there is none. */
  readonly drilled: boolean
  /** Solo mode's cool-off, ms. */
  readonly coolOffMs: number
  /** Scope that people gave for a time, beyond the policy's. */
  readonly granted?: readonly Scope[]
  /** What the handle may, where that is less than what its agent may. Null: all of that. */
  readonly within?: readonly Scope[] | null
}

export interface Permit {
  readonly outcome: 'permit'
  /** What the gate itself must do before it runs. */
  readonly obligations: readonly 'snapshot'[]
  /** Rows change without a prompt and are to be spent from the budget. */
  readonly promptless: boolean
}

/** What people would have to give. */
export interface Requestable {
  readonly approvalsNeeded: number
  readonly delayMs: number
  /** The group whose people alone count. */
  readonly approversFrom?: string
}

export interface Deny {
  readonly outcome: 'deny'
  readonly code: ErrorCode
  readonly reasons: readonly Guard[]
  readonly message: string
  readonly next: string
  /** Set when people can change the outcome. */
  readonly requestable: Requestable | null
  /** It stands in for a copy that cannot be made. */
  readonly byRestorePoint?: boolean
}

export type Decision = Permit | Deny

const largestCount = Number.MAX_SAFE_INTEGER

/** The pure decision: operations × policies × facts. The worst operation decides for its request; any error denies. */
export function decide(
  operations: readonly ResolvedOperation[],
  subject: Subject,
  facts: DecisionFacts,
  policy: PolicyEngine,
): Decision {
  if (operations.length === 0)
    return denyFlat(
      'unreadable',
      'The request holds no operation that the gate understands.',
      'Send a request that does one thing the gate can read.',
    )
  const { within } = facts
  if (within && !operations.every((operation) => isWithin(within, facts.upstream, operation)))
    return denyFlat(
      'not_in_scope',
      'This handle was narrowed, and this is not within it.',
      'Use a handle of the agent that may do this.',
    )
  const decisions = operations.map((operation) => decideOne(operation, operations, subject, facts, policy))
  const denials = decisions.filter((decision) => decision.outcome === 'deny')
  const final = denials.find((denial) => denial.requestable === null)
  if (final) return final
  if (denials.length > 0) return mergeDenials(denials)
  const permits = decisions.filter((decision) => decision.outcome === 'permit')
  return {
    outcome: 'permit',
    obligations: permits.some((permit) => permit.obligations.length > 0) ? ['snapshot'] : [],
    promptless: permits.some((permit) => permit.promptless),
  }
}

function decideOne(
  operation: ResolvedOperation,
  all: readonly ResolvedOperation[],
  subject: Subject,
  facts: DecisionFacts,
  policy: PolicyEngine,
): Decision {
  const copyPossible = operation.copy.kind !== 'none' && operation.copy.kind !== 'impossible'
  const pointPossible = !copyPossible && canBeHadFromWal(operation, facts)
  const securable = copyPossible || pointPossible
  const now = evaluateOne(operation, all, subject, facts, policy, securable && facts.copyProven)
  if (now.errors.length > 0)
    return denyFlat(
      'refused_by_guard',
      `A policy failed, and what fails denies: ${now.errors.join('; ')}`,
      'Ask whoever keeps the policy to mend it.',
    )
  if (!now.inScope && !isWithin(facts.granted ?? [], facts.upstream, operation)) return denyOutOfScope(operation, subject, facts)
  const then = securable ? evaluateOne(operation, all, subject, facts, policy, true) : now
  if (then.forbidding.length === 0) return permit(operation, now.forbidding, facts)
  if (then.forbidding.some((guard) => guard.obligation === null)) return denyByGuards('refused_by_guard', then.forbidding, null)
  if (then.forbidding.some((guard) => guard.obligation === 'snapshot')) return denyForCopy(operation, then.forbidding)
  // With a restore point a guard that wants people may be content with the first of them.
  const withOne = { ...facts, approvers: [...facts.approvers, `a colleague of ${subject.owner}`], quorum: null }
  const open = pointPossible ? evaluateOne(operation, all, subject, withOne, policy, true).forbidding : then.forbidding
  const denial = denyByGuards('approval_required', then.forbidding, neededFor(open, operation, facts))
  return pointPossible ? { ...denial, byRestorePoint: true } : denial
}

/** Where no copy can be made, or nobody can say what would have to be copied, a restore point is what there is (DESIGN §5). */
export function canBeHadFromWal(
  { copy, impact }: ResolvedOperation,
  { restorePoint }: Pick<DecisionFacts, 'restorePoint'>,
): boolean {
  if (restorePoint !== true) return false
  return impact.kind === 'unknown' || (copy.kind === 'impossible' && copy.inWal === true)
}

function permit(operation: ResolvedOperation, open: readonly Guard[], facts: DecisionFacts): Permit {
  const needsCopy =
    open.length > 0 || (facts.copyProven && operation.copy.kind !== 'none' && operation.copy.kind !== 'impossible')
  const promptless =
    operation.copy.kind === 'rows' &&
    operation.impact.kind === 'destroy' &&
    facts.environment === 'production' &&
    facts.approvers.length === 0
  return { outcome: 'permit', obligations: needsCopy ? ['snapshot'] : [], promptless }
}

function evaluateOne(
  operation: ResolvedOperation,
  all: readonly ResolvedOperation[],
  subject: Subject,
  facts: DecisionFacts,
  policy: PolicyEngine,
  copyProven: boolean,
): ReturnType<PolicyEngine['evaluate']> {
  const quorum = facts.glassBroken === true ? null : facts.quorum
  const able = quorum ? facts.approvers.filter((name) => isMember(quorum, name)) : facts.approvers
  const { counted, ownerAlone } = countApprovers(able, subject.owner, facts.mode)
  const rows = countRows(all)
  const cedarFacts: Facts = {
    action: operation.action,
    reversible: operation.impact.reversible,
    copy: operation.copy.kind,
    copyProven,
    // A volume can be rebuilt from a copy, but what pointed at it is gone: people have to agree (DESIGN §5).
    undoable: copyProven && operation.context['irreversibleDespiteCopy'] !== true,
    rowsCounted: rows !== null,
    rowsInWindow: rows === null ? largestCount : Math.min(largestCount, facts.rowsSpent + rows),
    rowsWithoutPrompt: facts.rowsWithoutPrompt,
    // Fewer than the group's own number are nobody's approval.
    approvals: quorum && counted < quorum.count ? 0 : counted,
    delayed: facts.delayed,
    ownerAlone,
    restorePoint: copyProven && canBeHadFromWal(operation, facts),
    drilled: facts.drilled,
  }
  return policy.evaluate({
    agent: subject.agent,
    owner: subject.owner,
    upstream: facts.upstream,
    environment: facts.environment,
    kind: operation.impact.kind,
    facts: cedarFacts,
  })
}

/** Rows that all destroying operations of the request change together; null when one was not counted. */
export function countRows(operations: readonly ResolvedOperation[]): number | null {
  let total = 0
  for (const operation of operations) {
    if (severity(operation.impact.kind) < severity('destroy')) continue
    const rows =
      operation.copy.kind === 'rows'
        ? Math.max(operation.copy.rowsEstimate, operation.impact.scope?.rows ?? 0)
        : operation.impact.scope?.rows
    if (rows === undefined) return null
    total += rows
  }
  return total
}

function neededFor(guards: readonly Guard[], operation: ResolvedOperation, facts: DecisionFacts): Requestable {
  const people = guards.some((guard) => guard.obligation === 'people')
  const { mode, quorum, coolOffMs } = facts
  const group = quorum ? { approversFrom: quorum.group } : {}
  const ofGroup = quorum?.count ?? 1
  if (mode === 'team') return { approvalsNeeded: Math.max(people ? 2 : 1, ofGroup), delayMs: 0, ...group }
  const waits = people || !operation.impact.reversible
  return { approvalsNeeded: ofGroup, delayMs: waits ? coolOffMs : 0, ...group }
}

function mergeDenials(denials: readonly Deny[]): Deny {
  const guards = new Map(denials.flatMap((denial) => denial.reasons.map((guard) => [guard.id, guard] as const)))
  const asks = denials.map((denial) => denial.requestable).filter((ask) => ask !== null)
  const reasons = [...guards.values()].sort((left, right) => (left.id < right.id ? -1 : 1))
  const merged = denyByGuards('approval_required', reasons, {
    ...asks[0],
    approvalsNeeded: Math.max(...asks.map((ask) => ask.approvalsNeeded)),
    delayMs: Math.max(...asks.map((ask) => ask.delayMs)),
  })
  return denials.some(({ byRestorePoint }) => byRestorePoint === true) ? { ...merged, byRestorePoint: true } : merged
}

function denyOutOfScope(operation: ResolvedOperation, subject: Subject, facts: DecisionFacts): Deny {
  return denyFlat(
    'not_in_scope',
    `Agent "${subject.agent}" may not do ${operation.action} (${operation.impact.kind}) on ${facts.upstream}, which is ${facts.environment}.`,
    `Ask for it, for a time and with a reason (sallyport access ask), or ask ${subject.owner} to widen the agent's scope.`,
  )
}

function denyForCopy(operation: ResolvedOperation, guards: readonly Guard[]): Deny {
  const plan = operation.copy
  const why = plan.kind === 'impossible' ? plan.reason : 'nothing says how a copy of it could be made'
  const remedy = plan.kind === 'impossible' ? plan.remedy : 'Ask for a smaller operation whose loss can be copied first.'
  return {
    outcome: 'deny',
    code: 'no_copy_possible',
    reasons: guards,
    message: `No copy of what ${operation.action} destroys can be made: ${why}`,
    next: remedy,
    requestable: null,
  }
}

function denyByGuards(code: ErrorCode, guards: readonly Guard[], requestable: Deny['requestable']): Deny {
  const next =
    requestable === null
      ? 'No approval changes this; ask whoever keeps the policy.'
      : 'Wait for people to decide, then send exactly the same request again.'
  return { outcome: 'deny', code, reasons: guards, message: guards.map((guard) => guard.why).join(' '), next, requestable }
}

function denyFlat(code: ErrorCode, message: string, next: string): Deny {
  return { outcome: 'deny', code, reasons: [], message, next, requestable: null }
}
