import type { Quorum } from './approver.ts'
import type { Connector, Describers, Quarantine } from './connector.ts'
import type { Protection } from './continuous.ts'
import type { StandingGrants } from './standing.ts'
import type { PolicyEngine } from './policy/engine.ts'
import type { Budgets, Clock, KillSwitch, Log, Notify, Randomness, Requests, Vault } from './ports.ts'

/** Settings that people decide, read anew for each request. */
export interface GovernSettings {
  readonly mode: 'solo' | 'team'
  readonly coolOffMs: number
  /** Whose approvals count on an upstream, where not everybody's do. Absent: everybody's, everywhere. */
  readonly quorumOf?: (upstream: string) => Quorum | null | Promise<Quorum | null>
  readonly rowsWithoutPrompt: number
  readonly windowMs: number
  readonly retainMs: number
  /** How long a question waits for people. */
  readonly requestMs: number
  /** How many questions of one agent may wait at once: people are not to be flooded. */
  readonly pendingMax: number
}

/** What was moved out of reach, known to the gate itself: a name in the upstream is anybody's to take. */
export interface Quarantines {
  /** Durable before the statement runs. */
  keep(upstream: string, quarantine: Quarantine): Promise<void>
}

/** Restore points (DESIGN §2): copies from which a restore was really made and verified. */
export interface RestorePoints {
  /** False where one is demanded whose drill passed lately enough, and there is none, or nobody can tell. Never throws. */
  isDrilled(upstream: string): Promise<boolean>
}

export interface GovernPorts {
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  readonly vault: Vault
  readonly requests: Requests
  readonly budgets: Budgets
  readonly killSwitch: KillSwitch
  readonly notify: Notify
  readonly quarantines: Quarantines
  /** Absent: nothing is protected continuously. */
  readonly protection?: Protection
  readonly restorePoints: RestorePoints
  /** Absent: nothing is approved ahead. */
  readonly ahead?: {
    /** Counts one use, durably and over all gates. False: all were used. @param untilMs when it ends, and need not be remembered any longer */
    use(request: string, usesMax: number, untilMs: number): Promise<boolean>
    readonly grantMs: number
  }
  /** Absent: nothing stands beyond the configuration. */
  readonly standing?: StandingGrants
  readonly connectors: ReadonlyMap<string, Connector>
  readonly describers: Describers
  readonly policy: () => PolicyEngine
  readonly settings: () => GovernSettings
  readonly requestUrl: (requestId: string) => string
}
