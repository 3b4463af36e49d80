import { z } from 'zod'
import type { Json } from './canonical.ts'

/** What an event says of its operations, as far as somebody who watches the log looks at it. */
export interface LoggedOperations {
  readonly actions: readonly string[]
  readonly destroys: boolean
}

/** An entry that stands for those left out names no action. */
const operationsShape = z.array(z.object({ action: z.string().optional(), kind: z.string().optional() }))

/** By identity: of a plain statement that runs again and again, all events hold the very same list. */
const known = new WeakMap<object, LoggedOperations>()
const none: LoggedOperations = { actions: [], destroys: false }

export function readLoggedOperations(operations: Json | undefined): LoggedOperations {
  if (typeof operations !== 'object' || operations === null) return none
  const before = known.get(operations)
  if (before !== undefined) return before
  const parsed = operationsShape.safeParse(operations)
  const read = parsed.success
    ? {
        actions: [...new Set(parsed.data.flatMap(({ action }) => action ?? []))],
        destroys: parsed.data.some(({ kind }) => kind === 'destroy'),
      }
    : none
  known.set(operations, read)
  return read
}
