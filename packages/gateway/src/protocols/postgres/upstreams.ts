import type { Clearance, Environment, Session, SqlChannel, SqlRow, Upstream } from '@sallyport/core'

/** The protocol's own port to its upstreams. Whoever implements it opens the sockets and keeps the credentials. */
export interface PostgresUpstreams {
  /** A backend for one client session, authenticated and idle; never handed on. Throws SallyportError `upstream_unavailable`. */
  open(name: string, options: BackendOptions): Promise<Backend>
  /** The upstream by the protect credential alone, with no agent: for undo and for looking at catalogs. */
  openProtected(name: string): Promise<ProtectedUpstream>
}

/** `session`, `protect` and `hold` of its access are one connection in one transaction. */
export interface ProtectedUpstream {
  readonly upstream: Upstream
  end(commit: boolean): Promise<void>
  close(): void
}

export interface BackendOptions {
  /** Whose backend it is: clearances are spent against this session's kill epoch. */
  readonly session: Session
  /** Start-up settings that the client asked for and the protocol allows. */
  readonly settings: ReadonlyMap<string, string>
  /** Tells the server to be read-only too; the second fence, not the first (DESIGN §13). */
  readonly readOnly: boolean
  readonly signal: AbortSignal
}

export interface BackendListener {
  /** True: nothing of the chunk is looked at after it returns, and other bytes may take its place. */
  data(chunk: Buffer): boolean
  drained(): void
  closed(why: string): void
}

/** What may be sent under one clearance: one Query, or one Bind, Describes of its portal, one Execute, Closes, and a Sync or Flush. */
export interface Unit {
  readonly bytes: Buffer
  /** SQL with its zero byte and the parameter types of the statement that Bind names, as parsed upstream. Null for Query. */
  readonly parsed: Buffer | null
}

/** Whether what names mean is still what it was. */
export interface CatalogEpoch {
  /** The same only while the catalog, as committed at most 2 s ago, is the same. Null: not known just now. */
  epoch(): string | null
  /** Something ran that may have changed it: nothing is known until the server was asked after this. */
  doubt(): void
  /** How often that was said. */
  readonly doubts: number
  /** Whether somebody who can be asked so sees the catalog of that epoch: inside a transaction it may be an older one, or one of its own. */
  isSeenBy(epoch: string, ask: (sql: string) => Promise<string | null>): Promise<boolean>
}

/** The agent's own connection to the upstream. After destroy nothing more is written. */
export interface Backend {
  readonly environment: Environment
  /** How long what is dropped is kept out of reach first. Null: it is dropped at once. */
  readonly quarantineMs: number | null
  /** What the upstream says it is: system identifier and database oid. */
  readonly identity: string
  /** Of the server's process for this connection: agents can ask for it anyway. */
  readonly pid: number
  readonly parameters: readonly (readonly [string, string])[]
  /** What the server answered to `readSettings` right before this was handed out; null: it was not asked. */
  readonly told: SqlRow | null
  attend(listener: BackendListener): void
  /** Writes what needs no clearance: remembered reads, Parse, Sync, Terminate. False: wait for `drained`. */
  forwardRead(bytes: Buffer): boolean
  /** Recomputes the digest of what it is about to write, spends the clearance on it, writes; `before` goes first in the same write. */
  send(clearance: Clearance, unit: Unit, before: Buffer | null): boolean
  /** Writes the gate's own messages. */
  converse(bytes: Buffer): boolean
  /** CancelRequest on a connection of its own. */
  cancel(): void
  pause(): void
  resume(): void
  destroy(): void
  readonly protect: ProtectConnection
  readonly catalog: CatalogEpoch
}

/** The connection with the `protect` credential, opened when first used. */
export interface ProtectConnection {
  readonly channel: SqlChannel
  /** Ends the transaction that the channel's first query began; nothing when there was none. */
  end(commit: boolean): Promise<void>
  close(): void
}
