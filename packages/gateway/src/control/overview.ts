import type { AllowedScope, Environment, Event, Guard, Handle, Quorum } from '@sallyport/core'

/** A fact with its place on the log. */
export interface Recorded {
  readonly index: number
  readonly event: Event
}

/** An upstream as the configuration has it. Never a reference to a credential. */
export interface UpstreamOverview {
  readonly name: string
  readonly protocol: string
  readonly connector: string
  readonly environment: Environment
  readonly hosts: readonly string[]
  /** Copies and kills go by a credential of their own, and not by the one that agents' statements use. */
  readonly protectsApart: boolean
  /** How long what is dropped is kept out of reach first; null: it is dropped at once. */
  readonly quarantineMs: number | null
  readonly isContinuous: boolean
}

/** An entry of the log with the way from it to the root that a checkpoint signs. */
export interface ProvenRecord {
  readonly index: number
  /** The entry's very bytes, which are UTF-8. */
  readonly entry: string
  readonly size: number
  /** Hashes from the leaf's sibling upwards, base64. */
  readonly proof: readonly string[]
  /** The signed note. */
  readonly checkpoint: string
  /** C2SP verifier key of the log. */
  readonly key: string
}

/** Who is on call in one rotation. */
export interface OnCallLine {
  readonly name: string
  readonly zone: string
  /** Null: the first shift has not begun. */
  readonly person: string | null
  /** Null: nobody else ever is. */
  readonly untilMs: number | null
  readonly next: string | null
}

/** What the console shows besides what the other pages ask for. Nothing of it changes anything. */
export interface Overview {
  agents(): readonly {
    readonly name: string
    readonly owner: string
    readonly scopes: readonly AllowedScope[]
    readonly handleMs: number
  }[]
  /** In force, newest first, bounded. */
  handles(agent: string): Promise<readonly Handle[]>
  upstreams(): readonly UpstreamOverview[]
  /** Absent: there is no rotation. */
  onCall?(): readonly OnCallLine[]
  /** Whose approvals count on an upstream; null: everybody's. */
  quorumOf(upstream: string): Quorum | null | Promise<Quorum | null>
  policy(): {
    readonly hash: string
    readonly guards: readonly Guard[]
    readonly rowsWithoutPrompt: number
    readonly coolOffMs: number
    readonly retainMs: number
    readonly requestMs: number
    readonly acceptRisk: readonly string[]
  }
  readonly record: {
    size(): number
    read(from: number, count: number): Promise<readonly Recorded[]>
    /** Null: no checkpoint covers it yet. */
    prove(index: number): Promise<ProvenRecord | null>
  }
}
