import { SallyportError, type Environment, type KillSwitch } from '@sallyport/core'
import { defaultPort, readAuthority, writeAuthority, type Origin } from '../../protocols/http/origin.ts'
import type { GovernedUpstream, HttpUpstreams } from '../../protocols/http/upstreams.ts'
import { CredentialFilter, secretBytesMin } from './credential-filter.ts'
import { openGateAccess } from './gate-access.ts'
import { GovernedHost } from './governed.ts'
import { openTunnel } from './open-tunnel.ts'
import { Pool } from './pool.ts'
import type { OpenTie } from './ties.ts'

/** One HTTP API behind the gate. The secrets come from memory, never from argv. */
export interface HttpUpstreamSettings {
  readonly name: string
  readonly environment: Environment
  /** The connector that describes its requests. */
  readonly connector: string
  /** Exact names, each with a port where it is not the scheme's own. No wildcards. */
  readonly hosts: readonly string[]
  /** Default https. */
  readonly scheme?: Origin['scheme']
  /** A header with `{secret}` in its value, for instance `authorization: Bearer {secret}`. */
  readonly credential: string
  /** What agents' requests are sent with. */
  readonly useSecret: string
  /** What the gate looks and copies with. */
  readonly protectSecret: string
  /** The account it is, where known: approvals are void when it changes. Default: its hosts. */
  readonly identity?: string
  readonly graphqlPaths?: readonly string[]
  /** Where its hosts really are, for stand-ins. */
  readonly dial?: { readonly host: string; readonly port: number }
  /** PEM of the authorities that may vouch for it, instead of the system's. */
  readonly authorities?: string
  /** Ways into other upstreams that lie on things of this one. */
  readonly tied?: OpenTie
  /** Default 8,000. */
  readonly connectTimeoutMs?: number
  /** Longest silence of the upstream while it owes an answer. Default 60,000. */
  readonly answerTimeoutMs?: number
}

export interface OpenHttpUpstreams extends HttpUpstreams {
  /** @throws SallyportError when none is called so */
  named(name: string): GovernedUpstream
  close(): void
}

/** @throws SallyportError for settings that can't be used */
export function openHttpUpstreams(list: readonly HttpUpstreamSettings[], killSwitch: KillSwitch): OpenHttpUpstreams {
  const hosts = new Map<string, GovernedHost>()
  const pools: Pool[] = []
  for (const settings of list) {
    for (const origin of readOrigins(settings)) {
      const key = keyOf(origin)
      if (hosts.has(key)) throw unusable(settings.name, `its host ${writeAuthority(origin)} belongs to another upstream already`)
      const { host, pool } = openHost(settings, origin, killSwitch)
      pools.push(pool)
      hosts.set(key, host)
    }
  }
  return {
    find: (origin) => hosts.get(keyOf(origin)) ?? null,
    named: (name) => {
      const found = [...hosts.values()].find((host) => host.name === name)
      if (found === undefined) throw unusable(name, 'it is not configured')
      return found
    },
    tunnel: openTunnel,
    close: () => {
      for (const pool of pools) pool.close()
    },
  }
}

function openHost(
  settings: HttpUpstreamSettings,
  origin: Origin,
  killSwitch: KillSwitch,
): { readonly host: GovernedHost; readonly pool: Pool } {
  const { name, environment, connector, useSecret, protectSecret } = settings
  for (const secret of [useSecret, protectSecret]) checkSecret(name, secret)
  const filter = new CredentialFilter([...new Set([useSecret, protectSecret])])
  const pool = new Pool(
    {
      upstream: name,
      origin,
      dial: settings.dial ?? null,
      authorities: settings.authorities ?? null,
      connectTimeoutMs: settings.connectTimeoutMs ?? 8_000,
    },
    filter,
  )
  const protectLine = writeCredential(name, settings.credential, protectSecret)
  const access = openGateAccess({ name, origin, credentialLine: protectLine }, pool)
  const about = {
    name,
    identity:
      settings.identity ??
      readOrigins(settings)
        .map((each) => `${each.scheme}://${writeAuthority(each)}`)
        .toSorted()
        .join(' '),
    environment,
    connector,
    origin,
    graphqlPaths: new Set(settings.graphqlPaths),
    credentialLine: writeCredential(name, settings.credential, useSecret),
    answerTimeoutMs: settings.answerTimeoutMs ?? 60_000,
    access,
    openTie: settings.tied ?? ((): null => null),
  }
  return { host: new GovernedHost(about, pool, killSwitch), pool }
}

function readOrigins({ name, hosts, scheme = 'https' }: HttpUpstreamSettings): readonly Origin[] {
  if (hosts.length === 0) throw unusable(name, 'it has no host')
  return hosts.map((text) => {
    const origin = readAuthority(text, scheme)
    if (origin === null) throw unusable(name, `${JSON.stringify(text.slice(0, 128))} is no plain host name`)
    return origin
  })
}

function keyOf({ scheme, host, port }: Origin): string {
  return `${scheme}://${host}:${port === 0 ? defaultPort(scheme) : port}`
}

/** Visible ASCII: whatever else is in a secret would be in a header. */
function checkSecret(name: string, secret: string): void {
  if (!/^[\x21-\x7e]+$/.test(secret)) throw unusable(name, 'its secret holds a blank or another character that no header carries')
  if (secret.length < secretBytesMin)
    throw unusable(name, `its secret is shorter than ${secretBytesMin} characters, too short to be found and removed in answers`)
}

const templatePattern = /^([A-Za-z][A-Za-z0-9-]{0,63}): ?([\x20-\x7e]*)$/

function writeCredential(name: string, template: string, secret: string): string {
  const [, header, value] = templatePattern.exec(template) ?? []
  if (header === undefined || value === undefined || !value.includes('{secret}'))
    throw unusable(name, 'its credential is not written like "authorization: Bearer {secret}"')
  return `${header.toLowerCase()}: ${value.replaceAll('{secret}', () => secret)}`
}

function unusable(name: string, why: string): SallyportError {
  return new SallyportError(
    'upstream_unavailable',
    `The upstream ${name} can't be used: ${why}.`,
    'It was not opened.',
    'Mend it in sallyport.yaml.',
  )
}
