import { addingVariables, replacingVariables, type AgentTrust } from './trust.ts'
import { splitAddress } from './welcome.ts'

export interface AgentEnvironmentSettings {
  readonly inherited: NodeJS.ProcessEnv
  readonly agent: string
  readonly handle: string
  /** The database that DATABASE_URL leads to, and `host:port` of the gate for PostgreSQL clients; null: none is configured. */
  readonly database: { readonly upstream: string; readonly address: string } | null
  /** `host:port` of the gate as an HTTPS proxy, and what makes programs trust it; null: no http upstream is configured. */
  readonly proxy: { readonly address: string; readonly trust: Pick<AgentTrust, 'bundleFile' | 'extraFile'> } | null
  /** Names of variables that the configuration takes upstream credentials from (`env:NAME`). */
  readonly credentialNames: readonly string[]
  /** Upstream passwords, tokens and URLs: a variable that holds one goes, whatever it is called. */
  readonly credentialValues: readonly string[]
}

export interface AgentEnvironment {
  readonly environment: NodeJS.ProcessEnv
  /** Names taken away because they held or named an upstream credential. */
  readonly removed: readonly string[]
  /** Names left in place that look like credentials for other things, which the gate does not govern. */
  readonly suspicious: readonly string[]
}

/** Shorter ones would match by accident. */
const valueLengthMin = 8
const credentialLike = /(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|DATABASE_URL|DSN)(_|$)/i
const loopback = 'localhost,127.0.0.1,::1'

/**
 * The environment of an agent's process: the gate's address and a handle where programs look for a database or a proxy. Every PG… variable is ours
 * or gone, since libpq prefers some of them (PGHOSTADDR, PGSERVICE, PGPASSFILE) to what we set; the same for what would lead around the proxy.
 * What else the person has is left: it is theirs to give.
 */
export function makeAgentEnvironment(settings: AgentEnvironmentSettings): AgentEnvironment {
  const values = settings.credentialValues.filter((value) => value.length >= valueLengthMin)
  const removed: string[] = []
  const environment: NodeJS.ProcessEnv = {}
  for (const [name, value] of Object.entries(settings.inherited)) {
    if (value === undefined || isOurs(name) || (settings.proxy !== null && isOfProxy(name))) continue
    const names = settings.credentialNames.includes(name)
    if (names || values.some((secret) => value.includes(secret))) removed.push(name)
    else environment[name] = value
  }
  const suspicious = Object.keys(environment)
    .filter((name) => credentialLike.test(name))
    .toSorted()
  Object.assign(environment, { SALLYPORT_AGENT: settings.agent }, describeDatabase(settings), describeProxy(settings))
  return { environment, removed: removed.toSorted(), suspicious }
}

function describeDatabase({ agent, handle, database }: AgentEnvironmentSettings): NodeJS.ProcessEnv {
  if (database === null) return {}
  const { host, port } = splitAddress(database.address)
  return {
    DATABASE_URL: `postgres://${agent}:${handle}@${database.address}/${database.upstream}`,
    PGHOST: host,
    PGPORT: port,
    PGUSER: agent,
    PGPASSWORD: handle,
    PGDATABASE: database.upstream,
  }
}

function describeProxy({ agent, handle, proxy }: AgentEnvironmentSettings): NodeJS.ProcessEnv {
  if (proxy === null) return {}
  const url = `http://${agent}:${handle}@${proxy.address}`
  return {
    HTTPS_PROXY: url,
    https_proxy: url,
    NO_PROXY: loopback,
    no_proxy: loopback,
    // Node's own fetch and https look at the proxy's variables only when they are told to.
    NODE_USE_ENV_PROXY: '1',
    ...Object.fromEntries(replacingVariables.map((name) => [name, proxy.trust.bundleFile])),
    ...Object.fromEntries(addingVariables.map((name) => [name, proxy.trust.extraFile])),
  }
}

function isOurs(name: string): boolean {
  return name === 'DATABASE_URL' || name === 'SALLYPORT_AGENT' || name.startsWith('PG')
}

/** What of a person's settings would lead past the gate. */
function isOfProxy(name: string): boolean {
  return /^(https|all|no)_proxy$/i.test(name)
}
