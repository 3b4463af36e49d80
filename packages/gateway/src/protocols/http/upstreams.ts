import type { Duplex } from 'node:stream'
import type { Clearance, SallyportError, Session, Upstream } from '@sallyport/core'
import type { Origin } from './origin.ts'

/** The protocol's own port to its upstreams. Whoever implements it opens the sockets and keeps the credentials. */
export interface HttpUpstreams {
  /** The upstream that governs exactly this origin; null when none does. No wildcards: injection happens only where this matched. */
  find(origin: Origin): GovernedUpstream | null
  /** A connection nobody reads, for hosts that configuration lets pass. Refuses addresses that are not of the public internet. */
  tunnel(host: string, port: number, signal: AbortSignal): Promise<Duplex>
}

/** One request's way to look at the upstream and to copy what lies on it. */
export interface WayIn {
  readonly upstream: Upstream
  /** Lets go of every lock that looking took: people take their time. Looking again takes new ones. Never rejects. */
  rest(): Promise<void>
  /** The request was answered or refused: whatever was opened for it is closed. Never rejects. */
  leave(): Promise<void>
}

export interface GovernedUpstream {
  readonly name: string
  readonly identity: string
  enter(): WayIn
  /** The connector that describes its requests. */
  readonly connector: string
  /** Paths that speak GraphQL: their clients are refused in GraphQL's words. */
  readonly graphqlPaths: ReadonlySet<string>
  /**
   * Recomputes the digest of what it is about to write, spends the clearance on it, adds the credential, writes.
   * Rejects when nothing was written; what goes wrong after that is told to the listener.
   */
  send(clearance: Clearance, call: Call, listener: AnswerListener): Promise<Flow>
  /** Writes what needs no clearance: a remembered read. Rejects when nothing was written. */
  forwardRead(call: Call, listener: AnswerListener): Promise<Flow>
}

/** One request as it is forwarded, but for the credential. */
export interface Message {
  readonly method: string
  /** Origin-form: path and query. */
  readonly target: string
  /** In order, `host` first, `content-length` last where there is a body. */
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Buffer
  /** `traceparent`, passed on beside the headers: it is no part of what was decided. Absent: none came. */
  readonly trace?: string
}

export interface Call {
  readonly session: Session
  readonly message: Message
  /** Aborted by a kill: the connection is destroyed at once. */
  readonly signal: AbortSignal
}

export interface AnswerHead {
  readonly status: number
  readonly reason: string
  /** Without hop-by-hop headers, cookies and the credential. */
  readonly headers: readonly (readonly [string, string])[]
}

export interface AnswerListener {
  head(head: AnswerHead): void
  /** False: stop until `flow.resume()`. */
  data(chunk: Buffer): boolean
  end(): void
  /** All that has arrived so far was handed over. */
  turn(): void
  /** The answer broke off, or was none, after the request was written. */
  failed(error: SallyportError): void
}

export interface Flow {
  resume(): void
  /** Nobody wants the rest: the connection is destroyed. */
  abandon(): void
}
