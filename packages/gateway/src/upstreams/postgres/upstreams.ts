import {
  SallyportError,
  type Environment,
  type KillSwitch,
  type SqlChannel,
  type Upstream,
  type WalSource,
} from '@sallyport/core'
import { GateChannel } from '../../protocols/postgres/gate-channel.ts'
import type { Backend, BackendOptions, PostgresUpstreams, ProtectedUpstream } from '../../protocols/postgres/upstreams.ts'
import { streamBaseBackup, type BaseBackupSource } from './base-backup.ts'
import { SocketBackend } from './backend.ts'
import { CatalogWatch, fingerprintSql } from './catalog-watch.ts'
import { cancelAt, connectTarget, type Connected } from './connect.ts'
import { LazyProtect, OwnLine } from './protect.ts'
import { PostgresReplication } from './replication.ts'
import { readTarget, type Target } from './target.ts'
import { WarmPool } from './warm-pool.ts'

/** One PostgreSQL behind the gate. The URLs hold the credentials: hand them over from memory, never from argv. */
export interface PostgresUpstreamSettings {
  readonly name: string
  readonly environment: Environment
  /** What agents' statements run as. */
  readonly useUrl: string
  /** What the gate makes copies and looks at catalogs with. */
  readonly protectUrl: string
  /** By agent: what its statements run as instead of `useUrl`. */
  readonly asUrls?: ReadonlyMap<string, string>
  /** Allows a server that asks for no password (trust) or for md5, and inside TLS a plain one. Default false: SCRAM-SHA-256 or nothing. */
  readonly weakAuthentication?: boolean
  /** How long what is dropped is kept out of reach first. */
  readonly quarantineMs?: number | null
  /** Default 8,000. */
  readonly connectTimeoutMs?: number
  /** Connections kept authenticated ahead for agents, all credentials and start-up settings together. Default 0: none. */
  readonly warm?: number
}

export interface OpenPostgresUpstreams extends PostgresUpstreams {
  /** The way to receive this upstream's WAL. */
  replicate(name: string): WalSource
  /** For whoever keeps the whole database: where it is, and transactions of the gate's own on it. */
  source(name: string): DatabaseSource
  /** Ends what the gate keeps open for nobody in particular. Sessions end by themselves. */
  close(): void
}

/** A database as PostgreSQL's own programs reach it, and the gate beside them. Holds the `protect` credential. */
export interface DatabaseSource {
  readonly target: Target
  begin(): Promise<{ readonly identity: string; readonly channel: SqlChannel; end(): Promise<void> }>
}

interface Known {
  readonly settings: PostgresUpstreamSettings
  readonly use: Target
  readonly protect: Target
  /** By agent: the way in as a role of its own. */
  readonly own: ReadonlyMap<string, Target>
  /** What the upstream is, asked by the protect credential once. */
  identity: Promise<string> | null
  readonly watch: WatchLine
  readonly warm: WarmPool
}

/** Short-lived agents come one after the other: what is known of the catalog is not forgotten in between. */
const watchLingersMs = 60_000

/**
 * One connection an upstream, with the protect credential, while backends are there and a while longer: it asks about the catalog alone, never
 * for an agent, and only when somebody wants to know.
 */
class WatchLine {
  readonly catalog = new CatalogWatch(() => this.#ask())
  #open: (() => Promise<OwnLine>) | null = null
  #line: OwnLine | null = null
  #backends = 0
  #lingering: NodeJS.Timeout | null = null
  #mayLinger = true

  join(open: () => Promise<OwnLine>): void {
    this.#open = open
    this.#backends += 1
    this.#mayLinger = true
    if (this.#lingering !== null) clearTimeout(this.#lingering)
    this.#lingering = null
  }

  leave(): void {
    this.#backends -= 1
    if (this.#backends > 0) return
    if (this.#mayLinger) this.#lingering = setTimeout(() => this.close(), watchLingersMs).unref()
    else this.close()
  }

  /** After a kill nothing is left for later: it ends with the last backend. */
  halt(): void {
    this.#mayLinger = false
    this.close()
  }

  close(): void {
    if (this.#lingering !== null) clearTimeout(this.#lingering)
    this.#lingering = null
    if (this.#backends > 0) return
    this.#line?.close()
    this.#line = null
    this.#open = null
  }

  async #ask(): Promise<string> {
    const line = await this.#opened()
    const [row] = await new GateChannel(line).query(fingerprintSql)
    const fingerprint = row?.[0]
    if (typeof fingerprint !== 'string') throw new Error('the catalog gave no fingerprint')
    return fingerprint
  }

  async #opened(): Promise<OwnLine> {
    if (this.#line !== null && !this.#line.closed) return this.#line
    const open = this.#open
    if (open === null) throw new Error('no session is open')
    const line = await open()
    if (this.#backends === 0) line.close()
    this.#line = line
    return line
  }
}

/** @throws SallyportError for a URL that can't be used */
export function openPostgresUpstreams(list: readonly PostgresUpstreamSettings[], killSwitch: KillSwitch): OpenPostgresUpstreams {
  const known = new Map<string, Known>()
  for (const settings of list) {
    const { name } = settings
    known.set(name, {
      settings,
      use: readTarget(name, settings.useUrl),
      protect: readTarget(name, settings.protectUrl),
      own: new Map([...(settings.asUrls ?? [])].map(([agent, url]) => [agent, readTarget(name, url)])),
      identity: null,
      watch: new WatchLine(),
      warm: new WarmPool(settings.warm ?? 0),
    })
  }
  // Whatever was killed or released: what is ready may have been made for it.
  killSwitch.onChange?.(() => {
    for (const { warm, watch } of known.values()) {
      warm.drop()
      watch.halt()
    }
  })
  return {
    open: (name, options) => openBackend(known, killSwitch, name, options),
    openProtected: (name) => openProtected(known, name),
    replicate: (name) => {
      const upstream = find(known, name)
      const openLine = async (): Promise<OwnLine> =>
        new OwnLine(await connect(upstream, upstream.protect, walSettings, neverAborted))
      return new PostgresReplication(async () => backupSource(upstream, await identify(upstream)), openLine)
    },
    source: (name) => ({ target: find(known, name).protect, begin: () => beginOwn(known, name) }),
    close: () => {
      for (const { warm, watch } of known.values()) {
        warm.close()
        watch.close()
      }
    },
  }
}

function find(known: ReadonlyMap<string, Known>, name: string): Known {
  const upstream = known.get(name)
  if (upstream !== undefined) return upstream
  throw new SallyportError(
    'not_in_scope',
    `There is no upstream ${JSON.stringify(name.slice(0, 64))}.`,
    'No session was opened.',
    'Give the name of an upstream as database.',
  )
}

function protectOf(upstream: Known, identity: string): LazyProtect {
  return new LazyProtect(() => openOwnLine(upstream, identity))
}

async function openOwnLine(upstream: Known, identity: string): Promise<OwnLine> {
  const line = new OwnLine(await connect(upstream, upstream.protect, protectSettings, neverAborted))
  await checkSame(upstream, line, identity)
  return line
}

async function openProtected(known: ReadonlyMap<string, Known>, name: string): Promise<ProtectedUpstream> {
  const found = find(known, name)
  const identity = await identify(found)
  const protect = protectOf(found, identity)
  const { channel } = protect
  const hold = async (sql: string): Promise<void> => void (await channel.query(sql === '' ? 'SELECT' : sql))
  const upstream: Upstream = {
    name,
    identity,
    environment: found.settings.environment,
    quarantineMs: found.settings.quarantineMs ?? null,
    access: {
      kind: 'sql',
      session: channel,
      protect: channel,
      hold,
      baseBackup: () => streamBaseBackup(backupSource(found, identity)),
    },
  }
  return { upstream, end: (commit) => protect.end(commit), close: () => protect.close() }
}

/** A transaction that somebody else ends; its connection ends with it. */
async function beginOwn(known: ReadonlyMap<string, Known>, name: string): ReturnType<DatabaseSource['begin']> {
  const found = find(known, name)
  const identity = await identify(found)
  const protect = protectOf(found, identity)
  return { identity, channel: protect.channel, end: () => protect.end(false).finally(() => protect.close()) }
}

function backupSource({ settings, protect }: Known, identity: string): BaseBackupSource {
  const { name, weakAuthentication = false } = settings
  return { name, target: protect, identity, weakAuthentication, connectTimeoutMs: settings.connectTimeoutMs ?? connectTimeoutMs }
}

async function openBackend(
  known: ReadonlyMap<string, Known>,
  killSwitch: KillSwitch,
  name: string,
  options: BackendOptions,
): Promise<Backend> {
  const upstream = find(known, name)
  const { id, subject } = options.session
  const settings = new Map(options.settings)
  if (options.readOnly) settings.set('default_transaction_read_only', 'on')
  const own = upstream.own.get(subject.agent)
  const target = own ?? upstream.use
  const identity = await identify(upstream)
  const dial = async (signal: AbortSignal): Promise<Connected> => {
    const connected = await connect(upstream, target, settings, signal)
    if (own !== undefined) await checkOwn(upstream, own, connected, { identity, signal })
    return connected
  }
  const key = JSON.stringify([
    own === undefined ? null : subject.agent,
    [...settings].toSorted(([left], [right]) => (left < right ? -1 : 1)),
  ])
  const connected = await upstream.warm.take(key, dial, options.signal)
  const { watch } = upstream
  watch.join(() => openOwnLine(upstream, identity))
  return new SocketBackend(connected, {
    catalog: watch.catalog,
    released: () => watch.leave(),
    environment: upstream.settings.environment,
    quarantineMs: upstream.settings.quarantineMs ?? null,
    identity,
    killEpoch: () => killSwitch.epochOf(subject.agent, subject.owner, id, name),
    hear: () => void killSwitch.epoch(),
    cancel: () => cancelAt(target, connected.pid, connected.secret, upstream.settings.connectTimeoutMs ?? connectTimeoutMs),
    protect: protectOf(upstream, identity),
  })
}

const connectTimeoutMs = 8_000
const neverAborted = new AbortController().signal
const protectSettings = new Map([['application_name', 'sallyport protect']])
/** Its own commits wait for the disk of the server, and for no standby: we may be one. */
const walSettings = new Map([
  ['application_name', 'sallyport protect'],
  ['synchronous_commit', 'local'],
])

function connect(
  upstream: Known,
  target: Target,
  settings: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<Connected> {
  const { name, weakAuthentication = false } = upstream.settings
  return connectTarget(name, target, {
    settings,
    signal,
    weakAuthentication,
    timeoutMs: upstream.settings.connectTimeoutMs ?? connectTimeoutMs,
  })
}

function identify(upstream: Known): Promise<string> {
  upstream.identity ??= askIdentity(upstream).catch((error: unknown) => {
    upstream.identity = null
    throw error
  })
  return upstream.identity
}

async function askIdentity(upstream: Known): Promise<string> {
  const line = new OwnLine(await connect(upstream, upstream.protect, protectSettings, neverAborted))
  try {
    return await readIdentity(upstream.protect, line)
  } finally {
    line.close()
  }
}

const databaseOid = '(SELECT oid::text FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())'

/** System identifier and database oid; on servers that keep the identifier to superusers, address and oid. */
async function readIdentity(target: Target, line: OwnLine): Promise<string> {
  const channel = new GateChannel(line)
  const whole = await channel
    .query(`SELECT ${databaseOid}, (SELECT system_identifier::text FROM pg_catalog.pg_control_system())`)
    .catch(() => [])
  const [oid, identifier] = whole[0] ?? (await channel.query(`SELECT ${databaseOid}`))[0] ?? []
  return typeof identifier === 'string'
    ? `${identifier}:${oid ?? 'unknown'}`
    : `${target.host}:${target.port}/${target.database}:${oid ?? 'unknown'}`
}

/** The address may have come to mean another server since the identity was asked. */
async function checkSame(upstream: Known, line: OwnLine, identity: string): Promise<void> {
  const now = await readIdentity(upstream.protect, line)
  if (now === identity) return
  line.close()
  throw new SallyportError(
    'target_changed',
    `The upstream ${upstream.settings.name} is another database than when this session began.`,
    'Nothing was done.',
    'Connect again.',
  )
}

/**
 * An agent's own role is named by a URL of its own, which may lead anywhere: what was resolved, copied and shown to people is what protect sees,
 * so the statements must run there too.
 */
async function checkOwn(
  upstream: Known,
  own: Target,
  connected: Connected,
  { identity, signal }: { readonly identity: string; readonly signal: AbortSignal },
): Promise<void> {
  const line = new OwnLine(connected)
  const ended = AbortSignal.any([signal, AbortSignal.timeout(upstream.settings.connectTimeoutMs ?? connectTimeoutMs)])
  const stop = (): void => line.close()
  ended.addEventListener('abort', stop)
  const now = await readIdentity(own, line)
    .catch((error: unknown) => {
      line.close()
      throw error
    })
    .finally(() => ended.removeEventListener('abort', stop))
  if (now === identity) return line.leave()
  line.close()
  throw new SallyportError(
    'target_changed',
    `The role of this agent's own leads to another database than the upstream ${upstream.settings.name} does, or may not ask what it is.`,
    'No session was opened.',
    'Whoever runs the gate should name the same server and database under `as`, and let that role run pg_control_system().',
  )
}
