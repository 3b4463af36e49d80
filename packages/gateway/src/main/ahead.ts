import type { AccessRequest, GovernPorts } from '@sallyport/core'
import { askAhead } from '../access/ahead-desk.ts'
import type { Control } from '../control/index.ts'
import { governSettings } from '../policy-settings.ts'
import type { Store } from '../store/store.ts'
import { random, type Foundations } from './foundations.ts'

/** Uses of approvals ahead, each counted once over all gates. */
export function bindAheadUses({ usedTokens, clock }: Pick<Store, 'usedTokens' | 'clock'>): NonNullable<GovernPorts['ahead']> {
  return {
    grantMs: 900_000,
    use: async (request, usesMax, untilMs) => {
      for (let use = 0; use < usesMax; use += 1)
        if ((await usedTokens.use([`ahead ${request} ${use}`], untilMs, clock.nowMs())) === 'first') return true
      return false
    },
  }
}

/** What people may put to people. */
export function bindAheadDesk({
  config,
  log,
  requests,
  policy,
  store,
  findMembers,
}: Foundations): NonNullable<Control['askAhead']> {
  const ports = {
    clock: store.clock,
    random,
    log,
    requests,
    settings: () => governSettings(config, findMembers),
    policyHash: () => policy.hash,
  }
  return (id, wanted, by): Promise<AccessRequest> => askAhead(ports, id, wanted, by)
}
