import { join } from 'node:path'
import { connectors, makeDescribers } from '@sallyport/connectors'
import {
  createGovern,
  gatePeer,
  sha256Hex,
  type Clock,
  type Gate,
  type GovernPorts,
  type KillSwitch,
  type Listener,
  type WalSource,
} from '@sallyport/core'
import { wallClock } from './access/clock.ts'
import { openCopies } from './access/copies.ts'
import { openCanaries } from './access/canaries.ts'
import { openLookout } from './access/lookout.ts'
import { notesOn } from './access/notes.ts'
import { withUpstream } from './access/reach.ts'
import { startMetrics } from './metrics/exposition.ts'
import { Quarantine } from './access/quarantine.ts'
import type { StateFolder } from './access/state-folder.ts'
import { resolveAttestation } from './attestation-settings.ts'
import { openUndo, type UndoPorts } from './access/undo.ts'
import type { Config } from './config.ts'
import { startControl, type Control } from './control/index.ts'
import { startProtections } from './protection/index.ts'
import { feedOf } from './log/log-readers.ts'
import { openSessionStories } from './log/session-stories.ts'
import { addressOf, closeAll } from './listeners.ts'
import { bindControl } from './main/control-binding.ts'
import { startDeliveries } from './main/deliveries.ts'
import { Departure } from './main/departure.ts'
import { openRollCall } from './main/roll-call.ts'
import { bindOverview } from './main/overview-binding.ts'
import { openLogArchive } from './main/log-archive.ts'
import { openKeeper } from './main/keeper.ts'
import { openReadiness } from './main/readiness.ts'
import { openDesk } from './main/desk.ts'
import { openEntrance, type Entrance } from './main/entrance.ts'
import { bindAccounts } from './main/accounts.ts'
import { bindAheadUses } from './main/ahead.ts'
import { bindCodes } from './main/codes.ts'
import { bindWorkloads } from './main/workloads.ts'
import { makeVerdictPorts, openFoundations, random, type Foundations } from './main/foundations.ts'
import { explainFailure, runProcess, type GateOptions, type RunningGate } from './process.ts'
import { governSettings } from './policy-settings.ts'
import { postgresProtocol, type PostgresUpstreams } from './protocols/postgres/index.ts'
import type { HttpSettings } from './protocols/http/index.ts'
import { openMeta } from './store/meta.ts'
import type { Store } from './store/store.ts'
import { openPostgresUpstreams } from './upstreams/postgres/index.ts'
import { openHttpUpstreams, type OpenHttpUpstreams } from './upstreams/http/index.ts'
import { pullFromOutside } from './switch/pulls.ts'
import {
  continuousOf,
  openClientTls,
  findTie,
  quarantinesOf,
  redactionsOf,
  resolveHttp,
  resolvePostgres,
} from './upstream-settings.ts'
import { watchVault } from './vault/vault-watch.ts'

/** How often the gate looks for what it is to run itself. */
const dueEveryMs = 500
/** Of the end of the log: what agents usually do is learned from them at a start. */
const habitEvents = 10_000

/** Starts a gate: state, vault, log, recovery, policy, then the two listeners. Anything that fails leaves nothing listening. */
export async function startGate(options: GateOptions): Promise<RunningGate> {
  // Whatever was opened is closed in the opposite order, at the end and when a start fails.
  const opened = new AsyncDisposableStack()
  try {
    return await assemble(options, opened)
  } catch (error) {
    await opened.disposeAsync()
    throw error
  }
}

async function assemble(options: GateOptions, opened: AsyncDisposableStack): Promise<RunningGate> {
  const base = await openBase(options, opened)
  const { config, database, store, vault, log, folder } = base
  const { clock } = store
  const entrance = openEntrance(base)
  const { sessions, killSwitch } = entrance
  const outside = await openSwitch(base, entrance, options.report)
  opened.defer(() => outside.close())
  const upstreams = openPostgresUpstreams(await resolvePostgres(config), killSwitch)
  const keeper = await openKeeper(base, upstreams, options.report)
  const apis = await openApis(config, upstreams, killSwitch)
  let controlUrl = `http://localhost:${config.listen.control.port}`
  const memory = openMeta(database)
  const source = (name: string): WalSource => upstreams.replicate(name)
  const protection = startProtections({ vault, log, clock, memory, source }, continuousOf(config))
  const requestUrl = (id: string): string => `${controlUrl}/requests/${id}`
  const ports = makePorts(base, { killSwitch, protection, restorePoints: keeper, standing: entrance.standing }, requestUrl)
  const decorated = options.decorate?.(ports) ?? ports
  const departure = new Departure({ clock, busy: () => sessions.busy(), ownPeer: gatePeer })
  const gate = departure.attend(makeGate(base, entrance, decorated, requestUrl))
  const verdicts = makeVerdictPorts(base, decorated.log, decorated.requests)
  const tools = openTools(base, entrance, { databases: upstreams, apis, connectors: ports.connectors })
  // Whoever is told hears of it from when everything is up.
  let deliveries: NonNullable<Control['deliveries']> = () => []
  const bound = { base, entrance, verdicts, ...tools, keeper, protection, isolationLevel: options.isolationLevel }
  const roll = openRollCall({
    store,
    gate: folder.origin,
    sessions: () => sessions.list(),
    posture: () => control.posture(),
    wallMs: () => wallClock.nowMs(),
  })
  const told = roll.asked === null ? {} : { gates: roll.asked }
  const control: Control = { ...(await bindControl(bound)), ...told, deliveries: () => deliveries() }
  const people = await startPeople(base, entrance, control, options.drill)
  opened.defer(() => people.close())
  controlUrl = people.url
  opened.defer(() => [apis, upstreams].forEach((one) => one.close()))
  opened.defer(() => protection.close())
  opened.defer(() => keeper.close())
  const listeners: Listener[] = []
  opened.defer(() => closeAll(listeners))
  const isLeaving = (): boolean => departure.isLeaving
  await listenForAgents({ base, gate, upstreams, apis, report: options.report, isLeaving }, listeners)
  const others = await roll.sentence()
  if (others !== null) options.report(others)
  for (const warning of await people.warnings()) options.report(`warning: ${warning}`)
  const watches = await startWatches(
    base,
    entrance,
    [tools.quarantine, keeper, roll, openLogArchive(base)],
    () => controlUrl,
    departure,
  )
  deliveries = watches.deliveries
  const link = await people.firstEnrolmentLink()
  return {
    controlUrl,
    postgresAddress: addressOf(listeners[0]) ?? '',
    httpAddress: addressOf(listeners[1]),
    enrolmentUrl: link?.url ?? null,
    proposed: control.configuration.proposal()?.widenings ?? [],
    close: async (drainMs = 0) => {
      if (drainMs > 0) await departure.leave(drainMs)
      sessions.endMatching('all', '', 'the gate is stopping')
      await Promise.all([closeAll(listeners), watches.close(), keeper.close(), protection.close()])
      await opened.disposeAsync()
    },
  }
}

/** The switch of its own thread, over the state that people pull too. */
function openSwitch(
  { config, folder, store }: Foundations,
  { killSwitch, stoppable }: Entrance,
  report: GateOptions['report'],
): ReturnType<typeof pullFromOutside> {
  const nowMs = (): number => store.clock.nowMs()
  const isShared = config.store !== null
  return pullFromOutside(killSwitch, stoppable, {
    directory: folder.directory,
    token: folder.switchToken,
    nowMs,
    isShared,
    gates: store.kills.gates?.() ?? null,
    report,
  })
}

async function openBase(options: GateOptions, opened: AsyncDisposableStack): Promise<Foundations> {
  const base = await openFoundations(options)
  const { database, store, vault, log } = base
  const { clock } = store
  opened.defer(() => database.close())
  opened.defer(() => store.close())
  opened.defer(() => vault.close())
  opened.defer(() => log.close())
  opened.defer(async () => {
    await log.append({ type: 'gate.stopped', atMs: clock.nowMs(), data: {} }).catch(() => undefined)
  })
  return base
}

/** The people's pages and API. */
async function startPeople(
  base: Foundations,
  entrance: Entrance,
  control: Control,
  drill: GateOptions['drill'],
): ReturnType<typeof startControl> {
  const { config, folder, store, log, requests } = base
  const accounts = await bindAccounts(base)
  const codes = await bindCodes(base)
  const attestation = resolveAttestation(config.attestation, config.directory)
  return startControl(
    {
      clock: store.clock,
      random,
      log,
      feed: feedOf(log),
      stories: openSessionStories(log),
      requests,
      ...store.people,
      control,
      ...(accounts && { accounts }),
      ...(attestation && { attestation }),
      ...(codes && { codes }),
      overview: bindOverview(base, entrance),
    },
    { port: config.listen.control.port, operatorTokenSha256: sha256Hex(folder.operatorToken), drill },
  )
}

/** What every protocol is handed besides its upstreams. */
function makeGate(base: Foundations, entrance: Entrance, ports: GovernPorts, requestUrl: (id: string) => string): Gate {
  const { handles, sessions, killSwitch } = entrance
  const workloads = bindWorkloads(base, entrance)
  const desk = openDesk(base, entrance, requestUrl)
  return { govern: createGovern(ports), handles, sessions, killSwitch, workloads, desk, ...notesOn(base.log, base.store.clock) }
}

interface Tools {
  readonly undo: Control['undo']
  readonly copy: Control['copy']
  readonly quarantine: Quarantine
}

/** What people may have done to upstreams besides what agents ask. */
function openTools(
  { config, store, vault, log }: Foundations,
  { killSwitch }: Entrance,
  reached: Omit<Parameters<typeof withUpstream>[0], 'isHttp'>,
): Tools {
  const isHttp = (name: string): boolean => config.upstreams.some((one) => one.name === name && one.protocol === 'http')
  const reach: UndoPorts['withUpstream'] = (name, work) => withUpstream({ ...reached, isHttp }, name, work)
  const { clock } = store
  const moved = { store: store.quarantines, claim: claimOf(store), keptMs: quarantinesOf(config) }
  return {
    undo: openUndo({ clock, random, log, vault, withUpstream: reach }),
    copy: openCopies({ clock, log, vault, retainMs: config.retainMs, withUpstream: reach }),
    quarantine: new Quarantine({ ...moved, clock, log, killSwitch, withUpstream: reach }),
  }
}

/** What looks on while the gate runs: at the vault, at the log, and at what is due. */
async function startWatches(
  base: Foundations,
  entrance: Entrance,
  due: readonly { start(): void; close(): Promise<void> }[],
  siteUrl: () => string,
  departure: Departure,
): Promise<{ readonly deliveries: NonNullable<Control['deliveries']>; close(): Promise<void> }> {
  const { config, vault, log, database, store } = base
  const { clock } = store
  for (const one of due) one.start()
  const watch = watchVault({ vault, log, meta: openMeta(database), clock })
  const delivery = await startDeliveries(base, siteUrl)
  const metrics = await startMetrics(config.listen.metrics, {
    log,
    upstreams: config.upstreams.map(({ name }) => name),
    sessions: () => entrance.sessions.list().length,
    kills: () => entrance.killSwitch.inForce().length,
    receivers: () => delivery?.health() ?? [],
    ready: openReadiness({
      log,
      database,
      vault,
      isLeaving: () => departure.isLeaving,
      lease: () => entrance.killSwitch.deafness(),
      nowMs: () => clock.nowMs(),
    }),
  })
  const lookout = startLookout(base, entrance)
  return {
    deliveries: () => delivery?.health() ?? [],
    close: async () => {
      lookout.close()
      await Promise.all([...due.map((one) => one.close()), delivery?.close(), metrics?.close(), watch.close()])
    },
  }
}

interface Doors {
  readonly base: Foundations
  readonly gate: Gate
  readonly upstreams: PostgresUpstreams
  readonly apis: OpenHttpUpstreams
  readonly report: GateOptions['report']
  readonly isLeaving: () => boolean
}

/** Each stands in `listeners` as soon as it listens, so that what fails after it can close it. */
async function listenForAgents({ base, gate, upstreams, apis, report, isLeaving }: Doors, listeners: Listener[]): Promise<void> {
  const { config, folder, store } = base
  const { clock } = store
  const { listen, waitMs } = config
  const certificates = listen.http === null && listen.tls === null ? null : await openCertificates(folder, clock)
  const tls = certificates === null ? null : openClientTls(config, certificates)
  listeners.push(
    await postgresProtocol.listen(gate, upstreams, { ...listen.postgres, tls, waitMs, redact: redactionsOf(config) }),
  )
  if (listen.http === null || certificates === null) return
  const { httpProtocol } = await import('./protocols/http/index.ts')
  // What is taken up is not tried twice, so a gate that stops takes up nothing.
  const due = async (nowMs: number): ReturnType<typeof store.deferrals.due> => (isLeaving() ? [] : store.deferrals.due(nowMs))
  const deferrals = { store: { ...store.deferrals, due }, clock, everyMs: dueEveryMs }
  const canaries = openCanaries(join(folder.directory, 'canaries.json'), report)
  const unread = new Map(Object.entries(config.unread).flatMap(([name, hosts]) => hosts.map((host) => [host, name] as const)))
  listeners.push(
    await httpProtocol.listen(gate, apis, { ...listen.http, unread, tls, certificates, waitMs, deferrals, canaries }),
  )
}

/** What one gate does for all of them. */
function claimOf(store: Store): (name: string, forMs: number) => Promise<boolean> {
  return async (name, forMs) => store.claim(name, forMs)
}

function startLookout({ config, log, store }: Foundations, { killSwitch, stoppable }: Entrance): ReturnType<typeof openLookout> {
  return openLookout({
    clock: store.clock,
    log,
    subscribe: (listener) => log.subscribe(listener),
    past: () => log.read(log.size() - habitEvents, habitEvents),
    stopping: new Set(config.stoppingAlarms),
    stop: (agent, reason) => killSwitch.kill('agent', agent, reason, 'the gate', stoppable),
  })
}

/** Loaded only where a listener needs it: the library behind it would be a quarter of what a start takes. */
async function openCertificates(folder: StateFolder, clock: Clock): Promise<HttpSettings['certificates']> {
  const { openAuthority } = await import('./authority/index.ts')
  return openAuthority(join(folder.directory, 'authority'), clock)
}

type Watchers = Pick<GovernPorts, 'killSwitch' | 'protection' | 'restorePoints' | 'standing'>

function makePorts(base: Foundations, watchers: Watchers, requestUrl: (id: string) => string): GovernPorts {
  const { config, store, vault, log, policy, requests } = base
  return {
    clock: store.clock,
    random,
    log,
    vault,
    requests,
    ...watchers,
    budgets: store.budgets,
    ahead: bindAheadUses(store),
    notify: { requestOpened: () => undefined },
    quarantines: store.quarantines,
    connectors: new Map(connectors.map((connector) => [connector.id, connector])),
    describers: makeDescribers(),
    policy: () => policy,
    settings: () => governSettings(config, base.findMembers),
    requestUrl,
  }
}

async function openApis(config: Config, databases: PostgresUpstreams, killSwitch: KillSwitch): Promise<OpenHttpUpstreams> {
  const settings = (await resolveHttp(config)).map((secrets) => ({
    ...secrets,
    tied: (type: string, id: string) => {
      const name = findTie(config, secrets.name, type, id)
      return name === null ? null : databases.openProtected(name)
    },
  }))
  return openHttpUpstreams(settings, killSwitch)
}

/** The gate's process, by the words of its command line; resolves when it is ready. */
export async function runGate(words: readonly string[]): Promise<void> {
  try {
    await runProcess(words, startGate)
  } catch (error) {
    process.stderr.write(explainFailure(error))
    process.exit(1)
  }
}

if (import.meta.main) void runGate(process.argv.slice(2))
