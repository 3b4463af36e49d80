import { cancelRequest, giveVerdict, type VerdictPorts } from '@sallyport/core'
import { wideningGuard, wideningSentence } from '../access/agent-desk.ts'
import { findNewest } from '../access/copies.ts'
import { showKill } from '../access/kill-switch.ts'
import { judgePosture } from '../access/posture.ts'
import type { Quarantine } from '../access/quarantine.ts'
import { readConfig, type Config, type ConfigResult } from '../config.ts'
import { openConfigurationDesk, proposalName } from '../configuration-desk.ts'
import type { Control } from '../control/index.ts'
import { openPolicyDesk } from '../policy-desk.ts'
import { runTrial } from '../policy-trial-thread.ts'
import { unmetOf } from '../policy-trial.ts'
import type { Keeper } from '../keeping/index.ts'
import type { GateOptions } from '../process.ts'
import type { Protections } from '../protection/index.ts'
import { bindAheadDesk } from './ahead.ts'
import type { Entrance } from './entrance.ts'
import type { Foundations } from './foundations.ts'
import { bindHandles } from './handle-control.ts'
import { readVaultTargets } from './vault-targets.ts'

interface Bound {
  readonly base: Foundations
  readonly entrance: Entrance
  readonly verdicts: VerdictPorts
  readonly undo: Control['undo']
  readonly copy: Control['copy']
  readonly quarantine: Quarantine
  readonly protection: Protections
  readonly keeper: Keeper
  readonly isolationLevel: GateOptions['isolationLevel']
}

/** What the people's listener may ask of the gate. */
export async function bindControl({
  base,
  entrance,
  verdicts,
  undo,
  copy,
  quarantine,
  keeper,
  protection,
  isolationLevel,
}: Bound): Promise<Control> {
  const { config, policy, vault, log, reviews, store } = base
  const { clock } = store
  const memory = await store.view([proposalName])
  const { killSwitch, sessions, stoppable, standing } = entrance
  const guards = new Map(policy.guards.map(({ id, why }) => [id, why]))
  const desks = bindDesks({ base, keeper, protection, sessions, memory })
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
    kills: async () => killSwitch.inForce().map(showKill),
    sessions: async () => sessions.list(),
    agents: () => config.agents.map(({ name }) => name),
    owners: () => config.agents.map(({ name, owner }) => ({ agent: name, owner })),
    newestCopy: async (question) => findNewest(await vault.list(), question),
    copy,
    snapshots: () => vault.list(),
    quarantined: () => quarantine.list(),
    keeping: keeper,
    vaultTargets: () => readVaultTargets({ clock, vault, kept: () => keeper.targets(), streams: () => protection.statuses() }),
    undo,
    reviews: () => reviews.open(),
    closeReview: (request, { person, ...signed }) => reviews.close(request, person, { ...signed }),
    glassFault: (person) => reviews.fault(person),
    ...bindHandles(base, entrance),
    askAhead: bindAheadDesk(base),
    standing: () => standing.list(),
    endStanding: async (request, by) => {
      const ended = await standing.end(request)
      if (ended === null) return null
      const { agent, upstream } = ended
      // What narrows waits for nothing: with a log that fails, the sessions have to end all the same.
      sessions.endOn(agent, upstream, 'what it was given for a time was ended')
      await log.append({ type: 'grant.ended', atMs: clock.nowMs(), agent, data: { request, upstream, by } })
      return ended
    },
    guardSentence: (id) => guards.get(id) ?? (id === wideningGuard ? wideningSentence : null),
    posture: () => judgePosture(config.mode, isolationLevel, protection.warnings()),
    continuous: () => protection.statuses().map((status) => ({ ...status })),
    ...desks,
  }
}

type Deciding = Pick<Bound, 'base' | 'keeper' | 'protection'>

/** The configuration, and what may be tried of another one. */
function bindDesks({
  base,
  sessions,
  memory,
  ...rest
}: Deciding & Pick<Entrance, 'sessions'> & { readonly memory: Awaited<ReturnType<Foundations['store']['view']>> }): Pick<
  Control,
  'configuration' | 'policyDesk'
> {
  const { config, policy, log, store } = base
  const standing = (): ReturnType<typeof readStandings> => readStandings({ base, ...rest })
  const unmet = async ({ text, expect }: Config): Promise<readonly string[]> => {
    if (expect.length === 0) return []
    return unmetOf(await runTrial({ path: config.path, textInForce: config.text, text, asks: [], ...(await standing()) }))
  }
  const read = (): ConfigResult => readConfig(config.path)
  const configuration = openConfigurationDesk({ log, clock: store.clock, memory, read, unmet }, config)
  const list = (): ReturnType<typeof sessions.list> => sessions.list()
  const ports = { configuration, policy, inForce: config, record: log, sessions: list, standing, run: runTrial }
  return { configuration, policyDesk: openPolicyDesk(ports) }
}

/** What decides besides the configuration: which upstreams can be had again, and which lack a drill that is demanded. */
async function readStandings({ base, keeper, protection }: Deciding): Promise<{
  readonly restorePoints: readonly string[]
  readonly undrilled: readonly string[]
}> {
  const names = base.config.upstreams.map(({ name }) => name)
  const drilled = await Promise.all(names.map((name) => keeper.isDrilled(name)))
  return {
    restorePoints: names.filter((name) => typeof protection.state(name)?.provenAtMs === 'number'),
    undrilled: names.filter((_name, index) => drilled[index] !== true),
  }
}
