/** The hosts of Railway's public API. */
export const railwayHosts: readonly string[] = ['backboard.railway.com', 'backboard.railway.app']

/**
 * Whether a URL is the GraphQL endpoint, written in a way that no two parsers read differently: no user, query, fragment, dot segment or
 * escape, no port but the usual one, and no letter that Unicode folds into another.
 */
export function isRailwayEndpoint(url: string, endpoint: string | undefined): boolean {
  if (endpoint !== undefined && url === endpoint) return true
  const [, host] = /^https:\/\/([a-z0-9.-]{1,253})(?::443)?\/graphql\/v2$/.exec(lowerHost(url)) ?? []
  return host !== undefined && railwayHosts.includes(host)
}

/** Scheme and host in lower case, which says the same; ASCII only. */
function lowerHost(url: string): string {
  return url.replace(/^[A-Za-z]+:\/\/[A-Za-z0-9.-]{1,253}/, (start) => start.toLowerCase())
}

/** Whether a Host header names the server of a URL that is an endpoint; the port may be left out where it is the usual one. */
export function isHostOf(host: string, url: string): boolean {
  const [, authority = ''] = /^https?:\/\/([^/?#]*)/.exec(lowerHost(url)) ?? []
  return withoutUsualPort(host.trim().toLowerCase()) === withoutUsualPort(authority)
}

function withoutUsualPort(authority: string): string {
  return authority.replace(/:443$/, '')
}
