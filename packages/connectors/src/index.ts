import type { Connector, Describers, Json, Operation } from '@sallyport/core'
import { postgres, warm as warmPostgres } from './postgres/index.ts'
import { hosts as railwayHosts, railway, warm as warmRailway } from './railway/index.ts'

/** A server put back as it was at a moment, from a base copy and WAL. */
export { recoverServer, type RecoveredServer, type RecoverOptions, type RecoverySource } from './railway/recover-server.ts'
export { listTables, sumTables, type Ask, type TableSum, type VolumeTable } from './railway/base-backup-tables.ts'
/** A PostgreSQL server of the gate's own, to start copies in: whoever proves one may use it. */
export { makeScratchCluster, type ClusterLocale } from './railway/scratch-server-cluster.ts'
export { findSandbox, type Sandbox } from './railway/scratch-server-sandbox.ts'
export {
  findScratchUser,
  makeScratchPlace,
  removeScratch,
  startScratchServer,
  type ScratchPlace,
} from './railway/scratch-server.ts'

/** Every connector there is: one line a folder. A spec compares it with the folders. */
export const connectors: readonly Connector[] = [postgres, railway]

export function findConnector(id: string): Connector | undefined {
  return connectors.find((connector) => connector.id === id)
}

/** Whose API a host serves. */
const connectorsByHost: ReadonlyMap<string, Connector> = new Map(railwayHosts.map((host) => [host, railway]))

/** The connector that reads what is sent to a URL. */
export function findByUrl(url: string): Connector | undefined {
  return URL.canParse(url) ? connectorsByHost.get(new URL(url).hostname) : undefined
}

/** An HTTP request as a describer or a person hands it over: who reads it is told by its URL. */
function findForHttp(decoded: Json): Connector | undefined {
  if (typeof decoded !== 'object' || decoded === null || !('url' in decoded)) return undefined
  return typeof decoded.url === 'string' ? findByUrl(decoded.url) : undefined
}

/** Describers may ask each other in circles: SQL in a shell command in an argument of a tool. */
const depthMax = 8

/** How a describer reaches another language by name. */
export function makeDescribers(depth = 0): Describers {
  return {
    async describe(id: string, decoded: Json): Promise<readonly Operation[]> {
      const connector = id === 'http' ? findForHttp(decoded) : findConnector(id)
      if (!connector && id === 'http') return [unknown(id, 'goes to a host whose API this gate does not read')]
      if (!connector)
        return [unknown(id, `asks for the language ${JSON.stringify(id.slice(0, 80))}, which this gate does not read`)]
      if (depth >= depthMax) return [unknown(id, 'nests languages deeper than this gate reads')]
      return connector.describe(decoded, makeDescribers(depth + 1))
    },
  }
}

function unknown(id: string, why: string): Operation {
  return {
    action: `${/^[a-z][a-z0-9_]*$/.test(id) ? id : 'unknown'}.unreadable`,
    resources: [],
    impact: { kind: 'unknown', reversible: false },
    why,
    context: {},
  }
}

/** Loads what the first request through these connectors should not wait for. */
export async function warmConnectors(ids: ReadonlySet<string>): Promise<void> {
  await Promise.all([ids.has(postgres.id) ? warmPostgres() : null, ids.has(railway.id) ? warmRailway() : null])
}
