import { isReadOnly, type GovernSettings, type PolicyEngine, type StandingGrants } from '@sallyport/core'
import { createPolicyEngine } from '@sallyport/core/policy'
import { quorumOf, type FindMembers } from './approval-settings.ts'
import type { Config } from './config.ts'
import { acceptedOf, hashDecisive } from './widening.ts'

/** The guards and scopes that a configuration puts in force. */
export function makePolicy(config: Config): PolicyEngine {
  const engine = createPolicyEngine(
    config.agents.map(({ name, scopes }) => ({ agent: name, scopes })),
    config.guards,
  )
  return { ...engine, hash: hashDecisive(engine.hash, acceptedOf(config)) }
}

/** What an agent may at all on an upstream, with what people gave it for a time; null: nothing. */
export function scopeOf(
  config: Config,
  standing: StandingGrants,
): (agent: string, upstream: string) => { readonly readOnly: boolean } | null {
  return (agentName, upstream) => {
    const agent = config.agents.find(({ name }) => name === agentName)
    if (agent === undefined) return null
    const configured = agent.scopes.filter((scope) => scope.upstream === upstream)
    const scopes = [...configured, ...standing.of(agent.name, agent.owner, upstream).scopes]
    return scopes.length === 0 ? null : { readOnly: isReadOnly(scopes, upstream) }
  }
}

/** Over which rows without a prompt are counted. */
const windowMs = 3_600_000
const pendingMax = 20

export function governSettings(config: Config, findMembers: FindMembers): GovernSettings {
  const { mode, coolOffMs, rowsWithoutPrompt, retainMs, requestMs } = config
  const bounds = { mode, coolOffMs, rowsWithoutPrompt, windowMs, retainMs, requestMs, pendingMax }
  return { ...bounds, quorumOf: quorumOf(config, findMembers) }
}
