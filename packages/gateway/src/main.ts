import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { randomBytes } from 'node:crypto'
import { connectors, makeDescribers } from '@sallyport/connectors'
import {
  applyVerdict,
  cancelRequest,
  createGovern,
  createPolicyEngine,
  giveVerdict,
  isReadOnly,
  noteSigner,
  recover,
  SallyportError,
  sha256Hex,
  type Clock,
  type Event,
  type Gate,
  type GovernPorts,
  type Listener,
  type PolicyEngine,
  type Randomness,
  type VerdictPorts,
} from '@sallyport/core'
import { openHandleDesk } from './access/handles.ts'
import { LocalKillSwitch, type Stoppable } from './access/kill-switch.ts'
import { judgePosture } from './access/posture.ts'
import { SessionRegistry } from './access/sessions.ts'
import { openStateFolder } from './access/state-folder.ts'
import { readConfig, type Config } from './config.ts'
import { startControl, type Control, type ControlListener } from './control/index.ts'
import { openLog, type FileLog } from './log/file-log.ts'
import { postgresProtocol } from './protocols/postgres/index.ts'
import { resolveReference } from './reference.ts'
import { openBudgets } from './store/budgets.ts'
import { openDatabase } from './store/database.ts'
import { openHandles } from './store/handles.ts'
import { openKills } from './store/kills.ts'
import { openMeta } from './store/meta.ts'
import { openPeople } from './store/people.ts'
import { openRequests } from './store/requests.ts'
import { openPostgresUpstreams } from './upstreams/postgres/index.ts'
import { openVault } from './vault/vault-client.ts'

export interface GateOptions {
  readonly config: Config
  readonly stateDirectory: string
  readonly vaultSocket: string
  readonly vaultTokenFile: string
  /** A gate of a drill: enrols virtual persons, and nobody else. */
  readonly drill: boolean
  /** Lets a test stand between the pipeline and its ports. Nothing that ships gives one. */
  readonly decorate?: (ports: GovernPorts) => GovernPorts
  readonly report: (problem: string) => void
}

export interface RunningGate {
  readonly controlUrl: string
  readonly postgresAddress: string
  readonly enrolmentUrl: string | null
  close(): Promise<void>
}

const windowMs = 3_600_000
const requestMs = 3_600_000
const grantMs = 900_000
const pendingMax = 20

const clock: Clock = {
  nowMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((wake) => {
      const timer = setTimeout(wake, ms)
      signal?.addEventListener('abort', () => (clearTimeout(timer), wake()), { once: true })
    }),
}
const random: Randomness = { hex: (bytes) => randomBytes(bytes).toString('hex') }

/** Starts a gate: state, vault, log, recovery, policy, then the two listeners. Anything that fails leaves nothing listening. */
export async function startGate(options: GateOptions): Promise<RunningGate> {
  const { config, report } = options
  const folder = openStateFolder(options.stateDirectory)
  const database = openDatabase(join(folder.directory, 'store.db'))
  const vault = await openVault({ socketPath: options.vaultSocket, tokenFile: options.vaultTokenFile })
  const signer = noteSigner(folder.origin, folder.logSeed)
  const log = await openLog({ directory: join(folder.directory, 'log'), signer, clock, witness: await vault.witness(signer.key), report })
  const requests = openRequests(database)
  const policy = makePolicy(config)
  const verdicts: VerdictPorts = { clock, random, log, requests, policyHash: () => policy.hash, mode: () => config.mode, grantMs }
  const meta = openMeta(database)
  await recoverRun(verdicts, log, meta)
  await log.append({ type: 'configuration.applied', atMs: clock.nowMs(), data: { policyHash: policy.hash, mode: config.mode, guards: policy.guards.map(({ id }) => id) } })

  const handleStore = openHandles(database)
  const agents = new Map(config.agents.map((agent) => [agent.name, { owner: agent.owner, handleMs: agent.handleMs }]))
  const handles = openHandleDesk(handleStore, log, clock, folder.saltKey, () => agents)
  const killSwitch = new LocalKillSwitch(openKills(database), log, clock)
  const sessions = new SessionRegistry({ log, clock, random, killSwitch, scope: (agent, upstream) => scopeOf(config, agent, upstream) })
  const upstreams = openPostgresUpstreams({
    upstreams: await resolveUpstreams(config),
    stopped: (session, upstream) => killSwitch.stopped(session.subject.agent, session.subject.owner, session.id, upstream),
    killEpoch: (session, upstream) => killSwitch.epochOf(session.subject.agent, session.subject.owner, session.id, upstream),
  })
  const ports: GovernPorts = {
    clock,
    random,
    log,
    vault,
    requests,
    budgets: openBudgets(database, clock),
    killSwitch,
    notify: { requestOpened: () => undefined },
    connectors: new Map(connectors.map((connector) => [connector.id, connector])),
    describers: makeDescribers(),
    policy: () => policy,
    settings: () => ({ mode: config.mode, coolOffMs: config.coolOffMs, rowsWithoutPrompt: config.rowsWithoutPrompt, windowMs, retainMs: config.retainMs, requestMs, pendingMax }),
    requestUrl: (id) => `${controlUrl}/requests/${id}`,
  }
  let controlUrl = `http://localhost:${config.listen.control.port}`
  const govern = createGovern(options.decorate?.(ports) ?? ports)
  void govern
  void sessions
  void handles
  void upstreams
  void postgresProtocol
  throw new Error('unfinished')
}
