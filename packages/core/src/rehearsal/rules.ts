import type { Quorum } from '../approver.ts'
import { countRows, decide, type Decision } from '../decide.ts'
import type { ErrorCode } from '../error.ts'
import type { Environment, ResolvedOperation, Subject } from '../operation.ts'
import type { PolicyEngine } from '../policy/engine.ts'

/** Everything that decides in one configuration, so that another one can be tried beside it. Nothing here looks anything up. */
export interface Rules {
  readonly policy: PolicyEngine
  readonly mode: 'solo' | 'team'
  readonly rowsWithoutPrompt: number
  readonly coolOffMs: number
  /** Over which rows without a prompt are counted, ms. */
  readonly windowMs: number
  /** Null: there is no such agent. */
  readonly ownerOf: (agent: string) => string | null
  /** Null: there is no such upstream. */
  readonly environmentOf: (upstream: string) => Environment | null
  readonly quorumOf: (upstream: string) => Quorum | null
  /** Whether a restore from its very chain was made and verified. */
  readonly hasRestorePoint: (upstream: string) => boolean
  /** False where a drill is demanded, and none passed lately enough. */
  readonly isDrilled: (upstream: string) => boolean
}

/** What somebody gets who asks and has no approval: it runs, people are asked, or it is refused. */
export type Treatment =
  /** `copies`: only after a copy of what it destroys was sealed. */
  | { readonly outcome: 'runs'; readonly copies: boolean }
  | { readonly outcome: 'asks'; readonly people: number; readonly group: string | null; readonly delayMs: number }
  | { readonly outcome: 'refused'; readonly code: ErrorCode; readonly why: string }

/** One request, as decide sees it before anybody approved anything. */
export interface Tried {
  readonly agent: string
  readonly upstream: string
  readonly operations: readonly ResolvedOperation[]
}

/** The very decision that the gate would make, with no approval and no grant for a time. */
export function treat(
  { agent, upstream, operations }: Tried,
  rules: Rules,
  rowsSpent = 0,
): Treatment & { readonly spends: number } {
  const owner = rules.ownerOf(agent)
  const environment = rules.environmentOf(upstream)
  if (owner === null) return refuse(`No agent is called ${agent}.`)
  if (environment === null) return refuse(`No upstream is called ${upstream}.`)
  const subject: Subject = { agent, owner }
  const { mode, rowsWithoutPrompt, coolOffMs } = rules
  const decision = decide(
    operations,
    subject,
    {
      upstream,
      environment,
      mode,
      approvers: [],
      quorum: rules.quorumOf(upstream),
      delayed: false,
      copyProven: false,
      restorePoint: rules.hasRestorePoint(upstream),
      rowsSpent,
      rowsWithoutPrompt,
      drilled: rules.isDrilled(upstream),
      coolOffMs,
    },
    rules.policy,
  )
  return {
    ...sayDecision(decision),
    spends: decision.outcome === 'permit' && decision.promptless ? (countRows(operations) ?? 0) : 0,
  }
}

function sayDecision(decision: Decision): Treatment {
  if (decision.outcome === 'permit') return { outcome: 'runs', copies: decision.obligations.length > 0 }
  if (decision.requestable === null) return { outcome: 'refused', code: decision.code, why: decision.message }
  const { approvalsNeeded, approversFrom, delayMs } = decision.requestable
  return { outcome: 'asks', people: approvalsNeeded, group: approversFrom ?? null, delayMs }
}

function refuse(why: string): Treatment & { readonly spends: number } {
  return { outcome: 'refused', code: 'not_in_scope', why, spends: 0 }
}

/** The same for everybody whom it concerns. */
export function isSameTreatment(left: Treatment, right: Treatment): boolean {
  if (left.outcome === 'asks' && right.outcome === 'asks')
    return left.people === right.people && left.group === right.group && left.delayMs === right.delayMs
  if (left.outcome === 'runs' && right.outcome === 'runs') return left.copies === right.copies
  return left.outcome === right.outcome
}
