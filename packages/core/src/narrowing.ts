import { SallyportError } from './error.ts'
import { impactKinds } from './impact.ts'
import type { ResolvedOperation } from './operation.ts'
import { scopeText, type Scope } from './policy/scope.ts'

/** What a handle may less than the one it was narrowed from. A child is a subset: of its parent's scope, life and uses. */
export interface Narrowing {
  readonly scopes: readonly Scope[]
  /** Who acts, outermost first: the agent, then each part of it that a handle was narrowed for (`act` of RFC 8693). */
  readonly act: readonly string[]
  /** Sessions that it may open in all, each of which its parents open too. Null: as many as they. */
  readonly usesMax: number | null
}

/** Handles from the agent's own down to the last that may be narrowed. */
const narrowingsMax = 4
const actorPattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/
const scopesMax = 32

/** Whether everything that `inner` permits is permitted by `outer`. What cannot be seen to be is not. */
export function coversScope(outer: Scope, inner: Scope): boolean {
  if (outer.upstream !== inner.upstream) return false
  if (outer.action === null) return inner.action === null ? inner.kinds.every((kind) => outer.kinds.includes(kind)) : isAny(outer)
  if (inner.action === null) return false
  return outer.action.endsWith('*') ? inner.action.startsWith(outer.action.slice(0, -1)) : inner.action === outer.action
}

/** An action's impact is known when it is asked for, so only a scope of every impact has each action in it. */
function isAny({ kinds }: Scope): boolean {
  return impactKinds.every((kind) => kinds.includes(kind))
}

/** Whether a scope of these permits this. An operation that no scope permits is outside of the handle, whatever its agent may. */
export function isWithin(scopes: readonly Scope[], upstream: string, { action, impact }: ResolvedOperation): boolean {
  return scopes.some((scope) => {
    if (scope.upstream !== upstream) return false
    if (scope.action === null) return scope.kinds.includes(impact.kind)
    return scope.action.endsWith('*') ? action.startsWith(scope.action.slice(0, -1)) : action === scope.action
  })
}

/** @throws SallyportError where the child would be more than its parent */
export function narrow(
  parent: { readonly agent: string; readonly scopes: readonly Scope[]; readonly narrowing: Narrowing | null },
  wanted: { readonly scopes: readonly Scope[]; readonly actor: string; readonly usesMax: number | null },
): Narrowing {
  const { scopes, actor, usesMax } = wanted
  const act = parent.narrowing?.act ?? [parent.agent]
  if (act.length > narrowingsMax)
    throw notNarrowed(
      'limit_exceeded',
      `This handle was narrowed ${narrowingsMax} times already.`,
      'Narrow one nearer to the agent.',
    )
  if (!actorPattern.test(actor))
    throw notNarrowed(
      'protocol_violation',
      'A part of an agent is named by 1 to 64 letters, digits and ._-',
      'Give it such a name.',
    )
  if (scopes.length === 0 || scopes.length > scopesMax)
    throw notNarrowed('protocol_violation', `A narrowed handle has 1 to ${scopesMax} scopes.`, 'Say what it may do.')
  const within = parent.narrowing?.scopes ?? parent.scopes
  const beyond = scopes.find((scope) => !within.some((outer) => coversScope(outer, scope)))
  if (beyond !== undefined)
    throw notNarrowed(
      'not_in_scope',
      `"${scopeText(beyond)}" is not within what this handle may do: ${within.map(scopeText).join(', ')}.`,
      'Ask for a part of that.',
    )
  if (usesMax !== null && (!Number.isSafeInteger(usesMax) || usesMax < 1))
    throw notNarrowed('protocol_violation', 'A handle is used once at least.', 'Give a whole number from 1 on.')
  const parentUses = parent.narrowing?.usesMax ?? null
  if (parentUses !== null && usesMax !== null && usesMax > parentUses)
    throw notNarrowed('not_in_scope', `This handle has ${parentUses} uses in all, fewer than ${usesMax}.`, 'Ask for fewer.')
  return { scopes, act: [...act, actor], usesMax }
}

function notNarrowed(code: 'limit_exceeded' | 'protocol_violation' | 'not_in_scope', what: string, next: string): SallyportError {
  return new SallyportError(code, what, 'No handle was made.', next)
}
