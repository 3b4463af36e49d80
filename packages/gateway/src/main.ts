import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { connectors, makeDescribers, warmConnectors } from '@sallyport/connectors'
import {
  cancelRequest,
  createGovern,
  giveVerdict,
  isReadOnly,
  noteSigner,
  sha256Hex,
  type Gate,
  type GovernPorts,
  type KillSwitch,
  type Listener,
  type Log,
  type PolicyEngine,
  type Requests,
  type VerdictPorts,
} from '@sallyport/core'
import { createPolicyEngine } from '@sallyport/core/policy'
import { findNewest, openCopies } from './access/copies.ts'
import { openCanaries } from './access/canaries.ts'
import { wallClock as clock } from './access/clock.ts'
import { openHandleDesk, type HandleDesk } from './access/handles.ts'
import { type Kill, LocalKillSwitch, type Stoppable } from './access/kill-switch.ts'
import { openLookout } from './access/lookout.ts'
import { notesOn } from './access/notes.ts'
import { withUpstream } from './access/reach.ts'
import type { Delivery } from './delivery/delivery.ts'
import { resolveReceivers } from './deliver-settings.ts'
import { judgePosture } from './access/posture.ts'
import { Quarantine } from './access/quarantine.ts'
import { makeRandomness } from './access/randomness.ts'
import { SessionRegistry } from './access/sessions.ts'
import { openStateFolder, type StateFolder } from './access/state-folder.ts'
import { openUndo, type UndoPorts } from './access/undo.ts'
import { readConfig, type Config } from './config.ts'
import { startControl, type Control, type Kill as ShownKill } from './control/index.ts'
import { openLog, type FileLog } from './log/file-log.ts'
import { feedOf, recoverRun } from './log/log-readers.ts'
import { explainFailure, runProcess, type GateOptions, type RunningGate } from './process.ts'
import { postgresProtocol, type PostgresUpstreams } from './protocols/postgres/index.ts'
import type { HttpSettings } from './protocols/http/index.ts'
import { openBudgets } from './store/budgets.ts'
import { openDatabase } from './store/database.ts'
import { openDeferrals } from './store/deferrals.ts'
import { openHandles } from './store/handles.ts'
import { openKills } from './store/kills.ts'
import { openMeta } from './store/meta.ts'
import { openNarrowing } from './store/narrowing.ts'
import { openPeople } from './store/people.ts'
import { openQuarantines } from './store/quarantines.ts'
import { openRequests } from './store/requests.ts'
import { openPostgresUpstreams } from './upstreams/postgres/index.ts'
import { openHttpUpstreams, type OpenHttpUpstreams } from './upstreams/http/index.ts'
import { openClientTls, findTie, quarantinesOf, resolveHttp, resolvePostgres } from './upstream-settings.ts'
import type { VaultClient } from './vault/vault-client.ts'
import { openPinnedVault, watchVault } from './vault/vault-watch.ts'
import { keepProposal, openConfigurationDesk, proposalName } from './configuration-desk.ts'
import { settleConfiguration } from './proposal.ts'
import { acceptedOf, hashDecisive } from './widening.ts'

const windowMs = 3_600_000
const grantMs = 900_000
const pendingMax = 20
/** How often the gate looks for what it is to run itself. */
const dueEveryMs = 500

const random = makeRandomness()

/** What everything else stands on. */
interface Foundations {
  readonly config: Config
  readonly folder: StateFolder
  readonly database: DatabaseSync
  readonly vault: VaultClient
  readonly log: FileLog
  readonly policy: PolicyEngine
  readonly requests: Requests
}

/** Who may come in, and what stops them. */
interface Entrance {
  readonly handles: HandleDesk
  readonly killSwitch: LocalKillSwitch
  readonly sessions: SessionRegistry
  readonly stoppable: Stoppable
}

/** Starts a gate: state, vault, log, recovery, policy, then the two listeners. Anything that fails leaves nothing listening. */
export async function startGate(options: GateOptions): Promise<RunningGate> {
  const base = await openFoundations(options)
  const { config, folder, database, vault, log, requests } = base
  const entrance = openEntrance(base)
  const { sessions, killSwitch } = entrance
  const upstreams = openPostgresUpstreams(await resolvePostgres(config), killSwitch)
  const apis = await openApis(config, upstreams, killSwitch)
  let controlUrl = `http://localhost:${config.listen.control.port}`
  const ports = makePorts(base, killSwitch, (id) => `${controlUrl}/requests/${id}`)
  const decorated = options.decorate?.(ports) ?? ports
  const gate: Gate = {
    govern: createGovern(decorated),
    handles: entrance.handles,
    sessions,
    killSwitch,
    ...notesOn(log, clock),
  }
  const isHttp = (name: string): boolean => config.upstreams.some((one) => one.name === name && one.protocol === 'http')
  const reach: UndoPorts['withUpstream'] = (name, work) =>
    withUpstream({ isHttp, databases: upstreams, apis, connectors: ports.connectors }, name, work)
  const undo = openUndo({ clock, random, log, vault, withUpstream: reach })
  const copy = openCopies({ clock, log, vault, retainMs: config.retainMs, withUpstream: reach })
  const moved = { store: openQuarantines(database), keptMs: quarantinesOf(config) }
  const quarantine = new Quarantine({ ...moved, clock, log, killSwitch, withUpstream: reach })
  const verdicts = makeVerdictPorts(base, decorated.log, decorated.requests)
  const control = bindControl({ base, entrance, verdicts, undo, copy, quarantine, isolationLevel: options.isolationLevel })
  const people = await startControl(
    { clock, random, log, feed: feedOf(log), requests, ...openPeople(database), control },
    { port: config.listen.control.port, operatorTokenSha256: sha256Hex(folder.operatorToken), drill: options.drill },
  )
  controlUrl = people.url
  const listeners: Listener[] = []
  try {
    await listenForAgents({ base, gate, upstreams, apis, report: options.report }, listeners)
  } catch (error) {
    await closeAll(listeners)
    await people.close()
    await log.close()
    throw error
  }
  for (const warning of await people.warnings()) options.report(`warning: ${warning}`)
  quarantine.start()
  const watch = watchVault({ vault, log, meta: openMeta(database), clock })
  const delivery = await startDelivery(base, () => controlUrl)
  const lookout = startLookout(base, entrance)
  const link = await people.firstEnrolmentLink()
  return {
    controlUrl,
    postgresAddress: addressOf(listeners[0]) ?? '',
    httpAddress: addressOf(listeners[1]),
    enrolmentUrl: link?.url ?? null,
    proposed: control.configuration.proposal()?.widenings ?? [],
    close: async () => {
      lookout.close()
      sessions.endMatching('all', '', 'the gate is stopping')
      await Promise.all([closeAll(listeners), quarantine.close(), delivery?.close(), watch.close()])
      apis.close()
      upstreams.close()
      await people.close()
      await log.append({ type: 'gate.stopped', atMs: clock.nowMs(), data: {} }).catch(() => undefined)
      await log.close()
      vault.close()
      database.close()
    },
  }
}

interface Doors {
  readonly base: Foundations
  readonly gate: Gate
  readonly upstreams: PostgresUpstreams
  readonly apis: OpenHttpUpstreams
  readonly report: GateOptions['report']
}

/** Each stands in `listeners` as soon as it listens, so that what fails after it can close it. */
async function listenForAgents({ base, gate, upstreams, apis, report }: Doors, listeners: Listener[]): Promise<void> {
  const { config, folder, database } = base
  const { listen, waitMs } = config
  const certificates = listen.http === null && listen.tls === null ? null : await openCertificates(folder)
  const tls = certificates === null ? null : openClientTls(config, certificates)
  listeners.push(await postgresProtocol.listen(gate, upstreams, { ...listen.postgres, tls, waitMs }))
  if (listen.http === null || certificates === null) return
  const { httpProtocol } = await import('./protocols/http/index.ts')
  const deferrals = { store: openDeferrals(database, clock), clock, everyMs: dueEveryMs }
  const canaries = openCanaries(join(folder.directory, 'canaries.json'), report)
  const unread = new Map(Object.entries(config.unread).flatMap(([name, hosts]) => hosts.map((host) => [host, name] as const)))
  listeners.push(
    await httpProtocol.listen(gate, apis, { ...listen.http, unread, tls, certificates, waitMs, deferrals, canaries }),
  )
}

function startLookout({ config, log }: Foundations, { killSwitch, stoppable }: Entrance): ReturnType<typeof openLookout> {
  return openLookout({
    clock,
    log,
    subscribe: (listener) => log.subscribe(listener),
    stopping: new Set(config.stoppingAlarms),
    stop: (agent, reason) => killSwitch.kill('agent', agent, reason, 'the gate', stoppable),
  })
}

/** Who outside is told what happens; nothing of it is loaded where nobody is. */
async function startDelivery({ config, log, folder, database }: Foundations, siteUrl: () => string): Promise<Delivery | null> {
  const receivers = await resolveReceivers(config)
  if (receivers.length === 0) return null
  const [{ Delivery }, { openReceivers }] = await Promise.all([import('./delivery/delivery.ts'), import('./delivery/open.ts')])
  const memory = openMeta(database)
  const context = { origin: folder.origin, siteUrl, nowMs: () => clock.nowMs(), memory }
  const delivery = new Delivery({ clock, log, source: log, memory }, openReceivers(receivers, context))
  delivery.start()
  return delivery
}

/** Loaded only where a listener needs it: the library behind it would be a quarter of what a start takes. */
async function openCertificates(folder: StateFolder): Promise<HttpSettings['certificates']> {
  const { openAuthority } = await import('./authority/index.ts')
  return openAuthority(join(folder.directory, 'authority'), clock)
}

async function closeAll(listeners: readonly Listener[]): Promise<void> {
  await Promise.all(listeners.map((listener) => listener.close()))
}

function addressOf(listener: Listener | undefined): string | null {
  return listener === undefined ? null : `${listener.address.host}:${listener.address.port}`
}

async function openFoundations(options: GateOptions): Promise<Foundations> {
  const { report } = options
  const folder = openStateFolder(options.stateDirectory)
  const database = openDatabase(join(folder.directory, 'store.db'))
  const meta = openMeta(database)
  const start = {
    isAccepted: options.acceptConfiguration === true,
    isOwn: options.ownConfiguration === true,
    nowMs: clock.nowMs(),
  }
  const enrolled = (await openPeople(database).people.list()).length
  const stored = { accepted: meta.get('configuration'), text: meta.get('configuration text'), proposal: meta.get(proposalName) }
  const { config, widened, proposal } = settleConfiguration(options.config, stored, { ...start, enrolled })
  const pinned = { socketPath: options.vaultSocket, tokenFile: options.vaultTokenFile }
  const vault = await openPinnedVault(pinned, meta)
  const signer = noteSigner(folder.origin, folder.logSeed)
  const directory = join(folder.directory, 'log')
  const log = await openLog({ directory, signer, clock, witness: await vault.witness(signer.key), report })
  const policy = makePolicy(config)
  await warmConnectors(
    new Set(config.upstreams.map((upstream) => (upstream.protocol === 'http' ? upstream.connector : 'postgres'))),
  )
  const base: Foundations = { config, folder, database, vault, log, policy, requests: openRequests(database) }
  await recoverRun(makeVerdictPorts(base, log, base.requests), log, meta, openNarrowing(database), report)
  const guards = policy.guards.map(({ id }) => id)
  await log.append({
    type: 'configuration.applied',
    atMs: clock.nowMs(),
    data: { policyHash: policy.hash, mode: config.mode, guards, widened },
  })
  if (proposal === null) {
    meta.set('configuration', JSON.stringify(acceptedOf(config)))
    meta.set('configuration text', config.text)
    meta.set(proposalName, '')
  } else if (meta.get(proposalName) !== JSON.stringify(proposal)) await keepProposal({ clock, log, memory: meta }, proposal)
  return base
}

function makeVerdictPorts({ policy, config, database }: Foundations, log: Log, requests: Requests): VerdictPorts {
  const { people } = openPeople(database)
  const isEnrolled = (name: string): Promise<boolean> => people.isEnrolled(name)
  return { clock, random, log, requests, policyHash: () => policy.hash, mode: () => config.mode, isEnrolled, grantMs }
}

function openEntrance({ config, database, log, folder }: Foundations): Entrance {
  const store = openHandles(database)
  const agents = new Map(
    config.agents.map((agent) => [agent.name, { owner: agent.owner, handleMs: agent.handleMs, scopes: agent.scopes }]),
  )
  const killSwitch = new LocalKillSwitch(openKills(database), log, clock)
  const scope = (agent: string, upstream: string): { readonly readOnly: boolean } | null => scopeOf(config, agent, upstream)
  const sessions = new SessionRegistry({ log, clock, random, killSwitch, scope, use: (id) => store.use(id) })
  const stoppable: Stoppable = {
    endSessions: (kind, name, reason) => sessions.endMatching(kind, name, reason),
    revokeHandles: (kind, name) =>
      kind === 'agent' || kind === 'owner' || kind === 'all' ? store.revokeOf(kind, name, clock.nowMs()).length : 0,
  }
  return { handles: openHandleDesk(store, log, clock, folder.saltKey, () => agents), killSwitch, sessions, stoppable }
}

function makePorts(base: Foundations, killSwitch: LocalKillSwitch, requestUrl: (id: string) => string): GovernPorts {
  const { config, database, vault, log, policy, requests } = base
  const { mode, coolOffMs, rowsWithoutPrompt, retainMs, requestMs } = config
  return {
    clock,
    random,
    log,
    vault,
    requests,
    killSwitch,
    budgets: openBudgets(database, clock),
    notify: { requestOpened: () => undefined },
    quarantines: openQuarantines(database),
    connectors: new Map(connectors.map((connector) => [connector.id, connector])),
    describers: makeDescribers(),
    policy: () => policy,
    settings: () => ({ mode, coolOffMs, rowsWithoutPrompt, windowMs, retainMs, requestMs, pendingMax }),
    requestUrl,
  }
}

function makePolicy(config: Config): PolicyEngine {
  const engine = createPolicyEngine(
    config.agents.map(({ name, scopes }) => ({ agent: name, scopes })),
    config.guards,
  )
  return { ...engine, hash: hashDecisive(engine.hash, acceptedOf(config)) }
}

function scopeOf(config: Config, agentName: string, upstream: string): { readonly readOnly: boolean } | null {
  const agent = config.agents.find(({ name }) => name === agentName)
  const scopes = agent?.scopes.filter((scope) => scope.upstream === upstream) ?? []
  return scopes.length === 0 ? null : { readOnly: isReadOnly(scopes, upstream) }
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

interface Bound {
  readonly base: Foundations
  readonly entrance: Entrance
  readonly verdicts: VerdictPorts
  readonly undo: Control['undo']
  readonly copy: Control['copy']
  readonly quarantine: Quarantine
  readonly isolationLevel: GateOptions['isolationLevel']
}

/** What the people's listener may ask of the gate. */
function bindControl({ base, entrance, verdicts, undo, copy, quarantine, isolationLevel }: Bound): Control {
  const { config, policy, vault } = base
  const { handles, killSwitch, sessions, stoppable } = entrance
  const guards = new Map(policy.guards.map(({ id, why }) => [id, why]))
  const kills = (): readonly ShownKill[] => killSwitch.inForce().map(showKill)
  return {
    verdict: (requestId, approval) => giveVerdict(verdicts, requestId, approval),
    cancel: (requestId, by) => cancelRequest(verdicts, requestId, by),
    kill: async (scope, reason, by) => {
      const killed = await killSwitch.kill(scope.kind, scope.kind === 'all' ? '' : scope.id, reason, by, stoppable)
      return { kill: showKill(killed.kill), acknowledgedMs: killed.haltMs, sessionsEnded: killed.sessions }
    },
    release: async (killId, signed) => {
      const kill = killSwitch.inForce().find(({ id }) => String(id) === killId)
      if (kill === undefined) return false
      const { person, credentialId, challenge, statement, evidence } = signed
      return killSwitch.release(kill.kind, kill.name, { person, credentialId, challenge, statement, evidence }, kill.id)
    },
    kills: async () => kills(),
    sessions: async () => sessions.list(),
    agents: () => config.agents.map(({ name }) => name),
    owners: () => config.agents.map(({ name, owner }) => ({ agent: name, owner })),
    newestCopy: async (question) => findNewest(await vault.list(), question),
    copy,
    snapshots: () => vault.list(),
    quarantined: () => quarantine.list(),
    undo,
    issueHandle: async (agent, ttlMs, by) => {
      const { handle, secret } = await handles.issue(agent, ttlMs, by)
      return { id: handle.id, handle: secret, expiresAtMs: handle.expiresAtMs }
    },
    revokeHandle: async (id, by) => {
      const ended = await handles.revoke(id, by, (ids) => void sessions.endByHandles(ids, 'the handle was revoked'))
      return ended.length > 0
    },
    guardSentence: (id) => guards.get(id) ?? null,
    posture: () => judgePosture(config.mode, isolationLevel),
    configuration: openConfigurationDesk(
      { ...base, clock, memory: openMeta(base.database), read: () => readConfig(config.path) },
      config,
    ),
  }
}

function showKill(kill: Kill): ShownKill {
  const scope = kill.kind === 'all' ? ({ kind: 'all', id: '*' } as const) : { kind: kill.kind, id: kill.name }
  return { id: String(kill.id), scope, reason: kill.reason, by: kill.by, atMs: kill.atMs }
}

if (import.meta.main) {
  runProcess(process.argv.slice(2), startGate).catch((error: unknown) => {
    process.stderr.write(explainFailure(error))
    process.exit(1)
  })
}
