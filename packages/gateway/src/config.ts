import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { connectors } from '@sallyport/connectors'
import { isOwnHost, type AllowedScope, type Environment, type Expectation } from '@sallyport/core'
import type { AttestationConfig } from './attestation-settings.ts'
import { checkApprovals, type GroupsConfig } from './approval-settings.ts'
import { checkExpectations } from './expect-settings.ts'
import { configSchema } from './config-schema.ts'
import type { ContinuousConfig } from './continuous-settings.ts'
import type { DeliverConfig } from './deliver-config.ts'
import type { KeepConfig, KeptThingConfig } from './keep-settings.ts'
import type { LogConfig } from './log-settings.ts'
import type { OnCallConfig } from './on-call-settings.ts'
import { checkRings, type RingConfig } from './ring-settings.ts'
import { checkTotp, type TotpConfig } from './totp-settings.ts'
import type { WitnessesConfig } from './witness-settings.ts'
import type { VaultPlace } from './vault-place.ts'
import type { OidcConfig } from './people-settings.ts'
import type { WorkloadConfig } from './workload-settings.ts'
import { explainIssue, locate, type ConfigMistake, type FindPlace } from './config-mistake.ts'

interface AnyUpstreamConfig {
  readonly name: string
  readonly environment: Environment
  /** References (`file:`, `env:`, `exec:`), never the secrets themselves. */
  readonly use: string
  readonly protect: string
}

export interface PostgresUpstreamConfig extends AnyUpstreamConfig {
  readonly protocol: 'postgres'
  /** Agent → what its statements run as instead of `use`: a role of its own, with less than the shared one. */
  readonly as?: { readonly [agent: string]: string }
  /** How long what is dropped is kept out of reach first. Absent: it is dropped at once. */
  readonly quarantine?: number
  /** Columns, tables and views whose values stay out of the log. */
  readonly redact?: readonly string[]
  /** Connections kept authenticated ahead. */
  readonly warm?: number
  /** Absent: only what a statement would lose is copied, when it runs. */
  readonly continuous?: ContinuousConfig
  /** Copies of the whole, and drills of them. */
  readonly keep?: KeepConfig
}

export interface HttpUpstreamConfig extends AnyUpstreamConfig {
  readonly protocol: 'http'
  readonly connector: string
  readonly hosts: readonly string[]
  /** A header with `{secret}` in its value. */
  readonly credential: string
  readonly graphql: readonly string[]
  /** Where its hosts really are, for stand-ins. */
  readonly dial: { readonly host: string; readonly port: number } | null
  /** PEM file of the authorities that may vouch for it. */
  readonly authorities: string | null
  /** Kind of thing → its id → the upstream that lies on it: a volume carries a database. */
  readonly tied: { readonly [type: string]: { readonly [id: string]: string } }
  readonly keep?: Pick<KeepConfig, 'demand'>
}

/** A certificate for `name` by the gate's own authority, or one of the operator's in PEM files. */
export interface TlsConfig {
  readonly name: string
  readonly files: { readonly certificate: string; readonly key: string } | null
}

export type UpstreamConfig = PostgresUpstreamConfig | HttpUpstreamConfig

export interface AgentConfig {
  readonly name: string
  readonly owner: string
  readonly scopes: readonly AllowedScope[]
  readonly handleMs: number
  /** Whose OIDC tokens its handles are given for. */
  readonly workloads: readonly WorkloadConfig[]
}

export interface Config {
  readonly path: string
  /** The file as it was read. */
  readonly text: string
  /** What relative paths in it are relative to. */
  readonly directory: string
  readonly mode: 'solo' | 'team'
  /** Where people sign in besides their passkeys. */
  readonly oidc: OidcConfig | null
  /** Which models of passkeys are let in. Null: all. */
  readonly attestation: AttestationConfig | null
  readonly listen: {
    readonly postgres: { readonly host: string; readonly port: number }
    /** Null: neither is an HTTP upstream configured nor an address given, so nothing listens for agents' HTTP. */
    readonly http: { readonly host: string; readonly port: number } | null
    readonly control: { readonly host: string; readonly port: number }
    /** How the gate ends the TLS of database clients. Null: it offers none, and hears this machine only. */
    readonly tls: TlsConfig | null
    /** Where Prometheus asks. Null: nowhere. */
    readonly metrics: { readonly host: string; readonly port: number } | null
  }
  readonly upstreams: readonly UpstreamConfig[]
  readonly agents: readonly AgentConfig[]
  /** Name → hosts that agents may reach through the proxy without anybody reading what passes. */
  readonly unread: { readonly [name: string]: readonly string[] }
  /** Who outside is told what happens. */
  readonly deliver: { readonly [name: string]: DeliverConfig }
  /** Who is on call when, by the names of rotations. */
  readonly onCall: OnCallConfig
  /** Who is rung when nobody answers, one after the other. Empty: everybody at once. */
  readonly escalate: RingConfig['escalate']
  readonly quietHours: RingConfig['quietHours']
  /** Kinds of alarm that stop the agent they are about. */
  readonly stoppingAlarms: readonly string[]
  readonly rowsWithoutPrompt: number
  readonly coolOffMs: number
  readonly retainMs: number
  /** How long a statement that waits for people holds its client. */
  readonly waitMs: number
  /** How long what runs may take to end when the gate is asked to stop. */
  readonly drainMs: number
  /** How long a question waits for people; no answer is a no. */
  readonly requestMs: number
  readonly guards: string
  /** What has to hold before anything wider is proposed. */
  readonly expect: readonly Expectation[]
  readonly vault: VaultPlace
  readonly witnesses: WitnessesConfig
  /** What becomes of old entries of the log. */
  readonly log: LogConfig
  /** Things that no agent reaches through the gate, and that are kept all the same. */
  readonly keep: { readonly [name: string]: KeptThingConfig }
  readonly acceptRisk: readonly string[]
  /** A reference to the connection string of the PostgreSQL that gates share. Null: this gate's own file. */
  readonly store: string | null
  /** People who may break glass. */
  readonly breakGlass: readonly string[]
  /** What one-time codes approve. Null: nothing. */
  readonly totp: TotpConfig | null
  readonly groups: GroupsConfig
  /** Upstream → the group whose people alone approve there, and how many of them. */
  readonly approvals: { readonly [upstream: string]: { readonly from: string; readonly count: number } }
}

/** Bytes of a configuration file at most. */
const sizeMax = 1024 * 1024

export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly mistakes: readonly ConfigMistake[] }

/** Reads and checks a configuration file. All its mistakes at once, each with its line; with any, nothing starts. */
export function readConfig(path: string): ConfigResult {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return fail([
      { line: 1, column: 1, what: 'the file cannot be read', hint: 'give its path with --config, or make one: sallyport init' },
    ])
  }
  return parseConfig(text, path)
}

export function parseConfig(text: string, path: string): ConfigResult {
  if (text.length > sizeMax)
    return fail([
      { line: 1, column: 1, what: 'the file is larger than 1 MiB', hint: 'a configuration is small; is this the right file?' },
    ])
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false })
  if (document.errors.length > 0) {
    return fail(
      document.errors.map((error) => {
        const { line, col } = lines.linePos(error.pos[0])
        return {
          line,
          column: col,
          what: error.message,
          hint: 'this is not YAML as it stands; look at the indentation and quotes here',
        }
      }),
    )
  }
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: 0 })
  } catch {
    return fail([
      {
        line: 1,
        column: 1,
        what: 'the file uses YAML aliases',
        hint: 'write each value out; aliases are refused because they can grow without bound',
      },
    ])
  }
  const parsed = configSchema.safeParse(value)
  const place: FindPlace = (at) => locate(document, lines, at)
  if (!parsed.success) return fail(parsed.error.issues.flatMap((issue) => explainIssue(issue, place)))
  const config = buildConfig(parsed.data, path, text)
  const mistakes = checkNames(config, place)
  return mistakes.length > 0 ? fail(mistakes) : { ok: true, config }
}

function fail(mistakes: readonly ConfigMistake[]): ConfigResult {
  return { ok: false, mistakes: mistakes.toSorted((left, right) => left.line - right.line || left.column - right.column) }
}

function buildConfig(data: z.infer<typeof configSchema>, path: string, text: string): Config {
  const wantsHttp =
    data.listen.http !== null ||
    Object.keys(data.unread).length > 0 ||
    Object.values(data.upstreams).some(({ protocol }) => protocol === 'http') ||
    Object.values(data.agents).some(({ workload }) => workload.length > 0)
  return {
    path: resolve(path),
    text,
    directory: dirname(resolve(path)),
    mode: data.mode,
    oidc: data.people.oidc ?? null,
    attestation: data.people.attestation ?? null,
    listen: { ...data.listen, http: wantsHttp ? (data.listen.http ?? { host: '127.0.0.1', port: 6443 }) : null },
    upstreams: Object.entries(data.upstreams).map(([name, upstream]) => ({
      ...upstream,
      name,
      protect: upstream.protect ?? upstream.use,
    })),
    agents: Object.entries(data.agents).map(([name, agent]) => ({
      name,
      owner: agent.owner,
      scopes: agent.may,
      handleMs: agent.handles.ttl,
      workloads: agent.workload,
    })),
    unread: data.unread,
    deliver: data.deliver,
    onCall: data.onCall,
    escalate: data.escalate,
    quietHours: data.quietHours,
    stoppingAlarms: Object.entries(data.alarms).flatMap(([kind, what]) => (what === 'kill' ? [kind] : [])),
    rowsWithoutPrompt: data.limits.rowsWithoutPrompt,
    coolOffMs: data.coolOff,
    retainMs: data.retention,
    waitMs: data.wait,
    drainMs: data.drain,
    requestMs: data.expiry,
    guards: data.guards,
    expect: data.expect,
    vault: data.vault,
    witnesses: data.witnesses,
    log: data.log,
    keep: data.keep,
    acceptRisk: data.accept_risk,
    store: data.store,
    breakGlass: data.breakGlass,
    totp: data.totp,
    groups: data.groups,
    approvals: data.approvals,
  }
}

/** Names that point at nothing: a scope on an upstream that is not there would silently permit nothing. */
function checkNames(config: Config, place: FindPlace): readonly ConfigMistake[] {
  const known = [...config.upstreams.map(({ name }) => name), ...Object.keys(config.unread)]
  return [
    ...checkUnread(config, place),
    ...checkScopes(config, known, place),
    ...checkConnectors(config, place),
    ...checkListening(config, place),
    ...checkTies(config, place),
    ...checkOwnRoles(config, place),
    ...checkApprovals(config, known, place),
    ...checkRings(config, place),
    ...checkTotp(config, place),
    ...checkExpectations(config, known, place),
  ]
}

/** A misspelt agent would go on running with the shared credential, and nobody would see it. */
function checkOwnRoles(config: Config, place: FindPlace): readonly ConfigMistake[] {
  const known = config.agents.map(({ name }) => name)
  return config.upstreams.flatMap((upstream) =>
    upstream.protocol !== 'postgres'
      ? []
      : Object.keys(upstream.as ?? {}).flatMap((agent) => {
          if (known.includes(agent)) return []
          const what = `upstream "${upstream.name}" has a role for "${agent}", but no agent is called that`
          return [
            { ...place(['upstreams', upstream.name, 'as', agent]), what, hint: `agents are: ${known.join(', ') || 'none yet'}` },
          ]
        }),
  )
}

/** A handle, and all that is read with it, would cross the network in the clear (DESIGN §6: off loopback only over TLS). */
function checkListening({ listen }: Config, place: FindPlace): readonly ConfigMistake[] {
  const hint = 'add listen.tls with the host name that clients connect to, or listen on 127.0.0.1'
  return (['postgres', 'http'] as const).flatMap((name) => {
    const host = listen[name]?.host
    if (listen.tls !== null || host === undefined || isOwnHost(host)) return []
    return [{ ...place(['listen', name]), what: 'other machines are heard over TLS only', hint }]
  })
}

/** A host that is governed and passed on unread would be neither. */
function checkUnread(config: Config, place: FindPlace): readonly ConfigMistake[] {
  const governed = config.upstreams.flatMap((upstream) => (upstream.protocol === 'http' ? upstream.hosts : []))
  const names = config.upstreams.map(({ name }) => name)
  return Object.entries(config.unread).flatMap(([name, hosts]) => {
    const at = place(['unread', name])
    const twice = hosts.filter((host) => governed.some((one) => one.toLowerCase().split(':')[0] === host))
    return [
      ...twice.map((host) => ({ ...at, what: `${host} is governed by an upstream already`, hint: 'leave it out here' })),
      ...(names.includes(name)
        ? [{ ...at, what: `"${name}" is the name of an upstream already`, hint: 'choose another name' }]
        : []),
    ]
  })
}

function checkConnectors(config: Config, place: FindPlace): readonly ConfigMistake[] {
  const known = connectors.filter(({ protocol }) => protocol === 'http').map(({ id }) => id)
  return config.upstreams.flatMap((upstream) => {
    if (upstream.protocol !== 'http' || known.includes(upstream.connector)) return []
    const what = `upstream "${upstream.name}" wants the connector "${upstream.connector}", which there is not`
    return [{ ...place(['upstreams', upstream.name, 'connector']), what, hint: `connectors for http are: ${known.join(', ')}` }]
  })
}

/** A volume tied to nothing that can be copied would let itself be deleted without its copy. */
function checkTies(config: Config, place: FindPlace): readonly ConfigMistake[] {
  const databases = config.upstreams.filter(({ protocol }) => protocol === 'postgres').map(({ name }) => name)
  return config.upstreams.flatMap((upstream) =>
    upstream.protocol !== 'http'
      ? []
      : Object.entries(upstream.tied).flatMap(([type, ties]) =>
          Object.entries(ties).flatMap(([id, name]) => {
            if (databases.includes(name)) return []
            const what = `${type} ${id} is tied to "${name}", but no postgres upstream is called that`
            const hint = `postgres upstreams are: ${databases.join(', ') || 'none yet'}`
            return [{ ...place(['upstreams', upstream.name, 'tied', type, id]), what, hint }]
          }),
        ),
  )
}

function checkScopes(config: Config, known: readonly string[], place: FindPlace): readonly ConfigMistake[] {
  return config.agents.flatMap((agent) =>
    agent.scopes.flatMap((scope, index) => {
      if (known.includes(scope.upstream)) return []
      const what = `agent "${agent.name}" may do something on "${scope.upstream}", but no upstream is called that`
      return [{ ...place(['agents', agent.name, 'may', index]), what, hint: `upstreams are: ${known.join(', ') || 'none yet'}` }]
    }),
  )
}
