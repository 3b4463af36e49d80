import type { Asked, Session, Upstream } from '@sallyport/core'
import { describeForPeople, describeToConnector } from './described.ts'
import { writeAuthority, type Origin } from './origin.ts'
import type { GovernedUpstream, Message } from './upstreams.ts'

/** What govern is asked about one request, whoever sends it: its agent, or the gate when its delay is over. */
export interface AskedParts {
  readonly session: Session
  readonly governed: GovernedUpstream
  readonly upstream: Upstream
  readonly origin: Origin
  readonly message: Message
  readonly sha256: string
  /** The body, its compression undone. */
  readonly opened: Buffer
  readonly contentType: string
}

export function makeAsked(parts: AskedParts): Asked {
  const { session, governed, upstream, origin, message, sha256, opened, contentType } = parts
  return {
    session,
    upstream,
    connector: governed.connector,
    decoded: describeToConnector(origin, message, opened, contentType),
    payload: {
      protocol: 'http',
      upstream: governed.name,
      upstreamIdentity: governed.identity,
      bytesSha256: sha256,
      bindValues: [],
      settings: { origin: `${origin.scheme}://${writeAuthority(origin)}` },
    },
    text: describeForPeople(origin, message, opened),
    ...(message.trace === undefined ? {} : { trace: message.trace }),
    key: keyOf(governed, sha256),
  }
}

export function keyOf(governed: GovernedUpstream, sha256: string): string {
  return `http ${governed.name} ${sha256}`
}

export function isGraphqlTarget(governed: GovernedUpstream, target: string): boolean {
  return governed.graphqlPaths.has(target.split('?', 1)[0] ?? '')
}
