/** Scheme, host and port: what a credential belongs to. */
export interface Origin {
  readonly scheme: 'https' | 'http'
  /** ASCII, lower case, no trailing dot. */
  readonly host: string
  readonly port: number
}

const hostBytesMax = 253
const authorityPattern =
  /^([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*)(?::([1-9][0-9]{0,4}))?$/i

/**
 * Reads `host` or `host:port` (RFC 9110 §7.2). Only names of letters, digits and hyphens: no user information, no percent-encoding, no brackets,
 * no trailing dot, nothing outside ASCII. What isn't read here matches no upstream, so there is nothing to normalise and nothing to confuse.
 */
export function readAuthority(text: string, scheme: Origin['scheme']): Origin | null {
  const found = authorityPattern.exec(text)
  const host = found?.[1]
  if (host === undefined || host.length > hostBytesMax) return null
  const port = found?.[2] === undefined ? defaultPort(scheme) : Number(found[2])
  return port > 65_535 ? null : { scheme, host: host.toLowerCase(), port }
}

export function isSameOrigin(left: Origin, right: Origin): boolean {
  return left.scheme === right.scheme && left.host === right.host && left.port === right.port
}

export function defaultPort(scheme: Origin['scheme']): number {
  return scheme === 'https' ? 443 : 80
}

/** As a Host header says it. */
export function writeAuthority({ scheme, host, port }: Origin): string {
  return port === defaultPort(scheme) ? host : `${host}:${port}`
}

/** Every way that some resolver takes for an IPv4 address (decimal, octal, hex, short): the last label is a number. */
export function isAddress(host: string): boolean {
  return /(^|\.)(\d+|0x[0-9a-f]*)$/.test(host)
}
