import type { PostgresServer } from './postgres.ts'

export interface AgentSettings {
  readonly owner: string
  readonly may: readonly string[]
}

export interface UpstreamSettings {
  /** Of the real server; default `postgres`. */
  readonly database?: string
  readonly environment?: 'production' | 'staging' | 'development'
  /** When something stands between gate and server. */
  readonly port?: number
  /** As in sallyport.yaml. */
  readonly quarantine?: string
  readonly redact?: readonly string[]
  readonly continuous?: { readonly keep?: string; readonly base?: string; readonly every?: string }
  readonly keep?: Readonly<Record<string, unknown>>
}

export interface TestGateSettings {
  /** Null: no database at all, only `apis`. */
  readonly postgres: PostgresServer | null
  /** Default `team`: the owner of an agent never approves alone. */
  readonly mode?: 'solo' | 'team'
  /** Default: `coder`, owned by ada, who may do anything on `orders-db`. */
  readonly agents?: Readonly<Record<string, AgentSettings>>
  /** Default: `orders-db`, production. */
  readonly upstreams?: Readonly<Record<string, UpstreamSettings>>
  readonly limits?: { readonly rowsWithoutPrompt: number }
  /** Further upstreams as they stand in sallyport.yaml. */
  readonly apis?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Listens for agents' HTTP without any of `apis`. */
  readonly http?: boolean
  /** As it stands in sallyport.yaml. */
  readonly deliver?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly escalate?: readonly Readonly<Record<string, unknown>>[]
  readonly alarms?: Readonly<Record<string, 'tell' | 'kill'>>
  /** What becomes of old entries of the log, as in sallyport.yaml. */
  readonly log?: Readonly<Record<string, unknown>>
  /** Connection string of a store that gates share. Default: the gate's own. */
  readonly storeUrl?: string
  /** Whose approvals count, as in sallyport.yaml: `groups`, `approvals`, `breakGlass`. */
  readonly people?: Readonly<Record<string, unknown>>
  /** Things kept whole that are no upstreams. */
  readonly keep?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** As in sallyport.yaml. Defaults 0s and 20s. */
  readonly coolOff?: string
  readonly wait?: string
  /** How long what runs may take to end at SIGTERM. Default 5s. */
  readonly drain?: string
  /** Another entry than the one that ships: tests/fakes/halting-gate.ts. */
  readonly gatewayProgram?: string
  /** Added to the gate's environment. */
  readonly environment?: Readonly<Record<string, string>>
  readonly gatewayFlags?: readonly string[]
  readonly vaultFlags?: readonly string[]
  /** The file only proposes, as in real life. Default: a test that changes its configuration is the operator, and it holds. */
  readonly proposes?: boolean
}
