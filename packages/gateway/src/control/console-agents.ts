import type { AgentsView } from '@sallyport/console'
import { type AllowedScope, impactKinds, scopeText } from '@sallyport/core'
import type { Overview } from './overview.ts'
import type { Site } from './site.ts'
import type { Tally } from './tally.ts'
import type { Use } from './usage.ts'

const agentsMax = 500
const usesShown = 50
const handlesShown = 20

/** Each agent's scope in words, what it really used of it, and the handles it has. */
export async function viewAgents({ ports }: Site, { usage }: Tally): Promise<AgentsView> {
  const { overview, control, clock } = ports
  const sessions = await control.sessions()
  const view = async ({
    name,
    owner,
    handleMs,
    scopes,
  }: ReturnType<Overview['agents']>[number]): Promise<AgentsView['agents'][number]> => {
    const uses = usage.of(name)
    return {
      name,
      owner,
      handleMs,
      sessions: sessions.filter(({ subject }) => subject.agent === name).length,
      scopes: scopes.map((scope) => viewScope(scope, uses)),
      used: uses.slice(0, usesShown).map((use) => ({ ...use })),
      usedInAll: uses.length,
      handles: (await overview.handles(name))
        .slice(0, handlesShown)
        .map(({ id, parent, issuedAtMs, expiresAtMs, narrowing }) => ({
          id,
          parent,
          issuedAtMs,
          expiresAtMs,
          narrowedTo: narrowing ? narrowing.scopes.map(scopeText).join(', ') : null,
        })),
    }
  }
  return {
    nowMs: clock.nowMs(),
    countedFromMs: usage.fromMs,
    agents: await Promise.all(overview.agents().slice(0, agentsMax).map(view)),
  }
}

function viewScope(scope: AllowedScope, uses: readonly Readonly<Use>[]): AgentsView['agents'][number]['scopes'][number] {
  const within = uses.filter((use) => isWithin(scope, use))
  return {
    line: scopeText(scope),
    sentence: sentenceOf(scope),
    uses: within.reduce((sum, { ran, asked }) => sum + ran + asked, 0),
    lastAtMs: within.length === 0 ? null : Math.max(...within.map(({ lastAtMs }) => lastAtMs)),
  }
}

/** Where the upstream of a use is not known it counts for every line: nothing is offered for removal on a guess. */
function isWithin({ kinds, action, upstream }: AllowedScope, use: Readonly<Use>): boolean {
  if (use.upstream !== null && use.upstream !== upstream) return false
  if (action === null) return kinds.includes(use.kind)
  return action.endsWith('*') ? use.action.startsWith(action.slice(0, -1)) : use.action === action
}

function sentenceOf({ kinds, action, upstream }: AllowedScope): string {
  if (action !== null)
    return action.endsWith('*')
      ? `May do everything that begins with ${action.slice(0, -1)} on ${upstream}.`
      : `May do ${action} on ${upstream}, and nothing else by this line.`
  if (kinds.length === impactKinds.length) return `May ask for anything on ${upstream}; guards still decide what needs people.`
  if (kinds.includes('write')) return `May read and change what is on ${upstream}.`
  return kinds.includes('read')
    ? `May read what is on ${upstream}.`
    : `May ${kinds.join(' and ')} on ${upstream}, and nothing else by this line.`
}
