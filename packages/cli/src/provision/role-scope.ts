import { parseScope, type AllowedScope as Scope } from '@sallyport/core'
import { isSeq } from 'yaml'
import { namesUnder, protocolOf, type ConfigurationFile } from '../configuration-file.ts'
import { CommandFailure, exitCodes } from '../failure.ts'

/** What a role of the agent's own would have to allow. `owner`: its scope goes beyond what a least role can hold. */
export type RoleKind = 'reader' | 'writer' | 'owner'

/** The agent's scope on one upstream, as sallyport.yaml says it, and the role that it comes to. */
export interface RoleScope {
  readonly kind: RoleKind
  /** The lines of `may` that are about this upstream. */
  readonly may: readonly string[]
}

/** @throws CommandFailure when there is no such database, agent, or scope of that agent on it */
export function readRoleScope(file: ConfigurationFile, upstream: string, agent: string): RoleScope {
  requireNamed(file, 'upstreams', upstream)
  requireNamed(file, 'agents', agent)
  if (protocolOf(file, upstream) !== 'postgres')
    throw usage('not_supported', `${upstream} is no PostgreSQL.`, 'Only a PostgreSQL server has roles to make.')
  const scope = scopeOf(file, upstream, agent)
  if (scope.may.length > 0) return scope
  throw usage(
    'not_in_scope',
    `${agent} may do nothing on ${upstream}.`,
    `Give it a scope under agents.${agent}.may in ${file.path}, such as "read ${upstream}".`,
  )
}

/** As `readRoleScope`, of names that are known to be there. `may` is empty where the agent has nothing on the upstream. */
export function scopeOf(file: ConfigurationFile, upstream: string, agent: string): RoleScope {
  const may: unknown = file.document.getIn(['agents', agent, 'may'])
  const lines: unknown = isSeq(may) ? may.toJSON() : []
  const scopes = (Array.isArray(lines) ? lines.map(String) : []).flatMap((text) => {
    const scope = parseScope(text)
    return typeof scope === 'string' || scope.upstream !== upstream ? [] : [{ text, scope }]
  })
  const kinds = scopes.map(({ scope }) => kindFor(scope))
  const kind = (['owner', 'writer'] as const).find((one) => kinds.includes(one)) ?? 'reader'
  return { kind, may: scopes.map(({ text }) => text) }
}

/** What changes rows and nothing else, whatever its impact: a DELETE destroys and takes no owner. */
const rowActions = ['postgres.insert', 'postgres.upsert', 'postgres.update', 'postgres.delete', 'postgres.merge']

/** Any other action named by itself can be anything, so that only the owner's role is sure to be able to do it. */
function kindFor({ kinds, action }: Scope): RoleKind {
  if (action !== null) return rowActions.includes(action) ? 'writer' : 'owner'
  if (kinds.some((kind) => kind !== 'read' && kind !== 'write')) return 'owner'
  return kinds.includes('write') ? 'writer' : 'reader'
}

function requireNamed(file: ConfigurationFile, section: 'upstreams' | 'agents', name: string): void {
  const known = namesUnder(file, section)
  if (known.includes(name)) return
  throw usage(
    'not_in_scope',
    `${file.path} has no ${name} under ${section}.`,
    `There: ${known.join(', ') || 'none yet'}. See \`sallyport ${section.slice(0, -1)} add --help\`.`,
  )
}

function usage(code: string, what: string, next: string): CommandFailure {
  return new CommandFailure(exitCodes.usage, code, what, 'No role was made and nothing was changed.', next)
}
