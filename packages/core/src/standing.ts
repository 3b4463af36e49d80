import type { Scope } from './policy/scope.ts'

/** A grant that stands for a time: scope that an agent asked for, and people gave it, beyond what sallyport.yaml says. */
export interface StandingGrant {
  /** The access request that it came from. */
  readonly request: string
  readonly agent: string
  readonly owner: string
  readonly upstream: string
  readonly scopes: readonly Scope[]
  readonly reason: string
  readonly approvers: readonly string[]
  /** It holds under this policy alone. */
  readonly policyHash: string
  readonly fromMs: number
  readonly expiresAtMs: number
}

/** What stands for one agent on one upstream now. The same object until something of it changes. */
export interface Standing {
  readonly scopes: readonly Scope[]
  /** When the first of it ends: what is decided with it is remembered no longer. Null: nothing stands. */
  readonly endsMs: number | null
}

export interface StandingGrants {
  of(agent: string, owner: string, upstream: string): Standing
}

export const nothingStands: Standing = Object.freeze({ scopes: Object.freeze([]), endsMs: null })
