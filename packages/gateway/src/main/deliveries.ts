import type { AccessRequest } from '@sallyport/core'
import { startDelivery, type Deliveries } from '../delivery/start.ts'
import { resolveReceivers } from '../deliver-settings.ts'
import { ringPlanOf } from '../ring-settings.ts'
import { openMeta } from '../store/meta.ts'
import type { Foundations } from './foundations.ts'

/** Who outside is told what this gate's log says. Null: nobody is. @throws SallyportError for an address or a secret that cannot be had */
export async function startDeliveries(base: Foundations, siteUrl: () => string): Promise<Deliveries | null> {
  const { config, folder, log, database, store } = base
  const ports = { clock: store.clock, log, source: log, memory: openMeta(database) }
  const about = {
    origin: folder.origin,
    siteUrl,
    posted: store.facts,
    waiting: () => findWaiting(base),
    requests: base.requests,
    rings: ringPlanOf(config),
  }
  return startDelivery(ports, await resolveReceivers(config), about)
}

async function findWaiting({ requests, store }: Foundations): Promise<readonly AccessRequest[]> {
  const nowMs = store.clock.nowMs()
  return (await requests.list()).filter(({ state, expiresAtMs }) => state === 'pending' && expiresAtMs > nowMs)
}
