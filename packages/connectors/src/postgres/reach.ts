import { severity, type Operation, type Resource, type Upstream } from '@sallyport/core'
import { z } from 'zod'
import { parseShownName } from './catalog-name.ts'
import { sqlAccess } from './catalog-query.ts'
import { readRoles, seesAllSettings, type Named } from './reach-catalog.ts'
import { findRenamed } from './reach-rename.ts'
import {
  callsOf,
  disguised,
  decidesBySetting,
  either,
  followFunctions,
  followViews,
  gravest,
  isGrave,
  listed,
  look,
  nothing,
  type Found,
  type Walk,
} from './reach-walk.ts'
import { lowerByFunctions } from './resolve-function.ts'

/**
 * A text is judged by its words, and words mean what the catalog says: a view runs its query, an operator its function, an overload stands before the
 * server's own function, a definition calls what it names. Each is looked up and read by the same describer; impact is only ever raised.
 */
export async function reach(operations: readonly Operation[], upstream: Upstream): Promise<readonly Operation[]> {
  const access = sqlAccess(upstream)
  const walk: Walk = { access, seen: new Set(), resources: [], settings: new Set() }
  const named = await look(operations, walk)
  const out: Operation[] = []
  for (const asked of operations) {
    // Functions that are known to do nothing are out of the way first: what else stands in the statement counts then.
    const operation = await either(access, (channel) => lowerByFunctions(channel, asked))
    const found = await judge(operation, named, walk)
    out.push(withSettings(raise(withoutKey(operation, named), found), walk))
  }
  if (walk.resources.length === 0) return out
  return out.map((operation) =>
    operation.impact.kind === 'read' ? operation : { ...operation, resources: [...operation.resources, ...walk.resources] },
  )
}

/** What calling these functions leads to, and every definition that was read on the way. */
export async function followCalls(
  shown: readonly string[],
  upstream: Upstream,
): Promise<Found & { readonly resources: readonly Resource[] }> {
  const walk: Walk = { access: sqlAccess(upstream), seen: new Set(), resources: [], settings: new Set() }
  return { ...(await followFunctions(shown, walk, 0)), resources: walk.resources }
}

async function judge(operation: Operation, named: Named, walk: Walk): Promise<Found> {
  const functions = listed(operation, 'functions')
  if (operation.impact.kind === 'unknown') {
    // Nothing worse can be found; but what is approved by name must still be the same when it runs.
    await followFunctions(functions, walk, 0)
    return nothing
  }
  if (operation.context['overwrites'] === true)
    return { kind: 'unknown', why: 'it overwrites rows by a key that can not be looked up here' }
  if (operation.context['unbounded'] === true)
    return { kind: 'destroy', why: 'a query chooses the rows whose values are overwritten' }
  const shadow =
    (await shadowSchema(operation, walk)) ?? (await listedSettings(operation, walk)) ?? (await outage(operation, walk))
  if (shadow !== null) return shadow
  const decides = await decidesBySetting(operation, walk)
  if (isGrave(decides)) return decides
  const code = await disguised(operation, named, walk, 0)
  if (isGrave(code)) return code
  const moved = /^postgres\.(?:rename|set_schema)_(?:function|procedure|routine|aggregate)$/.test(operation.action)
  const called = await followFunctions(moved ? operation.resources.map(({ name }) => name) : callsOf(operation), walk, 0)
  const views = isGrave(called) ? nothing : await followViews(operation, named, walk, 0)
  return gravest(code, gravest(called, views))
}

/** A list of all settings shows connection strings to whoever may see every setting. */
async function listedSettings({ context }: Operation, { access }: Walk): Promise<Found | null> {
  if (context['listsSettings'] !== true || !(await either(access, seesAllSettings))) return null
  return { kind: 'escalate', why: 'this role sees every setting, and connection strings with passwords are among them' }
}

/** A name that others use already: whatever says it fails from now on. */
async function outage(operation: Operation, { access }: Walk): Promise<Found | null> {
  const name = await findRenamed(access, operation)
  return name === null ? null : { kind: 'disrupt', why: `${name} is there for everybody: what uses that name fails from now on` }
}

/** The search path begins with the schema that is named like the role: whoever makes it stands before every unqualified name. */
async function shadowSchema(operation: Operation, { access }: Walk): Promise<Found | null> {
  if (operation.action !== 'postgres.create_schema' && operation.action !== 'postgres.rename_schema') return null
  const roles = await either(access, readRoles)
  const names = [
    ...operation.resources.map(({ name }) => parseShownName(name)?.at(-1) ?? name),
    z.string().catch('').parse(operation.context['newName']),
  ]
  const role = names.find((name) => roles.includes(name))
  return role === undefined
    ? null
    : {
        kind: 'escalate',
        why: `a schema named like the role ${role} comes first in its search path: unqualified names will mean other things`,
      }
}

function raise(operation: Operation, { kind, why }: Found): Operation {
  if (kind === null || severity(operation.impact.kind) >= severity(kind)) return operation
  return {
    ...operation,
    impact: { ...operation.impact, kind, reversible: kind === 'write' || kind === 'disrupt' || kind === 'escalate' },
    why: `${operation.why}; ${why ?? ''}`,
    // it is not for its functions alone that it is what it is: knowing them lowers nothing any more
    context: { ...operation.context, onlyFunctions: false },
  }
}

/** What is set on the way is known with what sets it: later verdicts are bound to its value. */
function withSettings(operation: Operation, { settings }: Walk): Operation {
  if (settings.size === 0) return operation
  return { ...operation, context: { ...operation.context, ownSettings: [...settings] } }
}

/** An operator `=` of somebody's own may hold for every row, whatever index there is. */
function withoutKey(operation: Operation, { equals }: Named): Operation {
  if (!equals || listed(operation, 'keyEquality').length === 0) return operation
  return { ...operation, context: { ...operation.context, keyEquality: [], foldable: false } }
}
