import type { Operation, ResolvedOperation, Upstream } from '@sallyport/core'
import { raiseByEventTriggers } from './fired-event.ts'
import { raiseByFired } from './fired-reach.ts'
import { reach } from './reach.ts'
import { resolve } from './resolve.ts'
import { bindParameters } from './resolve-parameter.ts'
import { checkSnapshot } from './resolve-snapshot.ts'

/** What the text leads to first, then what its names are, then what the server does by itself beside it. A read that leads nowhere else is done: it loses nothing and needs no copy. */
export async function resolveReached(
  operations: readonly Operation[],
  upstream: Upstream,
): Promise<readonly ResolvedOperation[]> {
  await checkSnapshot(upstream)
  const reached = await reach(operations, upstream)
  const isPlain = reached.every(
    ({ impact, context }) =>
      impact.kind === 'read' && Array.isArray(context['extensionFunctions']) && context['extensionFunctions'].length === 0,
  )
  if (isPlain) return reached.map((operation) => ({ ...operation, copy: { kind: 'none' } }))
  const fired = await raiseByFired(await resolve(reached, upstream), upstream)
  return bindParameters(await raiseByEventTriggers(fired, upstream), upstream)
}
