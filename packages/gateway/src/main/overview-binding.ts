import { noteSigner } from '@sallyport/core'
import { join } from 'node:path'
import { quorumOf } from '../approval-settings.ts'
import type { UpstreamConfig } from '../config.ts'
import type { Overview, UpstreamOverview } from '../control/index.ts'
import { openProver } from '../log/prove-entry.ts'
import { onCallLines } from '../on-call-settings.ts'
import type { Entrance } from './entrance.ts'
import type { Foundations } from './foundations.ts'

/** What the console shows of this gate. */
export function bindOverview({ config, folder, log, policy, findMembers, store }: Foundations, { handles }: Entrance): Overview {
  const { rowsWithoutPrompt, coolOffMs, retainMs, requestMs, acceptRisk } = config
  return {
    agents: () => config.agents,
    handles: (agent) => handles.candidates(agent),
    upstreams: () => config.upstreams.map((upstream) => overviewOf(upstream)),
    onCall: () => onCallLines(config, store.clock.nowMs()),
    quorumOf: quorumOf(config, findMembers),
    policy: () => ({
      hash: policy.hash,
      guards: policy.guards,
      rowsWithoutPrompt,
      coolOffMs,
      retainMs,
      requestMs,
      acceptRisk,
    }),
    record: {
      size: () => log.size(),
      read: (from, count) => log.read(from, count),
      prove: openProver(join(folder.directory, 'log'), log, noteSigner(folder.origin, folder.logSeed).key),
    },
  }
}

function overviewOf(upstream: UpstreamConfig): UpstreamOverview {
  const { name, protocol, environment, use, protect } = upstream
  const isHttp = upstream.protocol === 'http'
  return {
    name,
    protocol,
    connector: isHttp ? upstream.connector : 'postgres',
    environment,
    hosts: isHttp ? upstream.hosts : [],
    protectsApart: use !== protect,
    quarantineMs: isHttp ? null : (upstream.quarantine ?? null),
    isContinuous: !isHttp && upstream.continuous !== undefined,
  }
}
