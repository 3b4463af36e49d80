import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Config, HttpUpstreamConfig, PostgresUpstreamConfig, UpstreamConfig } from './config.ts'
import { resolveReference } from './reference.ts'

/** A PostgreSQL upstream with its credentials, in memory only. */
export interface PostgresUpstreamSecrets extends Pick<PostgresUpstreamConfig, 'name' | 'environment'> {
  readonly quarantineMs: number | null
  readonly useUrl: string
  readonly protectUrl: string
  /** By agent: what its statements run as instead. */
  readonly asUrls: ReadonlyMap<string, string>
  readonly warm: number
}

export interface HttpUpstreamSecrets extends Pick<
  HttpUpstreamConfig,
  'name' | 'environment' | 'connector' | 'hosts' | 'credential'
> {
  readonly graphqlPaths: readonly string[]
  readonly useSecret: string
  readonly protectSecret: string
  readonly dial?: { readonly host: string; readonly port: number }
  readonly authorities?: string
}

/** @throws SallyportError for a reference that resolves to nothing */
export function resolvePostgres(config: Config): Promise<readonly PostgresUpstreamSecrets[]> {
  return Promise.all(
    config.upstreams
      .filter(isPostgres)
      .map(async ({ name, environment, use, protect, as = {}, quarantine = null, warm = 0 }) => ({
        name,
        environment,
        quarantineMs: quarantine,
        useUrl: await resolveReference(use, config.directory),
        protectUrl: await resolveReference(protect, config.directory),
        asUrls: await resolveOwnRoles(as, config.directory),
        warm,
      })),
  )
}

/** By upstream: whose values stay out of the log. */
export function redactionsOf(config: Config): ReadonlyMap<string, readonly string[]> {
  return new Map(config.upstreams.filter(isPostgres).map(({ name, redact = [] }) => [name, redact]))
}

/** One that can't be resolved stops the gate: without it the agent would run with more than it was given. */
async function resolveOwnRoles(
  as: { readonly [agent: string]: string },
  directory: string,
): Promise<ReadonlyMap<string, string>> {
  const urls = new Map<string, string>()
  for (const [agent, reference] of Object.entries(as)) urls.set(agent, await resolveReference(reference, directory))
  return urls
}

/** @throws SallyportError for a reference that resolves to nothing; Error for a file of authorities that can't be read */
export function resolveHttp(config: Config): Promise<readonly HttpUpstreamSecrets[]> {
  return Promise.all(
    config.upstreams.filter(isHttp).map(async (upstream) => ({
      name: upstream.name,
      environment: upstream.environment,
      connector: upstream.connector,
      hosts: upstream.hosts,
      credential: upstream.credential,
      graphqlPaths: upstream.graphql,
      useSecret: await resolveReference(upstream.use, config.directory),
      protectSecret: await resolveReference(upstream.protect, config.directory),
      ...(upstream.dial === null ? {} : { dial: upstream.dial }),
      ...(upstream.authorities === null
        ? {}
        : { authorities: readFileSync(resolve(config.directory, upstream.authorities), 'utf8') }),
    })),
  )
}

interface Leaf {
  readonly key: string
  readonly certificate: string
}

/**
 * How clients' TLS is ended: with the operator's own certificate, read at start, or with one by the gate's own authority. Null: not at all.
 * @throws Error for files that can't be read
 */
export function openClientTls(
  { listen, directory }: Config,
  authority: { issue(host: string): Promise<Leaf> },
): { certificate(): Promise<Leaf> } | null {
  if (listen.tls === null) return null
  const { name, files } = listen.tls
  if (files === null) return { certificate: () => authority.issue(name) }
  const read = (path: string): string => readFileSync(resolve(directory, path), 'utf8')
  const leaf = { key: read(files.key), certificate: read(files.certificate) }
  return { certificate: async () => leaf }
}

/** The upstream that lies on this thing of that one, by name; null when configuration ties nothing to it. */
export function findTie(config: Config, upstream: string, type: string, id: string): string | null {
  const found = config.upstreams.filter(isHttp).find(({ name }) => name === upstream)
  const ties = found !== undefined && Object.hasOwn(found.tied, type) ? found.tied[type] : undefined
  return ties !== undefined && Object.hasOwn(ties, id) ? (ties[id] ?? null) : null
}

/** How long what is dropped is kept out of reach first, by upstream; those that drop at once are left out. */
export function quarantinesOf({ upstreams }: Config): ReadonlyMap<string, number> {
  return new Map(
    upstreams.filter(isPostgres).flatMap(({ name, quarantine }) => (quarantine === undefined ? [] : [[name, quarantine]])),
  )
}

/** Connectors that read what agents send. */
export function connectorsOf({ upstreams }: Config): ReadonlySet<string> {
  return new Set(upstreams.map((upstream) => (upstream.protocol === 'http' ? upstream.connector : 'postgres')))
}

/** What is protected continuously, and how. */
export function continuousOf({ upstreams }: Config): readonly {
  readonly upstream: string
  readonly keepMs: number
  readonly baseEveryMs: number
  readonly pieceEveryMs: number
  readonly drill: boolean
}[] {
  return upstreams.filter(isPostgres).flatMap(({ name, continuous }) => {
    if (continuous === undefined) return []
    const { keep, base, every, drill } = continuous
    return [{ upstream: name, keepMs: keep, baseEveryMs: base, pieceEveryMs: every, drill }]
  })
}

function isPostgres(upstream: UpstreamConfig): upstream is PostgresUpstreamConfig {
  return upstream.protocol === 'postgres'
}

function isHttp(upstream: UpstreamConfig): upstream is HttpUpstreamConfig {
  return upstream.protocol === 'http'
}
