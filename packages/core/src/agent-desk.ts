import type { AccessRequestState } from './access-request.ts'
import type { Handle } from './grant.ts'
import type { Scope } from './policy/scope.ts'

/** What an agent is told of a request of its own. Nobody is named: an agent has no business with who decides. */
export interface AgentAnswer {
  readonly id: string
  readonly state: AccessRequestState | 'waiting_for_its_time'
  readonly summary: string
  readonly upstream: string
  readonly createdAtMs: number
  readonly expiresAtMs: number
  readonly approvalsGiven: number
  readonly approvalsNeeded: number
  /** Not before; null: not approved, or at once. */
  readonly notBeforeMs: number | null
  /** What those who said no gave as their reason. */
  readonly reasons: readonly string[]
  /** Where a person looks. */
  readonly url: string
  /** What to do next, in a sentence. */
  readonly next: string
}

/** More scope, for a time. */
export interface WantedAccess {
  readonly scopes: readonly Scope[]
  readonly durationMs: number
  readonly reason: string
}

/** Requests that wait for people already, in the order in which they are to run, to be approved as one. */
export interface DeclaredPlan {
  readonly requests: readonly string[]
  readonly reason: string
}

export type AccessAnswer =
  | { readonly outcome: 'asked'; readonly request: AgentAnswer }
  | { readonly outcome: 'granted'; readonly request: string; readonly expiresAtMs: number }

/** What agents may ask of the gate itself. Nothing of it approves anything. */
export interface AgentDesk {
  /** Null: there is no such request, or it is another agent's. Waits for a change for `waitMs` at most. */
  inquire(handle: Handle, request: string, waitMs: number, signal: AbortSignal): Promise<AgentAnswer | null>
  /** Opens a question to people, or finds it; once they approved it, asking again in the same words begins it. @throws SallyportError */
  requestAccess(handle: Handle, wanted: WantedAccess): Promise<AccessAnswer>
  /** One question for all of them; once it is approved, each runs once, in its turn. @throws SallyportError */
  declarePlan(handle: Handle, plan: DeclaredPlan): Promise<AgentAnswer>
}
