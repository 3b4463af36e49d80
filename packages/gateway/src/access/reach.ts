import { SallyportError, type Connector, type Upstream } from '@sallyport/core'

interface Reachable {
  isHttp(name: string): boolean
  readonly databases: {
    openProtected(name: string): Promise<{ readonly upstream: Upstream; end(commit: boolean): Promise<void>; close(): void }>
  }
  readonly apis: {
    named(name: string): {
      readonly connector: string
      enter(): { readonly upstream: Upstream; leave(): Promise<void> }
    }
  }
  readonly connectors: ReadonlyMap<string, Connector>
}

/** A way into the upstream of that name for the gate itself, whatever it speaks, for as long as `work` takes. */
export async function withUpstream<Result>(
  reachable: Reachable,
  name: string,
  work: (upstream: Upstream, connector: Connector) => Promise<Result>,
): Promise<Result> {
  const { databases, apis, connectors } = reachable
  if (reachable.isHttp(name)) {
    const governed = apis.named(name)
    const way = governed.enter()
    try {
      return await work(way.upstream, findConnector(connectors, governed.connector))
    } finally {
      await way.leave()
    }
  }
  const connector = findConnector(connectors, 'postgres')
  const opened = await databases.openProtected(name)
  try {
    const result = await work(opened.upstream, connector)
    await opened.end(true)
    return result
  } catch (error) {
    await opened.end(false)
    throw error
  } finally {
    opened.close()
  }
}

function findConnector(connectors: ReadonlyMap<string, Connector>, id: string): Connector {
  const connector = connectors.get(id)
  if (connector !== undefined) return connector
  throw new SallyportError(
    'internal',
    `There is no connector called ${id}.`,
    'Nothing was done.',
    'Report this: it is a defect of the gate.',
  )
}
