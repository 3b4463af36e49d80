import type { Json } from './canonical.ts'
import type { Environment, Operation, ResolvedOperation } from './operation.ts'
import type { Seal, SnapshotKind } from './snapshot.ts'

/** Rows of text values, as PostgreSQL's text format gives them. */
export type SqlRow = readonly (string | null)[]

/** A way to run the gate's own SQL. Values are bound, never spliced. */
export interface SqlChannel {
  query(sql: string, values?: readonly (string | null)[]): Promise<readonly SqlRow[]>
  /** COPY … TO STDOUT: the raw chunks. The consumer must read to the end or call `return`. */
  copyOut(sql: string): AsyncIterable<Uint8Array>
  /** COPY … FROM STDIN; resolves to the number of rows. */
  copyIn(sql: string, chunks: AsyncIterable<Uint8Array>): Promise<number>
}

/** How a connector reaches a SQL upstream. */
export interface SqlAccess {
  readonly kind: 'sql'
  /**
   * The agent's own backend, between two of its messages: sees its search_path, its temporary tables, its uncommitted rows.
   * Throws `not_supported` when the backend is in the middle of a pipeline.
   */
  readonly session: SqlChannel
  /** A connection with the `protect` credential, in a transaction of its own: for copies, catalogs and scratch tables. */
  readonly protect: SqlChannel
  /**
   * Makes sure that the agent's backend is inside a transaction (one the gate owns, or a savepoint in the agent's own) and runs
   * `sql` in it: locks taken here are held until the cleared statement has run and the transaction ended.
   */
  hold(sql: string): Promise<void>
  /**
   * A base backup of the whole server over the replication protocol, with the `protect` credential: one tar file, WAL included, so that it
   * starts by itself. Absent where this way in has none. Stopping early ends the connection.
   */
  baseBackup?(): AsyncIterable<Uint8Array>
}

/** How a connector reaches an HTTP upstream with the gate's own credential: bounded, no redirects followed, the credential never in the answer. */
export interface HttpAccess {
  readonly kind: 'http'
  /** A request of the gate's own, to read what things are (names, sizes, environment). `path` begins with a slash. */
  ask(
    method: 'GET' | 'POST',
    path: string,
    headers: { readonly [name: string]: string },
    body: Uint8Array | null,
  ): Promise<{ readonly status: number; readonly body: Uint8Array }>
  /**
   * Ways into other upstreams that configuration ties to things of this one: a volume to the database that lies on it. Null: not tied.
   * Within one request it is the same way each time, and locks taken on it hold until that request was answered or refused.
   */
  tied(type: string, id: string): Promise<Upstream | null>
}

/** For what needs no way in: `explain` works with no gate and no upstream. */
export interface NoAccess {
  readonly kind: 'none'
}

export type Access = SqlAccess | HttpAccess | NoAccess

export interface Upstream {
  readonly name: string
  readonly identity: string
  readonly environment: Environment
  readonly access: Access
  /** How long what would be dropped is kept out of reach first, where the connector can do that. Absent or null: it is dropped at once. */
  readonly quarantineMs?: number | null
}

/** Lets a describer ask for another language by name (SQL inside `psql -c`); it never imports it. */
export interface Describers {
  describe(connector: string, decoded: Json): Promise<readonly Operation[]>
}

export interface Progress {
  readonly step: string
  readonly done: number
  readonly total: number
}

/** What a restored or undone snapshot left behind. */
export interface Restored {
  readonly rows: number
  readonly tables: readonly string[]
  /** True only when the checksums after the restore equal those of the snapshot. */
  readonly verified: boolean
  readonly note: string
}

/** What snapshot() reports to govern; govern turns it into a Snapshot when the vault has sealed the manifest. */
export interface SnapshotContent {
  readonly kind: SnapshotKind
  readonly rows: number
  readonly bytes: number
  readonly checksums: { readonly [table: string]: string }
  /** What restore() needs besides the parts: DDL, oids, column lists. JSON. */
  readonly manifest: Json
  /** Set when what was copied is moved out of reach by the time the statement runs. */
  readonly quarantine?: Quarantine | null
}

export interface SnapshotReader {
  readonly manifest: Json
  readonly checksums: { readonly [table: string]: string }
  read(name: string): AsyncIterable<Uint8Array>
}

/** What is moved out of reach instead of being dropped: nothing else is ever dropped for good in its name. */
export interface Quarantine {
  /** Of the place it is in. */
  readonly id: string
  /** Its names, as they were. */
  readonly things: readonly string[]
  /** Of everything in there that holds data. */
  readonly identities: readonly string[]
  /** By the upstream's own clock, Unix ms. */
  readonly untilMs: number
}

/** One that is still there. */
export interface Quarantined extends Quarantine {
  readonly bytes: number
  readonly due: boolean
}

/**
 * What Sallyport knows of one kind of upstream. `Decoded` is the connector's own input, checked by its own schema.
 * describe is pure and total: it never throws, and what it cannot read becomes `unknown`.
 */
export interface Connector {
  readonly id: string
  readonly protocol: string
  describe(decoded: Json, ask: Describers): Promise<readonly Operation[]>
  /** Names → identities, environment facts, measured scope, and what copy can be made. Throws only SallyportError. */
  resolve?(operations: readonly Operation[], upstream: Upstream): Promise<readonly ResolvedOperation[]>
  /** Locks, checks that identity and schema are still those of `operations`, copies, reads back, restores to scratch, compares. */
  snapshot?(operations: readonly ResolvedOperation[], upstream: Upstream, seal: Seal): Promise<SnapshotContent>
  /** Rows changed so far by the session's open transaction, cascades and triggers included. Throws when they can't be counted. */
  count?(upstream: Upstream): Promise<number>
  /**
   * After a held statement ran and before its transaction commits: names still mean, and were, what `operations` say. What was dropped is
   * gone, and it alone. No lock keeps a name, so another could have come first between the last look and the statement. Throws `target_changed`.
   */
  confirm?(operations: readonly ResolvedOperation[], upstream: Upstream): Promise<void>
  /** The operation by which this thing would be lost, so that it can be copied without being asked for; null where there is none. */
  losing?(type: string, id: string): Operation | null
  /** Which of these are still there. Takes the last rights of those who moved them, if they still have any. */
  quarantined?(upstream: Upstream, known: readonly Quarantine[]): Promise<readonly Quarantined[]>
  /** Drops one for good that is due. Throws when there is more in it, or something outside depends on it: then it stays. */
  purge?(upstream: Upstream, quarantine: Quarantine): Promise<void>
  /**
   * Of what cannot be moved in the statement's own transaction: moves it, once it is known durably where to, and before the statement runs. Throws when it
   * is not moved; then nothing may run.
   */
  moveAway?(operations: readonly ResolvedOperation[], upstream: Upstream, quarantine: Quarantine): Promise<void>
  /** Puts a snapshot back in place (undo). Refuses, saying why, when that would overwrite what came since. */
  restore?(snapshot: SnapshotReader, upstream: Upstream, report: (progress: Progress) => void): Promise<Restored>
}
