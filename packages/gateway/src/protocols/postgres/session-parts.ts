import { randomBytes } from 'node:crypto'
import type { ErrorCode, Gate, OpenSession } from '@sallyport/core'
import type { ClientTls } from './client-tls.ts'

export interface PostgresSettings {
  readonly host: string
  readonly port: number
  /** By upstream: columns, tables and views whose values stay out of the log and are not shown to people. Default: none. */
  readonly redact?: ReadonlyMap<string, readonly string[]>
  /** How clients' TLS is ended. Default null: none is offered, and clients of other machines are turned away. */
  readonly tls?: ClientTls | null
  /** How long a statement that waits for people holds its client before it is refused with the request's id. Default 20,000. */
  readonly waitMs?: number
  /** Start-up and authentication together with opening the upstream. Default 9,000: nobody is suffered for 10 s. */
  readonly startupTimeoutMs?: number
  /** Longest message of a client. Default 16 MiB. */
  readonly messageBytesMax?: number
  /** Clients at once, authenticated or not. Default 2,000: a thousand sessions may lie idle, and each costs less than 100 KiB. */
  readonly connectionsMax?: number
}

export type FullSettings = Required<PostgresSettings>

export function withDefaults(settings: PostgresSettings): FullSettings {
  return {
    tls: null,
    redact: new Map(),
    waitMs: 20_000,
    startupTimeoutMs: 9_000,
    messageBytesMax: 16 * 1024 * 1024,
    connectionsMax: 2_000,
    ...settings,
  }
}

/** Of this process alone: whoever reads the log cannot try values against what stands there instead of them. */
export const redactionKey = randomBytes(32)

/** What a session's parts share. */
export interface SessionParts {
  readonly gate: Gate
  readonly open: OpenSession
  readonly settings: FullSettings
  /** Aborts when the client went away, was killed, or the upstream broke. */
  readonly ending: AbortSignal
  /** Outcomes on their way to the log. */
  readonly pending: Set<Promise<void>>
  /** Bytes are waited for: the client must be read. */
  readOn(): void
  /** Ends the session; the client is told why. */
  end(reason: string, code: ErrorCode): void
}
