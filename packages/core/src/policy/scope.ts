import { impactKinds, type ImpactKind } from '../impact.ts'

/** One line of `may:` in sallyport.yaml, as parsed. */
export interface Scope {
  /** Impact kinds it permits. Empty when it names an action. */
  readonly kinds: readonly ImpactKind[]
  /** An action with at most one trailing `*`: `postgres.drop_table`, `railway.customDomain*`. */
  readonly action: string | null
  /** Upstream names; null means every upstream that is not production. */
  readonly upstream: string
}

const wordPattern = /^[A-Za-z0-9_.-]{1,128}\*?$/

/**
 * Parses `read orders-db`, `any staging`, `postgres.drop_table orders-db`, `railway.customDomain* railway`.
 * `write` includes `read`; `any` is every kind. Returns a sentence when it is none of these.
 */
export function parseScope(text: string): Scope | string {
  const words = text.trim().split(/\s+/)
  const [verb, upstream] = words
  if (verb === undefined || upstream === undefined || words.length !== 2)
    return `"${text}" is not of the form "VERB UPSTREAM", for instance "read orders-db"`
  if (!wordPattern.test(upstream) || upstream.includes('*')) return `"${upstream}" is no name of an upstream`
  if (verb === 'any') return { kinds: impactKinds, action: null, upstream }
  if (verb === 'write') return { kinds: ['read', 'write'], action: null, upstream }
  const kind = impactKinds.find((name) => name === verb)
  if (kind !== undefined) return { kinds: [kind], action: null, upstream }
  if (!verb.includes('.') || !wordPattern.test(verb))
    return `"${verb}" is none of ${impactKinds.join(', ')}, any, and no action such as postgres.drop_table`
  return { kinds: [], action: verb, upstream }
}

/** The line that `parseScope` reads as this. */
export function scopeText({ kinds, action, upstream }: Scope): string {
  if (action !== null) return `${action} ${upstream}`
  const verb = kinds.length === impactKinds.length ? 'any' : kinds.length === 1 ? kinds[0] : 'write'
  return `${verb ?? 'nothing'} ${upstream}`
}

/** Compiles an agent's scope to Cedar permits. Names went through `parseScope`, so nothing needs escaping beyond JSON's. */
export function compileScope(agent: string, scopes: readonly Scope[]): string {
  return scopes.map((scope, index) => compileOne(agent, scope, index)).join('\n')
}

function compileOne(agent: string, scope: Scope, index: number): string {
  const head = `@id("scope-${index}")\npermit (principal == Agent::${JSON.stringify(agent)}`
  const resource = `resource == Upstream::${JSON.stringify(scope.upstream)}`
  if (scope.action === null) {
    const groups = scope.kinds.map((kind) => `Action::${JSON.stringify(kind)}`).join(', ')
    return `${head}, action in [${groups}], ${resource});`
  }
  return `${head}, action, ${resource}) when { context.action like ${JSON.stringify(scope.action)} };`
}

/** True when the scope has nothing but reads on this upstream, so that the server can be told to be read-only too. */
export function isReadOnly(scopes: readonly Scope[], upstream: string): boolean {
  return scopes
    .filter((scope) => scope.upstream === upstream)
    .every((scope) => scope.action === null && scope.kinds.every((kind) => kind === 'read'))
}
