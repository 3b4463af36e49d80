import type { Handle } from '@sallyport/core'
import { openHandleDesk, type HandleDesk } from '../access/handles.ts'
import { LocalKillSwitch, type Stoppable } from '../access/kill-switch.ts'
import { SessionRegistry } from '../access/sessions.ts'
import { scopeOf } from '../policy-settings.ts'
import type { Awaitable, Hearer, SharedStanding } from '../store/store.ts'
import { random, type Foundations } from './foundations.ts'

/** Shown at once. */
const handlesListed = 1_000

/** Who may come in, and what stops them. */
export interface Entrance {
  readonly handles: HandleDesk
  readonly killSwitch: LocalKillSwitch
  readonly sessions: SessionRegistry
  readonly stoppable: Stoppable
  /** The handles in force, newest first. */
  readonly handlesInForce: () => Awaitable<readonly Handle[]>
  /** Scope that people gave for a time. */
  readonly standing: SharedStanding
}

export function openEntrance({ config, store, log, saltKey, policy }: Foundations): Entrance {
  const { clock } = store
  const agents = new Map(
    config.agents.map((agent) => [agent.name, { owner: agent.owner, handleMs: agent.handleMs, scopes: agent.scopes }]),
  )
  const killSwitch = new LocalKillSwitch(store.kills, log, clock)
  const standing = store.standing(policy.hash)
  killSwitch.onChange(() => standing.forget())
  const scope = scopeOf(config, standing)
  const use = (id: string): Awaitable<boolean> => store.handles.use(id)
  const isRevoked = async (id: string): Promise<boolean> => (await store.handles.find(id))?.revokedAtMs !== null
  const sessions = new SessionRegistry({ log, clock, random, killSwitch, scope, use, isRevoked })
  const stoppable: Stoppable = {
    endSessions: (kind, name, reason, drain) => sessions.endMatching(kind, name, reason, drain),
    revokeHandles: async (kind, name) =>
      kind === 'agent' || kind === 'owner' || kind === 'all'
        ? (await store.handles.revokeOf(kind, name, clock.nowMs())).length
        : 0,
  }
  const ear = store.attend(openHearer(killSwitch, sessions, stoppable))
  if (ear !== null) killSwitch.listenTo(ear)
  return {
    handles: openHandleDesk(store.handles, log, clock, saltKey, () => agents),
    killSwitch,
    sessions,
    stoppable,
    standing,
    handlesInForce: () => store.handles.inForce(clock.nowMs(), handlesListed),
  }
}

/** What other gates do, done here. */
function openHearer(killSwitch: LocalKillSwitch, sessions: SessionRegistry, stoppable: Stoppable): Hearer {
  return {
    follow: () => killSwitch.follow(stoppable),
    stopAhead: (kind, name) => killSwitch.stopAhead(kind, name, stoppable),
    writeAgain: () => killSwitch.writeAgain(stoppable),
    openHandles: () => [...new Set(sessions.list().map(({ handleId }) => handleId))],
    endByHandles: (handles) => void sessions.endByHandles(handles, 'the handle was revoked'),
    endOn: (agent, upstream) => void sessions.endOn(agent, upstream, 'what it was given for a time was ended'),
    freeze: (reason) => killSwitch.freeze(reason, stoppable),
    thaw: () => killSwitch.thaw(),
  }
}
