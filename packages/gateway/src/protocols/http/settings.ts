import type { Canaries } from './canary.ts'
import type { DeferralSettings } from './deferral.ts'

/** What a client sees of the gate instead of the host it wanted. */
export interface Leaf {
  /** PEM. */
  readonly key: string
  readonly certificate: string
  readonly renewAtMs: number
}

/** Certificates for intercepted hosts, signed by an authority that only agents trust. */
export interface Certificates {
  /** For exactly this host; the same one until it is time to renew. */
  issue(host: string): Promise<Leaf>
}

export interface HttpSettings {
  readonly host: string
  readonly port: number
  readonly certificates: Certificates
  /**
   * Hosts that no upstream governs and that are passed on unread, to port 443, each under the name that scope and kill switch know it by. Whatever
   * token is in there is not seen. Every other host is refused. Default: none.
   */
  readonly unread?: ReadonlyMap<string, string>
  /** TLS towards agents. Default null: none, and only agents of this machine are heard. */
  readonly tls?: { certificate(): Promise<Pick<Leaf, 'key' | 'certificate'>> } | null
  /** How long a request that waits for people holds its client before it is refused with the request's id. Default 20,000. */
  readonly waitMs?: number
  /** Where what waits with a delay is kept until the gate runs it. Default null: its agents send it again. */
  readonly deferrals?: DeferralSettings | null
  /** Planted tokens; using one rings louder than any other. Default null: none. */
  readonly canaries?: Canaries | null
  /** Largest request body, as sent and as opened. Default 1 MiB. */
  readonly bodyBytesMax?: number
  /** Clients at once, authenticated or not. Default 500. */
  readonly connectionsMax?: number
  /** From the first byte of a request to the end of its headers; also for a TLS handshake. Default 10,000. */
  readonly headersTimeoutMs?: number
  /** From the first byte of a request to its last. Default 30,000. */
  readonly requestTimeoutMs?: number
  /** Between two requests on one connection. Default 60,000. */
  readonly idleTimeoutMs?: number
}

export type FullSettings = Required<HttpSettings>

export function withDefaults(settings: HttpSettings): FullSettings {
  return {
    unread: new Map(),
    tls: null,
    waitMs: 20_000,
    deferrals: null,
    canaries: null,
    bodyBytesMax: 1024 * 1024,
    connectionsMax: 500,
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 30_000,
    idleTimeoutMs: 60_000,
    ...settings,
  }
}
