import type { Operation, ResolvedOperation, SqlAccess } from '@sallyport/core'
import { sayDuration } from './quarantine.ts'
import { planDatabase } from './quarantine-database.ts'

/** A database as a whole, where what is dropped is kept: it is moved out of reach, and nothing of it is copied. */
export async function resolveDatabase(operation: Operation, { protect }: SqlAccess, keptMs: number): Promise<ResolvedOperation> {
  const planned = await planDatabase(protect, operation)
  if (!planned.ok) return { ...operation, copy: { kind: 'impossible', reason: planned.reason, remedy: planned.remedy } }
  const { oid, bytes } = planned.plan
  const [resource] = operation.resources
  const label = `database ${resource?.name ?? ''}`
  return {
    ...operation,
    why: `${operation.why}; no copy of it is made: it is moved out of everybody's reach, an undo puts it back until then, and after ${sayDuration(keptMs)} it is gone for good`,
    // What is in the vault is where it went, and not what it holds.
    context: { ...operation.context, irreversibleDespiteCopy: true },
    impact: { ...operation.impact, scope: { exact: false, bytes, tables: [label] } },
    resources: resource === undefined ? [] : [{ ...resource, identity: oid }],
    copy: { kind: 'moved', bytesEstimate: bytes },
  }
}
