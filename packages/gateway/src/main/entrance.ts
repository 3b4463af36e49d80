import type { Handle } from '@sallyport/core'
import { wallClock as clock } from '../access/clock.ts'
import { openHandleDesk, type HandleDesk } from '../access/handles.ts'
import { LocalKillSwitch, type Stoppable } from '../access/kill-switch.ts'
import { SessionRegistry } from '../access/sessions.ts'
import { scopeOf } from '../policy-settings.ts'
import { openHandles } from '../store/handles.ts'
import { openKills } from '../store/kills.ts'
import { openStanding, type StandingStore } from '../store/standing.ts'
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
  readonly handlesInForce: () => readonly Handle[]
  /** Scope that people gave for a time. */
  readonly standing: StandingStore
}

export function openEntrance({ config, database, log, folder, policy }: Foundations): Entrance {
  const store = openHandles(database)
  const agents = new Map(
    config.agents.map((agent) => [agent.name, { owner: agent.owner, handleMs: agent.handleMs, scopes: agent.scopes }]),
  )
  const killSwitch = new LocalKillSwitch(openKills(database), log, clock)
  const standing = openStanding(database, clock, policy.hash)
  killSwitch.onChange(() => standing.forget())
  const scope = scopeOf(config, standing)
  const sessions = new SessionRegistry({ log, clock, random, killSwitch, scope, use: (id) => store.use(id) })
  const stoppable: Stoppable = {
    endSessions: (kind, name, reason, drain) => sessions.endMatching(kind, name, reason, drain),
    revokeHandles: (kind, name) =>
      kind === 'agent' || kind === 'owner' || kind === 'all' ? store.revokeOf(kind, name, clock.nowMs()).length : 0,
  }
  return {
    handles: openHandleDesk(store, log, clock, folder.saltKey, () => agents),
    killSwitch,
    sessions,
    stoppable,
    standing,
    handlesInForce: () => store.inForce(clock.nowMs(), handlesListed),
  }
}
