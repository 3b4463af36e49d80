import type { AgentDesk } from '@sallyport/core'
import { openAgentDesk } from '../access/agent-desk.ts'
import { governSettings } from '../policy-settings.ts'
import type { Entrance } from './entrance.ts'
import { random, type Foundations } from './foundations.ts'

/** What agents may ask of the gate itself. */
export function openDesk(
  { config, log, requests, policy, store, findMembers }: Foundations,
  { killSwitch, standing }: Entrance,
  requestUrl: (id: string) => string,
): AgentDesk {
  return openAgentDesk({
    clock: store.clock,
    random,
    log,
    requests,
    killSwitch,
    standing,
    settings: () => governSettings(config, findMembers),
    policyHash: () => policy.hash,
    environmentOf: (name) => config.upstreams.find((upstream) => upstream.name === name)?.environment ?? null,
    isAgent: (name) => config.agents.some((agent) => agent.name === name),
    requestUrl,
  })
}
