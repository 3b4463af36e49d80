import { splitAddress } from './welcome.ts'

export interface AgentEnvironmentSettings {
  readonly inherited: NodeJS.ProcessEnv
  readonly agent: string
  readonly upstream: string
  readonly handle: string
  /** `host:port` of the gate for PostgreSQL clients. */
  readonly postgresAddress: string
  /** Names of variables that the configuration takes upstream credentials from (`env:NAME`). */
  readonly credentialNames: readonly string[]
  /** Upstream passwords and URLs: a variable that holds one goes, whatever it is called. */
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

/**
 * The environment of an agent's process: the gate's address and a handle where programs look for a database. Every PG… variable is ours or gone,
 * since libpq prefers some of them (PGHOSTADDR, PGSERVICE, PGPASSFILE) to what we set. What else the person has is left: it is theirs to give.
 */
export function makeAgentEnvironment(settings: AgentEnvironmentSettings): AgentEnvironment {
  const values = settings.credentialValues.filter((value) => value.length >= valueLengthMin)
  const removed: string[] = []
  const environment: NodeJS.ProcessEnv = {}
  for (const [name, value] of Object.entries(settings.inherited)) {
    if (value === undefined || isOurs(name)) continue
    const names = settings.credentialNames.includes(name)
    if (names || values.some((secret) => value.includes(secret))) removed.push(name)
    else environment[name] = value
  }
  const { host, port } = splitAddress(settings.postgresAddress)
  const { agent, handle, upstream } = settings
  const suspicious = Object.keys(environment)
    .filter((name) => credentialLike.test(name))
    .toSorted()
  Object.assign(environment, {
    DATABASE_URL: `postgres://${agent}:${handle}@${settings.postgresAddress}/${upstream}`,
    PGHOST: host,
    PGPORT: port,
    PGUSER: agent,
    PGPASSWORD: handle,
    PGDATABASE: upstream,
    SALLYPORT_AGENT: agent,
  })
  return { environment, removed: removed.toSorted(), suspicious }
}

function isOurs(name: string): boolean {
  return name === 'DATABASE_URL' || name === 'SALLYPORT_AGENT' || name.startsWith('PG')
}
