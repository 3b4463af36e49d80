import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Workloads } from '@sallyport/core'
import { wallClock as clock } from '../access/clock.ts'
import type { Config } from '../config.ts'
import { openUsedTokens } from '../store/used-tokens.ts'
import { openWorkloads, type ConfiguredWorkload } from '../identity/workload-desk.ts'
import type { Entrance } from './entrance.ts'
import type { Foundations } from './foundations.ts'

/** @throws Error for a file of authorities that can't be read */
export function bindWorkloads({ config, database }: Foundations, { handles, killSwitch }: Entrance): Workloads {
  const used = openUsedTokens(database)
  return openWorkloads({
    clock,
    killSwitch,
    workloads: new Map(config.agents.map((agent) => [agent.name, { owner: agent.owner, of: readWorkloads(config, agent) }])),
    use: (names, untilMs, nowMs) => used.use(names, untilMs, nowMs),
    issue: (agent, ttlMs, by, basis) => handles.issue(agent, ttlMs, by, basis),
    revoke: (id) => handles.revoke(id, 'the gate'),
  })
}

function readWorkloads({ directory }: Config, { workloads }: Config['agents'][number]): readonly ConfiguredWorkload[] {
  return workloads.map(({ keys, authorities, ...workload }) => ({
    ...workload,
    keysFile: keys === undefined ? null : resolve(directory, keys),
    authorities: authorities === undefined ? null : readFileSync(resolve(directory, authorities), 'utf8'),
  }))
}
