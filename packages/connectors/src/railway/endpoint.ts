/** The hosts of Railway's public API. */
export const railwayHosts: readonly string[] = ['backboard.railway.com', 'backboard.railway.app']

/** The only path of these hosts that is read. */
const path = '/graphql/v2'

/**
 * Whether a URL is the GraphQL endpoint, written in the one way that no two parsers read differently: no user, port, query, fragment,
 * dot segment, escape or letter that Unicode folds into another.
 */
export function isRailwayEndpoint(url: string, endpoint: string | undefined): boolean {
  if (endpoint !== undefined && url === endpoint) return true
  return railwayHosts.some((host) => url === `https://${host}${path}` || url === `https://${host}:443${path}`)
}
