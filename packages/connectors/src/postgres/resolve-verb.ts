import type { Operation } from '@sallyport/core'
import type { OperationContext } from './resolve-context.ts'
import type { Relation, SessionRights, WrittenName } from './resolve-name.ts'

/** Ways to lose data that a surgical copy can undo. */
export type LosingVerb = 'drop_table' | 'drop_schema' | 'alter_table' | 'truncate' | 'delete' | 'update'

const losingVerbs: ReadonlyMap<string, LosingVerb> = new Map([
  ['postgres.drop_table', 'drop_table'],
  ['postgres.drop_schema', 'drop_schema'],
  ['postgres.truncate', 'truncate'],
  ['postgres.delete', 'delete'],
  ['postgres.update', 'update'],
  ['postgres.alter_table_drop_column', 'alter_table'],
  ['postgres.alter_table_alter_column_type', 'alter_table'],
])

/** Null: no copy of ours covers what this operation would lose. */
export function losingVerb(operation: Operation): LosingVerb | null {
  return losingVerbs.get(operation.action) ?? null
}

/** An operation that loses something, with its names resolved. */
export interface Losing {
  readonly verb: LosingVerb
  readonly context: OperationContext
  readonly relations: readonly Relation[]
  readonly namespaces: readonly string[]
  /** What the agent's role may do with tables, asked in its own session. */
  readonly rightsOf: (oids: readonly string[]) => Promise<readonly SessionRights[]>
  /** Names as the agent's own session takes them, in order. */
  readonly findTables: (names: readonly WrittenName[]) => Promise<readonly (Relation | null)[]>
  /** No other operation of the request changes anything: only then is the row set at copy time the one the statement will meet. */
  readonly alone: boolean
  /** Tables that the condition reads besides the target; null when they can't be told or held still. */
  readonly sources: readonly Relation[] | null
  /** False once the rows could not be followed: then whole tables. */
  readonly byRows: boolean
}
