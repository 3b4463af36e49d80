import { z } from 'zod'
import type { SqlRow } from './connector.ts'

/**
 * Continuous protection of a PostgreSQL server (DESIGN §7): a base copy, and every byte of write-ahead log (WAL) that the server wrote since, as
 * one unbroken stream in the vault. Any moment between the base and the end of its stream can be restored.
 */

const lsnPattern = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i
/** A position in WAL in the server's own writing, such as `16/B374D848`. */
export const lsnShape = z.string().regex(lsnPattern, 'a position in WAL is written like 16/B374D848')

/** @throws Error for what is no position */
export function parseLsn(text: string): bigint {
  const [, high, low] = lsnPattern.exec(text) ?? []
  if (high === undefined || low === undefined) throw new Error('this is no position in WAL')
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}

export function showLsn(position: bigint): string {
  return `${(position >> 32n).toString(16)}/${(position & 0xffffffffn).toString(16)}`.toUpperCase()
}

/** Name of a stream in the vault. */
export const walStreamId = z.string().regex(/^[0-9a-f]{32}$/)

/** What a stream is of. It never changes: another timeline or another server begins another stream. */
export const walStreamAboutShape = z.strictObject({
  upstream: z.string().min(1).max(256),
  upstreamIdentity: z.string().max(1024),
  timeline: z.int().min(1).max(0xffffffff),
  /** Bytes of one WAL file of that server: a power of two, 1 MiB to 1 GiB. */
  segmentBytes: z
    .int()
    .min(1 << 20)
    .max(1 << 30),
})
export type WalStreamAbout = z.infer<typeof walStreamAboutShape>

/** A stream as the vault holds it now: without a gap from `fromLsn` to `toLsn`, every byte of it durable and read back. */
export const walStreamShape = walStreamAboutShape.extend({
  id: walStreamId,
  fromLsn: lsnShape,
  toLsn: lsnShape,
  pieces: z.int().min(1),
  /** When the first piece that is still kept, and the last one, were sealed, by the vault's clock. */
  firstAtMs: z.int().min(0),
  lastAtMs: z.int().min(0),
  storedBytes: z.int().min(0),
  /** Why it cannot be read from one end to the other; null when it can. */
  damage: z.string().nullable(),
})
export type WalStream = z.infer<typeof walStreamShape>

/** Bytes of WAL in one piece, at most. */
export const walPieceBytesMax = 1 << 20

/** The vault's verbs for WAL. Like all of them: written once, and none that deletes. */
export interface WalVault {
  /** A new stream, known to nobody until its first piece is there. */
  begin(about: WalStreamAbout): Promise<string>
  /** Durable when it resolves. Only what continues the stream is taken; the same piece once more is taken for the one that is there. */
  append(
    stream: string,
    piece: { readonly fromLsn: string; readonly bytes: Uint8Array; readonly retainMs: number },
  ): Promise<WalStream>
  list(upstream: string): Promise<readonly WalStream[]>
  /** From a position to the end of what is there. */
  read(stream: string, fromLsn: string): AsyncIterable<Uint8Array>
}

/** The manifest of a snapshot of kind `base`: one tar file of a whole server, and where the stream that goes on from it lies. */
export const baseManifestShape = z.object({
  version: z.literal(1),
  connector: z.literal('postgres'),
  kind: z.literal('base-backup'),
  /** Name of the part with the tar file, and its hash. */
  part: z.string(),
  partSha256: z.string().regex(/^[0-9a-f]{64}$/),
  stream: walStreamId,
  timeline: z.int().min(1),
  segmentBytes: z.int().min(1),
  /** Recovery begins here: WAL from here on is needed. */
  startLsn: lsnShape,
  /** The earliest moment that can be restored from this base. */
  endLsn: lsnShape,
  endedAtMs: z.int().min(0),
  /** PostgreSQL's major version: only programs of the same start it. */
  major: z.int().min(1),
  systemIdentifier: z.string(),
  /** Name of the server's bootstrap superuser. */
  superuser: z.string(),
  /** The database that the upstream leads to. */
  database: z.string(),
})
export type BaseManifest = z.infer<typeof baseManifestShape>

/** Where recovery of a server stops. */
export type RecoveryMoment =
  | { readonly kind: 'time'; readonly atMs: number }
  | { readonly kind: 'lsn'; readonly lsn: string }
  | { readonly kind: 'point'; readonly name: string }
  | { readonly kind: 'end' }

/** A named point in a stream, durable in the vault, made while the lock on what is to be destroyed was held. */
export interface RestorePoint {
  readonly name: string
  readonly lsn: string
  readonly stream: string
  /** False: recovery finds it by its position only. */
  readonly named: boolean
}

/** What continuous protection says of an upstream, right now. */
export interface ProtectionState {
  readonly stream: string
  /** The newest base that the stream goes on from. */
  readonly base: string
  readonly durableLsn: string
  /** When a restore from this very stream was last made and verified; null: never, so it is no restore point yet (DESIGN §2). */
  readonly provenAtMs: number | null
}

/** The receiver of WAL as `govern` sees it. */
export interface Protection {
  /** Null when the chain to this moment is broken, or there is none. */
  state(upstream: string): ProtectionState | null
  /** Makes a restore point and waits until the vault has it. @throws SallyportError; then nothing may run */
  mark(upstream: string, name: string): Promise<RestorePoint>
}

/** What a server says of itself and of our slot, before WAL is received from it. */
export interface WalServer {
  readonly identity: string
  readonly systemIdentifier: string
  readonly timeline: number
  readonly major: number
  readonly segmentBytes: number
  readonly database: string
  readonly superuser: string
  /** Where it writes now. */
  readonly endLsn: string
  /** Why it cannot be protected continuously, with what would change that; null when nothing stands in the way. */
  readonly obstacle: { readonly reason: string; readonly remedy: string } | null
  /** Null: there is no slot of this name. `lostWhy`: it is there, and WAL that the vault lacks is gone. */
  readonly slot: { readonly restartLsn: string | null; readonly lostWhy: string | null } | null
  /** Bytes of WAL the server will still keep for the slot; null: without bound. */
  readonly keepsBytes: number | null
}

/** WAL as it comes. */
export interface WalFeed {
  /** Ends with an error when the connection breaks, the server goes on to another timeline, or nothing more comes. */
  next(): Promise<{ readonly fromLsn: bigint; readonly bytes: Uint8Array }>
  /** Tells the server what was received and what is durable: it forgets WAL up to there. */
  confirm(received: bigint, durable: bigint): void
  close(): void
}

/** A server as the receiver of WAL sees it. Everything throws SallyportError, never with a secret. */
export interface WalSource {
  look(slot: string): Promise<WalServer>
  /** Makes the slot anew, after dropping what is left of a lost one, and keeps WAL from now on. */
  makeSlot(slot: string): Promise<void>
  feed(slot: string, from: { readonly lsn: bigint; readonly timeline: number }): Promise<WalFeed>
  baseBackup(
    told: (span: { readonly startLsn: string; readonly endLsn: string; readonly timeline: number }) => void,
  ): AsyncIterable<Uint8Array>
  /** Writes a named point into WAL, flushed at once. Where it ends, and whether recovery finds it by its name. */
  mark(name: string): Promise<{ readonly lsn: string; readonly named: boolean }>
  /** A connection of its own; whatever was begun in it ends with it. */
  session(): Promise<{
    readonly ask: (sql: string, values?: readonly (string | null)[]) => Promise<readonly SqlRow[]>
    end(): void
  }>
  close(): void
}
