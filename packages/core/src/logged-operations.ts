import { z } from 'zod'
import type { Json } from './canonical.ts'
import { impactKinds, type ImpactKind } from './impact.ts'

/** What an event says of its operations, as far as somebody who watches the log looks at it. */
export interface LoggedOperations {
  readonly actions: readonly string[]
  readonly destroys: boolean
  /** Those of which both are said. */
  readonly each: readonly { readonly action: string; readonly kind: ImpactKind }[]
  /** Null: none says what it does. */
  readonly worst: ImpactKind | null
}

/** An entry that stands for those left out names no action. */
const operationsShape = z.array(z.object({ action: z.string().optional(), kind: z.string().optional() }))

/** By identity: of a plain statement that runs again and again, all events hold the very same list. */
const known = new WeakMap<object, LoggedOperations>()
const none: LoggedOperations = { actions: [], destroys: false, each: [], worst: null }

export function readLoggedOperations(operations: Json | undefined): LoggedOperations {
  if (typeof operations !== 'object' || operations === null) return none
  const before = known.get(operations)
  if (before !== undefined) return before
  const parsed = operationsShape.safeParse(operations)
  const read = parsed.success ? summarize(parsed.data) : none
  known.set(operations, read)
  return read
}

function summarize(operations: z.infer<typeof operationsShape>): LoggedOperations {
  const each = operations.flatMap(({ action, kind }) => {
    const said = impactKinds.find((one) => one === kind)
    return action === undefined || said === undefined ? [] : [{ action, kind: said }]
  })
  return {
    actions: [...new Set(operations.flatMap(({ action }) => action ?? []))],
    destroys: operations.some(({ kind }) => kind === 'destroy'),
    each,
    worst: impactKinds.findLast((kind) => operations.some((one) => one.kind === kind)) ?? null,
  }
}
